"""Learning rate, weight decay and momentum as pure functions of the step, and which epochs are looked at."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from vvscale.errors import ConfigError


@dataclass(frozen=True)
class Schedule:
    """How long a run is and how its learning rate moves.

    Attributes
    ----------
    epochs, steps
        Length of the run in passes over the subset or in optimiser steps; exactly one of them.
    warmup_epochs, warmup_fraction
        Linear rise of the learning rate from 0, in epochs or as a part of the run in [0, 1).
    decay
        Course after the rise.
    min_lr
        Learning rate at the end, at least 0.
    weight_decay_end
        Weight decay at the end, reached by a cosine; None keeps it constant.

    Raises
    ------
    ConfigError
        A length is not positive or given twice.
    """

    epochs: int | None = None
    steps: int | None = None
    warmup_epochs: float = 0.0
    warmup_fraction: float = 0.0
    decay: Literal["cosine", "linear", "constant"] = "cosine"
    min_lr: float = 0.0
    weight_decay_end: float | None = None

    def __post_init__(self) -> None:
        length = self.steps if self.epochs is None else self.epochs
        if (self.epochs is None) == (self.steps is None) or length is None or length < 1:
            raise ConfigError(
                f"Got `epochs={self.epochs}` and `steps={self.steps}`; expected exactly one of them, at least 1."
            )
        if not 0 <= self.warmup_fraction < 1 or self.warmup_epochs < 0 or self.min_lr < 0:
            raise ConfigError(
                f"Got `warmup_fraction={self.warmup_fraction}`, `warmup_epochs={self.warmup_epochs}`, "
                f"`min_lr={self.min_lr}`; expected a fraction in [0, 1) and nothing below 0."
            )
        if self.warmup_epochs and self.warmup_fraction:
            raise ConfigError("Got `warmup_epochs` and `warmup_fraction`; expected at most one of them.")
        if self.epochs is not None and self.warmup_epochs >= self.epochs:
            raise ConfigError(
                f"`warmup_epochs={self.warmup_epochs:g}` fills the run of `epochs={self.epochs}`; expected it to be "
                "shorter."
            )

    def n_steps(self, steps_per_epoch: int) -> int:
        """Return the length of the run in optimiser steps."""
        return self.steps if self.epochs is None else self.epochs * steps_per_epoch  # pyright: ignore[reportReturnType]

    def factor(self, step: int, steps_per_epoch: int) -> tuple[float, float]:
        """Return where step ``step`` (from 0) stands: the rise in (0, 1], and how far it has fallen in [0, 1].

        The learning rate is ``rise * (lr - (lr - min_lr) * fallen)``. The first step of a rise already has a
        positive rate, and the last step of a run still one above ``min_lr``, as in the published runs.
        """
        total = self.n_steps(steps_per_epoch)
        warmup = min(self.warmup_epochs * steps_per_epoch + self.warmup_fraction * total, total - 1)
        if step < warmup:
            return (step + 1) / (warmup + 1), 0.0
        done = (step - warmup) / max(total - warmup, 1)
        fallen = {"cosine": (1 - math.cos(math.pi * done)) / 2, "linear": done, "constant": 0.0}[self.decay]
        return 1.0, fallen

    def learning_rate(self, step: int, steps_per_epoch: int, peak: float) -> float:
        """Return the learning rate of a step, where ``peak`` is the one after the rise.

        Examples
        --------
        >>> schedule = Schedule(epochs=10, warmup_epochs=1)
        >>> [round(schedule.learning_rate(step, 2, 0.1), 4) for step in (0, 2, 11, 19)]
        [0.0333, 0.1, 0.05, 0.0008]
        """
        rise, fallen = self.factor(step, steps_per_epoch)
        return rise * (peak - (peak - self.min_lr) * fallen)

    def weight_decay(self, step: int, steps_per_epoch: int, start: float) -> float:
        """Return the weight decay of a step."""
        if self.weight_decay_end is None:
            return start
        return cosine(start, self.weight_decay_end, step / max(self.n_steps(steps_per_epoch), 1))


def cosine(start: float, end: float, done: float) -> float:
    """Return the value between ``start`` and ``end`` after the part ``done`` in [0, 1] of a half cosine.

    Examples
    --------
    >>> cosine(1.0, 0.0, 0.5)
    0.5
    """
    return end + (start - end) * (1 + math.cos(math.pi * done)) / 2


def log_epochs(n_epochs: int, per_decade: int) -> tuple[int, ...]:
    """Return the epochs after which a run is looked at: evenly spaced in log samples seen, and the last.

    Parameters
    ----------
    n_epochs
        Length of the run.
    per_decade
        Looks per factor of ten; 0 for the last epoch only, -1 for every epoch.

    Examples
    --------
    >>> log_epochs(100, 3)
    (1, 2, 5, 10, 22, 46, 100)
    >>> log_epochs(100, 0)
    (100,)
    """
    if per_decade < 0:
        return tuple(range(1, n_epochs + 1))
    chosen = {n_epochs}
    if per_decade:
        n_evaluations = int(per_decade * math.log10(n_epochs)) + 1
        chosen |= {round(10 ** (number / per_decade)) for number in range(n_evaluations)}
    return tuple(sorted(epoch for epoch in chosen if 1 <= epoch <= n_epochs))
