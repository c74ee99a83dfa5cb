"""A simulated ventral stream with known ceilings, for demos and tests; it is no brain."""
