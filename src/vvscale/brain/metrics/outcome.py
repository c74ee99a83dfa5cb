"""What a metric says about a layer: of a regression, of a similarity, or of several subjects scored apart."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
import pandas as pd

from vvscale.brain.metrics.checks import correlate_sums, over_neuroids, over_splits, pearson
from vvscale.brain.metrics.metric import Outcome, Target
from vvscale.core.jsonable import jsonable

# Shape legend: S splits, N images, n judged images, q neuroids, M subjects, D bootstrap draws.

Aggregate = Literal["median", "mean"]


class OverSplits:
    """How (n_splits, n_neuroids) values become one number: over the neuroids of each split, then over the splits."""

    r: np.ndarray
    aggregate: Aggregate

    @property
    def r_by_split(self) -> np.ndarray:
        """(n_splits,) medians or means over neuroids, leaving NaN out."""
        return over_neuroids(self.r, self.aggregate)

    @property
    def mean(self) -> float:
        """Mean over splits of the median or mean over neuroids, leaving NaN out."""
        return float(over_splits(self.r_by_split))

    @property
    def error(self) -> float:
        """Standard deviation over splits of the median or mean, divided by the root of their number."""
        return float(np.sqrt(over_splits((self.r_by_split - self.mean) ** 2) / len(self.r)))


@dataclass(frozen=True, eq=False)
class Predictivity(OverSplits):
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
        return self.mean

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
        return {"raw_score": self.raw_score, "error": self.error, "r": jsonable(self.r)}


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


@dataclass(frozen=True, eq=False)
class Averaged:
    """What a metric says of several subjects that were scored apart.

    Attributes
    ----------
    subjects
        One outcome per subject; splits are the same in number.
    """

    subjects: tuple[Outcome, ...]

    @property
    def r(self) -> np.ndarray:
        """(n_splits, n_neuroids) of all subjects, one after another."""
        return np.concatenate([one.r for one in self.subjects], axis=1)

    @property
    def raw_score(self) -> float:
        """Mean over the subjects."""
        return float(np.mean([one.raw_score for one in self.subjects]))

    @property
    def error(self) -> float:
        """That of the mean of subjects whose errors are independent."""
        return float(np.sqrt(np.sum([one.error**2 for one in self.subjects])) / len(self.subjects))

    @property
    def note(self) -> str:
        """Notes of the subjects, each once."""
        return "; ".join(dict.fromkeys(one.note for one in self.subjects if one.note))

    def to_dict(self) -> dict[str, Any]:
        """Return the numbers of each subject."""
        return {"raw_score": self.raw_score, "error": self.error, "subjects": [one.to_dict() for one in self.subjects]}
