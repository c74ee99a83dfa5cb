"""Low-rank changes of weights: W + (alpha / rank) B A, of which A and B are trained.

Source: Hu et al., "LoRA: low-rank adaptation of large language models", ICLR 2022.
"""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn.utils import parametrize

from vvscale.errors import ConfigError

_ADAPTED = (nn.Linear, nn.Conv2d)


class LowRank(nn.Module):
    """The change of one weight; zero at first, since B is."""

    def __init__(self, weight: torch.Tensor, rank: int, alpha: float) -> None:
        super().__init__()
        n_out, n_in = weight.shape[0], weight[0].numel()
        rank = min(rank, n_out, n_in)
        self.A = nn.Parameter(torch.empty(rank, n_in, device=weight.device))
        self.B = nn.Parameter(torch.zeros(n_out, rank, device=weight.device))
        nn.init.kaiming_uniform_(self.A, a=math.sqrt(5))  # as the source's code draws it
        self.scale = alpha / rank

    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        """Return the changed weight."""
        return weight + self.scale * (self.B @ self.A).view_as(weight)


def adapt(network: nn.Module, rank: int, alpha: float) -> list[nn.Parameter]:
    """Freeze a network but for low-rank changes of its linear and convolutional layers and its last linear layer.

    Returns
    -------
    list
        The parameters that are trained.

    Raises
    ------
    ConfigError
        The network has no such layer.
    """
    layers = [(name, one) for name, one in network.named_modules() if isinstance(one, _ADAPTED)]
    if not layers:
        raise ConfigError("The network has neither linear nor convolutional layers that `lora_rank` could change.")
    network.requires_grad_(False)
    trained: list[nn.Parameter] = []
    linear = [one for _, one in layers if isinstance(one, nn.Linear)]
    head = linear[-1] if linear else None
    for _, one in layers:
        if one is head:
            one.requires_grad_(True)
            trained += list(one.parameters())
            continue
        change = LowRank(one.weight, rank, alpha)
        parametrize.register_parametrization(one, "weight", change)
        trained += [change.A, change.B]
    return trained


def merge(network: nn.Module) -> None:
    """Turn low-rank changes into plain weights."""
    for one in list(network.modules()):
        if parametrize.is_parametrized(one, "weight"):
            parametrize.remove_parametrizations(one, "weight", leave_parametrized=True)
