"""The mixed model against a dense likelihood, a grid, and sets with a known truth."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize
from scipy.stats import multivariate_normal

from vvscale.errors import ShapeError, UsageError
from vvscale.laws import fit_law
from vvscale.laws.uncertainty.likelihood import Likelihood
from vvscale.laws.uncertainty.mixed import fit_mixed


def table(seed: int, *, family: float = 0.05, arch: float = 0.05, n_seeds: int = 2) -> pd.DataFrame:
    """Three families of four architectures, six sizes of data each, two seeds; E = .4, A = .6, alpha = .25."""
    rng = np.random.default_rng(seed)
    grid = pd.MultiIndex.from_product([range(12), range(6), range(n_seeds)], names=["a", "d", "seed"]).to_frame(
        index=False
    )
    x = 10.0 ** (grid["d"] + 0.3 * (grid["a"] % 4))
    log_y = (
        np.log(0.4 + 0.6 * x**-0.25)
        + family * rng.normal(size=3)[grid["a"] // 4]
        + arch * rng.normal(size=12)[grid["a"]]
    )
    cell = 0.02 * rng.normal(size=72)[grid["a"] * 6 + grid["d"]]
    return pd.DataFrame(
        {
            "train_flop": x,
            "misalignment": np.exp(log_y + cell + 0.01 * rng.normal(size=len(grid))),
            "arch": [f"a{k}" for k in grid["a"]],
            "parent_family": [f"f{k // 4}" for k in grid["a"]],
            "samples_per_class": grid["d"],
            "seed": grid["seed"],
        }
    )


def dense_deviance(data: pd.DataFrame, theta: np.ndarray, held: float | None = None) -> float:
    """-2 log likelihood of cell means, by the covariance matrix itself; theta = (E, log A, alpha, three log sd)."""
    cells = data.assign(log_y=np.log(data["misalignment"])).groupby(["arch", "samples_per_class"], as_index=False)
    cells = cells.agg(log_y=("log_y", "mean"), x=("train_flop", "first"), family=("parent_family", "first"))
    plateau = theta[0] if held is None else held
    mean = np.log(plateau + np.exp(theta[1]) * (cells["x"] / 1e13) ** -theta[2])
    same = [np.equal.outer(cells[c].to_numpy(), cells[c].to_numpy()) for c in ("family", "arch")]
    variances = np.exp(2 * np.asarray(theta[3:]))
    cov = variances[0] * same[0] + variances[1] * same[1] + variances[2] * np.eye(len(cells))
    return -2 * float(multivariate_normal(mean, cov).logpdf(cells["log_y"]))


@pytest.fixture(scope="module")
def data() -> pd.DataFrame:
    return table(0)


def test_estimates_are_those_of_a_dense_likelihood(data: pd.DataFrame):
    made = fit_mixed(fit_law(data))
    start = [
        made.params["E"],
        np.log(made.params["A"]),
        made.params["alpha"],
        *(np.log(s) for s in made.spread.values()),
    ]
    found = minimize(
        lambda t: dense_deviance(data, t),
        start,
        method="Nelder-Mead",
        options={"maxiter": 1500, "xatol": 1e-7, "fatol": 1e-9},
    )
    assert dense_deviance(data, np.array(start)) == pytest.approx(found.fun, abs=1e-4)
    assert made.params["E"] == pytest.approx(found.x[0], abs=2e-4)
    assert list(made.spread) == ["family", "arch", "cell"]
    assert made.n_cells == 72
    # The end of E's profile has the deviance it should.
    low = made.intervals["E"][0]
    ends = minimize(
        lambda t: dense_deviance(data, t, low),
        found.x,
        method="Nelder-Mead",
        options={"maxiter": 1500, "xatol": 1e-7, "fatol": 1e-9},
    )
    assert ends.fun - found.fun == pytest.approx(3.841, abs=0.05)


def test_most_sets_cover_the_truth_narrowly():
    covered, widths = 0, []
    for seed in range(10):
        low, high = fit_mixed(fit_law(table(seed)), levels=("family", "arch")).intervals["E"]
        covered += low <= 0.4 <= high
        widths.append(high - low)
    assert covered >= 8
    assert np.median(widths) < 0.06


def test_levels_that_the_table_lacks_are_left_out(data: pd.DataFrame):
    assert fit_mixed(fit_law(data), levels=("arch",)).n_groups == {"arch": 12}
    one = data[data["parent_family"] == "f0"]
    assert fit_mixed(fit_law(one)).n_groups == {"arch": 4}
    with pytest.raises(ShapeError, match="at least two architectures or families"):
        fit_mixed(fit_law(data.drop(columns=["arch", "parent_family"])))


def test_an_exponent_of_the_allocation_has_a_profile():
    rng = np.random.default_rng(1)
    arch = np.arange(120) % 12
    n, d = 10 ** rng.uniform(5, 8, 12)[arch], 10 ** rng.uniform(5, 9, 120)
    y = 0.4 + 0.2 * (n / 1e5) ** -0.5 + 0.5 * (d / 1e4) ** -0.25
    y = y * np.exp(0.02 * rng.normal(size=12)[arch] + 0.01 * rng.normal(size=120))
    data = pd.DataFrame({"n_params": n, "samples_seen": d, "misalignment": y, "arch": arch})
    made = fit_mixed(fit_law(data, law="joint", x=["n_params", "samples_seen"]))
    low, high = made.intervals["n_exponent"]
    assert low < made.params["n_exponent"] < high
    assert low < 0.25 / 0.75 < high
    assert made.intervals["d_exponent"] == pytest.approx((1 - high, 1 - low), abs=2e-3)


def test_what_cannot_be_mixed_is_refused(data: pd.DataFrame):
    with pytest.raises(UsageError, match="log residuals"):
        fit_mixed(fit_law(data, law="ccn"))
    with pytest.raises(UsageError, match="Unknown level 'lab'"):
        fit_mixed(fit_law(data), levels=("lab",))


def test_it_is_a_plain_value_that_says_what_it_disagrees_with(data: pd.DataFrame):
    made = fit_mixed(fit_law(data))
    assert json.loads(json.dumps(made.to_dict(), allow_nan=False))["ci"]["E"] == list(made.intervals["E"])
    assert made.table().set_index("parameter").loc["E", "fit"] == made.least_absolute["E"]
    assert made.sentence.startswith("Random intercepts of 3 family, 12 arch over 72 cells")


@pytest.mark.parametrize("levels", [("family", "arch"), ("arch",)])
def test_the_gradient_is_that_of_the_deviance(data: pd.DataFrame, levels: tuple[str, ...]):
    of = Likelihood.of(fit_law(data), levels)
    # log A, alpha, E, and the log of each ratio of variances.
    at = np.array([-1.0, 0.3, 0.3, *[0.7, -0.4][: len(levels)]])
    _, gradient = of.deviance(at)
    for k in range(len(at)):
        step = np.zeros(len(at))
        step[k] = 1e-6
        slope = (of.deviance(at + step)[0] - of.deviance(at - step)[0]) / 2e-6
        assert gradient[k] == pytest.approx(slope, rel=1e-4, abs=1e-4)
