"""Names of the files that a stopped loop resumes from, where code finds them that must not import PyTorch."""

from __future__ import annotations

STATE = "state.pt"
"""Of fine-tuning and of readouts, beside what they make."""

CHECKPOINT = "checkpoint"
"""Stem of the states of a training run: ``checkpoint-000000100-0123456789abcdef.pt``."""
