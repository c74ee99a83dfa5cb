"""Profile likelihoods: zero at the fit, what a grid of refits gives, intervals."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize_scalar

from vvscale.errors import UsageError
from vvscale.laws import fit_law, profile
from vvscale.laws.solver.deviance import density_at_zero
from vvscale.laws.uncertainty.jackknife import jackknife
from vvscale.laws.uncertainty.profile import CHI_SQUARE_95

N = 60
RNG = np.random.default_rng(2)
X = np.geomspace(1.0, 1e5, N)
D = np.exp(RNG.uniform(0, 8, N))
NOISE = np.exp(RNG.normal(0, 0.05, N))
XY = {"x": "x", "y": "y"}
POWER = pd.DataFrame({"x": X, "d": D, "y": (0.4 + 0.5 * X**-0.4) * NOISE})
JOINT = POWER.assign(y=(0.4 + 0.4 * X**-0.4 + 0.5 * D**-0.6) * NOISE)
LINE = POWER.assign(y=(0.8 - 0.05 * np.log(X)) * NOISE)


def huber(r: np.ndarray) -> float:
    r = np.abs(r)
    return float(np.where(r < 1e-3, r**2 / 2, 1e-3 * (r - 5e-4)).sum())


@pytest.mark.parametrize("parameter", ["E", "alpha"])
@pytest.mark.parametrize("delta", [1e-3, None])
def test_the_fit_is_at_zero_and_nothing_is_below(parameter: str, delta: float | None):
    for table, law, x in ((POWER, "power", "x"), (JOINT, "joint", ["x", "d"]), (LINE, "power", "x")):
        fit = fit_law(table, law=law, x=x, y="y", delta=delta)
        best = fit.params[parameter]
        made = profile(fit, parameter, [best, best * 0.8 + 0.01, best * 1.1 + 0.01])
        assert made.deviance[0] == pytest.approx(0, abs=1e-4)
        assert made.deviance.min() >= -1e-4
        assert made.deviance[1:].min() > 0


@pytest.mark.parametrize("plateau", [0.0, 0.3, 0.38, 0.41])
def test_a_held_plateau_is_refitted_as_well_as_by_hand(plateau: float):
    fit = fit_law(POWER, **XY, delta=None)
    # Least squares of log residuals with E and alpha held: one amplitude, found by a search in one dimension.
    target = np.log(POWER["y"].to_numpy())

    def rest(alpha: float) -> float:
        def cost(log_a: float) -> float:
            return float(((np.log(plateau + np.exp(log_a) * X**-alpha) - target) ** 2).sum())

        return float(minimize_scalar(cost, bounds=(-6, 3), method="bounded", options={"xatol": 1e-9}).fun)

    best = min(rest(alpha) for alpha in np.linspace(0.01, 1.2, 240))
    deviance = profile(fit, "E", [plateau]).deviance[0]
    by_hand = N * np.log(best / (2 * fit.loss))
    assert deviance <= by_hand + 1e-6
    assert deviance == pytest.approx(by_hand, rel=0.02, abs=0.02)


@pytest.mark.parametrize("alpha", [0.1, 0.3, 0.5, 0.8])
def test_a_held_exponent_is_refitted_as_well_as_by_linear_programming(alpha: float):
    from scipy.optimize import linprog

    fit = fit_law(POWER.assign(y=POWER["y"]), **XY, law="power")
    deviance = profile(fit, "alpha", [alpha]).deviance[0]
    # With alpha held the curve is linear in E and A; relative residuals are nearly log residuals.
    y = POWER["y"].to_numpy()
    design = np.stack([np.ones(N), X**-alpha], axis=1) / y[:, None]
    rows = np.block([[design, -np.eye(N)], [-design, -np.eye(N)]])
    cost = np.concatenate([np.zeros(2), np.ones(N)])
    solved = linprog(cost, rows, np.concatenate([np.ones(N), -np.ones(N)]), method="highs")
    by_hand = huber(np.log(np.maximum(design @ solved.x[:2], 1e-9)))
    scale = 4 * density_at_zero(fit.residuals()) / 1e-3
    assert deviance <= scale * (by_hand - fit.loss) + 1e-4
    assert deviance >= scale * (by_hand - fit.loss) * 0.8 - 0.5


def test_the_interval_is_where_the_deviance_is_small():
    fit = fit_law(POWER, **XY)
    made = profile(fit, "alpha")
    inside = np.nonzero(made.deviance <= CHI_SQUARE_95)[0]
    low, high = made.interval
    assert made.values[inside[0] - 1] < low <= made.values[inside[0]]
    assert made.values[inside[-1]] <= high < made.values[inside[-1] + 1]
    # The ends are where a straight line between two grid values crosses the cut.
    assert np.interp(low, made.values, made.deviance) == pytest.approx(CHI_SQUARE_95)
    assert np.interp(high, made.values, made.deviance) == pytest.approx(CHI_SQUARE_95)
    assert made.interval[0] < fit.params["alpha"] < made.interval[1]
    assert made.has_ends == (True, True)
    assert made.table().columns.tolist() == ["alpha", "deviance"]


def test_dependent_rows_widen_it_by_the_inflation_of_the_parameter():
    shift = np.exp(np.random.default_rng(0).normal(0, 0.15, 12))[np.arange(N) % 12]
    fit = fit_law(POWER.assign(y=POWER["y"] * shift, arch=np.arange(N) % 12), **XY)
    alone, grouped = profile(fit, "alpha"), profile(fit, "alpha", by="arch")
    spread = {by: jackknife(fit, by=by).standard_error("alpha") for by in ("arch", "row")}
    assert grouped.inflation == pytest.approx(max(1.0, (spread["arch"] / spread["row"]) ** 2))
    assert alone.inflation == 1.0
    assert grouped.interval[0] <= alone.interval[0] < alone.interval[1] <= grouped.interval[1]


def test_an_end_that_the_rows_do_not_set_is_infinite_and_said():
    held = profile(fit_law(POWER, **XY), "alpha", [0.3, 0.4])
    assert held.interval[1] == np.inf
    assert not held.has_ends[1]


def test_the_default_grid_of_e_holds_the_fit():
    assert profile(fit_law(POWER, **XY)).values[0] == 0.0
    low = POWER.copy()
    low.loc[30, "y"] = 0.05
    fit = fit_law(low, **XY)
    assert fit.params["E"] > 0.05
    made = profile(fit, "E")
    assert made.interval[0] < fit.params["E"] < made.interval[1]


@pytest.mark.parametrize("law", ["shifted", "product", "joint"])
def test_e_of_every_law_with_a_plateau(law: str):
    x = "x" if law == "shifted" else ["x", "d"]
    y = 0.4 + 9.0 * (X + 100) ** -0.6 if law == "shifted" else 0.4 + 0.4 * X**-0.3 * D**-0.2
    y = JOINT["y"] if law == "joint" else y * NOISE
    fit = fit_law(POWER.assign(y=y), law=law, x=x, y="y")
    made = profile(fit, "E", np.append(np.linspace(0, 0.5, 26), fit.params["E"]))
    assert made.deviance.min() >= -1e-4
    assert made.deviance[-1] == pytest.approx(0, abs=1e-2)
    assert made.interval[0] <= fit.params["E"] <= made.interval[1]


def test_exact_data_have_a_profile_too():
    exact = POWER.assign(y=0.4 + 0.5 * X**-0.4)
    for delta in (1e-3, None):
        made = profile(fit_law(exact, **XY, delta=delta), "alpha", [0.2, 0.4, 0.8])
        assert np.isfinite(made.deviance).all()
        assert made.deviance[1] < made.deviance[0]
        assert made.deviance[1] < made.deviance[2]


def test_refusals():
    for law in ("log", "constant", "logistic", "ccn"):
        with pytest.raises(UsageError, match=f"Cannot profile 'E' of the law '{law}'"):
            profile(fit_law(POWER, law=law, **XY), "E")
    # The slope at the centre, which could be held, is not the exponent of these laws.
    for law, x in (("shifted", "x"), ("product", ["x", "d"])):
        with pytest.raises(UsageError, match="for alpha of power and joint"):
            profile(fit_law(JOINT, law=law, x=x, y="y"), "alpha")
    with pytest.raises(UsageError, match="'A'"):
        profile(fit_law(POWER, **XY), "A")


def test_the_density_at_zero_is_that_of_the_residuals():
    rng = np.random.default_rng(0)
    for scale in (0.01, 1.0):
        normal = density_at_zero(rng.normal(0, scale, 4000))
        assert normal == pytest.approx(1 / (scale * np.sqrt(2 * np.pi)), rel=0.1)


def test_a_grid_that_ends_before_its_cut_is_extended():
    # A low outlier and a weak plateau: the default grid ends at 1.2 times the fit, the rows allow far more.
    rng = np.random.default_rng(0)
    y = (0.4 + 0.5 * X**-0.1) * np.exp(rng.normal(0, 0.1, N) + rng.normal(0, 0.2, 12)[np.arange(N) % 12])
    y[30] *= 0.2
    fit = fit_law(POWER.assign(y=y), **XY)
    made = profile(fit)
    assert made.interval[1] > 1.3 * fit.params["E"]
    assert made.has_ends == (False, True)
    assert "has no lower end" in made.sentence
    assert np.interp(made.interval[1], made.values, made.deviance) == pytest.approx(CHI_SQUARE_95)
