"""Prediction intervals: the quantile and the intervals against brute force, the coverage against simulation."""

from __future__ import annotations

import json
import math

import numpy as np
import pandas as pd
import pytest

from vvscale.errors import ShapeError, UnknownNameError, UsageError
from vvscale.laws import calibrate, coverage, fit_law, predict_interval
from vvscale.laws.uncertainty.conformal import weighted_quantile


def simulated(rng: np.random.Generator, n_groups: int, per_group: int = 3, spread: float = 0.1) -> pd.DataFrame:
    """Groups drawn alike: x within a group vary, and all its models share an error."""
    group = np.repeat(np.arange(n_groups), per_group)
    x = 10 ** rng.uniform(0, 4, len(group))
    error = spread * rng.standard_normal(n_groups)[group] + 0.02 * rng.standard_normal(len(group))
    y = (0.3 + 0.5 * x**-0.4) * np.exp(error)
    return pd.DataFrame({"x": x, "misalignment": y, "arch": [f"a{g}" for g in group]})


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    return simulated(np.random.default_rng(0), 20)


@pytest.mark.parametrize("n", [9, 19, 20, 137])
@pytest.mark.parametrize("level", [0.5, 0.8, 0.9])
def test_quantile_is_the_ranked_value(n: int, level: float):
    values = np.random.default_rng(n).standard_normal((n, 3))
    rank = math.ceil(round(level * (n + 1), 9))
    expected = np.sort(values, axis=0)[rank - 1] if rank <= n else np.full(3, np.inf)
    np.testing.assert_array_equal(weighted_quantile(values, np.full(n, 1 / (n + 1)), level), expected)


def test_quantile_by_weights():
    values = np.array([[3.0], [1.0], [2.0]])
    mass = np.array([0.2, 0.5, 0.1])
    assert weighted_quantile(values, mass, 0.5) == 1.0
    assert weighted_quantile(values, mass, 0.55) == 2.0
    assert weighted_quantile(values, mass, 0.8) == 3.0
    # What is left of the mass lies at infinity.
    assert weighted_quantile(values, mass, 0.81) == np.inf


@pytest.mark.parametrize("law", ["power", "ccn"])
def test_intervals_are_those_of_a_loop(table: pd.DataFrame, law: str):
    fit = fit_law(table, x="x", law=law)
    # Residuals of the study's older form are scores, not logs.
    scale, back = (np.log, np.exp) if law == "power" else (np.asarray, np.asarray)
    new = np.array([2.0, 300.0, 1e6])
    found = predict_interval(fit, new, level=0.8)
    lower, upper = [], []
    for arch in table["arch"].unique():
        held = table["arch"] == arch
        without = fit_law(table[~held], x="x", law=law)
        distance = np.abs(scale(without.predict(table["x"][held])) - scale(table["misalignment"][held].to_numpy()))
        for d in distance:
            lower.append(scale(without.predict(new)) - d)
            upper.append(scale(without.predict(new)) + d)
    # 20 groups of 3 rows: the new group takes 1 / 21 of the mass.
    rank = math.ceil(0.8 * 21 / 20 * 60)
    np.testing.assert_allclose(found.upper, back(np.sort(upper, axis=0)[rank - 1]), rtol=1e-5)
    np.testing.assert_allclose(found.lower, back(np.sort(lower, axis=0)[60 - rank]), rtol=1e-5)
    np.testing.assert_allclose(found.predicted, fit.predict(new), rtol=1e-9)
    assert found.n_groups == 20


@pytest.mark.parametrize("spread", [0.0, 0.15])
def test_new_groups_are_covered_as_often_as_promised(spread: float):
    level, inside, by_row = 0.8, [], []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        fit = fit_law(simulated(rng, 40, spread=spread), law="log", x="x")
        fresh = simulated(rng, 150, per_group=1, spread=spread)
        for unit, kept in (("arch", inside), ("row", by_row)):
            made = calibrate(fit, by=unit).interval(fresh, level=level)
            y = fresh["misalignment"].to_numpy()
            kept.append(((made.lower <= y) & (y <= made.upper)).mean())
    # Over calibrations coverage is a beta variable with a standard deviation of about sqrt(.8 x .2 / 41) = .06; the
    # mean of 20 is good to .015, and CV+ errs to the safe side by about 1 / 41.
    assert level - 0.03 < np.mean(inside) < level + 0.06
    assert np.mean(by_row) < np.mean(inside) + 1e-9


def test_a_level_that_the_groups_cannot_back_is_refused(table: pd.DataFrame):
    few = fit_law(table[table["arch"].isin(["a0", "a1", "a2", "a3", "a4"])], x="x")
    with pytest.raises(ShapeError, match=r"5 different values of 'arch'.*here 83\.3%"):
        predict_interval(few, [10.0])
    # 5 / 6 itself is possible.
    assert np.isfinite(predict_interval(few, [10.0], level=5 / 6).upper).all()
    assert np.isfinite(predict_interval(few, [10.0], by="row").upper).all()


def test_bad_requests_explain_themselves(table: pd.DataFrame):
    fit = fit_law(table, x="x")
    with pytest.raises(UsageError, match="between 0 and 1, got 95"):
        predict_interval(fit, [10.0], level=95)
    with pytest.raises(UnknownNameError, match="Unknown column 'x'"):
        predict_interval(fit, pd.DataFrame({"z": [1.0]}))
    with pytest.raises(UsageError, match="Cannot resample by 'family'"):
        predict_interval(fit, [10.0], by="family")
    for wrong in (-1.0, 0.0, -np.inf):
        with pytest.raises(ShapeError, match=f"finite and greater than 0; 'x' has {wrong:g}"):
            predict_interval(fit, [10.0, wrong])
    with pytest.raises(ShapeError, match="one array per input"):
        predict_interval(fit, ([10.0], [3.0]))
    with pytest.raises(ShapeError, match="fewer distinct points"):
        calibrate(fit_law(table[:4], x="x"), by="row")


def test_offset_groups_of_new_models(table: pd.DataFrame):
    table = table.assign(parent_family=np.where(np.arange(len(table)) // 3 % 2, "ViT", "ResNet"))
    table["misalignment"] *= np.where(table["parent_family"] == "ViT", 1.5, 1.0)
    fit = fit_law(table, x="x", offsets=["A"], offset_by="parent_family")
    made = calibrate(fit)
    named = {g: made.interval([10.0], group=g).predicted[0] for g in ("ViT", "ResNet")}
    assert named["ViT"] == pytest.approx(fit.predict([10.0], group="ViT")[0])
    asked = made.interval(pd.DataFrame({"x": [10.0] * 3, "parent_family": ["ViT", "ResNet", "Mamba"]}))
    np.testing.assert_allclose(asked.predicted[:2], list(named.values()))
    assert asked.predicted[2] == pytest.approx(np.sqrt(named["ViT"] * named["ResNet"]))
    assert made.interval([10.0]).predicted[0] == pytest.approx(asked.predicted[2])


def test_many_groups_are_left_out_in_folds():
    fit = fit_law(simulated(np.random.default_rng(0), 130, per_group=1), x="x")
    made = calibrate(fit)
    assert made.n_groups == 130
    assert made.fold.max() + 1 == 10
    different = calibrate(fit, seed=1)
    assert (different.fold != made.fold).any()


# --- coverage ---


def test_coverage_measures_each_situation(table: pd.DataFrame):
    rng = np.random.default_rng(3)
    data = simulated(rng, 60)
    # One family is unlike the others: nothing but leaving it out shows that.
    data["parent_family"] = np.where(np.arange(len(data)) < 30, "odd", np.where(np.arange(len(data)) % 2, "p", "q"))
    data.loc[:29, "misalignment"] *= 1.6
    result = coverage(fit_law(data, x="x", law="log"), level=0.8, n_splits=8)
    rows = result.table().set_index(["situation", "calibrated_by"])["coverage"]
    assert set(rows.index.get_level_values(0)) == {
        "random rows", "unseen arch", "unseen family odd", "unseen family p", "unseen family q", "top 20% of x",
    }  # fmt: skip
    assert abs(rows["unseen arch", "arch"] - 0.8) < 0.1
    assert rows["unseen family odd", "arch"] < 0.3
    assert "unseen family odd" in result.verdict
    assert json.dumps(result.to_dict(), allow_nan=False)
    assert "<table" in result._repr_html_()


def test_coverage_refuses(table: pd.DataFrame):
    fit = fit_law(table, x="x")
    with pytest.raises(UsageError, match="at least 1 split"):
        coverage(fit, n_splits=0)
    with pytest.raises(ShapeError, match="Too few groups for a 98% prediction interval"):
        coverage(fit, level=0.98)


def test_an_interval_is_plain_values(table: pd.DataFrame):
    made = predict_interval(fit_law(table, x="x"), [5.0, 50.0])
    assert list(made.table().columns) == ["x", "predicted", "lower", "upper"]
    assert json.loads(json.dumps(made.to_dict()))["models"][1]["x"] == 50.0
    assert "90% intervals for a new arch" in made._repr_html_()
