"""Figures, reports and references on the command line."""
