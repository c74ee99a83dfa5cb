"""t intervals from leaving out each group, and the groups that a quantity rests on."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from vvscale.laws import Fit, bootstrap, fit_law
from vvscale.laws.uncertainty import jackknife as jackknife_module
from vvscale.laws.uncertainty.jackknife import jackknife

XY: dict[str, Any] = {"x": "x", "y": "y"}


def table(x: np.ndarray, arch: np.ndarray, spread: float = 0.1, noise: float = 0.03) -> pd.DataFrame:
    rng = np.random.default_rng(1)
    log = rng.normal(0, spread, arch.max() + 1)[arch] + rng.normal(0, noise, len(x))
    return pd.DataFrame({"x": x, "y": (0.4 + 0.5 * x**-0.4) * np.exp(log), "arch": arch})


@pytest.fixture(scope="module")
def uneven() -> Fit:
    rng = np.random.default_rng(0)
    return fit_law(table(np.exp(rng.uniform(0, 9, 90)), rng.integers(0, 12, 90)), **XY)


def by_hand(fit: Fit, gradient: np.ndarray, correlation: float) -> float:
    """Groups that a quantity with this gradient by E, A and alpha rests on, less one; in natural parameters."""
    frame, (e, a, alpha) = fit.problem.frame, fit.params.values()
    x = frame["x"].to_numpy()
    y = e + a * x**-alpha
    jacobian = np.stack([np.ones_like(x), x**-alpha, -a * np.log(x) * x**-alpha], axis=1) / y[:, None]
    rows = gradient @ np.linalg.solve(jacobian.T @ jacobian, jacobian.T)
    parts = []
    for name in frame["arch"].unique():
        own = rows[(frame["arch"] == name).to_numpy()]
        covariance = (1 - correlation) * np.eye(len(own)) + correlation
        parts.append(own @ covariance @ own)
    return np.sum(parts) ** 2 / np.sum(np.square(parts)) - 1


def anova(residual: np.ndarray, arch: pd.Series) -> float:
    """Intraclass correlation of a one-way analysis of variance."""
    grouped = pd.Series(residual).groupby(arch.to_numpy())
    n, size = len(residual), grouped.size().to_numpy()
    between = (size * (grouped.mean() - residual.mean()) ** 2).sum() / (len(size) - 1)
    within = (grouped.var(ddof=1).fillna(0.0) * (size - 1)).sum() / (n - len(size))
    typical = (n - (size**2).sum() / n) / (len(size) - 1)
    return float((between - within) / (between + (typical - 1) * within))


def test_degrees_of_freedom_are_those_of_the_groups_that_a_quantity_rests_on(uneven: Fit):
    made, (_, a, alpha) = jackknife(uneven), uneven.params.values()
    correlation = anova(uneven.residuals(), uneven.problem.frame["arch"])
    assert 0.5 < correlation < 1
    for name, gradient in (("E", [1, 0, 0]), ("A", [0, 1, 0]), ("alpha", [0, 0, 1])):
        assert made.degrees(name) == pytest.approx(by_hand(uneven, np.array(gradient), correlation), rel=1e-4), name
    at = 3.0
    gradient = np.array([1, at**-alpha, -a * np.log(at) * at**-alpha])
    low, high = made.curve([at])
    logs = made.refits.log_curves([np.array([at])])
    error = np.sqrt(11 / 12 * ((logs[:, 0] - np.log(uneven.predict([at])[0])) ** 2).sum())
    reach = stats.t.ppf(0.975, by_hand(uneven, gradient, correlation)) * error
    assert np.log([low[0], high[0]]) == pytest.approx(np.log(uneven.predict([at])[0]) + np.array([-reach, reach]))


def test_equal_groups_count_in_full():
    fit = fit_law(table(np.tile(np.geomspace(1, 1e4, 8), 9), np.repeat(np.arange(9), 8)), **XY)
    made = jackknife(fit)
    assert [made.degrees(name) for name in ("E", "A", "alpha", "S_inf")] == pytest.approx([8.0] * 4, rel=1e-6)


def test_quantities_are_evaluated_once_whatever_is_asked_in_which_order(uneven: Fit, monkeypatch):
    calls, plain = [], jackknife_module.natural
    made, alone = jackknife(uneven), jackknife(uneven)
    monkeypatch.setattr(jackknife_module, "natural", lambda *args: calls.append(1) or plain(*args))
    table = made.table().set_index("quantity")
    assert len(calls) == 1
    assert {name: alone.degrees(name) for name in reversed(table.index)} == dict(table["degrees"])


def test_a_plateau_that_one_group_holds_has_one_degree_of_freedom():
    arch = np.repeat(np.arange(12), 5)
    x = np.tile(np.geomspace(1, 100, 5), 12) * np.where(arch == 11, 1e8, 1.0)
    made = jackknife(fit_law(table(x, arch), **XY))
    assert made.degrees("E") == pytest.approx(1.0, abs=0.05)
    assert np.diff(made.interval("E")) > 12 * 2 * made.standard_error("E")


def test_a_plateau_at_its_edge_counts_groups_by_their_rows():
    rng, arch = np.random.default_rng(0), np.repeat(np.arange(5), [30, 10, 10, 5, 5])
    x = np.exp(rng.uniform(0, 9, 60))
    fit = fit_law(pd.DataFrame({"x": x, "y": 2 * x**-0.1 * np.exp(rng.normal(0, 0.01, 60)), "arch": arch}), **XY)
    made = jackknife(fit)
    if fit.params["E"] == 0:
        assert made.degrees("E") == pytest.approx(60**2 / (30**2 + 2 * 10**2 + 2 * 5**2) - 1)
    assert np.isfinite(made.table()["degrees"]).all()
    assert (made.table()["degrees"] >= 1).all()


def test_a_bootstrap_of_few_units_gives_the_intervals_of_the_jackknife():
    rng = np.random.default_rng(3)
    fit = fit_law(table(np.exp(rng.uniform(0, 9, 60)), rng.integers(0, 6, 60)), **XY)
    boot, made = bootstrap(fit, 100), jackknife(fit)
    assert boot.method == "CRV3-t"
    for name in (*fit.params, "S_inf", "gain"):
        assert boot.interval(name) == pytest.approx(made.interval(name)), name
    np.testing.assert_allclose(boot.curve([2.0, 1e5]), made.curve([2.0, 1e5]))


@pytest.mark.parametrize("unit", [1e-250, 1e250])
def test_degrees_of_freedom_do_not_depend_on_the_unit_of_a_quantity(uneven: Fit, unit: float):
    leverage = jackknife(uneven).leverage
    plain = leverage.degrees(lambda optima: optima.theta[:, :2])
    assert leverage.degrees(lambda optima: unit * optima.theta[:, :2]) == pytest.approx(plain, rel=1e-6)
