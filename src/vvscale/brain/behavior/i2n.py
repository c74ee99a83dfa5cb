"""Agreement of a model with observers about which objects are confused in which images.

A trial shows an image of one object and offers that object and a distractor. Choices become sensitivities d'
per image and distractor (i2) or per image (i1), with the mean over the images of an object subtracted in the
variants named n; the score is their correlation between model and observers, its ceiling that between two
halves of the trials.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd
from scipy.special import ndtri

from vvscale.brain.behavior.trials import Trials
from vvscale.brain.metrics.checks import correlate_sums, over_neuroids
from vvscale.errors import DataError, MissingDataError, ShapeError, unknown_name

# Shape legend: N images, O objects, R repetitions of the halving.

BehaviorMetric = Literal["i1", "i1n", "i2", "i2n"]

_CAP = 5.0


@dataclass(frozen=True, eq=False)
class BehavioralConsistency:
    """Agreement of a model with observers, and of the observers with themselves.

    Attributes
    ----------
    metric
        ``"i1"``, ``"i1n"``, ``"i2"`` or ``"i2n"``.
    r
        (n_repetitions,) correlations between the model and the first half of the trials, in [-1, 1].
    ceiling_r
        (n_repetitions,) correlations between the two halves; not corrected for their length.
    sums, ceiling_sums
        (n_repetitions, n_images, 6) what each image adds to the count, sums, squares and products of the two
        sides of the correlations; what intervals over images are computed from.
    """

    metric: str
    r: np.ndarray
    ceiling_r: np.ndarray
    sums: np.ndarray = field(repr=False)
    ceiling_sums: np.ndarray = field(repr=False)

    @property
    def raw_score(self) -> float:
        """Mean correlation with the observers, without a ceiling."""
        return float(self.r.mean())

    @property
    def error(self) -> float:
        """Standard deviation over the repetitions, as the reference has it."""
        return float(self.r.std())

    @property
    def ceiling(self) -> float:
        """Mean correlation between the halves."""
        return float(self.ceiling_r.mean())

    @property
    def ceiling_error(self) -> float:
        """Standard deviation of the ceiling over the repetitions."""
        return float(self.ceiling_r.std())

    def to_dict(self) -> dict[str, Any]:
        """Return the numbers as plain types."""
        return {
            "metric": self.metric,
            "raw_score": self.raw_score,
            "error": self.error,
            "ceiling": self.ceiling,
            "ceiling_error": self.ceiling_error,
            "r": self.r.tolist(),
            "ceiling_r": self.ceiling_r.tolist(),
        }


def i2n(probabilities: pd.DataFrame, trials: Trials | pd.DataFrame) -> BehavioralConsistency:
    """Compare a model with observers per image and distractor, less the mean per object.

    This is the metric of the behavioural benchmark, short for :func:`behavioral_consistency` with
    ``metric="i2n"``.
    """
    return behavioral_consistency(probabilities, trials, metric="i2n")


def behavioral_consistency(
    probabilities: pd.DataFrame,
    trials: Trials | pd.DataFrame,
    *,
    metric: BehaviorMetric = "i2n",
    n_repetitions: int = 2,
    seed: int = 0,
) -> BehavioralConsistency:
    """Correlate the sensitivities of a model with those of observers.

    Parameters
    ----------
    probabilities
        (n_images, n_objects) probability of each object, index stimulus_id, columns object names, in any
        order.
    trials
        Choices of the observers: :class:`Trials`, or the table to make them from.
    metric
        ``i1`` per image or ``i2`` per image and distractor; with ``n`` less the mean over the images of an
        object.
    n_repetitions, seed
        How often the trials are halved, and state of the generator.

    Raises
    ------
    MissingDataError
        Images or objects of the trials are not among the probabilities, or an image is not in every half.
    DataError
        A probability is negative or NaN, or both offered objects have probability zero.

    Source
    ------
    brainscore_vision/metrics/i1i2/metric.py, class _I.
    """
    if metric not in get_args(BehaviorMetric):
        raise unknown_name("behavioural metric", metric, get_args(BehaviorMetric))
    trials = trials if isinstance(trials, Trials) else Trials.from_table(trials)
    model = sensitivities(_pair_rates(probabilities, trials), trials.truth, metric)
    sums, ceiling_sums = [], []
    for first, second in trials.halves(n_repetitions, seed):
        _refuse_unseen(trials, first, second)
        left, right = (sensitivities(trials.rates(half), trials.truth, metric) for half in (first, second))
        is_lost = np.isnan(model) & ~np.isnan(left)
        if is_lost.any():
            image = int(np.argwhere(is_lost)[0, 0])
            raise DataError(
                f"The model has no sensitivity for image '{trials.stimulus_id[image]}' where the observers "
                "do: the probabilities of the object shown and of a distractor are both 0, or the object's "
                "false alarms are."
            )
        sums.append(_sums_by_image(model, left))
        ceiling_sums.append(_sums_by_image(left, right))
    stacked, ceiling_stacked = np.stack(sums), np.stack(ceiling_sums)
    r, ceiling_r = correlate_sums(stacked.sum(1)), correlate_sums(ceiling_stacked.sum(1))
    return BehavioralConsistency(metric, r, ceiling_r, stacked, ceiling_stacked)


def sensitivities(rates: np.ndarray, truth: np.ndarray, metric: BehaviorMetric) -> np.ndarray:
    """Turn rates of wrong choices into sensitivities d'.

    Parameters
    ----------
    rates
        (N, O) share of trials in which each object was chosen over the one in the image, in [0, 1]; NaN if
        unknown.
    truth
        (N,) number of the object in each image.
    metric
        As in :func:`behavioral_consistency`.

    Returns
    -------
    numpy.ndarray
        (N, O) for i2, (N, 1) for i1; in units of a standard normal, within [-5, 5] before the mean is
        subtracted.
    """
    # False alarms for the object in the image, among the images of the distractor.
    false_alarms = _mean_by_object(rates, truth).T[truth]
    with np.errstate(invalid="ignore"):  # infinity less infinity is unknown
        d = np.clip(ndtri(1 - rates) - ndtri(false_alarms), -_CAP, _CAP)
    if metric.endswith("n"):
        d = d - _mean_by_object(d, truth)[truth]
    if metric.startswith("i1"):
        return over_neuroids(d, "mean")[:, None]
    return d


def _sums_by_image(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Return (N, 6) sums over the columns that both sides know."""
    is_known = ~(np.isnan(left) | np.isnan(right))
    a, b = np.where(is_known, left, 0.0), np.where(is_known, right, 0.0)
    return np.stack([is_known, a, b, a * a, b * b, a * b], axis=-1).sum(1)


def _mean_by_object(values: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Return (O, O) means over the images of each object, leaving NaN out."""
    n_objects = values.shape[1]
    is_known = ~np.isnan(values)
    cells = (truth[:, None] * n_objects + np.arange(n_objects))[is_known]
    sums = np.bincount(cells, weights=values[is_known], minlength=n_objects**2)
    with np.errstate(invalid="ignore"):
        return (sums / np.bincount(cells, minlength=n_objects**2)).reshape(n_objects, n_objects)


def _pair_rates(probabilities: pd.DataFrame, trials: Trials) -> np.ndarray:
    """Return the (N, O) probability of each object when only it and the one in the image are offered."""
    for kind, known, wanted in (
        ("image", probabilities.index, trials.stimulus_id),
        ("object", probabilities.columns, trials.objects),
    ):
        if known.has_duplicates:
            raise ShapeError(f"The probabilities name {kind} '{known[known.duplicated()][0]}' twice; expected it once.")
        absent = [label for label in wanted if label not in known]
        if absent:
            raise MissingDataError(
                f"The probabilities lack {len(absent)} of the {len(wanted)} {kind}s of the trials, first "
                f"'{absent[0]}'. Expected stimulus_id as the index and object names as columns."
            )
    P = probabilities.loc[trials.stimulus_id.tolist(), trials.objects.tolist()].to_numpy(np.float64)
    if not (P >= 0).all():
        image, choice = (int(index) for index in np.argwhere(~(P >= 0))[0])
        raise DataError(
            f"The probability of '{trials.objects[choice]}' for image '{trials.stimulus_id[image]}' is "
            f"{P[image, choice]}; expected a number from 0 to 1."
        )
    rows = np.arange(len(P))
    with np.errstate(invalid="ignore"):
        rates = P / (P + P[rows, trials.truth][:, None])
    rates[rows, trials.truth] = np.nan
    return rates


def _refuse_unseen(trials: Trials, *halves: np.ndarray) -> None:
    for rows in halves:
        is_seen = np.bincount(trials.image[rows], minlength=len(trials.stimulus_id)) > 0
        if not is_seen.all():
            raise MissingDataError(
                f"Image '{trials.stimulus_id[np.argmin(is_seen)]}' has no trial in one half of the trials; "
                "expected every image in both. Leave out images with few trials."
            )
