"""The maths of laws: value, gradient, curvature, units. A law is named and added in ``vvscale.laws.law``."""
