"""Profile likelihood of the plateau or an exponent: what values of it fit the rows about as well.

Deviances (see ``deviance``) compare with chi-square of one degree of freedom, times the design effect where rows are
not independent.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from vvscale.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from vvscale.laws.fit import Fit

    Array = NDArray[np.float64]

CHI_SQUARE_95 = 3.841458820694124


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
        Values whose deviance is below 3.84 times the design effect; an end at the edge of ``values`` means that
        the data do not bound the parameter on that side.
    design_effect
        Variance inflation by dependent rows; 1 if they are independent.
    """

    parameter: str
    values: Array
    deviance: Array
    interval: tuple[float, float]
    design_effect: float

    def table(self) -> pd.DataFrame:
        """One row per held value."""
        return pd.DataFrame({self.parameter: self.values, "deviance": self.deviance})


def profile(
    fit: Fit, parameter: str = "E", values: Sequence[float] | None = None, *, design_effect: float = 1.0
) -> Profile:
    """Profile likelihood of the plateau or the (first) exponent.

    Parameters
    ----------
    fit
        A fit of a law with a plateau.
    parameter
        ``"E"`` or ``"alpha"``.
    values
        Where to hold it; by default 41 values, E from 0 to the smallest outcome or beyond the fitted E, alpha from
        a tenth to ten times the fitted one.
    design_effect
        See ``vvscale.laws.uncertainty.resample.design_effect``.

    Raises
    ------
    UsageError
        The law has no such parameter, or a design effect below 1.
    """
    # Only where the first slope at the centre is the exponent itself.
    known = ("E", "alpha") if all(term.coordinate == "log" for term in fit.law.terms) else ("E",)
    if not fit.law.terms or parameter not in known or fit.law.signed_plateau:
        raise UsageError(
            f"Cannot profile '{parameter}' of the law '{fit.law.name}': profiles exist for E of power, shifted, joint "
            "and product, and for alpha of power and joint. Choose one of these."
        )
    if design_effect < 1:
        raise UsageError(f"A design effect is at least 1, got {design_effect}.")
    around = fit.around()
    if values is None:
        if parameter == "E":
            # The least of noisy outcomes may lie below the plateau.
            top = max(float(fit.problem.y.min()) * 0.999, 1.2 * fit.params["E"])
            grid = np.linspace(0.0, top, 41)
        else:
            grid = around.slope * np.geomspace(0.1, 10.0, 41)
    else:
        grid = np.asarray(values, float)
    deviance = around.of_plateau(grid) if parameter == "E" else around.of_slope(grid)
    interval = _interval(grid, deviance, CHI_SQUARE_95 * design_effect)
    return Profile(parameter, grid, deviance, interval, design_effect)


def _interval(grid: Array, deviance: Array, cut: float) -> tuple[float, float]:
    """Where the deviance crosses ``cut``, between grid values by straight lines."""
    inside = np.nonzero(deviance <= cut)[0]
    if not inside.size:
        return np.nan, np.nan

    def crossing(last: int, beyond: int) -> float:
        if not 0 <= beyond < len(grid):
            return float(grid[last])
        part = (cut - deviance[last]) / (deviance[beyond] - deviance[last])
        return float(grid[last] + part * (grid[beyond] - grid[last]))

    return crossing(inside[0], inside[0] - 1), crossing(inside[-1], inside[-1] + 1)
