"""The solver against scipy on the same objective: linear programs, and a dense multi-start."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import linprog, minimize

from vvscale.laws import LAWS, fit_law
from vvscale.laws.problem import make_problem
from vvscale.laws.solve_law import optimise

N = 36
DELTA = 1e-3
RNG = np.random.default_rng(21)
X, D = np.exp(RNG.uniform(0, 10, N)), np.exp(RNG.uniform(0, 8, N))
NOISE = np.exp(RNG.normal(0, 0.1, N))
TABLES = {
    "power": pd.DataFrame({"x": X, "d": D, "y": (0.5 + 0.5 * X**-0.3) * NOISE}),
    "joint": pd.DataFrame({"x": X, "d": D, "y": (0.5 + 0.3 * X**-0.5 + 0.5 * D**-0.3) * NOISE}),
}


def weights_of(n_resamples: int) -> np.ndarray:
    drawn = np.random.default_rng(42).integers(0, N, (n_resamples, N))
    return np.array([np.bincount(row, minlength=N) for row in drawn], float)


def objective(law: str, log_y: np.ndarray, w: np.ndarray) -> Callable[[np.ndarray], tuple[float, np.ndarray]]:
    """Return the study's objective and its gradient in the study's own parameters e, a, alpha (, b, beta)."""

    def value(theta: np.ndarray) -> tuple[float, np.ndarray]:
        logs = [np.full(N, theta[0]), theta[1] - theta[2] * np.log(X)]
        slopes = [np.log(X)]
        if law == "joint":
            logs.append(theta[3] - theta[4] * np.log(D))
            slopes.append(np.log(D))
        f = np.logaddexp.reduce(logs, axis=0)
        share = np.exp(np.array(logs) - f)
        r = f - log_y
        psi = w * np.clip(r, -DELTA, DELTA)
        loss = w @ np.where(np.abs(r) <= DELTA, r**2 / 2, DELTA * (np.abs(r) - DELTA / 2))
        gradient = [psi @ share[0]]
        for part, slope in zip(share[1:], slopes, strict=True):
            gradient += [psi @ part, -psi @ (part * slope)]
        return float(loss), np.array(gradient)

    return value


def multi_start(law: str, log_y: np.ndarray, w: np.ndarray, n_starts: int) -> float:
    """Return the best of many searches from random starts: BFGS, and for the best ones Nelder and Mead's method."""
    rng = np.random.default_rng(0)
    size = 3 if law == "power" else 5
    low, high = np.array([-3, -3, 0.02, -3, 0.02])[:size], np.array([0, 3, 1.5, 3, 1.5])[:size]
    function = objective(law, log_y, w)
    bounds = [(-30, 3), (-10, 10), (0, 5), (-10, 10), (0, 5)][:size]
    ends = []
    for start in rng.uniform(low, high, (n_starts, size)):
        # The loss is of the order of its threshold: scaled up, it is not taken for converged.
        def scaled(theta: np.ndarray) -> tuple[float, np.ndarray]:
            loss, gradient = function(theta)
            return loss / DELTA, gradient / DELTA

        ends.append(minimize(scaled, start, jac=True, method="L-BFGS-B", bounds=bounds))
    ends.sort(key=lambda end: end.fun)
    polished = [
        minimize(lambda theta: function(theta)[0] / DELTA, end.x, method="Nelder-Mead", bounds=bounds,
                 options={"maxiter": 1500, "xatol": 1e-9, "fatol": 1e-12})
        for end in ends[:2]
    ]  # fmt: skip
    return min(end.fun for end in [*ends, *polished]) * DELTA


@pytest.mark.parametrize("law", ["power", "joint"])
def test_no_start_of_many_does_better(law: str):
    data = TABLES[law]
    problem = make_problem(data, LAWS[law], x=["x", "d"][: len(LAWS[law].inputs)], y="y", delta=DELTA)
    weights = np.concatenate([np.ones((1, N)), weights_of(4)])
    ours = optimise(LAWS[law], problem, weights)
    log_y = np.log(data["y"].to_numpy())
    reached = 0
    for w, loss in zip(weights, ours.loss, strict=True):
        dense = multi_start(law, log_y, w, 100 if law == "power" else 60)
        assert dense >= loss * (1 - 1e-6)
        reached += dense <= loss * (1 + 1e-3)
    # The comparison means something only if the other side gets there as well.
    assert reached >= 4


def lad(design: np.ndarray, goal: np.ndarray, w: np.ndarray, lower: float | None) -> np.ndarray:
    """Return the coefficients of the smallest weighted sum of absolute residuals, by linear programming."""
    n, p = design.shape
    rows = np.block([[design, -np.eye(n)], [-design, -np.eye(n)]])
    bounds = [(lower, None)] * p + [(0, None)] * n
    cost = np.concatenate([np.zeros(p), w])
    solved = linprog(cost, rows, np.concatenate([goal, -goal]), bounds=bounds, method="highs")
    assert solved.status == 0
    return solved.x[:p]


@pytest.mark.parametrize("seed", range(5))
def test_the_line_at_e_zero_is_the_exact_least_absolute_line(seed: int):
    rng = np.random.default_rng(seed)
    # A truth that bends downwards in logs keeps the plateau at 0.
    y = (1.2 - 0.1 * np.log(X)) * np.exp(rng.normal(0, 0.1, N))
    fit = fit_law(pd.DataFrame({"x": X, "y": y}), x="x", y="y", delta=1e-6)
    assert fit.edges == ("E = 0",)
    a, slope = lad(np.stack([np.ones(N), np.log(X)], axis=1), np.log(y), np.ones(N), None)
    exact = np.abs(a + slope * np.log(X) - np.log(y)).sum()
    assert exact - N * 0.5e-6 <= fit.loss / 1e-6 <= exact * (1 + 1e-9)
    assert fit.params["alpha"] == pytest.approx(-slope, rel=1e-3)
    assert np.log(fit.params["A"]) == pytest.approx(a, abs=1e-3)


@pytest.mark.parametrize("seed", range(5))
def test_residuals_of_scores_reach_the_linear_program_over_a_grid(seed: int):
    # On plain residuals the law is linear in E and A: with alpha on a grid, the optimum is a linear program's.
    rng = np.random.default_rng(seed)
    y = 0.5 + 0.5 * X**-0.3 + rng.normal(0, 0.03, N)
    fit = fit_law(pd.DataFrame({"x": X, "y": y}), law="ccn", x="x", y="y", delta=1e-5)
    best = np.inf
    for alpha in np.append(np.linspace(0.02, 1.5, 60), fit.params["alpha"]):
        design = np.stack([np.ones(N), X**-alpha], axis=1)
        best = min(best, np.abs(design @ lad(design, y, np.ones(N), None) - y).sum())
    assert best - N * 0.5e-5 <= fit.loss / 1e-5 <= best * (1 + 1e-9)
