"""Several processes that train one model: what ``torchrun`` told us, and the few collectives we need."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import distributed as dist

from vvscale.core.devices import find_device


@dataclass(frozen=True)
class Ranks:
    """Where one process stands among those that train together.

    Attributes
    ----------
    rank, world_size
        Number of this process from 0, and how many there are.
    device
        Where this process computes.
    """

    rank: int
    world_size: int
    device: torch.device

    @property
    def is_first(self) -> bool:
        """Whether this process writes files and progress."""
        return self.rank == 0

    def mean(self, value: torch.Tensor) -> torch.Tensor:
        """Return the mean of a tensor over all processes."""
        return self.sum(value) / self.world_size

    def sum(self, value: torch.Tensor) -> torch.Tensor:
        """Return the sum of a tensor over all processes."""
        if self.world_size > 1:
            value = value.clone()
            dist.all_reduce(value)
        return value

    def any(self, flag: bool) -> bool:
        """Say whether a flag is up in any process, so that all of them take the same branch."""
        if self.world_size == 1:
            return flag
        return bool(self.sum(torch.tensor(float(flag), device=self.device)).item() > 0)

    def barrier(self) -> None:
        """Wait for all processes."""
        if self.world_size > 1:
            dist.barrier()


@contextmanager
def ranks(device: str = "auto") -> Iterator[Ranks]:
    """Join the processes that ``torchrun`` started, or be alone.

    Parameters
    ----------
    device
        ``"auto"`` takes this process's own GPU where there is one; ``"cpu"``, ``"cuda"``, ``"cuda:1"``.

    Raises
    ------
    ConfigError
        A GPU is asked for and there is none.
    """
    world_size = int(os.environ.get("WORLD_SIZE", "1"))
    rank = int(os.environ.get("RANK", "0"))
    chosen = find_device(device, local_rank=int(os.environ.get("LOCAL_RANK", "0")))
    if chosen.type == "cuda":
        torch.cuda.set_device(chosen)
    if world_size == 1:
        yield Ranks(0, 1, chosen)
        return
    was_running = dist.is_initialized()
    if not was_running:
        dist.init_process_group("nccl" if chosen.type == "cuda" else "gloo")
    try:
        yield Ranks(rank, world_size, chosen)
    finally:
        if not was_running:
            dist.destroy_process_group()


class _Gather(torch.autograd.Function):
    """All processes' tensors one after the other; the gradient of one's own share comes back summed."""

    @staticmethod
    def forward(ctx: Any, local: torch.Tensor) -> torch.Tensor:
        parts = [torch.empty_like(local) for _ in range(dist.get_world_size())]
        dist.all_gather(parts, local.contiguous())
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> torch.Tensor:
        (grad,) = grads
        grad = grad.contiguous()
        dist.all_reduce(grad)
        n_local = len(grad) // dist.get_world_size()
        return grad[n_local * dist.get_rank() :][:n_local]


def gather_with_gradient(local: torch.Tensor) -> tuple[torch.Tensor, int]:
    """Return all processes' equally long tensors, joined, and at which row one's own begin.

    Parameters
    ----------
    local
        (n, d), the same n everywhere.
    """
    if not (dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1):
        return local, 0
    return _Gather.apply(local), dist.get_rank() * len(local)  # pyright: ignore[reportReturnType]
