"""Forecasts that are no law of the solver: the pooled law, boosted trees that know no law at all, and their mean.

Trees that only know that more parameters and more data never hurt are the yardstick: where they forecast better than
every law, the laws' form lacks something that the table knows. A law extrapolates and trees do not; trees bend where
the law's form is wrong. Their errors are of different kinds, so that the plain mean of both, which chooses nothing, is
often better than either (Bates & Granger 1969).
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np

from vvscale.laws.comparison.pooled import fit_pooled

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import pandas as pd
    from numpy.typing import NDArray

    from vvscale.laws.comparison.candidates import Contest
    from vvscale.laws.law import Law

    Array = NDArray[np.float64]

POOLED, TREES, MEAN = "pooled", "trees", "mean of law and trees"
BASELINES = (POOLED, TREES, MEAN)
# What rests on trees is no law, whatever it is compared with.
NO_LAWS = (TREES, MEAN)
# Small leaves, since a design has few rows per corner; the rest is scikit-learn's default or near it. Not tuned.
TREE_OPTIONS = {"min_samples_leaf": 5, "max_iter": 300, "learning_rate": 0.1, "random_state": 0}
# Of the rows in each weighting, at least so many must be left to fit a baseline.
FEWEST_ROWS = 12


def split_names(laws: Sequence[str | Law] | None) -> tuple[list[str | Law] | None, tuple[str, ...], bool]:
    """Laws of the solver, baselines, and whether the baselines were named by the caller."""
    if laws is None:
        return None, BASELINES, False
    named = tuple(name for name in laws if isinstance(name, str) and name in BASELINES)
    return [law for law in laws if law not in named], named, True


def forecast_baselines(
    names: Sequence[str], contest: Contest, weights: Array
) -> tuple[dict[str, Array], dict[str, str]]:
    """Fit baselines to every row of ``weights`` (B, n), of which they take the rows above 0, and forecast all rows.

    Returns
    -------
    forecasts, left_out
        Name -> outcome (B, n), NaN where too few rows are left; name -> why a baseline cannot be fitted.
    """
    left_out = {name: reason for name in names if (reason := _lacks(name, contest))}
    able = [name for name in names if name not in left_out]
    # The mean is of the very forecasts that stand beside it.
    parts = [name for name in _FITS if name in able or MEAN in able]
    made = {name: _forecasts(name, contest, weights) for name in parts}
    if MEAN in able:
        made[MEAN] = (made[POOLED] + made[TREES]) / 2.0
    return {name: made[name] for name in able}, left_out


def _forecasts(name: str, contest: Contest, weights: Array) -> Array:
    """Outcome (B, n) that one baseline forecasts from the rows that each weighting (B, n) has."""
    forecasts = np.full(weights.shape, np.nan)
    for row, used in zip(forecasts, weights > 0, strict=True):
        if used.sum() >= FEWEST_ROWS:
            row[:] = _FITS[name](contest, used)
    return forecasts


def _lacks(name: str, contest: Contest) -> str:
    """Why a baseline cannot be fitted; empty if it can."""
    frame = contest.frame
    for column in (*contest.sizes, contest.offset_by):
        if column not in frame.columns or frame[column].isna().any():
            return f"the table has no column '{column}' without gaps"
    if not (contest.outcome > 0).all():
        return "it forecasts the log of the outcome, which is not above 0 everywhere"
    if name in NO_LAWS and find_spec("sklearn") is None:
        return "scikit-learn is not installed; `pip install 'vvscale[forecast]'` adds it"
    return ""


def _pooled(contest: Contest, used: NDArray[np.bool_]) -> Array:
    frame = contest.frame
    n, d = (frame[column].to_numpy(float) for column in contest.sizes)
    rows = frame[used].reset_index(drop=True)
    law = fit_pooled(n[used], d[used], contest.outcome[used], rows, contest.offset_by)
    return law.predict(n, d, frame[contest.offset_by].astype(str).tolist())


def _trees(contest: Contest, used: NDArray[np.bool_]) -> Array:
    from sklearn.ensemble import HistGradientBoostingRegressor

    features = _features(contest.frame, contest.sizes, contest.offset_by)
    # -1: more parameters or samples never raise the outcome, a misalignment.
    target = np.log(contest.outcome)
    options: dict[str, Any] = {"monotonic_cst": [-1, -1, 0], "categorical_features": [2], **TREE_OPTIONS}
    model = HistGradientBoostingRegressor(**options)
    return np.exp(model.fit(features[used], target[used]).predict(features))


def _features(frame: pd.DataFrame, sizes: tuple[str, str], by: str) -> Array:
    """Log N, log D and the group's number, shape (n, 3)."""
    group = frame[by].astype(str).astype("category").cat.codes.to_numpy(float)
    return np.stack([*(np.log(frame[column].to_numpy(float)) for column in sizes), group], axis=1).astype(np.float64)


_FITS: dict[str, Callable[[Contest, NDArray[np.bool_]], Array]] = {POOLED: _pooled, TREES: _trees}
