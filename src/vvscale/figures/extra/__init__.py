"""Figures that are not in a paper."""
