"""The laws as maths: value, gradient, curvature, units."""
