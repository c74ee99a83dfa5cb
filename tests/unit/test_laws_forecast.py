"""Hold-outs: which rows are forecast, and that a forecast is that of a law fitted to the rest alone."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from vvscale.errors import DataError, ShapeError, UsageError
from vvscale.laws import fit_law, hold_out
from vvscale.laws.comparison.baselines import MEAN
from vvscale.laws.comparison.holdout import training_rows
from vvscale.laws.comparison.pooled import fit_pooled


def table(n: int = 60, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    x = 10 ** rng.uniform(13, 18, n)
    y = (0.3 + 0.5 * (x / 1e13) ** -0.2) * np.exp(0.02 * rng.standard_normal(n))
    return pd.DataFrame({"train_flop": x, "misalignment": y})


def test_splits_by_name():
    x = np.array([1.0, 5, 10, 50, 100, 500, 1000, 5000, 10000, 20000])
    assert training_rows("top 20%", x).tolist() == [True] * 8 + [False] * 2
    assert training_rows("low 30%", x).tolist() == [True] * 3 + [False] * 7
    np.testing.assert_array_equal(training_rows("top decade", x), x <= 2000)
    np.testing.assert_array_equal(training_rows("top 2 decades", x), x <= 200)
    np.testing.assert_array_equal(training_rows("low 2 decades", x), x <= 100)
    np.testing.assert_array_equal(training_rows("top 0.5 decades", x), x <= 20000 / 10**0.5)


def test_equal_compute_stays_together():
    x = np.repeat([1.0, 2.0, 3.0, 4.0], 5)
    train = training_rows("top 30%", x)
    assert all(len(set(train[x == value])) == 1 for value in x)


def test_a_forecast_is_that_of_a_fit_to_the_rest():
    data = table()
    rows = hold_out(data, laws=["power", "log"], splits=["top 20%", "low 2 decades"]).table()
    x, y = data["train_flop"].to_numpy(), data["misalignment"].to_numpy()
    for (split, law), row in (
        rows[~rows["law"].isin(["last value", "mean of top tenth"])].set_index(["split", "law"]).iterrows()
    ):
        train = training_rows(split, x)
        fit = fit_law(data[train], law=law)
        error = fit.predict(x[~train]) - y[~train]
        assert row["n_train"] == train.sum()
        assert row["n_test"] == (~train).sum()
        assert row["rmse"] == pytest.approx(np.sqrt((error**2).mean()), rel=1e-4)
        assert row["bias"] == pytest.approx(error.mean(), rel=1e-3, abs=1e-6)


def test_naive_forecasts_by_hand():
    x = np.array([1.0, 2, 4, 8, 16, 32, 32, 64, 64, 128])
    y = np.array([0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.5, 0.3, 0.3, 0.2])
    data = pd.DataFrame({"train_flop": x, "misalignment": y})
    train = x <= 32
    rows = hold_out(data, laws=["constant"], splits={"mine": train}).table().set_index("law")
    # Both rows at 32 are the last, and the top tenth; the constant is a median.
    assert rows.loc["last value", "bias"] == pytest.approx(0.45 - (0.3 + 0.3 + 0.2) / 3)
    assert rows.loc["mean of top tenth", "bias"] == pytest.approx(rows.loc["last value", "bias"])
    assert rows.loc["constant", "bias"] == pytest.approx(0.6 - 0.8 / 3, abs=1e-3)
    assert rows["is_naive"].all()
    assert rows["skill"].max() == 0.0


def test_the_true_law_beats_the_naive_ones():
    result = hold_out(table(200), laws=["power", "constant", "log"], splits=["top decade"])
    rows = result.table()
    assert rows["law"].iloc[0] == "power"
    assert rows["skill"].iloc[0] > 0.2
    assert result.verdict.startswith("top decade: 1 of 1 laws beat the best naive forecast")
    assert "Cross-validation within the training rows picks power" in result.verdict
    assert rows.set_index("law").loc["power", ["is_chosen", "gap"]].tolist() == [True, 0.0]
    assert rows["rmse"].is_monotonic_increasing


def test_no_law_may_beat_the_naive_ones():
    # What was reached stays: the last value is right, and a power law expects more to come.
    x = np.geomspace(1e13, 1e18, 40)
    data = pd.DataFrame({"train_flop": x, "misalignment": np.maximum(0.9 * (x / 1e13) ** -0.1, 0.5)})
    result = hold_out(data, laws=["power"], splits={"rest": x < 1e16})
    assert result.verdict == "rest: no law beats 'last value' (RMSE 0.000)."


def test_a_line_that_crosses_zero_forecasts_zero():
    x = np.array([1.0, 10, 100, 1e3, 1e6, 1e7])
    data = pd.DataFrame({"train_flop": x, "misalignment": [0.9, 0.7, 0.5, 0.3, 0.2, 0.2]})
    rows = hold_out(data, laws=["log"], splits={"far": x < 1e4}).table().set_index("law")
    assert rows.loc["log", "bias"] == pytest.approx(-0.2, abs=1e-9)


def test_too_few_training_points_are_missing_not_wrong():
    data = table(30)
    train = np.arange(30) < 4
    result = hold_out(data, laws=["shifted", "constant"], splits={"few": train})
    rows = result.table().set_index("law")
    assert np.isnan(rows.loc["shifted", "rmse"])
    assert rows.index[-1] == "shifted"
    assert result.verdict.endswith("The training rows are too few to fit shifted.")
    assert json.loads(json.dumps(result.to_dict(), allow_nan=False))["forecasts"][-1]["rmse"] is None


def test_laws_in_n_and_d_split_by_compute():
    data = table(80)
    rng = np.random.default_rng(1)
    data["n_params"] = 10 ** rng.uniform(6, 8, 80)
    data["samples_seen"] = data["train_flop"] / data["n_params"]
    rows = hold_out(data, laws=["power", "kaplan"], splits=["top 20%"]).table().set_index("law")
    assert rows.loc["power", "n_test"] == rows.loc["kaplan", "n_test"] == 16
    without = hold_out(data.drop(columns="train_flop"), laws=["kaplan"], splits=["top 20%"]).table().set_index("law")
    assert without.loc["kaplan", "rmse"] == pytest.approx(rows.loc["kaplan", "rmse"])


def families(n: int, seed: int, effect: float) -> pd.DataFrame:
    """A table whose families differ in how much their data help; N and D vary."""
    rng = np.random.default_rng(seed)
    data = pd.DataFrame({"n_params": 10 ** rng.uniform(5, 8, n), "samples_seen": 10 ** rng.uniform(5, 9, n)})
    data["parent_family"] = [f"f{k % 4}" for k in range(n)]
    data["arch"] = [f"a{k % 20}" for k in range(n)]
    data["train_flop"] = 6 * data["n_params"] * data["samples_seen"]
    slope = 0.15 + effect * (np.arange(n) % 4)
    y = 0.3 + 0.3 * (data["n_params"] / 1e5) ** -0.5 + 0.6 * (data["samples_seen"] / 1e5) ** -slope
    return data.assign(misalignment=y * np.exp(0.01 * rng.standard_normal(n)))


def test_the_pooled_law_learns_from_every_family_and_falls_back_to_the_mean():
    data = families(200, 0, effect=0.1)
    n, d, y = (data[c].to_numpy() for c in ("n_params", "samples_seen", "misalignment"))
    law = fit_pooled(n, d, y, data, "parent_family")
    told = law.predict(n, d, data["parent_family"].tolist())
    assert np.abs(np.log(told / y)).mean() < 0.012
    assert law.table()["beta"].is_monotonic_increasing
    unseen = law.predict(n, d, ["new"] * len(n))
    each = [law.predict(n, d, [name] * len(n)).mean() for name in law.groups]
    assert min(each) < unseen.mean() < max(each)


def test_trees_win_where_the_form_lacks_something_and_only_there():
    pytest.importorskip("sklearn")
    data = families(240, 1, effect=0.0)
    laws = ["joint", "constant", "trees", "pooled"]
    splits = {"odd": np.arange(240) % 2 == 0}
    right = hold_out(data, laws=laws, splits=splits)
    assert right.trees_win == {"odd": False}
    # A step that no power law has.
    data["misalignment"] += 0.3 * (data["n_params"] < 3e6) - 0.2 * (data["samples_seen"] > 3e7)
    data["misalignment"] += 0.3
    wrong = hold_out(data, laws=laws, splits=splits)
    assert wrong.trees_win == {"odd": True}
    assert "the laws' form lacks something" in wrong.verdict


def test_the_mean_of_law_and_trees_is_the_mean_of_both_and_no_law_to_be_beaten():
    pytest.importorskip("sklearn")
    data = families(240, 2, effect=0.05)
    splits = {"odd": np.arange(240) % 2 == 0}
    alone = hold_out(data, laws=["joint", "constant", MEAN], splits=splits).table().set_index("law")
    found = hold_out(data, laws=["joint", "constant", "trees", "pooled", MEAN], splits=splits)
    rows = found.table().set_index("law")
    # Errors average, so that their means do.
    assert rows.loc[MEAN, "bias"] == pytest.approx(rows.loc[["pooled", "trees"], "bias"].mean(), abs=1e-12)
    assert rows.loc[MEAN, "rmse"] < rows.loc[["pooled", "trees"], "rmse"].max()
    assert rows.loc[MEAN, "rmse_se"] > 0
    # The same whether its parts are asked for or not, and they are shown only where they are.
    assert alone.loc[MEAN, "rmse"] == rows.loc[MEAN, "rmse"]
    assert set(alone.index) - {"last value", "mean of top tenth"} == {"joint", "constant", MEAN}
    assert not rows.loc[MEAN, "is_naive"]
    assert not rows.loc[MEAN, "is_chosen"]
    assert " of 2 laws beat" in found.verdict or "no law beats" in found.verdict
    assert f"The mean of it and of trees: {rows.loc[MEAN, 'rmse']:.3f}" in found.verdict


def test_a_baseline_that_cannot_be_fitted_is_refused_by_name():
    with pytest.raises(DataError, match="Cannot forecast with 'pooled': the table has no column 'n_params'"):
        hold_out(table(), laws=["power", "pooled"], splits=["top 20%"])
    assert "pooled" in hold_out(table(), splits=["top 20%"]).left_out


@pytest.mark.parametrize(
    ("splits", "error", "text"),
    [
        (["upper half"], UsageError, "Unknown split 'upper half'"),
        (["top 100%"], UsageError, "more than 0% and less than 100%"),
        (["top 90 decades"], ShapeError, "no row to train on"),
        (["low 90 decades"], ShapeError, "no row to forecast"),
        ([], UsageError, "No split given"),
        ({"mine": np.ones(3, dtype=bool)}, ShapeError, "60 rows are complete"),
    ],
)
def test_bad_splits_explain_themselves(splits: list, error: type, text: str):
    with pytest.raises(error, match=text):
        hold_out(table(), laws=["constant"], splits=splits)


def test_a_result_is_plain_values():
    result = hold_out(table(), laws=["power"], splits=["top 20%"])
    assert "top 20%" in result._repr_html_()
    assert json.dumps(result.to_dict(), allow_nan=False)


def test_default_splits_that_leave_nothing_are_named_not_fatal():
    data = table()
    data["train_flop"] = 1e13 * (data["train_flop"] / 1e13) ** 0.3
    made = hold_out(data, laws=["power"])
    assert set(made.table()["split"]) == {"top 20%", "top decade"}
    assert set(made.left_out) == {"top 2 decades", "low 2 decades"}
