"""Benchmarks of recordings: any metric, design and ceiling, for one or several subjects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from vvscale.brain.benchmarks.benchmark import (
    Benchmark,
    BenchmarkResult,
    as_needed,
    in_order,
    joined,
    refuse_unknown_images,
)
from vvscale.brain.benchmarks.design import TrainTest, design_by_name
from vvscale.brain.ceilings.ceiling import Ceiling
from vvscale.brain.ceilings.rules import NoCeiling, RdmNoise, SplitHalf, ceiling_by_name
from vvscale.brain.ceilings.score import BY_NEUROID, ceiled_score, neural_score, refuse_formula
from vvscale.brain.inputs.stimuli import StimulusSet, row_order
from vvscale.brain.metrics.cka import CKA
from vvscale.brain.metrics.metric import MOST_TABLES, Needs, Outcome, Target, metric_by_name
from vvscale.brain.metrics.outcome import Averaged
from vvscale.brain.metrics.predicted import Predicted
from vvscale.brain.metrics.rsa import RSA, dissimilarity
from vvscale.brain.metrics.splits import Splits
from vvscale.brain.recordings.assembly import Assembly, Rdms
from vvscale.errors import DataError, MissingDataError, UsageError

# Shape legend: N images, n judged images, q neuroids, M subjects.


@dataclass(frozen=True, eq=False)
class NeuralBenchmark(Benchmark):
    """How well layers agree with recordings of one region.

    Attributes
    ----------
    benchmark_id, version
        Name, and a number that goes up whenever scores change.
    stimuli, assembly
        Images shown and responses to them; every image of the assembly is among the stimuli. Several assemblies are
        several subjects: each is scored apart and scores are averaged. :class:`Rdms` hold dissimilarities alone.
    stratify_by
        The label of the stimuli that splits balance, or None.
    formula
        How scores relate to the ceiling, a key of :data:`vvscale.brain.ceilings.score.FORMULAS` or ``BY_NEUROID``.
        None for ``"r^2/c"``; ``"r/c"`` with the ceiling rdm-noise, ``"r"`` without a ceiling.
    metric
        ``pls``, ``ridge``, ``ridge-cv``, ``rsa``, ``cka``, ``cka-biased``, or any
        :class:`vvscale.brain.metrics.metric.Metric`.
    design
        ``splits``, ``k-fold``, ``train-test``, or any :class:`vvscale.brain.benchmarks.design.Design`.
    ceiling
        ``split-half``, ``variance``, ``rdm-noise``, ``none``, reliabilities from 0 to 1, or any
        :class:`vvscale.brain.ceilings.rules.CeilingRule`. None for split-half; for similarities none, or rdm-noise
        where there are several subjects.
    min_ceiling
        Neuroids whose own ceiling is below are left out, from the score and from the ceiling; None keeps all.
    epsilon, above_one
        As of :func:`vvscale.brain.ceilings.score.neural_score`.

    Examples
    --------
    >>> from vvscale.brain import simulate
    >>> stream = simulate(images_per_object=10, n_repetitions=6)
    >>> given = stream.benchmark("IT")
    >>> ours = NeuralBenchmark("Lab.IT-ridge", 1, given.stimuli, given.assembly, metric="ridge-cv", design="k-fold")
    >>> ours.design
    KFold(n_folds=5, seed=None)
    """

    benchmark_id: str
    version: int
    stimuli: StimulusSet
    assembly: Assembly | Rdms | tuple[Assembly, ...]
    stratify_by: str | None = None
    formula: Any = None
    # A name or a value; after construction always a Metric, a Design and a CeilingRule.
    metric: Any = "pls"
    design: Any = "splits"
    ceiling: Any = None
    min_ceiling: float | None = None
    epsilon: float = 0.0
    above_one: str = "keep"

    def __post_init__(self) -> None:
        if isinstance(self.assembly, Sequence):
            object.__setattr__(self, "assembly", tuple(self.assembly))
        metric, design = metric_by_name(self.metric), design_by_name(self.design)
        object.__setattr__(self, "metric", metric)
        object.__setattr__(self, "design", design)
        rule = self._usual_ceiling() if self.ceiling is None else ceiling_by_name(self.ceiling)
        object.__setattr__(self, "ceiling", rule)
        usual = "r" if isinstance(rule, NoCeiling) else "r/c" if isinstance(rule, RdmNoise) else "r^2/c"
        object.__setattr__(self, "formula", usual if self.formula is None else self.formula)
        refuse_formula(str(self.formula))
        if isinstance(self.assembly, Rdms) and not isinstance(metric, RSA):
            raise UsageError(
                f"'{self.benchmark_id}' has dissimilarities alone, which the metric '{metric.name}' cannot use; "
                "expected metric='rsa'."
            )
        regions = {one.region for one in self.assemblies}
        if len(regions) != 1:
            raise UsageError(f"The subjects of '{self.benchmark_id}' are of regions {sorted(regions)}; expected one.")
        for one in self.assemblies:
            refuse_unknown_images(self.benchmark_id, self.stimuli, one.images)

    @property
    def region(self) -> str:
        """The region recorded."""
        return self.assemblies[0].region

    @property
    def metric_name(self) -> str:
        """Name of the metric."""
        return self.metric.name

    @property
    def needs(self) -> Needs:
        """What the metric needs of a layer."""
        return Needs(self.metric.needs)

    @property
    def n_tables(self) -> int:
        """Tables of the metric, and one more where images must be brought into the order of the recordings."""
        is_small = isinstance(self.metric, (RSA, CKA)) and isinstance(self.design, TrainTest)  # test images alone
        of_metric = 2 if is_small else getattr(self.metric, "n_tables", MOST_TABLES)
        in_order = all(np.array_equal(one.images, self.stimuli.stimulus_id) for one in self.assemblies)
        return of_metric + (not in_order)

    @cached_property
    def images(self) -> np.ndarray:  # pyright: ignore[reportIncompatibleMethodOverride]
        """(N,) images of all subjects."""
        return np.asarray(pd.unique(np.concatenate([one.images for one in self.assemblies])), dtype=object)

    @property
    def tested(self) -> np.ndarray:
        """Images that test in any split, for any subject."""
        shown = [part.images[part.target.is_test.any(0)] for part in self.parts]
        return np.asarray(pd.unique(np.concatenate(shown)), dtype=object)

    @property
    def n_targets(self) -> int:
        """Neuroids of all subjects, or subjects where dissimilarities alone are given."""
        if isinstance(self.assembly, Rdms):
            return len(self.assembly.tables)
        return sum(len(one.neuroid_id) for one in self.assemblies)  # type: ignore[union-attr]

    @property
    def noise_ceiling(self) -> float:
        """Median or mean over neuroids, then mean over splits and subjects."""
        return float(np.mean([part.ceiling.ceiling for part in self.parts]))

    def data_digest(self) -> str:
        """Return the SHA-256 of the images, labels and responses."""
        return joined(self.stimuli.digest(), *(one.digest() for one in self.assemblies))

    def _score(self, features: Any, stimulus_id: Any, device: str | None, resamples: int, seed: int) -> BenchmarkResult:
        """Score one layer; as :meth:`Benchmark.score`."""
        outcomes = self.measure(features, stimulus_id=stimulus_id, device=device)
        return self.judged(outcomes, [part.ceiling for part in self.parts], resamples=resamples, seed=seed)

    def judged(
        self, outcomes: Sequence[Outcome], ceilings: Sequence[Ceiling], *, resamples: int, seed: int
    ) -> BenchmarkResult:
        """Relate what was measured of each subject, or of the same part of each, to its ceiling."""
        score = neural_score(
            outcomes, ceilings, formula=self.formula, epsilon=self.epsilon, above_one=self.above_one,
            resamples=resamples, seed=seed,
        )  # fmt: skip
        detail = outcomes[0] if len(outcomes) == 1 else Averaged(tuple(outcomes))
        return self._result(replace(score, rule=self.rule), detail)

    def measure(self, features: Any, *, stimulus_id: Any = None, device: str | None = None) -> list[Outcome]:
        """Compare a layer with each subject, without a ceiling or intervals; arguments as in :meth:`score`."""
        found = []
        for part in self.parts:
            rows = in_order(features, self.stimuli, stimulus_id, part.images)
            found.append(self.metric.measure(as_needed(rows, self.needs, device), part.target))
        return found

    def refuse_unscorable(self) -> None:
        """Raise what would stop every model: strata, splits, thresholds and ceilings."""
        for part in self.parts:
            _ = part.target
            if self.formula not in BY_NEUROID:
                ceiled_score(0.0, part.ceiling.ceiling + self.epsilon, self.formula)

    @property
    def rule(self) -> str:
        """How the ceiling is estimated and applied, in words, as on rows."""
        said = [f"{self.ceiling.name} ceiling" if not isinstance(self.ceiling, NoCeiling) else "no ceiling"]
        said += [part.left_out for part in self.parts if part.left_out]
        if self.epsilon:
            said.append(f"{self.epsilon:g} added to ceilings")
        if len(self.parts) > 1:
            said.append(f"mean over {len(self.parts)} subjects")
        if not isinstance(self.ceiling, NoCeiling):
            said.append(f"scores above 1 {'clipped' if self.above_one == 'clip' else 'kept'}")
        return "; ".join(said)

    def strata(self, images: np.ndarray | None = None) -> np.ndarray | None:
        """Return (N,) what splits balance, for images in their order, or None.

        Raises
        ------
        MissingDataError
            The stimuli have no such label, or an image shown has none.
        """
        if self.stratify_by is None:
            return None
        images = self.assemblies[0].images if images is None else images
        labels = self.stimuli.labels(self.stratify_by).to_numpy()
        labels = labels[row_order(self.stimuli.stimulus_id, images, "The stimuli")]
        is_missing = pd.isna(labels)
        if is_missing.any():
            raise MissingDataError(
                f"The image '{images[int(np.argmax(is_missing))]}' of '{self.benchmark_id}' has no label "
                f"'{self.stratify_by}' ({is_missing.sum()} such). Label every image, or set stratify_by to None."
            )
        return labels

    @property
    def assemblies(self) -> tuple[Assembly | Rdms, ...]:
        """One per subject."""
        return self.assembly if isinstance(self.assembly, tuple) else (self.assembly,)

    def _usual_ceiling(self) -> RdmNoise | NoCeiling | SplitHalf:
        n_subjects = len(self.assembly.tables) if isinstance(self.assembly, Rdms) else len(self.assemblies)
        if isinstance(self.metric, RSA):
            return RdmNoise() if n_subjects > 1 else NoCeiling()
        return NoCeiling() if isinstance(self.metric, (CKA, Predicted)) else SplitHalf()

    @cached_property
    def parts(self) -> tuple[Part, ...]:
        """What is scored at one time: one subject after another, or the dissimilarities of all."""
        if isinstance(self.assembly, Rdms) or (isinstance(self.ceiling, RdmNoise) and len(self.assemblies) > 1):
            return (Part(self, self.assemblies),)
        return tuple(Part(self, (one,)) for one in self.assemblies)


@dataclass(frozen=True, eq=False)
class Part:
    """What is scored at one time.

    Each property is computed when it is first asked for, so that what is wrong with one does not hide another.

    Attributes
    ----------
    benchmark
        Whose part.
    subjects
        One subject, or several whose dissimilarities are compared together.
    """

    benchmark: NeuralBenchmark = field(repr=False)
    subjects: tuple[Assembly | Rdms, ...]

    @property
    def images(self) -> np.ndarray:
        """(N,) stimulus_id, in the order of the target."""
        return self.subjects[0].images

    @cached_property
    def splits(self) -> Splits:
        """Which images train and test."""
        given = self.benchmark
        if isinstance(given.metric, (RSA, CKA)) and not isinstance(given.design, TrainTest):
            return Splits(np.zeros((1, len(self.images)), dtype=bool))  # nothing is fitted, so nothing is drawn
        return given.design.splits(self.images, given.strata(self.images), given.stimuli)

    @cached_property
    def judged(self) -> np.ndarray:
        """(n,) rows of the images that similarities are taken over."""
        if not isinstance(self.benchmark.design, TrainTest):
            return np.arange(len(self.images))
        is_train, is_test = self.splits
        return np.flatnonzero(~is_train[0] if is_test is None else is_test[0])

    @cached_property
    def target(self) -> Target:
        """What layers are compared with."""
        is_train, is_test = self.splits
        if self._rdms is not None:
            return Target(np.zeros((len(self.images), 0)), is_train, self.judged, is_test, self._rdms)
        return Target(self.subjects[0].mean.to_numpy()[:, self._kept], is_train, self.judged, is_test)  # type: ignore[union-attr]

    @cached_property
    def ceiling(self) -> Ceiling:
        """What scores are related to."""
        aggregate: Any = getattr(self.benchmark.metric, "aggregate", "median")
        whole = self._whole_ceiling
        return Ceiling(whole.r if whole.r.shape[1] == 1 else whole.r[:, self._kept], aggregate=aggregate)

    @property
    def neuroid_id(self) -> np.ndarray:
        """(q,) the neuroids of the target, of a single subject."""
        return np.asarray(self.subjects[0].neuroid_id)[self._kept]  # type: ignore[union-attr]

    @property
    def left_out(self) -> str:
        """Which neuroids are not scored, in words; or ""."""
        said, given = [], self.benchmark
        if not self._kept.all():
            n_lost = int((~self._kept).sum())
            said.append(f"{n_lost} of {len(self._kept)} neuroids below {given.min_ceiling:g} left out")
        n_lost = int((~(self.ceiling.by_neuroid + given.epsilon > 0)).sum())
        if given.formula in BY_NEUROID and n_lost:
            said.append(f"{n_lost} neuroids with a ceiling of 0 or less left out")
        return "; ".join(said)

    @cached_property
    def _whole_ceiling(self) -> Ceiling:
        tested = self.subjects[0]
        if isinstance(self.benchmark.design, TrainTest) and isinstance(tested, Assembly):
            tested = tested.of_images(self.images[self.judged])
        return self.benchmark.ceiling.of(tested, self.benchmark.metric, self._rdms)

    @cached_property
    def _kept(self) -> np.ndarray:
        """(q,) neuroids that are scored."""
        subject, least = self.subjects[0], self.benchmark.min_ceiling
        n = 1 if isinstance(subject, Rdms) else len(subject.neuroid_id)
        if least is None:
            return np.ones(n, dtype=bool)
        own = self._whole_ceiling.by_neuroid
        if len(own) != n:
            raise UsageError(
                f"`min_ceiling` needs a ceiling for each neuroid; '{self.benchmark.ceiling.name}' has one for all."
            )
        kept = own >= least
        if not kept.any():
            raise DataError(
                f"None of the {n} neuroids of '{subject.assembly_id}' has a ceiling of {least:g} or more; the highest "
                f"is {np.nanmax(own):.3f}. Lower `min_ceiling`, or leave the subject out."
            )
        return kept

    @cached_property
    def _rdms(self) -> np.ndarray | None:
        """(M, n, n) dissimilarities of the judged images, where subjects are compared together."""
        if isinstance(self.subjects[0], Rdms):
            return self.subjects[0].tables[:, self.judged][:, :, self.judged]
        if len(self.subjects) == 1:
            return None
        if any(set(one.images) != set(self.images) for one in self.subjects):
            raise UsageError(
                f"The subjects of '{self.benchmark.benchmark_id}' saw other images; rdm-noise needs the same."
            )
        means = [one.mean.loc[self.images].to_numpy()[self.judged] for one in self.subjects]  # type: ignore[union-attr]
        return np.stack([dissimilarity(one) for one in means])
