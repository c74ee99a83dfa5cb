"""A metric of predictions: a regression maps the layer to the recordings, and a similarity judges what it says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from vvscale.brain.metrics.gram import Gram
from vvscale.brain.metrics.metric import Need, Target, metric_by_name
from vvscale.brain.metrics.outcome import Similarity
from vvscale.errors import UsageError


@dataclass(frozen=True)
class Predicted:
    """Similarity of predicted to measured responses, over the test images of each split.

    Attributes
    ----------
    by
        The regression that predicts: ``pls``, ``ridge``, ``ridge-cv``, or a value.
    judge
        The similarity that compares predictions with responses: ``rsa``, ``cka``, ``cka-biased``, or a value.

    Examples
    --------
    >>> Predicted("ridge-cv", "cka").name
    'cka of ridge-cv'
    """

    # A name or a value; after construction always a Metric.
    by: Any = "ridge-cv"
    judge: Any = "rsa"

    def __post_init__(self) -> None:
        for name in ("by", "judge"):
            object.__setattr__(self, name, metric_by_name(getattr(self, name)))

    @property
    def name(self) -> str:
        """The names of both."""
        return f"{self.judge.name} of {self.by.name}"

    @property
    def needs(self) -> Need:
        """What the regression needs."""
        return self.by.needs

    def measure(self, features: Gram, target: Target) -> Similarity:
        """Predict, then compare; the value is the mean over splits."""
        fitted = self.by.measure(features, target)
        predictions = getattr(fitted, "predictions", None)
        if predictions is None:
            raise UsageError(f"The metric '{self.by.name}' predicts nothing; use pls, ridge or ridge-cv.")
        parts = []
        for test, predicted in zip(target.is_test, predictions, strict=True):
            rows = np.flatnonzero(test)
            part = Target(target.responses[rows], np.ones((1, len(rows)), dtype=bool), np.arange(len(rows)))
            parts.append((rows, self.judge.measure(Gram.from_features(predicted), part)))
        value = np.mean([one.raw_score for _, one in parts])

        def resample(weights: np.ndarray) -> np.ndarray:
            return np.mean([next(iter(one.draws(weights[:, rows])))[:, 0] for rows, one in parts], axis=0)

        everything = np.arange(len(target.responses))
        return Similarity(np.array([value]), resample, everything, len(everything), note=fitted.note)
