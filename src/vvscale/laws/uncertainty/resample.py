"""What to resample: rows of one architecture are not independent, so a bootstrap has to draw architectures.

Resamples are rows of weights (how often each row was drawn), which is all that the solver needs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from vvscale.core.options import SEED
from vvscale.errors import DataError, ShapeError, UsageError, unknown_name
from vvscale.laws.uncertainty.intervals import degrees_of_freedom

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

# A seed cell is everything but the seed.
UNITS = {
    "row": (),
    "cell": ("arch", "dataset", "samples_per_class", "n_epochs"),
    "arch": ("arch",),
    "family": ("parent_family",),
}
# One network under two published names is one architecture: drawn apart, it would be left out and kept at once.
SAME_NETWORK = {"resnetflexfilters-d-2-2-2-2": "resnet18"}
# Units whose members are dependent wherever architectures are known.
DEPENDENT = ("row", "cell")
# With fewer clusters a percentile bootstrap means little; each is left out in turn instead.
FEW_CLUSTERS = 10


@dataclass(frozen=True)
class Resamples:
    """Weights of the rows in each resample.

    Attributes
    ----------
    weights
        Shape (B, n), >= 0; columns follow the rows given.
    unit
        What was resampled.
    n_units
        Number of units.
    labels
        With ``leaves_one_out``, the unit left out of each resample; else empty.
    leaves_one_out
        Whether each unit was left out once, instead of drawing with replacement.
    """

    weights: Array
    unit: str
    n_units: int
    labels: tuple[str, ...] = ()

    @property
    def leaves_one_out(self) -> bool:
        """Whether each unit was left out once."""
        return bool(self.labels)

    @property
    def degrees(self) -> float | None:
        """Degrees of freedom of a t interval, where each unit was left out once; else None."""
        return degrees_of_freedom((self.weights == 0).sum(axis=1)) if self.leaves_one_out else None


def clusters(frame: pd.DataFrame, unit: str) -> tuple[NDArray[np.intp], tuple[str, ...]]:
    """Cluster index of each row (n,), and the clusters' names.

    Parameters
    ----------
    unit
        ``row``, ``cell`` (all but the seed), ``arch``, ``family``, or any column.
    """
    columns = [column for column in UNITS.get(unit, (unit,)) if column in frame.columns]
    if unit == "family" and not columns and "family" in frame.columns:
        columns = ["family"]
    if unit == "row":
        return np.arange(len(frame)), ()
    if not columns:
        if unit in UNITS:
            raise UsageError(
                f"Cannot resample by '{unit}': the table has none of its columns ({', '.join(UNITS[unit])}). Use "
                '`by="row"`, or name a column that says which rows belong together.'
            )
        raise unknown_name("resampling unit", unit, dict.fromkeys([*UNITS, *map(str, frame.columns)]))
    _require_values(frame, columns, unit)
    parts = [frame[column].astype(str).replace(SAME_NETWORK if column == "arch" else {}) for column in columns]
    keys = parts[0] if len(parts) == 1 else pd.concat(parts, axis=1).agg(" / ".join, axis=1)
    codes, names = pd.factorize(keys, sort=True)
    return codes.astype(np.intp), tuple(map(str, names))


def _require_values(frame: pd.DataFrame, columns: list[str], unit: str) -> None:
    for column in columns:
        lacks = np.nonzero(frame[column].isna().to_numpy())[0]
        if lacks.size:
            named = "model_id" in frame.columns
            row = f"model '{frame['model_id'].iloc[lacks[0]]}'" if named else f"row {lacks[0] + 1}"
            raise DataError(
                f"Cannot group rows by '{unit}': column '{column}' is missing for {row} ({lacks.size} rows in all), so "
                'that it belongs to no cluster. Fill it in, leave these rows out with `where`, or use `by="row"`.'
            )


def default_unit(frame: pd.DataFrame) -> str:
    """Return ``arch`` where the table knows architectures, else ``row``."""
    return "arch" if "arch" in frame.columns and frame["arch"].nunique() > 1 else "row"


def resamples(frame: pd.DataFrame, unit: str, n_resamples: int, *, seed: int = SEED) -> Resamples:
    """Draw resamples of the rows of ``frame``.

    Parameters
    ----------
    frame
        The rows, in the order of the problem.
    unit
        See ``clusters``. Row resamples are the published ones: numpy's ``default_rng(seed).integers(0, n, (B, n))``
        with rows ascending in model_id. With fewer than ten clusters each is left out in turn.
    n_resamples
        B, at least 1.

    Raises
    ------
    UsageError
        ``n_resamples`` < 1.
    UnknownNameError
        No such column.
    DataError
        A row without a value in the column.
    ShapeError
        A single cluster.
    """
    check_n_resamples(n_resamples)
    if seed < 0:
        raise UsageError(f"A seed is 0 or more, got {seed}. 42 gives the published resamples of rows.")
    n = len(frame)
    rng = np.random.default_rng(seed)
    if unit == "row":
        weights = _counts(rng.integers(0, n, size=(n_resamples, n)), n)
        return Resamples(weights, unit, n)
    code, names = clusters(frame, unit)
    k = len(names)
    if k == 1:
        raise ShapeError(
            f"Cannot resample by '{unit}': all {n} rows belong to one, {names[0]}. Use `by=\"row\"` or another column."
        )
    if k < FEW_CLUSTERS:
        return Resamples((code[None] != np.arange(k)[:, None]).astype(float), unit, k, names)
    drawn = _counts(rng.integers(0, k, size=(n_resamples, k)), k)
    return Resamples(drawn[:, code], unit, k)


def check_n_resamples(n_resamples: int) -> None:
    """Refuse a number of resamples below 1."""
    if n_resamples < 1:
        raise UsageError(
            f"The number of resamples must be at least 1, got {n_resamples}. 1000 is usual; 0 resamples are none."
        )


def _counts(drawn: NDArray[np.intp], n: int) -> Array:
    """How often each of n was drawn, (B, n)."""
    counts = np.zeros((len(drawn), n))
    for row, picks in zip(counts, drawn, strict=True):
        row[:] = np.bincount(picks, minlength=n)
    return counts


@dataclass(frozen=True)
class DesignEffect:
    """How much dependence within clusters costs.

    Attributes
    ----------
    unit
        What the rows are clustered by.
    intraclass
        Intraclass correlation of the residuals, in [-1, 1].
    effect
        Variance inflation of a mean, >= 1.
    n_effective
        Rows divided by the effect: how many independent rows they are worth.
    """

    unit: str
    intraclass: float
    effect: float
    n_effective: float


def design_effect(frame: pd.DataFrame, residuals: Array, unit: str) -> DesignEffect:
    """Intraclass correlation and effective sample size of residuals clustered by ``unit``.

    The correlation is that of a one-way random-effects analysis of variance, with its typical cluster size
    n_0 = (n - sum n_k^2 / n) / (k - 1). What inflates the variance of a mean is another size, that of the cluster of
    the average row (Kish 1965): effect = 1 + (sum n_k^2 / sum n_k - 1) intraclass.
    """
    code, names = clusters(frame, unit)
    n, k = len(residuals), max(len(names), 1)
    if unit == "row" or k in {1, n}:
        return DesignEffect(unit, 0.0, 1.0, float(n))
    correlation = intraclass(residuals, code)
    size = np.bincount(code).astype(float)
    kish = float((size**2).sum()) / n
    effect = max(1.0, 1.0 + (kish - 1.0) * correlation)
    return DesignEffect(unit, correlation, effect, n / effect)


def intraclass(residuals: Array, code: NDArray[np.intp]) -> float:
    """Correlation of residuals (n,) within groups (n,), by a one-way analysis of variance; 0 if it cannot be told."""
    size = np.bincount(code).astype(float)
    n, k = len(residuals), len(size)
    if k in {1, n}:
        return 0.0
    means = np.bincount(code, weights=residuals) / size
    between = float((size * (means - residuals.mean()) ** 2).sum()) / (k - 1)
    within = float(((residuals - means[code]) ** 2).sum()) / (n - k)
    typical = (n - float((size**2).sum()) / n) / (k - 1)
    total = between + (typical - 1) * within
    return float((between - within) / total) if total > 0 else 0.0
