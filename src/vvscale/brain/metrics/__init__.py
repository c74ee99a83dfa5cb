"""Alignment metrics on arrays: features and responses in, scores and ceilings out.

No file, model or benchmark is known here.
"""
