"""A benchmark whose mapping is fitted on part of the recordings; judged on the same test images and ceilings.

It shares the stimuli of the whole benchmark, so all subsets of all benchmarks come out of one pass over the images and
one matrix of inner products per layer: a subset is a sub-matrix.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from vvscale.brain.benchmarks.benchmark import Benchmark, BenchmarkResult, as_needed, in_order
from vvscale.brain.benchmarks.neural import NeuralBenchmark, Part
from vvscale.brain.ceilings.ceiling import Ceiling
from vvscale.brain.mapping.subset import Subset
from vvscale.brain.metrics.cka import CKA
from vvscale.brain.metrics.metric import Needs, Target
from vvscale.brain.metrics.outcome import Predictivity
from vvscale.brain.metrics.predicted import Predicted
from vvscale.brain.metrics.rsa import RSA
from vvscale.brain.recordings.assembly import Assembly
from vvscale.errors import ShapeError, UsageError

# Shape legend: N images, S splits, q neuroids, m images of a split that train or test.


def fits(metric: Any) -> bool:
    """Whether a metric fits a mapping, which is what a mapping curve is about; similarities fit none."""
    return not isinstance(metric, (RSA, CKA, Predicted))


@dataclass(frozen=True, eq=False)
class MappingBenchmark(Benchmark):
    """Part of a neural benchmark.

    Attributes
    ----------
    whole
        The benchmark.
    subset
        Which part of its recordings the mapping is fitted on.
    with_intervals
        Whether intervals over images and neuroids are drawn for a part too; the spread over seeds needs none.

    Examples
    --------
    >>> from vvscale.brain import simulate
    >>> whole = simulate(images_per_object=10, n_repetitions=6).benchmark("IT")
    >>> part = MappingBenchmark(replace(whole, metric="ridge"), Subset(seed=1, neuroids=20))
    >>> part.mapping["mapping_neuroids"]
    20
    """

    whole: NeuralBenchmark
    subset: Subset
    with_intervals: bool = False
    benchmark_id: str = field(init=False)
    version: int = field(init=False)
    stimuli: Any = field(init=False, repr=False)
    formula: str = field(init=False)

    def __post_init__(self) -> None:
        for name in ("version", "stimuli", "formula"):
            object.__setattr__(self, name, getattr(self.whole, name))
        object.__setattr__(self, "benchmark_id", f"{self.whole.benchmark_id} [{self.subset}]")
        if not fits(self.whole.metric):
            raise UsageError(
                f"The metric '{self.whole.metric_name}' of '{self.whole.benchmark_id}' fits nothing, so it has no "
                f"mapping curve; expected pls, ridge or ridge-cv."
            )
        if not all(isinstance(one, Assembly) for one in self.whole.assemblies):
            raise UsageError(f"'{self.whole.benchmark_id}' has dissimilarities alone, which nothing is fitted to.")

    @property
    def row_id(self) -> str:
        """Name of the whole benchmark."""
        return self.whole.benchmark_id

    @property
    def region(self) -> str:
        """The region recorded."""
        return self.whole.region

    @property
    def metric_name(self) -> str:
        """The metric."""
        return self.whole.metric_name

    @property
    def needs(self) -> Needs:
        """What the metric needs of a layer."""
        return self.whole.needs

    @property
    def images(self) -> np.ndarray:
        """(N,) images of all subjects."""
        return self.whole.images

    @property
    def tested(self) -> np.ndarray:
        """Those of the whole benchmark: a part is fitted on fewer images, not judged on others."""
        return self.whole.tested

    @property
    def n_targets(self) -> int:
        """Neuroids that are scored."""
        n = self.subset.neuroids
        return self.whole.n_targets if n is None else n * len(self.whole.parts)

    @property
    def noise_ceiling(self) -> float:
        """That of the whole benchmark."""
        return self.whole.noise_ceiling

    @property
    def mapping(self) -> dict[str, int]:
        """Return the columns of rows that say which part it is."""
        found = {"mapping_samples": self.n_samples, "mapping_seed": self.subset.seed}
        if self.subset.neuroids is not None:
            found["mapping_neuroids"] = self.subset.neuroids
        if self.subset.repetitions is not None:
            found["mapping_repetitions"] = self.subset.repetitions
        return found

    @cached_property
    def n_samples(self) -> int:
        """Images that each mapping is fitted on; of several subjects the mean, whole."""
        return round(np.mean([self.subset.samples.of(_least(part)) for part in self.whole.parts]))

    def data_digest(self) -> str:
        """Return that of the whole benchmark."""
        return self.whole.data_digest()

    def refuse_unscorable(self) -> None:
        """Raise what would stop every model: subsets that are too small or too large for the recordings."""
        self.whole.refuse_unscorable()
        least = getattr(self.whole.metric, "n_components", 1) + 1
        for part in self.whole.parts:
            n_train = _least(part)
            n = self.subset.samples.of(n_train)
            if n > n_train:
                raise ShapeError(
                    f"`mapping_samples` {self.subset.samples} of {n_train} training images; there are fewer."
                )
            if n < least:
                raise ShapeError(
                    f"`mapping_samples` {self.subset.samples} of {n_train} training images is {n}; the metric "
                    f"'{self.metric_name}' needs at least {least}"
                    f"{', one more than its components' if least > 2 else ''}. Use larger sizes"
                    f"{', fewer components or metric=' + repr('ridge-cv') if least > 2 else ''}."
                )
            self._neuroids(part)
            self._responses(part)

    @property
    def group(self) -> Hashable:
        """Seeds of one size are scored together where the metric's splits share work: they are more splits of it."""
        if self.subset.is_everything or not getattr(self.whole.metric, "splits_share_work", False):
            return self.benchmark_id
        if self.subset.neuroids is not None or self.subset.repetitions is not None:
            return self.benchmark_id  # responses differ between seeds
        return self.whole, self.subset.samples

    def _score(self, features: Any, stimulus_id: Any, device: str | None, resamples: int, seed: int) -> BenchmarkResult:
        """Score one layer; as :meth:`Benchmark.score`. The whole recordings are scored by the whole benchmark."""
        return self._score_group([self], features, stimulus_id, device, resamples, seed)[0]

    def _score_group(
        self, group: Sequence[Any], features: Any, stimulus_id: Any, device: str | None, resamples: int, seed: int
    ) -> list[BenchmarkResult]:
        """Score one layer on the same part of the whole under several seeds."""
        if self.subset.is_everything:
            found = self.whole.score(features, stimulus_id=stimulus_id, device=device, resamples=resamples, seed=seed)
            return [replace(found, mapping=self.mapping)]
        outcomes: list[list[Predictivity]] = [[] for _ in group]
        for part in self.whole.parts:
            rows = as_needed(in_order(features, self.stimuli, stimulus_id, part.images), self.needs, device)
            for own, outcome in zip(outcomes, _measure(rows, part, group), strict=True):
                own.append(outcome)
        return [one._judged(own, resamples, seed) for one, own in zip(group, outcomes, strict=True)]

    def _judged(self, outcomes: Sequence[Any], resamples: int, seed: int) -> BenchmarkResult:
        """Relate what was measured of each subject to the ceilings of the neuroids that are scored."""
        ceilings = []
        for part in self.whole.parts:
            neuroids, held = self._neuroids(part), part.ceiling
            r = held.r if held.r.shape[1] == 1 else held.r[:, neuroids]
            ceilings.append(Ceiling(r, aggregate=held.aggregate))
        found = self.whole.judged(outcomes, ceilings, resamples=resamples if self.with_intervals else 0, seed=seed)
        return replace(found, mapping=self.mapping)

    def _is_train(self, part: Part) -> np.ndarray:
        """(S, N) bool, the part of each split's training images that is fitted on."""
        is_train, n_least = np.zeros_like(part.target.is_train), _least(part)
        for split, trains in enumerate(part.target.is_train):
            is_train[split, self.subset.rows(np.flatnonzero(trains), n_least)] = True
        return is_train

    def _measure_repetitions(self, features: Any, part: Part) -> Predictivity:
        """Fit split by split: responses that train are of fewer repetitions than those that test."""
        target, responses, neuroids = part.target, self._responses(part), self._neuroids(part)
        is_train = self._is_train(part)
        found = []
        for train, test in zip(is_train, target.is_test, strict=True):
            table = np.where(train[:, None], responses, target.responses)[:, neuroids]
            of_split = Target(table, train[None], np.arange(len(table)), test[None], device=target.device)
            found.append(self.whole.metric.measure(features, of_split))  # type: ignore[union-attr]
        return Predictivity(
            np.concatenate([one.r for one in found]),
            is_train,
            tuple(one.predictions[0] for one in found),
            target.responses[:, neuroids],
            found[0].aggregate,
            found[0].note,
            target.is_test,
        )

    def _neuroids(self, part: Part) -> np.ndarray:
        """Return the neuroids that are scored, as numbers in their order."""
        q, wanted = part.target.responses.shape[1], self.subset.neuroids
        if wanted is None:
            return np.arange(q)
        if wanted > q:
            raise ShapeError(f"`mapping_neuroids` {wanted} of {q} neuroids; there are fewer.")
        return np.sort(np.random.default_rng(self.subset.seed).permutation(q)[:wanted])

    def _responses(self, part: Part) -> np.ndarray:
        """Return (N, q) responses averaged over the part of each image's repetitions, computed once."""
        wanted = self.subset.repetitions
        if wanted is None:
            return part.target.responses
        return part.target.once(
            f"{wanted} repetitions {self.subset.seed}", lambda: _means(part, wanted, self.subset.seed)
        )


def with_subsets(benchmarks: Sequence[Benchmark], parts: Sequence[Subset]) -> list[Benchmark]:
    """Return every part of every benchmark; behavioural ones stay as they are.

    Raises
    ------
    UsageError
        A benchmark fits nothing.
    """
    found: list[Benchmark] = []
    for benchmark in benchmarks:
        if isinstance(benchmark, NeuralBenchmark):
            found += [MappingBenchmark(benchmark, part) for part in parts]
        else:
            found.append(benchmark)
    return found


def _measure(features: Any, part: Part, group: Sequence[MappingBenchmark]) -> list[Predictivity]:
    """Fit on the part of each split's training images that each of a group takes, and judge on its test images."""
    first, target = group[0], part.target
    if first.subset.repetitions is not None:
        return [one._measure_repetitions(features, part) for one in group]
    # Images of neither kind take no part, so that all splits are fitted at once on the products of all images.
    is_train = np.concatenate([one._is_train(part) for one in group])
    is_test = np.tile(target.is_test, (len(group), 1))
    responses = target.responses[:, first._neuroids(part)]
    masked = Target(responses, is_train, np.arange(len(responses)), is_test, device=target.device)
    found = first.whole.metric.measure(features, masked)
    return found.divided(len(group)) if len(group) > 1 else [found]  # type: ignore[union-attr]


def _least(part: Part) -> int:
    """Return the training images of the smallest split."""
    return int(part.target.is_train.sum(1).min())


def _means(part: Part, wanted: int, seed: int) -> np.ndarray:
    """Average each image's responses over a random part of its repetitions."""
    subject: Any = part.subjects[0]
    order = np.random.default_rng(seed).permutation(len(subject.stimulus_id))
    shown = np.asarray(subject.stimulus_id)[order]
    position = {image: number for number, image in enumerate(part.images.tolist())}
    chosen: list[list[int]] = [[] for _ in position]
    for row, image in zip(order.tolist(), shown.tolist(), strict=True):
        held = chosen[position[image]]
        if len(held) < wanted:
            held.append(row)
    fewest = min(map(len, chosen))
    if fewest < wanted:
        raise ShapeError(f"`mapping_repetitions` {wanted}: an image was shown {fewest} times only.")
    # Thresholds on ceilings leave neuroids out; the target has those that are kept.
    kept = np.isin(subject.mean.columns, part.neuroid_id)
    return np.nanmean(np.asarray(subject.responses, dtype=np.float64)[np.array(chosen)][:, :, kept], axis=1)
