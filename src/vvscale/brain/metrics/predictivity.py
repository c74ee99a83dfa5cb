"""What a regression says about a layer: how well each neuroid is predicted on images left out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
import pandas as pd

from vvscale.brain.metrics.checks import correlate_sums, over_neuroids, over_splits, pearson
from vvscale.brain.metrics.metric import Target

# Shape legend: S splits, N images, q neuroids, D bootstrap draws.

Aggregate = Literal["median", "mean"]


@dataclass(frozen=True, eq=False)
class Predictivity:
    """Cross-validated correlations between predicted and measured responses.

    Attributes
    ----------
    r
        (n_splits, n_neuroids) Pearson correlations over the test images, in [-1, 1]; NaN where a response or
        its prediction is constant over the test images of a split.
    is_train, is_test
        (n_splits, n_images) bool, the training and the test images of each split; by default all others test.
    predictions, responses
        For each split (n_test, n_neuroids), and (n_images, n_neuroids), in the unit of the responses; what
        intervals over images are computed from.
    aggregate
        How the neuroids of a split become one number: ``median``, the reference's, or ``mean``.
    note
        What a reader of the score should know of the fit, such as a penalty at the edge of its grid; or "".
    """

    r: np.ndarray
    is_train: np.ndarray = field(repr=False)
    predictions: tuple[np.ndarray, ...] = field(repr=False)
    responses: np.ndarray = field(repr=False)
    aggregate: Aggregate = "median"
    note: str = ""
    is_test: np.ndarray = field(default=None, repr=False)  # type: ignore[assignment]

    def __post_init__(self) -> None:
        if self.is_test is None:
            object.__setattr__(self, "is_test", ~self.is_train)

    @property
    def n_images(self) -> int:
        """Images N of the responses."""
        return len(self.responses)

    @property
    def raw_score(self) -> float:
        """Mean over splits of the median or mean over neuroids, without a ceiling, leaving NaN out."""
        return float(over_splits(self.r_by_split))

    @property
    def error(self) -> float:
        """Standard deviation over splits of the median or mean, divided by the root of their number."""
        return float(np.sqrt(over_splits((self.r_by_split - self.raw_score) ** 2) / len(self.r)))

    @property
    def r_by_split(self) -> np.ndarray:
        """(n_splits,) medians or means over neuroids, leaving NaN out."""
        return over_neuroids(self.r, self.aggregate)

    def draws(self, images: np.ndarray) -> Iterator[np.ndarray]:
        """Yield for each split (D, q) correlations of test images that are weighted by (D, N) counts."""
        for test, predicted in zip(self.is_test, self.predictions, strict=True):
            yield weighted_pearson(predicted, self.responses[test], images[:, test])

    def divided(self, n: int) -> list[Predictivity]:
        """Return what the first n-th of the splits says, the second, and so on."""
        each = len(self.r) // n
        turns = [slice(start, start + each) for start in range(0, len(self.r), each)]
        return [
            replace(
                self,
                r=self.r[of],
                is_train=self.is_train[of],
                predictions=self.predictions[of],
                is_test=self.is_test[of],
            )
            for of in turns
        ]

    def table(self) -> pd.DataFrame:
        """Return one row per neuroid: mean and standard deviation of r over the splits."""
        is_known = ~np.isnan(self.r)
        n = is_known.sum(0)
        with np.errstate(invalid="ignore"):
            mean = np.where(is_known, self.r, 0.0).sum(0) / n
            spread = np.sqrt(np.where(is_known, (self.r - mean) ** 2, 0.0).sum(0) / n)
        return pd.DataFrame({"neuroid": np.arange(len(n)), "r": mean, "r_std": spread, "n_splits": n})

    def to_dict(self) -> dict[str, Any]:
        """Return the numbers as plain types; NaN becomes None."""
        r = [[None if np.isnan(value) else float(value) for value in row] for row in self.r]
        return {"raw_score": self.raw_score, "error": self.error, "r": r}


def judge(
    predictions: Sequence[np.ndarray], target: Target, *, aggregate: Aggregate = "median", note: str = ""
) -> Predictivity:
    """Correlate predictions with the responses to the test images of each split.

    Parameters
    ----------
    predictions
        For each split a table of the test images, or of all images that do not train, in their order.
    target
        What was predicted.
    aggregate, note
        As of :class:`Predictivity`.
    """
    pairs = zip(predictions, target.is_train, target.is_test, strict=True)
    tested = tuple(
        predicted if len(predicted) == test.sum() else predicted[test[~train]] for predicted, train, test in pairs
    )
    r = [pearson(target.responses[test], found) for found, test in zip(tested, target.is_test, strict=True)]
    return Predictivity(np.stack(r), target.is_train, tested, target.responses, aggregate, note, target.is_test)


def weighted_pearson(predicted: np.ndarray, measured: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Correlate (N, q) tables under each of (D, N) weights: (D, q); NaN where a side is constant."""
    # Sums of equal numbers with whole weights are exact, so constant columns give 0 / 0 and not rounding
    # noise.
    a, b = predicted - predicted.mean(0), measured - measured.mean(0)
    sums = np.stack(
        [np.broadcast_to(weights.sum(1)[:, None], (len(weights), a.shape[1]))]
        + [weights @ table for table in (a, b, a * a, b * b, a * b)]
    )
    # Each sum lies in one piece, which is several times faster to go through than six side by side.
    return correlate_sums(np.moveaxis(sums, 0, -1))
