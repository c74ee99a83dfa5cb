"""A benchmark is a value: stimuli, recordings, a metric, a design, a ceiling and a version.

Benchmarks take features of any model as an array with one row per image; where the features come from is none
of their business. What they need of a layer they say, so that one pass over the images serves all of them.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import pandas as pd

from vvscale.brain.ceilings.score import Score
from vvscale.brain.inputs.stimuli import StimulusSet, row_order
from vvscale.brain.metrics.gram import Gram
from vvscale.brain.metrics.metric import MOST_TABLES, Needs
from vvscale.core.download import RemoteFile
from vvscale.core.options import SEED
from vvscale.errors import DataError, MissingDataError, ShapeError, UsageError


@dataclass(frozen=True, eq=False)
class BenchmarkResult:
    """What a benchmark says about one layer.

    Attributes
    ----------
    benchmark_id, version, region, is_simulated
        Of the benchmark.
    score
        Raw and ceiled, with intervals, the formula and the rule of the ceiling.
    detail
        What the metric gave: ``r`` per split and neuroid, or per repetition of the behavioural halving.
    mapping
        Which part of the recordings the metric was fitted on, as columns of rows; empty for all of them.
    """

    benchmark_id: str
    version: int
    region: str
    is_simulated: bool
    score: Score
    detail: Any = field(repr=False)
    mapping: Mapping[str, int] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return one flat row."""
        return {
            "benchmark_id": self.benchmark_id,
            "version": self.version,
            "region": self.region,
            "is_simulated": self.is_simulated,
            **self.mapping,
            **self.score.to_dict(),
        }


class Benchmark(ABC):
    """What every benchmark offers; a kind of one's own is a subclass.

    Attributes
    ----------
    benchmark_id, version
        Name, and a number that goes up whenever scores change.
    stimuli
        Images that models are shown.
    formula
        How scores relate to the ceiling.
    """

    benchmark_id: str
    version: int
    stimuli: StimulusSet
    formula: str

    @property
    def row_id(self) -> str:
        """benchmark_id of its rows: of part of a benchmark that of the whole."""
        return self.benchmark_id

    @property
    @abstractmethod
    def region(self) -> str:
        """The region recorded, or ``behavior``."""

    @property
    @abstractmethod
    def metric_name(self) -> str:
        """The metric, as in lists."""

    @property
    @abstractmethod
    def needs(self) -> Needs:
        """What it needs of a layer."""

    @property
    def n_tables(self) -> int:
        """(N, N) tables of float64 over its stimuli at the worst moment of scoring, the layer's own included."""
        return MOST_TABLES

    @property
    @abstractmethod
    def images(self) -> np.ndarray:
        """(N,) stimulus_id of the images it needs features of, in its order."""

    @property
    def tested(self) -> np.ndarray:
        """(N,) stimulus_id of the images that its score is of, so that no network may be trained on their responses."""
        return self.images

    @property
    @abstractmethod
    def n_targets(self) -> int:
        """Neuroids, or objects."""

    @property
    @abstractmethod
    def noise_ceiling(self) -> float:
        """What raw scores are related to, a number from 0 to 1."""

    @abstractmethod
    def data_digest(self) -> str:
        """Return the SHA-256 of the images, labels and recordings."""

    def score(
        self,
        features: Any,
        *,
        stimulus_id: Any = None,
        device: str | None = None,
        resamples: int = 1000,
        seed: int = SEED,
    ) -> BenchmarkResult:
        """Score one layer.

        Parameters
        ----------
        features
            (n_images, n_features) numbers, or what :attr:`needs` says, such as a :class:`Gram` of them.
        stimulus_id
            (n_images,) which image each row is of; by default the rows are in the order of ``stimuli``.
            Images that the benchmark does not need are left out.
        device, resamples, seed
            Where to compute, number of bootstrap draws for the intervals, and state of their generator.

        Raises
        ------
        DataError, MissingDataError, ShapeError
            A stimulus_id is absent or there twice, or the metric cannot be computed.
        """
        return self._score(features, stimulus_id, device, resamples, seed)

    @abstractmethod
    def _score(self, features: Any, stimulus_id: Any, device: str | None, resamples: int, seed: int) -> BenchmarkResult:
        """Score one layer; as :meth:`score`."""

    @property
    def group(self) -> Hashable:
        """What benchmarks have in common that are scored in less time together; by default each is by itself."""
        return self.benchmark_id

    def _score_group(
        self, group: Sequence[Any], features: Any, stimulus_id: Any, device: str | None, resamples: int, seed: int
    ) -> list[BenchmarkResult]:
        """Score one layer on a group, this benchmark the first of it; as :func:`score_together`."""
        return [one._score(features, stimulus_id, device, resamples, seed) for one in group]

    @abstractmethod
    def refuse_unscorable(self) -> None:
        """Raise what would stop every model on this benchmark, before any model runs."""

    def _result(self, score: Score, detail: Any) -> BenchmarkResult:
        return BenchmarkResult(self.benchmark_id, self.version, self.region, self.stimuli.is_simulated, score, detail)


class Downloadable(ABC):
    """A benchmark whose files can be fetched, before its data are loaded.

    Attributes
    ----------
    benchmark_id, region, metric, formula
        As on the rows of scores.
    n_images, n_targets
        Images, and neuroids or objects; None where only the files tell.
    """

    benchmark_id: str
    region: str
    metric: str
    formula: str
    n_images: int | None
    n_targets: int | None

    @abstractmethod
    def files(self) -> list[RemoteFile]:
        """Return the records of its files."""

    @abstractmethod
    def stimuli(self) -> StimulusSet:
        """Return its stimulus set, downloaded and unpacked unless that was done before."""

    @abstractmethod
    def load(self) -> Benchmark:
        """Return the benchmark; what is not cached is downloaded.

        Raises
        ------
        MissingDataError
            A file is neither cached nor to be had, or something that is needed is not in it.
        DigestError
            A download is not the file it should be.
        DataError
            A file cannot be read, or the files do not belong together.
        """

    def state(self) -> Literal["cached", "absent"]:
        """Say whether all of its files are in the cache, without reading them."""
        return "cached" if all(file.path.is_file() for file in self.files()) else "absent"


def score_together(
    group: Sequence[Benchmark],
    features: Any,
    *,
    stimulus_id: Any = None,
    device: str | None = None,
    resamples: int = 1000,
    seed: int = SEED,
) -> list[BenchmarkResult | DataError]:
    """Score one layer on benchmarks whose :attr:`Benchmark.group` is the same: for each its result, or the error.

    Arguments are those of :meth:`Benchmark.score`.
    """
    try:
        return list(group[0]._score_group(group, features, stimulus_id, device, resamples, seed))
    except DataError as error:
        if len(group) == 1:
            return [error]
    # What is wrong with one says nothing about the others.
    options: Any = {"stimulus_id": stimulus_id, "device": device, "resamples": resamples, "seed": seed}
    return [score_together([one], features, **options)[0] for one in group]


def in_order(features: Any, stimuli: StimulusSet, stimulus_id: Any, wanted: np.ndarray) -> Any:
    """Return the rows of the wanted images in their order, of an array or a :class:`Gram`."""
    have = stimuli.stimulus_id if stimulus_id is None else np.asarray(stimulus_id)
    n_rows = features.n_images if isinstance(features, Gram) else len(features)
    if n_rows != len(have):
        raise ShapeError(
            f"Got features of {n_rows} images and {len(have)} labels stimulus_id; expected one label per "
            f"row. By default rows are in the order of the stimulus set '{stimuli.identifier}'."
        )
    rows = row_order(have, wanted, "The features")
    return features.take(rows) if isinstance(features, Gram) else np.asarray(features)[rows]


def as_needed(features: Any, needs: Needs, device: str | None = None) -> Any:
    """Return what a benchmark needs of features that are in its order."""
    if isinstance(features, Gram):
        if needs.kind == "features":
            raise UsageError("This benchmark needs the features themselves; inner products of images do not have them.")
        return features
    if needs.kind == "features":
        return np.asarray(features)
    return Gram.from_features(features, standardize=needs.kind == "standardized", device=device)


def refuse_unknown_images(benchmark_id: str, stimuli: StimulusSet, shown: np.ndarray) -> None:
    """Raise unless every image shown is among the stimuli."""
    absent = pd.Index(pd.unique(np.asarray(shown))).difference(pd.Index(stimuli.stimulus_id), sort=False)
    if len(absent):
        raise MissingDataError(
            f"The benchmark '{benchmark_id}' has recordings of {len(absent)} images that its stimulus set "
            f"'{stimuli.identifier}' lacks, first '{absent[0]}'. Expected every stimulus_id of the recordings among "
            f"the stimuli, spelled the same, as '{stimuli.stimulus_id[0]}' is."
        )


def joined(*digests: str) -> str:
    """Return one digest of several."""
    return hashlib.sha256(" ".join(digests).encode()).hexdigest()
