"""Profile likelihood of the plateau or an exponent: what values of it fit the rows about as well.

Deviances (see ``deviance``) compare with chi-square of one degree of freedom, times the variance inflation of the
parameter where rows are not independent.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from vvscale.errors import UsageError
from vvscale.laws.uncertainty.jackknife import inflation

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from vvscale.laws.fit import Fit

    Array = NDArray[np.float64]

CHI_SQUARE_95 = 3.841458820694124


# Points of the default grid, of each extension, and how many extensions a search for an end is worth.
POINTS, MORE, EXTENSIONS = 41, 12, 12
# An exponent beyond this is a step between two neighbouring points, below that a constant.
EXPONENTS = (1e-4, 60.0)


@dataclass(frozen=True)
class Profile:
    """A profile likelihood.

    Attributes
    ----------
    parameter
        ``"E"`` or the name of an exponent.
    values
        Where the parameter was held, shape (k,).
    deviance
        Deviance from the best fit, shape (k,), >= 0 up to rounding.
    interval
        Values whose deviance is below 3.84 times the inflation. An end that the rows do not set is the law's own, 0,
        or infinite.
    inflation
        Variance inflation of the parameter by dependent rows; 1 if they are independent.
    has_ends
        Whether the rows bound the parameter below, and above.
    """

    parameter: str
    values: Array
    deviance: Array
    interval: tuple[float, float]
    inflation: float
    has_ends: tuple[bool, bool]

    @property
    def sentence(self) -> str:
        """The interval in words."""
        low, high = self.interval
        if not any(self.has_ends):
            return f"{self.parameter} is not bounded by these rows: its profile likelihood has no end on either side."
        if not self.has_ends[1]:
            return f"{self.parameter} is at least {low:.4g} by its profile likelihood, which has no upper end."
        if not self.has_ends[0]:
            return f"{self.parameter} is at most {high:.4g} by its profile likelihood, which has no lower end."
        return f"{self.parameter} is between {low:.4g} and {high:.4g} by its profile likelihood."

    def table(self) -> pd.DataFrame:
        """One row per held value."""
        return pd.DataFrame({self.parameter: self.values, "deviance": self.deviance})


def profile(fit: Fit, parameter: str = "E", values: Sequence[float] | None = None, *, by: str | None = None) -> Profile:
    """Profile likelihood of the plateau or the (first) exponent.

    Parameters
    ----------
    fit
        A fit of a law with a plateau.
    parameter
        ``"E"`` or ``"alpha"``.
    values
        Where to hold it; by default 41 values, E from 0 to the smallest outcome or beyond the fitted E, alpha from
        a tenth to ten times the fitted one, and as many more as it takes to see the deviance cross its cut.
    by
        What dependent rows are grouped by: the variance inflation of the parameter is estimated and widens the
        interval (see ``vvscale.laws.uncertainty.jackknife.inflation``). By default rows count as independent.

    Raises
    ------
    UsageError
        The law has no such parameter.
    ShapeError
        Too few groups; see ``vvscale.laws.uncertainty.jackknife.jackknife``.
    """
    # Only where the first slope at the centre is the exponent itself.
    known = ("E", "alpha") if all(term.coordinate == "log" for term in fit.law.terms) else ("E",)
    if not fit.law.terms or parameter not in known or fit.law.signed_plateau:
        raise UsageError(
            f"Cannot profile '{parameter}' of the law '{fit.law.name}': profiles exist for E of power, shifted, joint "
            "and product, and for alpha of power and joint. Choose one of these."
        )
    inflated = inflation(fit, parameter, by) if by else 1.0
    cut = CHI_SQUARE_95 * inflated
    around = fit.around()
    held = around.of_plateau if parameter == "E" else around.of_slope
    if values is not None:
        grid = np.asarray(values, float)
        deviance = held(grid)
    elif parameter == "E":
        # The least of noisy outcomes may lie below the plateau.
        top = max(float(fit.problem.y.min()) * 0.999, 1.2 * fit.params["E"])
        grid = np.linspace(0.0, top, POINTS)
        # Above the largest outcome there is nothing left for the law to explain.
        grid, deviance = _extended(held, grid, held(grid), cut, (0.0, float(fit.problem.y.max())))
    else:
        grid = around.slope * np.geomspace(0.1, 10.0, POINTS)
        grid, deviance = _extended(held, grid, held(grid), cut, EXPONENTS)
    interval, has_ends = _interval(grid, deviance, cut)
    return Profile(parameter, grid, deviance, interval, inflated, has_ends)


def _extended(
    held: Callable[[Array], Array], grid: Array, deviance: Array, cut: float, limits: tuple[float, float]
) -> tuple[Array, Array]:
    """Extend an ascending grid to either side until its deviance crosses ``cut`` or a limit is reached."""
    for _ in range(EXTENSIONS):
        if deviance[-1] > cut or grid[-1] >= limits[1]:
            break
        more = np.linspace(grid[-1], min(1.5 * grid[-1], limits[1]), MORE + 1)[1:]
        grid, deviance = np.append(grid, more), np.append(deviance, held(more))
    for _ in range(EXTENSIONS):
        if deviance[0] > cut or grid[0] <= limits[0]:
            break
        less = np.geomspace(max(grid[0] / 3.0, limits[0]), grid[0], MORE + 1)[:-1]
        grid, deviance = np.append(less, grid), np.append(held(less), deviance)
    return grid, deviance


def _interval(grid: Array, deviance: Array, cut: float) -> tuple[tuple[float, float], tuple[bool, bool]]:
    """Where the deviance crosses ``cut``, between grid values by straight lines; and whether it does on either side."""
    inside = np.nonzero(deviance <= cut)[0]
    if not inside.size:
        return (np.nan, np.nan), (False, False)

    def crossing(last: int, beyond: int) -> float:
        part = (cut - deviance[last]) / (deviance[beyond] - deviance[last])
        return float(grid[last] + part * (grid[beyond] - grid[last]))

    first, last = int(inside[0]), int(inside[-1])
    has_ends = (first > 0, last < len(grid) - 1)
    low = crossing(first, first - 1) if has_ends[0] else 0.0
    high = crossing(last, last + 1) if has_ends[1] else np.inf
    return (low, high), has_ends
