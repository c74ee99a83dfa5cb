"""Profile likelihood of an exponent or of the plateau: how much worse the fit gets as one parameter is held.

The near-absolute loss has no likelihood of its own. Its deviance is that of an M-estimator,
4 f(0) (sum |r| - min), with f(0) the density of the residuals at 0; for least squares it is the Gaussian
n log(RSS / min). Both compare with chi-square of one degree of freedom, deflated by the design effect where
rows are not independent.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from vvscale.errors import UsageError
from vvscale.laws.competitors import Lifted
from vvscale.laws.newton import minimise

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from vvscale.laws.fit import Fit
    from vvscale.laws.forms import Derivatives, Points
    from vvscale.laws.newton import Form

    Array = NDArray[np.float64]

CHI_SQUARE_95 = 3.841458820694124
# A deviance is read to two digits: its losses need no more than this relative precision.
PRECISION = 1e-7


@dataclass(frozen=True)
class Pinned:
    """A form with one parameter that stays where it starts."""

    base: Form
    index: int

    @property
    def size(self) -> int:
        """Number of parameters, the held one included."""
        return self.base.size

    def evaluate(self, theta: Array, points: Points) -> Derivatives:
        """As the base form."""
        return self.base.evaluate(theta, points)

    def project(self, theta: Array) -> Array:
        """As the base form."""
        return self.base.project(theta)

    def on_edge(self, theta: Array) -> NDArray[np.bool_]:
        """Never: with a held parameter the edge is an ordinary place."""
        return np.zeros(len(theta), dtype=bool)

    def held(self, theta: Array, gradient: Array) -> NDArray[np.bool_]:
        """As the base form, and the parameter."""
        held = self.base.held(theta, gradient)
        held[:, self.index] = True
        return held


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
        See ``vvscale.laws.resample.design_effect``.

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
    assert fit.optima is not None
    if values is None:
        if parameter == "E":
            # The least of noisy outcomes may lie below the plateau.
            top = max(float(fit.problem.y.min()) * 0.999, 1.2 * fit.params["E"])
            grid = np.linspace(0.0, top, 41)
        else:
            exponent = _exponent(fit)
            grid = exponent * np.geomspace(0.1, 10.0, 41)
    else:
        grid = np.asarray(values, float)
    deviance = deviance_of_plateau(fit, grid) if parameter == "E" else deviance_of_exponent(fit, grid)
    inside = grid[deviance <= CHI_SQUARE_95 * design_effect]
    interval = (float(inside.min()), float(inside.max())) if inside.size else (np.nan, np.nan)
    return Profile(parameter, grid, deviance, interval, design_effect)


def _exponent(fit: Fit) -> float:
    assert fit.optima is not None
    column = len(fit.law.terms) if fit.optima.at_zero[0] else 2
    return float(fit.optima.theta[0, column])


def deviance_of_exponent(fit: Fit, values: Sequence[float] | Array) -> Array:
    """Deviance with the first term's slope at the centre held at each value, the rest refitted; shape (k,)."""
    return _deviance_of(fit, 0, values)


def deviance_of_shift(fit: Fit, values: Sequence[float] | Array) -> Array:
    """Deviance of a shifted law with rho held at each value: 0 is an exponential, 1 the plain power law; (k,)."""
    return _deviance_of(fit, 1, values)


def _deviance_of(fit: Fit, own: int, values: Sequence[float] | Array) -> Array:
    """Deviance with the first term's parameter number ``own`` (0 the slope, 1 rho) held at each value."""
    assert fit.optima is not None
    interior, boundary = fit.forms()
    at_zero = fit.optima.at_zero[0]
    theta = fit.optima.theta
    inside = boundary.inside(theta[:, : boundary.size], 1e-2) if at_zero else theta[:, : interior.size]
    values = np.asarray(values, float)
    # Three starts a value. The relative slope kappa is what the data fix; E >= 0 bounds it by the slope s.
    start = np.repeat(inside, 3 * len(values), axis=0)
    start[:, 2 + own] = np.repeat(values, 3)
    for place, share in ((1, 0.5), (2, 0.95)):
        start[place::3, 1] = share * start[place::3, 2]
    losses = _held_losses(fit, Pinned(interior, 2 + own), start).reshape(-1, 3).min(axis=1)
    if boundary is not None:
        line = theta[:, : boundary.size] if at_zero else _line_from(interior, boundary, inside)
        place = len(fit.law.terms) + own
        start = np.repeat(line, len(values), axis=0)
        start[:, place] = values
        losses = np.minimum(losses, _held_losses(fit, Pinned(boundary, place), start))
    return _deviance(fit, losses)


def _held_losses(fit: Fit, form: Form, start: Array) -> Array:
    """Losses (k,) that searches from ``start`` (k, p) end at."""
    problem = np.zeros(len(start), dtype=np.intp)
    return minimise(form, fit.problem.sample, np.ones((1, fit.n)), start, problem, flat=PRECISION).loss


def _line_from(interior: Form, boundary: Form, theta: Array) -> Array:
    """Return a start for the E = 0 form from interior parameters: the same level and terms."""
    parts = [theta[:, :1]]
    if len(boundary.terms) == 2:  # type: ignore[attr-defined]
        parts.append(np.full((len(theta), 1), 0.5))
    for term, at in interior.slots():  # type: ignore[attr-defined]
        parts.append(theta[:, at + 1 : at + 1 + term.size])
    return np.concatenate(parts, axis=1)


def deviance_of_plateau(fit: Fit, values: Sequence[float] | Array) -> Array:
    """Deviance with E held at each value, the rest refitted; shape (k,)."""
    assert fit.optima is not None
    interior, boundary = fit.forms()
    at_zero = fit.optima.at_zero[0]
    theta = fit.optima.theta[:, : boundary.size] if at_zero else _line_from(interior, boundary, fit.optima.theta)
    values = np.asarray(values, float)
    level = float(np.exp(theta[0, 0]))
    # Four starts a value: raising E steepens what is left above it.
    steeper = np.array([0.5, 1.0, 2.0, 5.0])
    held = np.repeat(values, len(steeper))
    start = np.concatenate([np.repeat(theta, len(held), axis=0), held[:, None]], axis=1)
    start[:, 0] = np.log(np.maximum(level - held, 0.05 * level))
    start[:, len(fit.law.terms)] *= np.tile(steeper, len(values))
    losses = _held_losses(fit, Lifted(boundary), start).reshape(-1, len(steeper)).min(axis=1)
    return _deviance(fit, losses)


def _deviance(fit: Fit, losses: Array) -> Array:
    if fit.delta is None:
        # An exact fit has no residuals to compare with.
        least = np.finfo(float).tiny
        return fit.n * np.log(np.maximum(losses, least) / max(fit.loss, least))
    return 4.0 * density_at_zero(fit.residuals()) * (losses - fit.loss) / fit.delta


def density_at_zero(residuals: Array) -> float:
    """Kernel estimate of the residuals' density at 0 (Gaussian kernel, Silverman's robust bandwidth)."""
    quartiles = np.quantile(residuals, [0.25, 0.75])
    scale = min(float(residuals.std()), float(np.diff(quartiles)[0]) / 1.349) or float(residuals.std()) or 1e-12
    width = 0.9 * scale * len(residuals) ** -0.2
    return float(np.exp(-0.5 * (residuals / width) ** 2).mean() / (width * np.sqrt(2.0 * np.pi)))
