"""Subsets of recordings by name: shares or numbers of training images, neuroids and repetitions, and seeds."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from vvscale.core.options import SEED
from vvscale.errors import ConfigError, UsageError

# Shape legend: n training images of a split.

_SHARE = re.compile(r"(\d+(?:\.\d+)?)\s*%")


@dataclass(frozen=True)
class Amount:
    """A share or a number of things.

    Attributes
    ----------
    percent
        Share in (0, 100], or None.
    number
        Number of at least 1, or None.
    """

    percent: float | None = None
    number: int | None = None

    @classmethod
    def parse(cls, text: str | int) -> Amount:
        """Read ``"10%"`` or ``"200"``.

        Raises
        ------
        ConfigError
            It is neither.

        Examples
        --------
        >>> Amount.parse("10%").of(576), Amount.parse("200").of(576)
        (57, 200)
        """
        found = _SHARE.fullmatch(str(text).strip())
        if found and 0 < float(found[1]) <= 100:
            return cls(percent=float(found[1]))
        if str(text).strip().isdigit() and int(text) >= 1:
            return cls(number=int(text))
        raise ConfigError(
            f"Got '{text}'; expected a share such as 10% (above 0, at most 100%), or a number such as 200."
        )

    def of(self, n: int) -> int:
        """Return how many of n it is: the whole part of n percent / 100, as the 2026 study counts."""
        if self.number is not None:
            return self.number
        assert self.percent is not None
        return int(n * self.percent / 100)

    @property
    def is_all(self) -> bool:
        """Whether it is everything, whatever there is."""
        return self.percent == 100

    def __str__(self) -> str:
        """Show it as it is written."""
        return f"{self.percent:g}%" if self.number is None else str(self.number)


@dataclass(frozen=True)
class Subset:
    """Part of the recordings.

    Attributes
    ----------
    samples
        Training images of each split.
    seed
        Which: the first of a random order of the training images, so that subsets of one seed are nested.
    neuroids
        Neuroids that are scored, or None for all.
    repetitions
        Repetitions that the responses to training images are averaged over, or None for all.
    """

    samples: Amount = Amount(percent=100)
    seed: int = SEED
    neuroids: int | None = None
    repetitions: int | None = None

    def __post_init__(self) -> None:
        for name in ("neuroids", "repetitions"):
            if (n := getattr(self, name)) is not None and n < 1:
                raise ConfigError(f"`mapping_{name}` is {n}; expected at least 1.")

    @property
    def is_everything(self) -> bool:
        """Whether nothing is left out."""
        return self.samples.is_all and self.neuroids is None and self.repetitions is None

    def rows(self, train: np.ndarray, n_least: int) -> np.ndarray:
        """Return the training images that are used, of the (n,) rows of a split.

        Parameters
        ----------
        train
            (n,) rows of the training images in the order of the assembly.
        n_least
            Training images of the smallest split, which a share is of.

        Source
        ------
        Gokce, Tang and Schrimpf (2026): ``default_rng(seed).permutation(n)``, its first int(n percent / 100).
        """
        order = np.random.default_rng(self.seed).permutation(len(train))
        return np.sort(train[order[: self.samples.of(n_least)]])

    def __str__(self) -> str:
        """Name it, for lists and messages."""
        said = [f"{self.samples} of the images"]
        said += [f"{self.neuroids} neuroids"] if self.neuroids is not None else []
        said += [f"{self.repetitions} repetitions"] if self.repetitions is not None else []
        return f"{', '.join(said)}, seed {self.seed}"


def subsets(
    samples: Sequence[str | int] = ("100%",),
    *,
    seeds: int | Iterable[int] = 3,
    neuroids: Sequence[int] = (),
    repetitions: Sequence[int] = (),
) -> list[Subset]:
    """Return every combination, the whole recordings once whatever the seeds.

    Parameters
    ----------
    samples
        Shares or numbers of training images, such as ``["1%", "10%", "100%"]``.
    seeds
        How many seeds from 0, or which.
    neuroids, repetitions
        Numbers; each is combined with each.

    Raises
    ------
    ConfigError
        An amount cannot be read.
    UsageError
        No amount, or no seed.

    Examples
    --------
    >>> [str(one) for one in subsets(["10%", "100%"], seeds=2)]
    ['10% of the images, seed 0', '10% of the images, seed 1', '100% of the images, seed 0']
    """
    drawn = list(range(seeds)) if isinstance(seeds, int) else list(seeds)
    amounts = list(dict.fromkeys(Amount.parse(one) for one in samples))
    if not drawn or not amounts:
        raise UsageError("A mapping curve needs at least one amount of `mapping_samples` and one of `mapping_seeds`.")
    found = [
        Subset(amount, seed, n_neuroids, n_repetitions)
        for amount in amounts
        for n_neuroids in (neuroids or (None,))
        for n_repetitions in (repetitions or (None,))
        for seed in drawn
    ]
    # Where nothing is drawn, seeds differ in nothing.
    return [one for one in found if not one.is_everything or one.seed == drawn[0]]
