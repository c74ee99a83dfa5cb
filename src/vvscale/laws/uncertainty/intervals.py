"""Intervals from values of resamples: percentiles of draws, or Student's t where each group was left out once.

An estimate never lies outside the interval beside it: percentiles that leave it out are extended to it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

LEVEL = 0.95
# With two groups the variance is one number squared, and t is 12.7 standard deviations wide: that says nothing.
FEWEST = 3
# Quantities that only make sense above 0: t intervals are symmetric in their log, as far as all values allow.
POSITIVE = frozenset({"A", "B", "alpha", "beta", "gain", "half_point", "N_c", "D_c", "n", "d", "budget"})
# Shares of 1: t intervals are symmetric in their log odds.
SHARES = frozenset({"n_exponent", "d_exponent"})


def percentile(values: Array, estimate: Array | float, level: float = LEVEL) -> tuple[Any, Any]:
    """Percentile interval of each column of draws (B, m) or (B,), extended to the estimate (m,).

    Infinite draws count as the largest or smallest ones; NaN, a draw that says nothing of the quantity, as none.
    """
    tails = np.array([(1 - level) / 2, (1 + level) / 2])
    # A linear rule would give NaN between two infinities.
    method = "linear" if np.isfinite(values).all() else "nearest"
    low, high = np.nanquantile(values, tails, axis=0, method=method)
    return np.fmin(low, estimate), np.fmax(high, estimate)


def degrees_of_freedom(shares: Array | NDArray[np.intp]) -> float:
    """Degrees of freedom, at least 1, of a variance that groups contribute these shares (G,) to, their sizes for one.

    One less than the number of equal groups that are worth as much, (sum s)^2 / sum s^2. Source: Carter, Schnepel &
    Steigerwald 2017.
    """
    parts = shares / shares.sum()
    return max(1.0 / float((parts**2).sum()) - 1.0, 1.0)


def t_quantile(degrees: float | Array, level: float = LEVEL) -> Any:
    """How many CRV3 standard errors an interval reaches to either side, at these degrees of freedom."""
    # Loading it takes as long as reading a table, and most commands draw kept intervals.
    from scipy import special

    return special.stdtrit(degrees, 0.5 + level / 2)


def crv3(values: Array, estimate: Array | float) -> Any:
    """CRV3 standard error of estimates (m,) from the values without each of G groups, (G, m) or (G,)."""
    n = len(values)
    with np.errstate(invalid="ignore", over="ignore"):
        return np.sqrt((n - 1) / n * ((values - estimate) ** 2).sum(axis=0))


def student(
    values: Array,
    estimate: Array | float,
    level: float = LEVEL,
    *,
    log: bool = False,
    odds: bool = False,
    degrees: float | Array | None = None,
    besides: float = 0.0,
) -> tuple[Any, Any]:
    """Interval estimate -+ t x CRV3 error from the values without each of G groups, (G, m) or (G,).

    Parameters
    ----------
    degrees
        Degrees of freedom; by default G - 1, for groups of one size.
    log, odds
        Whether it is symmetric in the log, where all are greater than 0, or in the log odds, where all lie in (0, 1).
    besides
        Standard error of what else the estimate rests on, independently; on the scale of the symmetry.
    """
    if len(values) < FEWEST:
        nothing = np.full(np.shape(estimate), np.nan)[()]
        return nothing, nothing
    if log and np.all(np.asarray(estimate) > 0) and (values > 0).all():
        low, high = student(np.log(values), np.log(estimate), level, degrees=degrees, besides=besides)
        # An interval of a logarithm may be wider than numbers go: its end is then infinite.
        with np.errstate(over="ignore"):
            return np.exp(low), np.exp(high)
    if odds and np.all((np.asarray(estimate) > 0) & (np.asarray(estimate) < 1)) and ((values > 0) & (values < 1)).all():
        from scipy import special

        low, high = student(special.logit(values), special.logit(estimate), level, degrees=degrees, besides=besides)
        return special.expit(low), special.expit(high)
    error = np.hypot(crv3(values, estimate), besides)
    reach = t_quantile(len(values) - 1 if degrees is None else degrees, level) * error
    with np.errstate(invalid="ignore"):
        return estimate - reach, estimate + reach
