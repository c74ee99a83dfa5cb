"""The batched Newton method against scipy, and the ways in which it spares work."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import approx_fprime, least_squares, linprog

from vvscale.laws.forms.plateau import Plateau, Vanishing
from vvscale.laws.forms.terms import Points, Term
from vvscale.laws.solver.expansion import expand
from vvscale.laws.solver.newton import SAME, Minima, minimise
from vvscale.laws.solver.sample import Sample
from vvscale.laws.solver.steps import solve_definite

LINE, POWER, SHIFTED = Vanishing((Term(),)), Plateau((Term(),)), Plateau((Term("shifted"),))
PRODUCT, JOINT = Plateau((Term("blend"),)), Plateau((Term(), Term(column=1)))


def flat_sample(u: np.ndarray, target: np.ndarray, delta: float, *, log: bool = True, v: np.ndarray | None = None):
    columns = (u,) if v is None else (u, v)
    return Sample(Points(columns, np.zeros(len(u), dtype=np.intp)), (len(u),), target, log, delta)


def noisy(n: int, seed: int, noise: float = 0.1) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    u = rng.uniform(-4, 4, n)
    u -= u.mean()
    return u, np.log(0.4 + 0.3 * np.exp(-0.5 * u)) + rng.normal(0, noise, n)


def solve_one(form, sample: Sample, start: list[float], weights: np.ndarray | None = None, **options) -> Minima:
    weights = np.ones((1, len(sample.target))) if weights is None else weights
    return minimise(form, sample, weights, np.array([start]), np.zeros(1, dtype=np.intp), **options)


def loss_at(form, sample: Sample, weights: np.ndarray, theta: np.ndarray) -> float:
    """Return the objective, written out row by row."""
    f = form.evaluate(theta[None], sample.points).f[0]
    f = np.concatenate([f[:size] for size in sample.layers])
    r = np.abs((f if sample.log else np.exp(f)) - sample.target)
    return float(weights @ np.where(r <= sample.delta, r**2 / 2, sample.delta * (r - sample.delta / 2)))


def lad_optimum(u: np.ndarray, target: np.ndarray, weights: np.ndarray) -> float:
    """Return the smallest weighted sum of |a - s u - target|, by linear programming."""
    n = len(u)
    design = np.stack([np.ones(n), -u], axis=1)
    rows = np.block([[design, -np.eye(n)], [-design, -np.eye(n)]])
    cost = np.concatenate([np.zeros(2), weights])
    bounds = [(None, None)] * 2 + [(0, None)] * n
    solved = linprog(cost, rows, np.concatenate([target, -target]), bounds=bounds, method="highs")
    assert solved.status == 0
    return float(solved.fun)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("delta", [1e-3, 1e-5])
def test_the_line_reaches_the_linear_program(seed: int, delta: float):
    u, target = noisy(80, seed)
    weights = np.random.default_rng(seed).integers(0, 4, 80).astype(float)
    sample = flat_sample(u, target, delta)
    coarse = solve_one(LINE, flat_sample(u, target, 30 * delta), [0.0, 0.1], weights[None])
    found = solve_one(LINE, sample, list(coarse.theta[0]), weights[None])
    exact = lad_optimum(u, target, weights)
    # delta |r| - delta^2 / 2 <= Huber <= delta |r| brackets the loss of the optimum from both sides.
    assert exact - weights.sum() * delta / 2 <= found.loss[0] / delta <= exact * (1 + 1e-12)
    assert found.gradient[0] < 1e-6


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(("delta", "loss"), [(1e12, "linear"), (0.05, "huber")])
@pytest.mark.parametrize("log", [True, False])
def test_curves_reach_scipy_least_squares(seed: int, delta: float, loss: str, log: bool):
    u, target = noisy(60, seed)
    target = target if log else np.exp(target)
    sample = flat_sample(u, target, delta, log=log)

    def residual(theta: np.ndarray) -> np.ndarray:
        f = POWER.evaluate(theta[None], sample.points).f[0]
        return (f if log else np.exp(f)) - target

    ours = solve_one(POWER, sample, [-0.3, 0.15, 0.4])
    bounds = ([-np.inf, 0, 0.01], [np.inf, 3, 3])
    theirs = least_squares(residual, [-0.3, 0.15, 0.4], loss=loss, f_scale=min(delta, 1.0), xtol=1e-14, ftol=1e-14,
                           gtol=1e-14, bounds=bounds)  # fmt: skip
    assert ours.loss[0] <= theirs.cost * (1 + 1e-9)
    np.testing.assert_allclose(ours.theta[0], theirs.x, rtol=2e-4, atol=1e-6)
    assert ours.gradient[0] < 1e-7


@pytest.mark.parametrize(
    ("form", "theta"),
    [
        (POWER, [-0.5, 0.1, 0.4]),
        (SHIFTED, [-0.5, 0.1, 0.4, 0.3]),
        (LINE, [-0.5, 0.1]),
        (JOINT, [-0.5, 0.1, 0.4, 0.1, 0.3]),
    ],
)
@pytest.mark.parametrize("log", [True, False])
def test_gradient_and_curvature_of_the_loss(form, theta: list[float], log: bool):
    u, target = noisy(40, 3)
    sample = flat_sample(u, target if log else np.exp(target), 0.05, log=log, v=np.sin(u) * 2)
    weights = np.random.default_rng(0).integers(0, 3, 40).astype(float)
    at = np.array(theta)
    loss, gradient, hessian, metric = expand(form, sample, weights[None], at[None])
    np.testing.assert_allclose(loss[0], loss_at(form, sample, weights, at), rtol=1e-13)
    slope = approx_fprime(at, lambda t: loss_at(form, sample, weights, t), 1e-7)
    np.testing.assert_allclose(gradient[0], slope, rtol=1e-4, atol=1e-5)
    bend = approx_fprime(at, lambda t: expand(form, sample, weights[None], t[None])[1][0], 1e-7)
    np.testing.assert_allclose(hessian[0], bend, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(hessian[0], hessian[0].T, rtol=1e-12)
    assert np.linalg.eigvalsh(metric[0]).min() > 0


def pooled_sample() -> tuple[Sample, Sample, np.ndarray]:
    """Return 5 points with 4, 3, 3, 1 and 1 rows, in layers and as twelve points of one row, and weights."""
    u = np.array([-2.0, -1.0, 0.5, 1.0, 1.5])
    layers = (5, 3, 3, 1)
    rows = np.concatenate([u[:size] for size in layers])
    target = np.log(0.4 + 0.3 * np.exp(-0.5 * rows)) + np.random.default_rng(5).normal(0, 0.1, 12)
    sample = Sample(Points((u,), np.zeros(5, dtype=np.intp)), layers, target, True, 1e-3)
    return sample, flat_sample(rows, target, 1e-3), np.random.default_rng(6).integers(0, 3, (3, 12)).astype(float)


def test_layers_are_only_a_layout():
    layered, flat, weights = pooled_sample()
    f = POWER.evaluate(np.array([[-0.3, 0.15, 0.4]]), layered.points).f
    spread = POWER.evaluate(np.array([[-0.3, 0.15, 0.4]]), flat.points).f
    np.testing.assert_allclose(layered.residuals(f), flat.residuals(spread), rtol=1e-14)
    np.testing.assert_allclose(layered.losses(f), flat.losses(spread), rtol=1e-12)
    values = np.arange(24.0).reshape(2, 12)
    expected = [[row[flat.points.u[0] == u].sum() for u in layered.points.u[0]] for row in values]
    np.testing.assert_allclose(layered.pooled(values), expected)
    start, which = np.tile([-0.3, 0.15, 0.4], (3, 1)), np.arange(3)
    one = minimise(POWER, layered, weights, start, which)
    other = minimise(POWER, flat, weights, start, which)
    np.testing.assert_allclose(one.loss, other.loss, rtol=1e-12)


def test_a_weight_is_a_repeated_row():
    u, target = noisy(20, 2)
    weights = np.random.default_rng(1).integers(0, 4, 20)
    repeated = flat_sample(np.repeat(u, weights), np.repeat(target, weights), 1e-3)
    one = solve_one(POWER, flat_sample(u, target, 1e-3), [-0.3, 0.15, 0.4], weights[None].astype(float))
    other = solve_one(POWER, repeated, [-0.3, 0.15, 0.4])
    np.testing.assert_allclose(one.loss, other.loss, rtol=1e-12)
    np.testing.assert_allclose(one.theta, other.theta, rtol=1e-6)


def test_a_batch_is_the_same_problems_one_by_one_to_what_counts_as_the_same():
    u, target = noisy(30, 4)
    sample = flat_sample(u, target, 1e-2)
    rng = np.random.default_rng(8)
    weights = rng.integers(0, 3, (700, 30)).astype(float)
    starts = np.tile([-0.3, 0.15, 0.4], (1000, 1)) * rng.uniform(0.5, 1.5, (1000, 1))
    problem = rng.integers(0, 700, 1000)
    kept = starts.copy()
    together = minimise(POWER, sample, weights, starts, problem)
    np.testing.assert_array_equal(starts, kept)
    assert np.isfinite(together.loss).all()
    for k in rng.integers(0, 1000, 25):
        alone = minimise(POWER, sample, weights, starts[k : k + 1], problem[k : k + 1])
        # A search that comes this close to what another of its batch found has found it again, and stops.
        np.testing.assert_allclose(alone.loss[0], together.loss[k], rtol=SAME)
    best = np.full(700, np.inf)
    np.minimum.at(best, problem, together.loss)
    for k in rng.integers(0, 1000, 25):
        of_this = np.nonzero(problem == problem[k])[0]
        alone = [minimise(POWER, sample, weights, starts[i : i + 1], problem[i : i + 1]).loss[0] for i in of_this]
        np.testing.assert_allclose(min(alone), best[problem[k]], rtol=1e-10)
        np.testing.assert_allclose(
            together.loss[k], loss_at(POWER, sample, weights[problem[k]], together.theta[k]), rtol=1e-12
        )


@pytest.mark.parametrize(
    ("form", "start", "curve", "place", "bound"),
    [
        # Truth beyond the edge: sharper than an exponential, softer than a power law, only N, only D.
        (SHIFTED, [-0.7, 0.1, 0.4, 0.4], lambda u, v: 0.3 + 0.4 * np.exp(-np.exp(2 * u)), 3, 0.0),
        (SHIFTED, [-0.7, 0.1, 0.4, 0.4], lambda u, v: 0.3 + 0.1 * np.exp(-u) / (1 + 0.2 * np.exp(-u)), 3, None),
        (PRODUCT, [-0.7, 0.1, 0.4, 0.4], lambda u, v: 0.3 + 0.4 * np.exp(-0.8 * u + 0.05 * v), 3, 1.0),
        (PRODUCT, [-0.7, 0.1, 0.4, 0.4], lambda u, v: 0.3 + 0.4 * np.exp(-0.8 * v + 0.05 * u), 3, 0.0),
    ],
)
@pytest.mark.parametrize("delta", [1e-2, 1e12])
def test_bounds_hold_and_are_worth_holding(form, start, curve, place: int, bound: float | None, delta: float):
    rng = np.random.default_rng(9)
    u, v = rng.uniform(-2, 2, (2, 80))
    sample = flat_sample(u, np.log(curve(u, v)) + rng.normal(0, 0.02, 80), delta, v=v)
    found = solve_one(form, sample, start)
    weights = np.ones(80)
    theta = found.theta[0]
    assert 0 <= theta[place] <= 1
    if bound is None:
        assert 0 < theta[place] < 1
    else:
        assert theta[place] == bound
    # Karush-Kuhn-Tucker: no free parameter has a slope, a held one points out of the box.
    assert found.gradient[0] < 1e-6
    step = 1e-6
    for i in range(form.size):
        for sign in (-1, 1):
            moved = theta.copy()
            moved[i] += sign * step
            if i != place or 0 <= moved[i] <= 1:
                assert loss_at(form, sample, weights, moved) >= found.loss[0] * (1 - 1e-9)
    if bound is not None:
        inward = theta.copy()
        inward[place] += step if bound == 0.0 else -step
        assert loss_at(form, sample, weights, inward) > found.loss[0]


def test_a_known_optimum_ends_the_search_early():
    u, target = noisy(60, 1)
    sample = flat_sample(u, target, 1e-3)
    best = solve_one(POWER, sample, [-0.3, 0.15, 0.4])
    again = solve_one(POWER, sample, [-0.3, 0.15, 0.4], known=best.loss)
    assert best.loss[0] <= again.loss[0] <= best.loss[0] * (1 + 1e-6)
    never = solve_one(POWER, sample, [-0.3, 0.15, 0.4], known=np.array([np.inf]))
    assert never.loss[0] == best.loss[0]


def test_a_search_that_steps_into_a_known_optimum_ends_there():
    u, target = noisy(60, 1)
    sample = flat_sample(u, target, 1e-3)
    best = solve_one(POWER, sample, [-0.3, 0.15, 0.4])
    again = solve_one(POWER, sample, [-0.5, 0.1, 0.6], optima=best)
    np.testing.assert_array_equal(again.theta, best.theta)
    assert again.loss[0] == best.loss[0]
    # What is worse than what a search finds does not stop it, however near it lies.
    worse = Minima(best.theta * (1 + 1e-4), best.loss * 1.01, best.gradient)
    past = solve_one(POWER, sample, [-0.3, 0.15, 0.4], optima=worse, reach=1e-12)
    assert past.loss[0] <= best.loss[0] * (1 + 1e-9)
    nothing = Minima(np.full((1, 3), np.nan), np.array([np.inf]), np.array([np.inf]))
    assert solve_one(POWER, sample, [-0.3, 0.15, 0.4], optima=nothing).loss[0] == best.loss[0]


def test_an_inadmissible_start_ends_at_infinity_and_not_in_an_error():
    u, target = noisy(20, 1)
    signed = Plateau((Term(),), signed=True)
    found = solve_one(signed, flat_sample(u, target, 1e-3), [0.0, 30.0, 0.5])
    assert found.loss[0] == np.inf


def test_the_batched_elimination_solves_and_sees_indefinite_matrices():
    rng = np.random.default_rng(0)
    for p in (1, 2, 3, 5, 8):
        square = rng.normal(size=(40, p, p))
        matrix = square @ square.transpose(0, 2, 1) + 0.1 * np.eye(p)
        matrix[::2] -= 3 * np.eye(p)
        right = rng.normal(size=(40, p))
        expected = np.linalg.solve(matrix, right[:, :, None])[:, :, 0]
        solved, definite = solve_definite(matrix.transpose(1, 2, 0).copy(), right.T.copy())
        solved = solved.T
        np.testing.assert_array_equal(definite, np.linalg.eigvalsh(matrix).min(axis=1) > 0)
        np.testing.assert_allclose(solved[definite], expected[definite], rtol=1e-8, atol=1e-10)
