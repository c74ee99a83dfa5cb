"""What a similarity says about a layer: one number for each subject, and its draws when images are drawn again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

# Shape legend: M subjects, n images, D bootstrap draws.


@dataclass(frozen=True, eq=False)
class Similarity:
    """Similarity of a layer to recordings, without a fit.

    Attributes
    ----------
    by_subject
        (M,) similarities, at most 1; the score is their mean.
    resample
        From (D, n) counts of the judged images to (D,) mean similarities.
    judged
        (n,) rows of the images that were judged.
    n_images
        Images N of the target.
    """

    by_subject: np.ndarray
    resample: Callable[[np.ndarray], np.ndarray] = field(repr=False)
    judged: np.ndarray = field(repr=False)
    n_images: int
    aggregate: str = "mean"
    note: str = ""

    @property
    def r(self) -> np.ndarray:
        """(1, M) similarities, as one split of as many neuroids."""
        return self.by_subject[None]

    @property
    def raw_score(self) -> float:
        """Mean over the subjects."""
        return float(self.by_subject.mean())

    @property
    def error(self) -> float:
        """NaN: nothing is split, so nothing varies over splits; the interval is over images."""
        return float("nan")

    def draws(self, images: np.ndarray) -> Iterator[np.ndarray]:
        """Yield (D, 1) similarities for (D, N) counts of all images."""
        yield self.resample(images[:, self.judged])[:, None]

    def to_dict(self) -> dict[str, Any]:
        """Return the numbers as plain types."""
        return {"raw_score": self.raw_score, "by_subject": self.by_subject.tolist()}


def weighted_pairs(weights: np.ndarray, *tables: np.ndarray) -> list[np.ndarray]:
    """Sum (n, n) tables over pairs of different images, each pair as often as (D, n) counts say: (D,) each.

    Tables are symmetric; their diagonals do not count, so neither does an image that was drawn twice with itself.

    Examples
    --------
    >>> table = np.array([[9.0, 1.0], [1.0, 9.0]])
    >>> [one.tolist() for one in weighted_pairs(np.array([[1.0, 1.0], [2.0, 0.0]]), table)]
    [[1.0, 0.0]]
    """
    sums = []
    for table in tables:
        off = table - np.diag(np.diag(table))
        sums.append(((weights @ off) * weights).sum(1) / 2)
    return sums
