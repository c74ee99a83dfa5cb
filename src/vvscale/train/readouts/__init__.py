"""Readouts of tokens that are trained, not solved: cross-attention shared by subjects, and its baselines."""
