"""Benchmarks of choices between two objects, by a readout that is fitted on the layer."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Literal

import numpy as np
import pandas as pd

from vvscale.brain.behavior.i2n import BehaviorMetric, behavioral_consistency
from vvscale.brain.behavior.readout import readout_probabilities
from vvscale.brain.behavior.trials import Trials
from vvscale.brain.benchmarks.benchmark import (
    Benchmark,
    BenchmarkResult,
    as_needed,
    in_order,
    joined,
    refuse_unknown_images,
)
from vvscale.brain.ceilings.score import behavioral_score, refuse_formula
from vvscale.brain.inputs.stimuli import StimulusSet, row_order
from vvscale.brain.metrics.gram import Gram
from vvscale.brain.metrics.metric import Needs
from vvscale.core.options import SEED
from vvscale.errors import MissingDataError, UsageError

# Shape legend: N images of the trials, F images that the readout is fitted on.

FITTED_ON = ("same", "others")


@dataclass(frozen=True, eq=False)
class BehavioralBenchmark(Benchmark):
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
    fitted_on
        ``same``: the readout learns the images of the trials, as on the public benchmark. ``others``: it learns the
        further images of the stimuli and is judged on those of the trials, as on the private one.
    """

    region: ClassVar[str] = "behavior"  # type: ignore[misc]

    benchmark_id: str
    version: int
    stimuli: StimulusSet
    trials: Trials
    label: str
    metric: BehaviorMetric = "i2n"
    formula: str = "r/sqrt(c)"
    fitted_on: Literal["same", "others"] = "same"

    def __post_init__(self) -> None:
        refuse_formula(self.formula)
        refuse_unknown_images(self.benchmark_id, self.stimuli, self.trials.stimulus_id)
        if self.fitted_on not in FITTED_ON:
            raise UsageError(f"Got fitted_on={self.fitted_on!r}; expected one of {', '.join(FITTED_ON)}.")
        if self.fitted_on == "others" and not len(self._fitted):
            raise MissingDataError(
                f"'{self.benchmark_id}' fits its readout on images without trials, and every image has some."
            )

    @property
    def metric_name(self) -> str:
        """``i1``, ``i1n``, ``i2`` or ``i2n``."""
        return self.metric

    @property
    def needs(self) -> Needs:
        """Features standardised over the images that the readout learns."""
        return Needs("standardized", None if self.fitted_on == "same" else tuple(self._fitted))

    @property
    def images(self) -> np.ndarray:
        """Images that are learnt, if others, and those of the trials."""
        shown = self.trials.stimulus_id
        return shown if self.fitted_on == "same" else np.concatenate((self._fitted, shown))

    @property
    def tested(self) -> np.ndarray:
        """Images of the trials, whatever the readout learns."""
        return self.trials.stimulus_id

    @property
    def n_targets(self) -> int:
        """Objects."""
        return len(self.trials.objects)

    @property
    def noise_ceiling(self) -> float:
        """Mean correlation between halves of the trials."""
        return self._ceiling

    @cached_property
    def _ceiling(self) -> float:
        # The model's side plays no part in the ceiling.
        even = np.full((len(self.trials.stimulus_id), len(self.trials.objects)), 1 / len(self.trials.objects))
        noise = 1e-6 * np.random.default_rng(0).random(even.shape)
        table = pd.DataFrame(even + noise, index=self.trials.stimulus_id, columns=self.trials.objects)
        return behavioral_consistency(table, self.trials, metric=self.metric).ceiling

    @cached_property
    def _fitted(self) -> np.ndarray:
        have = self.stimuli.stimulus_id
        return have[~np.isin(have, self.trials.stimulus_id)]

    def data_digest(self) -> str:
        """Return the SHA-256 of the images, labels and choices."""
        return joined(self.stimuli.digest(), self.trials.digest())

    def refuse_unscorable(self) -> None:
        """Raise if the stimuli lack the label."""
        self.stimuli.labels(self.label)

    def _score(self, features: Any, stimulus_id: Any, device: str | None, resamples: int, seed: int) -> BenchmarkResult:
        """Score one layer; as :meth:`Benchmark.score`, with a :class:`Gram` of standardised features.

        The readout is always fitted on the CPU.
        """
        rows = in_order(features, self.stimuli, stimulus_id, self.images)
        if self.fitted_on == "others" and not isinstance(rows, Gram):
            fitted = np.arange(len(self.images)) < len(self._fitted)
            gram = Gram.from_features(rows, standardize=True, device=device, scaled_by=fitted)
        else:
            gram = as_needed(rows, self.needs, device)
        labels = self.stimuli.labels(self.label).to_numpy()
        labels = labels[row_order(self.stimuli.stimulus_id, self.images, "The stimuli")]
        n_fitted = 0 if self.fitted_on == "same" else len(self._fitted)
        table = readout_probabilities(gram, labels, self.images, n_fitted=n_fitted)
        return self.score_probabilities(table, resamples=resamples, seed=seed)

    def score_probabilities(
        self, probabilities: pd.DataFrame, *, resamples: int = 1000, seed: int = SEED
    ) -> BenchmarkResult:
        """Score probabilities of objects, index stimulus_id, columns object names."""
        detail = behavioral_consistency(probabilities, self.trials, metric=self.metric)
        score = behavioral_score(detail, formula=self.formula, resamples=resamples, seed=seed)
        return self._result(score, detail)
