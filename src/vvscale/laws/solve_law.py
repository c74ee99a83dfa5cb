"""One law on one problem: its optima for all resamples, their parameters in units of X, and their curves."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from vvscale.laws.solver.search import Optima, solve

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from vvscale.laws.forms.plateau import Vanishing
    from vvscale.laws.forms.terms import Points
    from vvscale.laws.law import Law
    from vvscale.laws.problem import Problem
    from vvscale.laws.solver.newton import Form

    Array = NDArray[np.float64]


def optimise(
    law: Law, problem: Problem, weights: Array, *, offsets: tuple[str, ...] = (), negative: bool = False
) -> Optima:
    """Fit a law to every row of ``weights`` (B, n), whose columns follow ``problem.frame``."""
    interior, boundary = law.forms(len(problem.groups), offsets, negative=negative)
    starts = None
    if not law.terms:
        starts = interior.starts(problem.sample.points, float(np.median(problem.y)))  # type: ignore[attr-defined]
    return solve(interior, boundary, problem.sample, weights[:, problem.order], negative=negative, starts=starts)


def natural(law: Law, problem: Problem, optima: Optima, offsets: tuple[str, ...]) -> dict[str, Array]:
    """Parameters of all optima in the problem's units, each (B,); group ratios carry the group's name."""
    interior, boundary = law.forms(len(problem.groups), offsets)
    # Parameters of the E = 0 form mean nothing to the interior one.
    theta = np.where(optima.at_zero[:, None], np.nan, optima.theta)
    values = interior.natural(theta, problem.centre)  # type: ignore[attr-defined]
    if boundary is not None and optima.at_zero.any():
        at_zero = boundary.natural(optima.theta[:, : boundary.size], problem.centre)
        values = {name: np.where(optima.at_zero, at_zero[name], value) for name, value in values.items()}
    return {_group_name(name, problem.groups): value for name, value in values.items()}


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
    name = law.name
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        if law.has_limit and name != "constant":
            made["S_inf"] = 1.0 - params["E"]
        if name in {"power", "ccn"}:
            made["gain"] = params["A"] * 10.0 ** -params["alpha"]
        if name in {"joint", "ccn-joint"}:
            made["n_exponent"] = params["beta"] / (params["alpha"] + params["beta"])
            made["d_exponent"] = params["alpha"] / (params["alpha"] + params["beta"])
    return made


def _group_name(name: str, groups: tuple[str, ...]) -> str:
    stem, ratio, index = name.partition("_ratio_")
    return f"{stem}[{groups[int(index)]}]/{stem}[{groups[0]}]" if ratio else name


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
