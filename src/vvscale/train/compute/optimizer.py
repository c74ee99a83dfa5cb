"""Optimisers of the study's recipes, built by timm."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import nn

from vvscale.errors import ConfigError


@dataclass(frozen=True)
class Optimizer:
    """How weights are updated.

    Attributes
    ----------
    name
        ``"sgd"`` with momentum, ``"adamw"``, or ``"lars"``.
    lr
        Peak learning rate for the recipe's whole batch, above 0.
    momentum
        Of sgd and lars, in [0, 1).
    betas
        Of adamw, each in [0, 1).
    weight_decay
        At least 0.
    decays_all
        Whether biases and normalisation weights decay too.
    clip_norm
        Largest norm of the gradient of all weights together, or None.
    """

    name: Literal["sgd", "adamw", "lars"] = "sgd"
    lr: float = 0.1
    momentum: float = 0.9
    betas: tuple[float, float] = (0.9, 0.999)
    weight_decay: float = 1e-4
    decays_all: bool = True
    clip_norm: float | None = None

    def __post_init__(self) -> None:
        if self.lr <= 0:
            raise ConfigError(f"The learning rate `lr` is {self.lr}; expected a number above 0.")
        fractions = (self.momentum, *self.betas)
        if min(fractions) < 0 or max(fractions) >= 1:
            raise ConfigError(f"`momentum` and `betas` are {fractions}; expected numbers in [0, 1).")
        if self.weight_decay < 0 or (self.clip_norm is not None and self.clip_norm <= 0):
            raise ConfigError(
                f"Got `weight_decay={self.weight_decay}`, `clip_norm={self.clip_norm}`; expected at least 0, and "
                "above 0 or none."
            )


def build_optimizer(module: nn.Module, settings: Optimizer) -> torch.optim.Optimizer:
    """Return the optimiser of a module's trainable weights, each group with its share of the weight decay."""
    from timm.optim._optim_factory import create_optimizer_v2

    on_cuda = next(module.parameters()).is_cuda
    options: dict[str, Any] = {"lr": settings.lr, "weight_decay": settings.weight_decay}
    if settings.name == "adamw":
        options |= {"betas": settings.betas, "fused": True}
    elif settings.name == "lars":
        options |= {"momentum": settings.momentum, "foreach": on_cuda}
    else:
        options |= {"momentum": settings.momentum, "fused": True}
    # timm's "sgd" is with Nesterov's momentum, its "momentum" without, as the study's.
    name = {"sgd": "momentum"}.get(settings.name, settings.name)
    optimizer = create_optimizer_v2(module, opt=name, filter_bias_and_bn=not settings.decays_all, **options)
    for group in optimizer.param_groups:
        group["is_decayed"] = group["weight_decay"] > 0
    return optimizer


def set_rates(optimizer: torch.optim.Optimizer, *, lr: float, weight_decay: float) -> None:
    """Set the learning rate of all groups, and the weight decay of those that decay."""
    for group in optimizer.param_groups:
        group["lr"] = lr
        if group["is_decayed"]:
            group["weight_decay"] = weight_decay
