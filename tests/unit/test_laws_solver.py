"""Seeded data with a known truth: the solver finds it, for one resample as for many."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from vvscale.laws import LAWS, bootstrap, fit_law
from vvscale.laws.problem import make_problem
from vvscale.laws.solve_law import optimise
from vvscale.laws.solver.search import SCOUTS

RNG = np.random.default_rng(11)
N = 80
X = np.exp(RNG.uniform(0.0, 14.0, N))
D = np.exp(RNG.uniform(0.0, 9.0, N))

# law -> (truth, outcome at X and D); all exact.
TRUTH: dict[str, tuple[dict[str, float], np.ndarray]] = {
    "power": ({"E": 0.5, "A": 0.6, "alpha": 0.2}, 0.5 + 0.6 * X**-0.2),
    "shifted": (
        {"E": 0.5, "A": 9.0, "alpha": 0.6, "lambda": 2.0},
        0.5 + 9.0 * (X + 100.0) ** -0.6,
    ),
    "joint": (
        {"E": 0.5, "A": 0.2, "alpha": 0.55, "B": 0.5, "beta": 0.25},
        0.5 + 0.2 * X**-0.55 + 0.5 * D**-0.25,
    ),
    "product": ({"E": 0.5, "A": 0.6, "alpha": 0.15, "beta": 0.3}, 0.5 + 0.6 * X**-0.15 * D**-0.3),
    "kaplan": (
        {"N_c": 4.0, "alpha_N": 0.08, "D_c": 20.0, "alpha_D": 0.1},
        ((4.0 / X) ** 0.8 + 20.0 / D) ** 0.1,
    ),
    "logistic": ({"E": 0.4, "A": 0.5, "k": 0.9, "midpoint": 3.0}, 0.4 + 0.5 / (1 + (X / 1e3) ** 0.9)),
    "pure-power": ({"A": 0.9, "alpha": 0.05}, 0.9 * X**-0.05),
    "log": ({"intercept": 0.9, "slope": 0.06}, 0.9 - 0.06 * np.log10(X)),
    "constant": ({"E": 0.6}, np.full(N, 0.6)),
    "ccn": ({"E": -0.2, "A": 0.9, "alpha": 0.05}, -0.2 + 0.9 * X**-0.05),
    "ccn-joint": (
        {"E": 0.5, "A": 0.2, "alpha": 0.55, "B": 0.3, "beta": 0.25},
        0.5 + 0.2 * X**-0.55 + 0.3 * D**-0.25,
    ),
}


def table(y: np.ndarray, x: np.ndarray = X, d: np.ndarray = D) -> pd.DataFrame:
    return pd.DataFrame({"x": x, "d": d[: len(x)], "y": y})


def options(law: str, **more: Any) -> dict[str, Any]:
    return {"law": law, "x": ["x", "d"][: len(LAWS[law].inputs)], "y": "y", **more}


@pytest.mark.parametrize("delta", [1e-3, 0.1, None])
@pytest.mark.parametrize("law", list(LAWS))
def test_an_exact_law_is_recovered(law: str, delta: float | None):
    truth, y = TRUTH[law]
    fit = fit_law(table(y), **options(law, delta=delta))
    assert fit.loss < 1e-12
    assert fit.params == pytest.approx(truth, rel=1e-4)
    assert fit.edges == ()


@pytest.mark.parametrize("law", ["power", "shifted", "joint", "product", "logistic", "log", "ccn", "ccn-joint"])
def test_a_third_of_outliers_changes_nothing(law: str):
    truth, y = TRUTH[law]
    rng = np.random.default_rng(4)
    bad = rng.permutation(N)[: int(0.3 * N)]
    y = y * np.exp(rng.normal(0, 1e-5, N))
    y[bad] *= np.exp(rng.choice([-1, 1], len(bad)) * rng.uniform(0.5, 2, len(bad)))
    fit = fit_law(table(y), **options(law))
    assert fit.params == pytest.approx(truth, rel=0.05)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("alpha", [0.02, 0.2, 1.0])
def test_a_pure_power_law_is_recovered_and_called_e_zero_where_it_is(alpha: float, seed: int):
    y = 0.7 * X**-alpha * np.exp(np.random.default_rng(seed).normal(0, 0.05, N))
    fit = fit_law(table(y), **options("power"))
    np.testing.assert_allclose(fit.predict(X), 0.7 * X**-alpha, rtol=0.1)
    assert ("E = 0" in fit.edges) == (fit.params["E"] == 0.0)
    # With E = 0 the law is a line in logs, which may not be better than the law itself.
    line = np.abs(np.log(y) - np.polyval(np.polyfit(np.log(X), np.log(y), 1), np.log(X)))
    assert fit.loss <= (1e-3 * np.maximum(line - 5e-4, 0)).sum() + 1e-9


def test_the_log_law_is_the_limit_of_the_form_without_a_bound_on_e():
    y = 0.9 - 0.06 * np.log10(X) + np.random.default_rng(0).normal(0, 1e-3, N)
    log, signed = fit_law(table(y), **options("log", delta=None)), fit_law(table(y), **options("ccn", delta=None))
    assert abs(signed.params["alpha"]) < 0.05
    level = fit_law(table(y), **options("ccn", delta=None)).predict([1.0, 1e3, 1e6])
    np.testing.assert_allclose(level, log.predict([1.0, 1e3, 1e6]), atol=2e-3)
    bounded = fit_law(table(y), **options("power"))
    assert bounded.params["E"] == 0.0
    assert bounded.edges == ("E = 0",)


@pytest.mark.parametrize("scale", [3e2, 1e3, 3e4])
def test_an_exponential_is_recovered_at_infinite_alpha(scale: float):
    y = 0.4 + 0.5 * np.exp(-X / scale)
    fit = fit_law(table(y), **options("shifted"))
    assert fit.loss < 1e-10
    assert fit.params["E"] == pytest.approx(0.4, rel=1e-5)
    np.testing.assert_allclose(fit.predict([scale / 3, scale]), 0.4 + 0.5 * np.exp([-1 / 3, -1]), rtol=1e-4)


@pytest.mark.parametrize("seed", range(5))
def test_four_points(seed: int):
    rng = np.random.default_rng(seed)
    x = np.array([1.0, 10.0, 100.0, 1000.0])
    fit = fit_law(table(0.4 + 0.4 * x**-0.3, x), **options("power"))
    assert fit.loss < 1e-12
    assert fit.params == pytest.approx({"E": 0.4, "A": 0.4, "alpha": 0.3}, rel=1e-4)
    y = 0.4 + 0.4 * x**-0.3 + rng.normal(0, 0.02, 4)
    noisy = fit_law(table(y, x), **options("power", negative=True))
    # Three parameters pass through three of four points; an absolute loss pays for the fourth alone.
    assert noisy.loss < 1e-3 * np.abs(np.log(y / (0.4 + 0.4 * x**-0.3))).sum()
    assert (np.abs(noisy.residuals()) < 1.1e-3).sum() >= 2


@pytest.mark.parametrize("alpha", [-0.05, -0.4, -1.5])
def test_negative_exponents(alpha: float):
    x = np.geomspace(1.0, 1e3, N)
    y = 0.3 + 0.01 * x**-alpha
    fit = fit_law(table(y, x), **options("power", negative=True))
    assert fit.loss < 1e-10
    assert fit.params == pytest.approx({"E": 0.3, "A": 0.01, "alpha": alpha}, rel=1e-3)


@pytest.mark.parametrize("law", ["power", "shifted", "joint", "product"])
def test_a_law_that_may_not_rise_is_flat_on_rising_data(law: str):
    rng = np.random.default_rng(3)
    y = 0.3 * X**0.1 * D**0.05 * np.exp(rng.normal(0, 0.05, N))
    fit = fit_law(table(y), **options(law))
    for name in ("alpha", "beta"):
        assert fit.params.get(name, 0.0) >= 0
    # Flat is the median, and nothing that falls is better.
    level = np.log(y) - np.median(np.log(y))
    flat = np.where(np.abs(level) < 1e-3, level**2 / 2, 1e-3 * (np.abs(level) - 5e-4)).sum()
    assert fit.loss <= flat * (1 + 1e-9)
    # Below all rows a term may rise without end that only lifts the first of them.
    np.testing.assert_allclose(fit.predict(*([10.0, 1e6] for _ in options(law)["x"])), np.median(y), rtol=0.02)
    rising = fit_law(table(y), **options(law, negative=True))
    assert rising.loss < 0.9 * fit.loss


def noisy(law: str, seed: int, noise: float = 0.1, n: int = 60) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    return table(TRUTH[law][1] * np.exp(rng.normal(0, noise, N))).head(n)


@pytest.mark.parametrize("law", ["power", "joint", "shifted", "logistic", "log", "ccn"])
def test_the_order_of_rows_does_not_matter(law: str):
    data = noisy(law, 1)
    one = fit_law(data, **options(law))
    for seed in range(3):
        other = fit_law(data.sample(frac=1, random_state=seed), **options(law))
        np.testing.assert_allclose(other.loss, one.loss, rtol=1e-9)


@pytest.mark.parametrize("law", ["power", "joint", "log", "constant", "ccn"])
def test_a_resample_alone_is_as_good_as_among_others(law: str):
    data = noisy(law, 2)
    problem = make_problem(data, LAWS[law], x=options(law)["x"], y="y", delta=1e-3)
    rng = np.random.default_rng(5)
    # More than the scouts, so that both halves of the search are seen.
    weights = np.stack([np.bincount(rng.integers(0, 60, 60), minlength=60) for _ in range(3 * SCOUTS)]).astype(float)
    together = optimise(LAWS[law], problem, weights)
    for row in rng.integers(0, len(weights), 6):
        alone = optimise(LAWS[law], problem, weights[row : row + 1])
        np.testing.assert_allclose(alone.loss[0], together.loss[row], rtol=1e-9)
        assert alone.at_zero[0] == together.at_zero[row]


def test_a_resample_is_the_same_as_the_rows_written_out():
    data = noisy("power", 3)
    fit = fit_law(data, **options("power"))
    boot = bootstrap(fit, 8, by="row")
    drawn = np.random.default_rng(42).integers(0, 60, (8, 60))
    for row in range(8):
        again = fit_law(data.iloc[drawn[row]], **options("power"))
        np.testing.assert_allclose(boot.loss[row], again.loss, rtol=1e-8)


def test_agreement_counts_starts():
    easy = fit_law(table(TRUTH["power"][1]), **options("power"))
    assert 0 < easy.agreement <= 1
    assert easy.optima is not None
    assert 1 <= easy.optima.n_agree[0] <= easy.optima.n_starts[0]
    boot = bootstrap(fit_law(noisy("joint", 2), **options("joint")), 30, by="row")
    assert ((boot.agreement > 0) & (boot.agreement <= 1)).all()
