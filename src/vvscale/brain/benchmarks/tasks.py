"""Benchmarks that are tasks: no readout is fitted, the layer itself answers."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import numpy as np

from vvscale.brain.behavior.decisions import Decisions, chosen_categories, error_consistency
from vvscale.brain.behavior.triplets import CHANCE, Triplets, odd_one_out
from vvscale.brain.benchmarks.benchmark import (
    Benchmark,
    BenchmarkResult,
    as_needed,
    in_order,
    joined,
    refuse_unknown_images,
)
from vvscale.brain.ceilings.score import Score, interval_ends
from vvscale.brain.inputs.stimuli import StimulusSet
from vvscale.brain.metrics.centring import as_numpy
from vvscale.brain.metrics.checks import over_splits
from vvscale.brain.metrics.gram import Gram
from vvscale.brain.metrics.metric import Needs
from vvscale.errors import DataError, UsageError

# Shape legend: N images, T triplets, S observers, D bootstrap draws.

_LEVEL = 0.95


@dataclass(frozen=True, eq=False)
class Answers:
    """What a task gave.

    Attributes
    ----------
    r
        (n_observers, n_items) values: right or wrong per triplet, or one row of values per observer.
    """

    r: np.ndarray

    def to_dict(self) -> dict[str, Any]:
        """Return the mean of each row."""
        return {"r": np.nanmean(self.r, axis=1).tolist()}


class _Task(Benchmark):
    """What the tasks have in common."""

    region: ClassVar[str] = "behavior"  # type: ignore[misc]
    chance: ClassVar[float] = 0.0
    """The raw score of a model that knows nothing."""

    ceiling: float | None

    @property
    @abstractmethod
    def choices(self) -> Triplets | Decisions:
        """What observers chose."""

    @property
    def images(self) -> np.ndarray:
        """(N,) images that observers chose of."""
        return self.choices.stimulus_id

    def data_digest(self) -> str:
        """Return the SHA-256 of the images, labels and choices."""
        return joined(self.stimuli.digest(), self.choices.digest())

    def refuse_unscorable(self) -> None:
        """Raise if there is no ceiling above chance."""
        if not self.noise_ceiling > self.chance:
            raise DataError(
                f"The ceiling of '{self.benchmark_id}' is {self.noise_ceiling:.4g}, and chance {self.chance:.4g}; "
                "expected observers that agree more than by chance. Give `ceiling` where it is known from elsewhere."
            )

    def _score(self, features: Any, stimulus_id: Any, device: str | None, resamples: int, seed: int) -> BenchmarkResult:
        """Score one layer; as :meth:`Benchmark.score`."""
        table = as_needed(in_order(features, self.stimuli, stimulus_id, self.images), self.needs, device)
        raw, draws, detail = self._answered(table, resamples, np.random.default_rng(seed))
        if np.isnan(raw):
            raise DataError(
                f"The layer can be compared with no observer of '{self.benchmark_id}': in each condition both are "
                "always right, or always wrong."
            )
        ceiling, (raw_low, raw_high) = self.noise_ceiling, interval_ends(draws, _LEVEL)
        raw_error = float(np.nanstd(draws)) if np.isfinite(draws).any() else float("nan")
        score, low, high = ((value - self.chance) / (ceiling - self.chance) for value in (raw, raw_low, raw_high))
        rule = f"ceiling of {'observers' if self.ceiling is None else 'the data set'}; scores above 1 kept"
        made = Score(
            score, low, high, raw, raw_low, raw_high, raw_error, ceiling, self.formula, _LEVEL, len(draws), rule,
        )  # fmt: skip
        return self._result(made, detail)

    @abstractmethod
    def _answered(self, table: Any, resamples: int, rng: np.random.Generator) -> tuple[float, np.ndarray, Answers]:
        """Return the raw score of what the task needs of a layer, that of each resample, and the answers."""


@dataclass(frozen=True, eq=False)
class TripletBenchmark(_Task):
    """How often a layer keeps the pair of three images that observers keep.

    Attributes
    ----------
    benchmark_id, version
        Name, and a number that goes up whenever scores change.
    stimuli, triplets
        Images and choices; every image of the triplets is among the stimuli.
    similarity
        ``cosine`` of the features of two images, or their ``dot`` product.
    ceiling
        Accuracy that the data allow, such as .6722 of THINGS; None for that of triplets shown several times.
    """

    metric_name: ClassVar[str] = "odd-one-out"  # type: ignore[misc]
    needs: ClassVar[Needs] = Needs("products")  # type: ignore[misc]
    chance: ClassVar[float] = CHANCE

    benchmark_id: str
    version: int
    stimuli: StimulusSet
    triplets: Triplets = field(repr=False)
    similarity: Literal["cosine", "dot"] = "cosine"
    ceiling: float | None = None
    formula: str = "(a-1/3)/(c-1/3)"

    def __post_init__(self) -> None:
        refuse_unknown_images(self.benchmark_id, self.stimuli, self.triplets.stimulus_id)
        if self.similarity not in ("cosine", "dot"):
            raise UsageError(f"Got similarity={self.similarity!r}; expected 'cosine' or 'dot'.")

    @property
    def choices(self) -> Triplets:
        """The triplets."""
        return self.triplets

    @property
    def n_targets(self) -> int:
        """Triplets."""
        return len(self.triplets.images)

    @property
    def noise_ceiling(self) -> float:
        """Accuracy that the data allow."""
        return self.triplets.ceiling if self.ceiling is None else self.ceiling

    def _answered(self, table: Gram, resamples: int, rng: np.random.Generator) -> tuple[float, np.ndarray, Answers]:
        """Keep pairs; resamples are over triplets."""
        products = as_numpy(table.plain())
        if self.similarity == "cosine":
            length = np.sqrt(products.diagonal())
            if not (length > 0).all():
                raise DataError(f"Image {int(np.argmin(length))} (counted from 0) has no feature that is not 0.")
            products = products / length[:, None] / length
        right = odd_one_out(products, self.triplets)
        # A mean of ones and zeros drawn again is a binomial number; undecided triplets hardly change its spread.
        draws = rng.binomial(len(right), float(right.mean()), resamples) / len(right)
        return float(right.mean()), draws, Answers(np.array([[right.mean()]]))


@dataclass(frozen=True, eq=False)
class DecisionBenchmark(_Task):
    """Whether a classifier is right where observers are, or how often it is right.

    Attributes
    ----------
    benchmark_id, version
        Name, and a number that goes up whenever scores change.
    stimuli, decisions
        Images and choices; every image of the decisions is among the stimuli.
    outputs
        Category -> numbers of the classifier's outputs that belong to it. The layer to score is that of its class
        scores, before softmax.
    metric
        ``error-consistency`` with each observer, or ``accuracy``.
    ceiling
        None for that of the observers: their consistency with each other, or their accuracy.
    """

    needs: ClassVar[Needs] = Needs("features")  # type: ignore[misc]

    benchmark_id: str
    version: int
    stimuli: StimulusSet
    decisions: Decisions = field(repr=False)
    outputs: Mapping[str, Sequence[int]] = field(repr=False)
    metric: Literal["error-consistency", "accuracy"] = "error-consistency"
    ceiling: float | None = None
    formula: str = "r/c"

    def __post_init__(self) -> None:
        refuse_unknown_images(self.benchmark_id, self.stimuli, self.decisions.stimulus_id)
        if self.metric not in ("error-consistency", "accuracy"):
            raise UsageError(f"Got metric={self.metric!r}; expected 'error-consistency' or 'accuracy'.")

    @property
    def metric_name(self) -> str:
        """Name of the metric."""
        return self.metric

    @property
    def choices(self) -> Decisions:
        """The decisions."""
        return self.decisions

    @property
    def n_targets(self) -> int:
        """Categories."""
        return len(self.decisions.categories)

    @property
    def noise_ceiling(self) -> float:
        """What observers reach."""
        if self.ceiling is not None:
            return self.ceiling
        return self.decisions.accuracy if self.metric == "accuracy" else self.decisions.consistency

    def _answered(
        self, table: np.ndarray, resamples: int, rng: np.random.Generator
    ) -> tuple[float, np.ndarray, Answers]:
        """Choose categories by the class scores; resamples are over images."""
        given = self.decisions
        chosen = chosen_categories(table, given.categories.tolist(), self.outputs)
        right = (chosen == given.truth).astype(np.float64)
        rows = rng.integers(0, len(right), (resamples, len(right)))
        if self.metric == "accuracy":
            return float(right.mean()), right[rows].mean(1), Answers(right[None])
        observers = given.is_right
        values = np.array([error_consistency(right, one, given.condition) for one in observers])
        draws = [
            over_splits(
                np.array([error_consistency(right[drawn], one[drawn], given.condition[drawn]) for one in observers])
            )
            for drawn in rows[: max(1, min(resamples, 200))]  # some milliseconds each
        ]
        return float(over_splits(values)), np.array(draws), Answers(values[:, None])
