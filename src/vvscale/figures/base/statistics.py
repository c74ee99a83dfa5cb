"""Statistics of groups of models, with intervals by the unit that is independent: means, correlations, lines.

Intervals are those of laws (``vvscale.laws.uncertainty``): percentiles over resampled architectures where the table
knows them, and Student's t from leaving each out in turn where there are fewer than ten.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from vvscale.core.options import SEED
from vvscale.laws.uncertainty.intervals import percentile, student
from vvscale.laws.uncertainty.resample import clusters, default_unit, resamples

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from vvscale.laws.uncertainty.resample import Resamples

    Array = NDArray[np.float64]

# Resamples kept in memory: 1000 of 1000 rows take 8 MB.
KEPT_DRAWS = 4


@dataclass(frozen=True)
class Estimate:
    """A number with its 95 % interval; the interval is NaN where there is nothing to resample.

    Attributes
    ----------
    value, low, high
        In units of what was estimated.
    n
        Rows behind it.
    """

    value: float
    low: float
    high: float
    n: int


def draw(frame: pd.DataFrame, n_resamples: int, seed: int) -> Resamples | None:
    """Resamples of the rows by their default unit; None where there is a single unit or none are asked for."""
    knows_archs = "arch" in frame.columns and frame["arch"].notna().all()
    return _drawn(tuple(map(str, frame["arch"])) if knows_archs else None, len(frame), n_resamples, seed)


# Groups that are averaged one after the other, such as a family at each epoch, mostly have the same architectures.
@lru_cache(maxsize=KEPT_DRAWS)
def _drawn(archs: tuple[str, ...] | None, n: int, n_resamples: int, seed: int) -> Resamples | None:
    """Resamples of n rows with these architectures, None where they are not known."""
    if not n_resamples or n < 2:
        return None
    known = pd.DataFrame(index=range(n)) if archs is None else pd.DataFrame({"arch": list(archs)})
    unit = default_unit(known)
    if unit != "row" and len(clusters(known, unit)[1]) < 2:
        return None
    made = resamples(known, unit, n_resamples, seed=seed)
    made.weights.flags.writeable = False
    return made


def interval(values: Array, estimate: Array | float, drawn: Resamples) -> tuple[Any, Any]:
    """95 % interval of estimates (m,) or a number from their ``values`` (B, ...) over the resamples.

    Percentiles, or Student's t where each unit was left out once.
    """
    if drawn.leaves_one_out:
        return student(values, estimate, degrees=drawn.degrees)
    return percentile(values, estimate)


def mean(frame: pd.DataFrame, y: str, *, n_resamples: int = 1000, seed: int = SEED) -> Estimate:
    """Mean of a column over the rows that have it.

    Examples
    --------
    >>> import pandas as pd
    >>> made = mean(pd.DataFrame({"y": [1.0, 2.0, 3.0]}), "y")
    >>> made.value, made.n
    (2.0, 3)
    """
    values = frame[y].to_numpy(float, na_value=np.nan)
    lacks = np.isnan(values)
    if lacks.any():
        frame, values = frame[~lacks], values[~lacks]
    drawn = draw(frame, n_resamples, seed)
    if drawn is None:
        return Estimate(float(values.mean()) if len(values) else np.nan, np.nan, np.nan, len(values))
    value = float(values.mean())
    low, high = interval(drawn.weights @ values / drawn.weights.sum(axis=1), value, drawn)
    return Estimate(value, float(low), float(high), len(values))


def correlation(frame: pd.DataFrame, x: str, y: str, *, n_resamples: int = 1000, seed: int = SEED) -> Estimate:
    """Pearson correlation of two columns over the rows that have both."""
    frame = frame.dropna(subset=[x, y])
    a, b = frame[x].to_numpy(float), frame[y].to_numpy(float)
    value = float(_correlations(np.ones((1, len(a))), a, b)[0]) if len(a) > 1 else np.nan
    drawn = draw(frame, n_resamples, seed)
    if drawn is None:
        return Estimate(value, np.nan, np.nan, len(a))
    low, high = interval(_correlations(drawn.weights, a, b), value, drawn)
    return Estimate(value, float(low), float(high), len(a))


def _correlations(weights: Array, a: Array, b: Array) -> Array:
    """Weighted correlations, (B,)."""
    share = weights / weights.sum(axis=1, keepdims=True)
    away_a, away_b = a - (share @ a)[:, None], b - (share @ b)[:, None]
    both = (share * away_a * away_b).sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return both / np.sqrt((share * away_a**2).sum(axis=1) * (share * away_b**2).sum(axis=1))


def line(
    frame: pd.DataFrame, x: str, y: str, grid: Array, *, n_resamples: int = 1000, seed: int = SEED
) -> tuple[Array, Array, Array]:
    """Least-squares line and its 95 % band at ``grid`` (m,): value, low, high, each (m,)."""
    frame = frame.dropna(subset=[x, y])
    a, b = frame[x].to_numpy(float), frame[y].to_numpy(float)
    value = _lines(np.ones((1, len(a))), a, b, grid)[0]
    drawn = draw(frame, n_resamples, seed)
    if drawn is None:
        return value, np.full(len(grid), np.nan), np.full(len(grid), np.nan)
    low, high = interval(_lines(drawn.weights, a, b, grid), value, drawn)
    return value, low, high


def _lines(weights: Array, a: Array, b: Array, grid: Array) -> Array:
    share = weights / weights.sum(axis=1, keepdims=True)
    centre_a, centre_b = share @ a, share @ b
    away = a - centre_a[:, None]
    with np.errstate(invalid="ignore", divide="ignore"):
        slope = (share * away * b).sum(axis=1) / (share * away**2).sum(axis=1)
    return centre_b[:, None] + slope[:, None] * (grid[None] - centre_a[:, None])
