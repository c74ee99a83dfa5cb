"""A benchmark is a value: stimuli, recordings, a metric, a ceiling and a version.

Benchmarks take features of any model as an array with one row per image; where the features come from is none
of their business. Own benchmarks are instances of the two classes here.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from vvscale.brain.benchmarks.assembly import Assembly, StimulusSet, row_order
from vvscale.brain.metrics.ceiled import FORMULAS, Score, behavioral_score, neural_score
from vvscale.brain.metrics.gram import Gram
from vvscale.brain.metrics.i2n import BehavioralConsistency, BehaviorMetric, behavioral_consistency
from vvscale.brain.metrics.pls import Predictivity, linear_predictivity
from vvscale.brain.metrics.readout import readout_probabilities
from vvscale.brain.metrics.trials import Trials
from vvscale.errors import MissingDataError, ShapeError, unknown_name


@dataclass(frozen=True, eq=False)
class BenchmarkResult:
    """What a benchmark says about one layer.

    Attributes
    ----------
    benchmark_id, version, region, is_simulated
        Of the benchmark.
    score
        Raw and ceiled, with intervals and the formula.
    detail
        Correlations per neuroid, or per repetition of the behavioural halving.
    """

    benchmark_id: str
    version: int
    region: str
    is_simulated: bool
    score: Score
    detail: Predictivity | BehavioralConsistency = field(repr=False)

    def to_dict(self) -> dict[str, Any]:
        """Return one flat row."""
        return {
            "benchmark_id": self.benchmark_id,
            "version": self.version,
            "region": self.region,
            "is_simulated": self.is_simulated,
            **self.score.to_dict(),
        }


@dataclass(frozen=True, eq=False)
class NeuralBenchmark:
    """Linear predictivity of the responses of one region.

    Attributes
    ----------
    benchmark_id, version
        Name, and a number that goes up whenever scores change.
    stimuli, assembly
        Images shown and responses to them; every image of the assembly is among the stimuli.
    stratify_by
        The label of the stimuli that splits balance, or None.
    formula
        How scores relate to the ceiling, a key of :data:`vvscale.brain.metrics.ceiled.FORMULAS`.
    n_components
        Components of the regression.
    """

    standardize: ClassVar[bool] = False
    """Whether :class:`Gram` for this benchmark is of standardised features."""

    benchmark_id: str
    version: int
    stimuli: StimulusSet
    assembly: Assembly
    stratify_by: str | None
    formula: str = "r^2/c"
    n_components: int = 25

    def __post_init__(self) -> None:
        _refuse_formula(self.formula)
        _refuse_unknown_images(self.benchmark_id, self.stimuli, self.assembly.stimulus_id)

    @property
    def region(self) -> str:
        """The region recorded."""
        return self.assembly.region

    @property
    def ceiling(self) -> float:
        """The correlation that a perfect model is compared with."""
        return self.assembly.ceiling.ceiling

    def data_digest(self) -> str:
        """Return the SHA-256 of the images, labels and responses."""
        return _joined(self.stimuli.digest(), self.assembly.digest())

    def score(
        self,
        features: Any,
        *,
        stimulus_id: Any = None,
        device: str | None = None,
        n_resamples: int = 1000,
        seed: int = 0,
    ) -> BenchmarkResult:
        """Score one layer.

        Parameters
        ----------
        features
            (n_images, n_features) numbers or a :class:`Gram` of them.
        stimulus_id
            (n_images,) which image each row is of; by default the rows are in the order of ``stimuli``.
            Images that the benchmark does not need are left out.
        device, n_resamples, seed
            Where to compute, number of bootstrap draws for the intervals, and state of their generator.

        Raises
        ------
        DataError, MissingDataError, ShapeError
            A stimulus_id is absent or there twice, or as in :func:`linear_predictivity`.
        """
        detail = self.predictivity(features, stimulus_id=stimulus_id, device=device)
        ceiling = self.assembly.ceiling
        score = neural_score(detail, ceiling, formula=self.formula, n_resamples=n_resamples, seed=seed)
        return BenchmarkResult(self.benchmark_id, self.version, self.region, self.stimuli.is_simulated, score, detail)

    def predictivity(self, features: Any, *, stimulus_id: Any = None, device: str | None = None) -> Predictivity:
        """Predict the responses, without a ceiling or intervals; arguments as in :meth:`score`."""
        mean = self.assembly.mean
        features = _in_order(features, self.stimuli, stimulus_id, mean.index.to_numpy())
        return linear_predictivity(
            features, mean.to_numpy(), stratify=self.strata(), n_components=self.n_components, device=device
        )

    def strata(self) -> np.ndarray | None:
        """Return (N,) what splits balance, for the images shown sorted by stimulus_id, or None.

        Raises
        ------
        MissingDataError
            The stimuli have no such label, or an image shown has none.
        """
        if self.stratify_by is None:
            return None
        images = self.assembly.mean.index.to_numpy()
        labels = self.stimuli.labels(self.stratify_by).to_numpy()
        labels = labels[row_order(self.stimuli.stimulus_id, images, "The stimuli")]
        is_missing = pd.isna(labels)
        if is_missing.any():
            raise MissingDataError(
                f"The image '{images[int(np.argmax(is_missing))]}' of '{self.benchmark_id}' has no label "
                f"'{self.stratify_by}' ({is_missing.sum()} such). Label every image, or set stratify_by to None."
            )
        return labels


@dataclass(frozen=True, eq=False)
class BehavioralBenchmark:
    """Consistency of a linear readout with the choices of observers.

    Attributes
    ----------
    benchmark_id, version
        Name, and a number that goes up whenever scores change.
    stimuli, trials
        Images shown and choices made; every image of the trials is among the stimuli.
    label
        The label of the stimuli that the readout learns and the observers chose between.
    metric, formula
        How choices are compared, and how scores relate to the ceiling.
    """

    standardize: ClassVar[bool] = True
    region: ClassVar[str] = "behavior"

    benchmark_id: str
    version: int
    stimuli: StimulusSet
    trials: Trials
    label: str
    metric: BehaviorMetric = "i2n"
    formula: str = "r/sqrt(c)"

    def __post_init__(self) -> None:
        _refuse_formula(self.formula)
        _refuse_unknown_images(self.benchmark_id, self.stimuli, self.trials.stimulus_id)

    def data_digest(self) -> str:
        """Return the SHA-256 of the images, labels and choices."""
        return _joined(self.stimuli.digest(), self.trials.digest())

    def score(
        self,
        features: Any,
        *,
        stimulus_id: Any = None,
        device: str | None = None,
        n_resamples: int = 1000,
        seed: int = 0,
    ) -> BenchmarkResult:
        """Score one layer; as :meth:`NeuralBenchmark.score`, with a :class:`Gram` of standardised features.

        The readout is fitted on the images of the trials and compared on the same images, as the public
        benchmark has it, and always on the CPU.
        """
        wanted = self.trials.stimulus_id
        features = _in_order(features, self.stimuli, stimulus_id, wanted)
        gram = features
        if not isinstance(features, Gram):
            gram = Gram.from_features(features, standardize=True, device=device)
        labels = self.stimuli.labels(self.label).to_numpy()
        labels = labels[row_order(self.stimuli.stimulus_id, wanted, "The stimuli")]
        return self.score_probabilities(readout_probabilities(gram, labels, wanted), n_resamples=n_resamples, seed=seed)

    def score_probabilities(
        self, probabilities: pd.DataFrame, *, n_resamples: int = 1000, seed: int = 0
    ) -> BenchmarkResult:
        """Score probabilities of objects, index stimulus_id, columns object names."""
        detail = behavioral_consistency(probabilities, self.trials, metric=self.metric)
        score = behavioral_score(detail, formula=self.formula, n_resamples=n_resamples, seed=seed)
        return BenchmarkResult(self.benchmark_id, self.version, self.region, self.stimuli.is_simulated, score, detail)


Benchmark = NeuralBenchmark | BehavioralBenchmark


def _in_order(features: Any, stimuli: StimulusSet, stimulus_id: Any, wanted: np.ndarray) -> Any:
    """Return the rows of the wanted images in their order."""
    have = stimuli.stimulus_id if stimulus_id is None else np.asarray(stimulus_id)
    n_rows = features.n_images if isinstance(features, Gram) else len(features)
    if n_rows != len(have):
        raise ShapeError(
            f"Got features of {n_rows} images and {len(have)} labels stimulus_id; expected one label per "
            f"row. By default rows are in the order of the stimulus set '{stimuli.identifier}'."
        )
    rows = row_order(have, wanted, "The features")
    return features.take(rows) if isinstance(features, Gram) else np.asarray(features)[rows]


def _refuse_formula(formula: str) -> None:
    if formula not in FORMULAS:
        raise unknown_name("formula", formula, FORMULAS)


def _refuse_unknown_images(benchmark_id: str, stimuli: StimulusSet, shown: np.ndarray) -> None:
    absent = pd.Index(pd.unique(np.asarray(shown))).difference(pd.Index(stimuli.stimulus_id), sort=False)
    if len(absent):
        raise MissingDataError(
            f"The benchmark '{benchmark_id}' has recordings of {len(absent)} images that its stimulus set "
            f"'{stimuli.identifier}' lacks, first '{absent[0]}'. Expected every stimulus_id of the recordings among "
            f"the stimuli, spelled the same, as '{stimuli.stimulus_id[0]}' is."
        )


def _joined(*digests: str) -> str:
    return hashlib.sha256(" ".join(digests).encode()).hexdigest()
