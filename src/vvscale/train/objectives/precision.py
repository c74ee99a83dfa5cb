"""Losses are computed in float32 at least, whatever the network computes in."""

from __future__ import annotations

import torch


def widened(table: torch.Tensor) -> torch.Tensor:
    """Return a tensor in float32, or as it is where it is wider."""
    return table.to(torch.promote_types(table.dtype, torch.float32))
