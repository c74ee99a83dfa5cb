"""A study file: its schema, its axes, its checks."""
