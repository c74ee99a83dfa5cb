"""Degrees of freedom of a CRV3 variance: on how many groups does a quantity rest?

Groups may be many, but the curve at the largest input rests on the few that lie there, and an amplitude on those at the
other end. To first order a quantity moves with the residuals of the rows by sum_i a_i e_i. With residuals of one group
correlated by r, group g contributes the variance

    s_g = (1 - r) sum_(i in g) a_i^2 + r (sum_(i in g) a_i)^2,

and the quantity rests on (sum s)^2 / sum s^2 groups, of which one degree of freedom is the estimate's own. Without this
t intervals of curves cover .93 and less in simulations, with it .95 (docs/coverage.md).

Source: Bell & McCaffrey 2002 and Imbens & Kolesar 2016 for degrees of freedom from a working covariance; Carter,
Schnepel & Steigerwald 2017 for the number of groups.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from vvscale.laws.solve_law import curves
from vvscale.laws.solver.search import Optima
from vvscale.laws.uncertainty.intervals import degrees_of_freedom

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from vvscale.laws.fit import Fit

    Array = NDArray[np.float64]

# Step of the central differences, relative to each of the solver's parameters, which are of the order of 1.
STEP = 1e-5


@dataclass(frozen=True)
class Leverage:
    """What a fit's parameters owe to each row.

    Attributes
    ----------
    moved
        The optimum with each of its p parameters moved up, then with each moved down, 2 p optima.
    steps
        Distance between the two, shape (p,).
    weights
        What a residual of 1 at each row moves each parameter by, shape (p, n).
    code
        Group of each row, shape (n,).
    intraclass
        Correlation of residuals within a group, 0 to 1.
    """

    moved: Optima = field(repr=False)
    steps: Array = field(repr=False)
    weights: Array = field(repr=False)
    code: NDArray[np.intp] = field(repr=False)
    intraclass: float

    def degrees(self, quantity: Callable[[Optima], Array]) -> Array:
        """Degrees of freedom of quantities, (m,), at least 1.

        Parameters
        ----------
        quantity
            Values (B, m) of the quantities at B optima.
        """
        values = quantity(self.moved)
        half = len(values) // 2
        with np.errstate(invalid="ignore", over="ignore"):
            slopes = (values[:half] - values[half:]) / self.steps[:, None]
        # An infinite value has no slope; one that does not move at all rests on nothing: groups count by their rows.
        rows = _scaled(np.nan_to_num(slopes, nan=0.0, posinf=0.0, neginf=0.0).T) @ self.weights
        n_groups = int(self.code.max()) + 1
        shares = np.stack([self._shares(row, n_groups) for row in _scaled(rows)])
        sizes = np.bincount(self.code).astype(float)
        return np.array([degrees_of_freedom(each if each.sum() > 0 else sizes) for each in shares])

    def _shares(self, row: Array, n_groups: int) -> Array:
        """Variance (G,) that each group contributes to a quantity with these weights of the rows (n,)."""
        alone = np.bincount(self.code, row**2, n_groups)
        together = np.bincount(self.code, row, n_groups) ** 2
        return (1.0 - self.intraclass) * alone + self.intraclass * together


def _scaled(rows: Array) -> Array:
    """Divide each row by its largest size; only their proportions count, and the squares of some would overflow."""
    largest = np.abs(rows).max(axis=1, keepdims=True)
    return rows / np.where(largest > 0, largest, 1.0)


def leverage(fit: Fit, code: NDArray[np.intp], intraclass: float) -> Leverage:
    """What the parameters of a fit owe to each row, and through it to each group.

    Parameters
    ----------
    fit
        The fit.
    code
        Group of each row of ``fit.problem.frame``, shape (n,).
    intraclass
        Correlation of residuals within a group.
    """
    assert fit.optima is not None
    interior, boundary = fit.forms()
    form = boundary if boundary is not None and fit.optima.at_zero[0] else interior
    theta = fit.optima.theta[0, : form.size]
    steps = STEP * np.maximum(np.abs(theta), STEP)
    both = np.full((2 * form.size, fit.optima.theta.shape[1]), np.nan)
    both[:, : form.size] = theta + np.concatenate([np.diag(steps), -np.diag(steps)])
    first = fit.optima.take(np.zeros(len(both), dtype=np.intp))
    moved = replace(first, theta=both)
    problem = fit.problem
    f = curves(fit.forms(), moved, problem.points(problem.raw, problem.group))
    values = f if fit.law.log_residuals else np.exp(f)
    jacobian = np.nan_to_num((values[: form.size] - values[form.size :]) / (2.0 * steps[:, None]))
    # Parameters of very different size would be lost to rounding.
    size = np.linalg.norm(jacobian, axis=1)
    size[size == 0.0] = 1.0
    weights = np.linalg.pinv((jacobian / size[:, None]).T) / size[:, None]
    return Leverage(moved, 2.0 * steps, weights, code, min(max(intraclass, 0.0), 1.0))
