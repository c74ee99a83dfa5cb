"""Optimiser, schedule, averaging, evaluation and processes of a training step."""
