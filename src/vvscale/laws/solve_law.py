"""One law on one problem: its optima for all resamples, their parameters in units of X, and their curves."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from vvscale.laws.forms.terms import ratio_key
from vvscale.laws.solver.search import Optima, solve

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from vvscale.laws.forms.form import Form
    from vvscale.laws.forms.plateau import Vanishing
    from vvscale.laws.forms.terms import Points
    from vvscale.laws.law import Law
    from vvscale.laws.problem import Problem

    Array = NDArray[np.float64]

# Each amplitude with its exponent.
AMPLITUDES = (("A", "alpha"), ("B", "beta"))
# An exponent below this is 0: no range of X that exists would show it.
NO_SLOPE = 1e-9
# In place of a group's index: no group in particular, the average (of the log) over all of them.
AVERAGE = -1


def optimise(
    law: Law, problem: Problem, weights: Array, *, offsets: tuple[str, ...] = (), negative: bool = False
) -> Optima:
    """Fit a law to every row of ``weights`` (B, n), whose columns follow ``problem.frame``."""
    interior, boundary = law.forms(len(problem.groups), offsets, negative=negative)
    starts = interior.starts(problem.sample.points, float(np.median(problem.y)))
    return solve(interior, boundary, problem.sample, weights[:, problem.order], negative=negative, starts=starts)


def natural(law: Law, problem: Problem, optima: Optima, offsets: tuple[str, ...]) -> dict[str, Array]:
    """Parameters of all optima in the problem's units, each (B,); group ratios carry the group's name."""
    interior, boundary = law.forms(len(problem.groups), offsets)
    # Parameters of the E = 0 form mean nothing to the interior one.
    theta = np.where(optima.at_zero[:, None], np.nan, optima.theta)
    values = interior.natural(theta, problem.centre)
    if boundary is not None and optima.at_zero.any():
        at_zero = boundary.natural(optima.theta[:, : boundary.size], problem.centre)
        values = {name: np.where(optima.at_zero, at_zero[name], value) for name, value in values.items()}
    if law.signed_plateau:
        _logarithmic(values)
    names = {
        ratio_key(letter, index): ratio_name(letter, group, problem.groups[0])
        for letter in offsets
        for index, group in enumerate(problem.groups)
    }
    return {names.get(name, name): value for name, value in values.items()}


def _logarithmic(values: dict[str, Array]) -> None:
    """Write a signed law whose exponent is 0 as what it is, a logarithm: E = -inf, A = inf, in place."""
    for letter, exponent in AMPLITUDES:
        if letter in values:
            is_log = (np.abs(values[exponent]) < NO_SLOPE) & (values[letter] > 0.0)
            values["E"] = np.where(is_log, -np.inf, values["E"])
            values[letter] = np.where(is_log, np.inf, values[letter])
            values[exponent] = np.where(is_log, 0.0, values[exponent])


def ratio_name(letter: str, group: str, reference: str) -> str:
    """Name of a group's amplitude relative to that of the reference group, among a fit's parameters."""
    return f"{letter}[{group}]/{letter}[{reference}]"


def derive(law: Law, params: dict[str, Array]) -> dict[str, Array]:
    """Quantities that follow from a law's parameters, each of the same shape.

    S_inf
        Score at infinite X, 1 - E.
    gain
        A 10^-alpha, the misalignment above E that is left ten units into X (the study's figure 5b).
    n_exponent, d_exponent
        Joint law at fixed C ~ N D: N* ~ C^n_exponent, D* ~ C^d_exponent.
    """
    made: dict[str, Array] = {}
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        if law.has_limit:
            made["S_inf"] = 1.0 - params["E"]
        if law.is_power:
            made["gain"] = params["A"] * 10.0 ** -params["alpha"]
        if law.is_joint:
            made["n_exponent"] = params["beta"] / (params["alpha"] + params["beta"])
            made["d_exponent"] = params["alpha"] / (params["alpha"] + params["beta"])
    return made


def curves(forms: tuple[Form, Vanishing | None], optima: Optima, points: Points) -> Array:
    """Log of the predicted outcome of all optima under the interior and the boundary form, shape (B, m)."""
    interior, boundary = forms
    f = np.empty((len(optima.loss), points.u[0].size))
    with np.errstate(over="ignore", invalid="ignore"):
        inside = np.nonzero(~optima.at_zero)[0]
        for rows in np.array_split(inside, max(1, inside.size // 64)):
            f[rows] = interior.evaluate(optima.theta[rows], points).f
        edge = np.nonzero(optima.at_zero)[0]
        if boundary is not None and edge.size:
            for rows in np.array_split(edge, max(1, edge.size // 64)):
                f[rows] = boundary.evaluate(optima.theta[rows, : boundary.size], points).f
    return f


def group_curves(
    forms: tuple[Form, Vanishing | None], optima: Optima, problem: Problem, x: Sequence[Array], group: NDArray[np.intp]
) -> Array:
    """Log of the predicted outcome of all optima at inputs in raw units, (B, m); ``group`` may hold ``AVERAGE``."""
    f = curves(forms, optima, problem.points(x, np.maximum(group, 0)))
    average = group == AVERAGE
    if len(problem.groups) > 1 and average.any():
        at = [np.asarray(value, float)[average] for value in x]
        each = [np.full(len(at[0]), g, dtype=np.intp) for g in range(len(problem.groups))]
        f[:, average] = np.mean([curves(forms, optima, problem.points(at, g)) for g in each], axis=0)
    return f


def half_points(problem: Problem, optima: Optima) -> Array:
    """Where a shifted law has gone half of its way from X = 0 to E, in the unit of X, shape (B,).

    Xbar (1 - rho) (2^(rho / s) - 1) / rho, which stays finite where alpha and lambda are infinite (rho = 0).
    """
    # s and rho follow log P0 and kappa in the interior form, log P0 alone in the boundary form.
    s, rho = (np.where(optima.at_zero, optima.theta[:, at], optima.theta[:, at + 1]) for at in (1, 2))
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        far = np.expm1(np.log(2.0) * rho / s) / rho
        near = np.log(2.0) / s
        return np.exp(problem.centre[0]) * (1.0 - rho) * np.where(rho > 1e-12, far, near)
