"""Where does it flatten: a broken line in log X, its knee and the slope beyond it, with intervals that know of groups.

A plateau of a power law lies at infinite X and says nothing of where growth ends. A line that bends once, fitted by
least squares to what is scored, does: score = level + slope u below the knee, + slope_after (u - knee) above it, with
u = log10 X.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from vvscale.core.options import SEED
from vvscale.errors import ShapeError, UsageError
from vvscale.laws.uncertainty.folds import clustered_covariance
from vvscale.laws.uncertainty.intervals import degrees_of_freedom, percentile, t_quantile
from vvscale.laws.uncertainty.jackknife import leave_out_groups
from vvscale.laws.uncertainty.resample import default_unit, resamples

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from vvscale.laws.fit import Fit

    Array = NDArray[np.float64]

# A knee leaves at least this share of the distinct inputs on either side, as is usual for thresholds (Andrews 1993):
# the slope of a handful of rows says nothing.
INNER = (0.15, 0.85)
KNEES = 181
# Distinct inputs that a broken line needs: two for each side and the knee.
FEWEST = 5
# Beyond the knee a score is flat if its slope may be 0 and is surely less than half the one before.
FLAT = 0.5
QUANTITIES = ("knee", "slope_before", "slope_after", "bend")


class Ends(StrEnum):
    """What a score does beyond the knee."""

    SATURATES = "saturates"
    RISES_ON = "rises on"
    STRAIGHT = "no knee"
    UNCLEAR = "unclear"


@dataclass(frozen=True)
class Saturation:
    """A broken line fitted to scores.

    Attributes
    ----------
    x
        Column of the input.
    values
        ``knee`` in log10 of the input; ``slope_before``, ``slope_after`` in score per tenfold; ``bend``, their
        difference.
    intervals
        95 % interval of each: percentiles of resamples for the knee (with ten units or more), Student's t
        with clustered errors for the slopes.
    ends
        What the score does beyond the knee.
    by, n_units
        What was resampled, and how many there are.
    draws
        Values of the resamples, name -> (B,).
    """

    x: str
    values: dict[str, float]
    intervals: dict[str, tuple[float, float]]
    ends: Ends
    by: str
    n_units: int
    draws: dict[str, Array] = field(repr=False)

    @property
    def sentence(self) -> str:
        """The answer in words."""
        knee, (low, high) = 10 ** self.values["knee"], (10**end for end in self.intervals["knee"])
        after, ends = self.values["slope_after"], self.intervals["slope_after"]
        said = {
            Ends.SATURATES: "The score flattens",
            Ends.RISES_ON: "The score rises on, more slowly,",
            Ends.STRAIGHT: "No knee is established; the likeliest one is",
            Ends.UNCLEAR: "Whether the score flattens is not established; the line bends",
        }[self.ends]
        return (
            f"{said} at {self.x} = {knee:.2g} [{low:.2g}, {high:.2g}]; slope beyond {after:.3f} "
            f"[{ends[0]:.3f}, {ends[1]:.3f}] per tenfold, before {self.values['slope_before']:.3f} "
            f"({self.n_units} {self.by})."
        )

    def table(self) -> pd.DataFrame:
        """One row per quantity: value and interval."""
        rows = [(name, self.values[name], *self.intervals[name]) for name in QUANTITIES]
        return pd.DataFrame(rows, columns=["quantity", "value", "low", "high"])

    def to_dict(self) -> dict[str, Any]:
        """Plain values that JSON can hold."""
        return {
            "x": self.x, "ends": str(self.ends), "by": self.by, "n_units": self.n_units,
            "values": self.values, "intervals": {name: list(ends) for name, ends in self.intervals.items()},
            "sentence": self.sentence,
        }  # fmt: skip

    def _repr_html_(self) -> str:
        return f"<p>{self.sentence}</p>{self.table().to_html(index=False)}"


def saturation(fit: Fit, *, by: str | None = None, n: int = 1000, seed: int = SEED) -> Saturation:
    """Fit a broken line to the scores (1 - outcome) of a fit's rows.

    Parameters
    ----------
    fit
        A fit of a law in one input; only its rows are used.
    by
        What is resampled: ``arch`` (default where the table knows architectures), ``row``, ``family`` or a column.
    n
        Resamples, at least 1; with fewer than ten units each is left out in turn.
    seed
        Of the resamples.

    Raises
    ------
    UsageError
        A law in several inputs; see ``vvscale.laws.uncertainty.resample.resamples``.
    ShapeError
        Fewer than five distinct inputs.

    Examples
    --------
    >>> from vvscale.laws import fit_law
    >>> x = np.geomspace(1, 1e6, 61)
    >>> score = 0.1 * np.minimum(np.log10(x), 4) + 1e-3 * np.sin(np.arange(61))
    >>> made = saturation(fit_law(pd.DataFrame({"x": x, "misalignment": 1 - score}), x="x"), n=100)
    >>> round(made.values["knee"], 1), made.ends.value
    (4.0, 'saturates')
    """
    problem = fit.problem
    if len(problem.columns) != 1:
        raise UsageError(
            f"A knee needs one input, and this law has {', '.join(problem.columns)}: fit a law in one of them."
        )
    u = np.log10(problem.raw[0])
    distinct = np.unique(u)
    if len(distinct) < FEWEST:
        raise ShapeError(
            f"A broken line needs {FEWEST} distinct values of {problem.columns[0]}, got {len(distinct)}. Widen the "
            "selection."
        )
    by = by or default_unit(problem.frame)
    drawn = resamples(problem.frame, by, n, seed=seed)
    low, high = np.quantile(distinct, INNER)
    knees = np.linspace(float(low), float(high), KNEES)
    score = 1.0 - problem.y
    own = {name: float(value[0]) for name, value in _lines(u, score, np.ones((1, len(u))), knees).items()}
    draws = _lines(u, score, drawn.weights, knees)
    intervals = _slope_intervals(u, score, own, leave_out_groups(problem.frame, by))
    if not drawn.leaves_one_out:
        intervals["knee"] = _ends_of(percentile(draws["knee"], own["knee"]))
    return Saturation(problem.columns[0], own, intervals, _ends(own, intervals), by, drawn.n_units, draws)


def _slope_intervals(
    u: Array, score: Array, values: dict[str, float], code: NDArray[np.intp]
) -> dict[str, tuple[float, float]]:
    """Student's t intervals of knee and slopes from their joint sandwich covariance, clustered by ``code`` (n,).

    Resamples will not do for the slopes: a few of them jump to another knee, where a slope has no rows to rest on.
    Source: Hansen 2017, Regression kink with an unknown threshold.
    """
    knee, before, bend = values["knee"], values["slope_before"], values["bend"]
    beyond = (u > knee).astype(float)
    # By level at the knee, slope before, bend, and knee.
    jacobian = np.stack([np.ones_like(u), u - knee, (u - knee) * beyond, -before - bend * beyond])
    bread = np.linalg.pinv(jacobian @ jacobian.T)
    level = np.linalg.lstsq(jacobian[:1].T, score - before * jacobian[1] - bend * jacobian[2], rcond=None)[0]
    residual = score - level[0] - before * jacobian[1] - bend * jacobian[2]
    covariance, degrees = clustered_covariance(bread, jacobian, residual, code), degrees_of_freedom(np.bincount(code))
    contrasts = {"knee": [0, 0, 0, 1], "slope_before": [0, 1, 0, 0], "slope_after": [0, 1, 1, 0], "bend": [0, 0, 1, 0]}
    made = {}
    for name, contrast in contrasts.items():
        reach = t_quantile(degrees) * float(np.sqrt(np.array(contrast) @ covariance @ np.array(contrast)))
        made[name] = (values[name] - reach, values[name] + reach)
    return made


def _ends_of(interval: tuple[Any, Any]) -> tuple[float, float]:
    return float(interval[0]), float(interval[1])


def _lines(u: Array, score: Array, weights: Array, knees: Array) -> dict[str, Array]:
    """Best broken line of each row of weights (B, n): name -> (B,)."""
    n_draws = len(weights)
    best, made = np.full(n_draws, np.inf), np.full((n_draws, 4), np.nan)
    total = weights @ score**2
    for knee in knees:
        design = np.stack([np.ones_like(u), u - knee, np.maximum(u - knee, 0.0)])
        gram = np.einsum("in,jn,bn->bij", design, design, weights, optimize=True)
        moment = weights @ (design * score).T
        # A resample with all rows on one side has no second slope: it is then no candidate.
        solvable = np.linalg.det(gram) > 1e-9 * np.prod(np.einsum("bii->bi", gram), axis=1)
        found = np.linalg.solve(np.where(solvable[:, None, None], gram, np.eye(3)), moment[:, :, None])[:, :, 0]
        loss = np.where(solvable, total - np.einsum("bi,bi->b", found, moment), np.inf)
        better = loss < best
        best = np.where(better, loss, best)
        line = np.stack([np.full(n_draws, knee), found[:, 1], found[:, 1] + found[:, 2], found[:, 2]], axis=1)
        made = np.where(better[:, None], line, made)
    return dict(zip(QUANTITIES, made.T, strict=True))


def _ends(values: dict[str, float], intervals: dict[str, tuple[float, float]]) -> Ends:
    """Say what the score does beyond the knee."""
    if not np.isfinite([end for name in QUANTITIES for end in intervals[name]]).all():
        return Ends.UNCLEAR
    if intervals["bend"][1] >= 0:
        return Ends.STRAIGHT
    low, high = intervals["slope_after"]
    if low > 0:
        return Ends.RISES_ON
    return Ends.SATURATES if high <= FLAT * values["slope_before"] else Ends.UNCLEAR
