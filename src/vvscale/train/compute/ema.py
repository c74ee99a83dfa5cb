"""A slow average of a network's weights."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from vvscale.errors import ConfigError


@dataclass(frozen=True)
class Ema:
    """Settings of the average.

    Attributes
    ----------
    decay
        Share kept per step, in (0, 1).
    warmup
        Whether the decay starts near 0 and rises. Without, as in the published runs, short runs keep mostly
        the random weights they started from: after k steps a share ``decay ** k``.
    """

    decay: float = 0.9999
    warmup: bool = False

    def __post_init__(self) -> None:
        if not 0 < self.decay < 1:
            raise ConfigError(f"`decay` of the weight average is {self.decay}; expected a number in (0, 1).")


class WeightAverage:
    """timm's average of a module, which lives beside the module and is evaluated in its place."""

    def __init__(self, module: nn.Module, settings: Ema) -> None:
        from timm.utils.model_ema import ModelEmaV3

        self._settings = settings
        self._average = ModelEmaV3(module, decay=settings.decay, use_warmup=settings.warmup)

    @property
    def module(self) -> nn.Module:
        """The averaged network."""
        return self._average.module

    def update(self, module: nn.Module, step: int) -> None:
        """Move towards the module after optimiser step ``step``, counted from 1."""
        # With a step number timm also keeps no memory of the first step, which only the warm-up asks for.
        self._average.update(module, step=step if self._settings.warmup else None)
