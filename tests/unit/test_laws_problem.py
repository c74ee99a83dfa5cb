"""What a table must be to be fitted: every refusal names the row or the column."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from vvscale.errors import (
    ConfigError,
    DataError,
    MissingDataError,
    ShapeError,
    UnknownNameError,
    UsageError,
    VvscaleError,
)
from vvscale.laws import LAWS, bootstrap, fit_law
from vvscale.laws.fit import fit_rows
from vvscale.laws.problem import MAX_LAYERS, make_problem

X = np.geomspace(1.0, 1e4, 24)
TABLE = pd.DataFrame(
    {
        "model_id": [f"model_{i:02d}" for i in range(24)],
        "compute": X,
        "samples": X[::-1] ** 0.5 * np.tile([1.0, 3.0], 12),
        "loss": 0.3 + 0.5 * X**-0.4,
        "kind": ["a", "b", "c"] * 8,
    }
)
POWER = {"x": "compute", "y": "loss"}


def with_cell(column: str, row: int, value: Any, *, named: bool = True) -> pd.DataFrame:
    table = TABLE.astype({column: object}) if isinstance(value, str) else TABLE.copy()
    table.loc[row, column] = value
    return table if named else table.drop(columns="model_id")


BAD: dict[str, tuple[pd.DataFrame, dict[str, Any], type[VvscaleError], int, list[str]]] = {
    "misspelt x": (TABLE, {"x": "compte", "y": "loss"}, UnknownNameError, 2, ["'compte'", "Did you mean 'compute'?"]),
    "misspelt y": (TABLE, {"x": "compute", "y": "los"}, UnknownNameError, 2, ["'los'", "Did you mean 'loss'?"]),
    "misspelt group": (
        TABLE,
        {**POWER, "offsets": ["A"], "offset_by": "knd"},
        UnknownNameError,
        2,
        ["'knd'", "Did you mean 'kind'?"],
    ),
    "misspelt unit": (TABLE, {**POWER, "units": {"compte": 2.0}}, UnknownNameError, 2, ["'compte'", "'compute'"]),
    "misspelt law": (TABLE, {**POWER, "law": "powr"}, UnknownNameError, 2, ["'powr'", "Did you mean 'power'?"]),
    "NaN in x": (with_cell("compute", 6, np.nan), POWER, MissingDataError, 3, ["compute", "NaN", "model_06"]),
    "NaN in y": (
        with_cell("loss", 6, np.nan, named=False),
        POWER,
        MissingDataError,
        3,
        ["loss", "NaN", "row 7", "`missing="],
    ),
    "text in x": (with_cell("compute", 4, "n/a"), POWER, DataError, 3, ["'compute'", "'model_04'", "'n/a'"]),
    "text in y": (with_cell("loss", 4, "high"), POWER, DataError, 3, ["'loss'", "'model_04'", "'high'"]),
    "text among text": (
        with_cell("compute", 4, "n/a", named=False).astype({"compute": "str"}),
        POWER,
        DataError,
        3,
        ["'compute'", "row 5 has 'n/a'"],
    ),
    "inf in x": (with_cell("compute", 7, np.inf), POWER, DataError, 3, ["'compute'", "inf", "'model_07'", "finite"]),
    "inf in y": (with_cell("loss", 7, -np.inf), POWER, DataError, 3, ["'loss'", "-inf", "'model_07'", "finite"]),
    "zero x": (with_cell("compute", 9, 0.0), POWER, DataError, 3, ["'compute'", "'model_09'", "greater than 0"]),
    "negative x": (
        with_cell("compute", 9, -2.0, named=False),
        POWER,
        DataError,
        3,
        ["'compute'", "-2", "row 10", "greater than 0"],
    ),
    "zero misalignment": (with_cell("loss", 3, 0.0), POWER, DataError, 3, ["'loss'", "'model_03'", '`law="ccn"`']),
    "negative misalignment": (with_cell("loss", 3, -0.1), POWER, DataError, 3, ["'loss'", "-0.1", "'model_03'"]),
    "too few rows": (TABLE[:2], POWER, ShapeError, 3, ["'power' has 3 parameters", "only 2 rows"]),
    "too few rows for offsets": (
        TABLE[:4],
        {**POWER, "offsets": ["A"], "offset_by": "kind"},
        ShapeError,
        3,
        ["5 parameters", "only 4 rows"],
    ),
    "too few rows for two offsets": (
        TABLE[:8],
        {"law": "joint", "x": ["compute", "samples"], "y": "loss", "offsets": ["A", "B"], "offset_by": "kind"},
        ShapeError,
        3,
        ["9 parameters", "only 8 rows"],
    ),
    "too few points": (
        TABLE.assign(compute=[1.0, 10.0] * 12),
        POWER,
        ShapeError,
        3,
        ["3 parameters", "24 rows", "2 distinct points"],
    ),
    "one distinct x": (TABLE.assign(compute=5.0), POWER, ShapeError, 3, ["'compute'", "one distinct value, 5"]),
    "one distinct second x": (
        TABLE.assign(samples=5.0),
        {"law": "joint", "x": ["compute", "samples"], "y": "loss"},
        ShapeError,
        3,
        ["'samples'", "one distinct value, 5"],
    ),
    "nothing left": (
        TABLE.assign(loss=np.nan),
        {**POWER, "missing": "drop"},
        ShapeError,
        3,
        ["No row is left", "loss is missing"],
    ),
    "nothing left, groups": (
        TABLE.assign(loss=np.nan),
        {**POWER, "offsets": ["A"], "offset_by": "kind", "missing": "drop"},
        ShapeError,
        3,
        ["No row is left", "loss is missing"],
    ),
    "an empty table": (TABLE[:0], POWER, ShapeError, 3, ["No row is left", "the table is empty"]),
    "delta 0": (TABLE, {**POWER, "delta": 0.0}, UsageError, 2, ["must be positive", "got 0"]),
    "delta < 0": (TABLE, {**POWER, "delta": -1e-3}, UsageError, 2, ["must be positive", "got -0.001"]),
    "delta NaN": (TABLE, {**POWER, "delta": np.nan}, UsageError, 2, ["must be positive", "got nan"]),
    "delta inf": (TABLE, {**POWER, "delta": np.inf}, UsageError, 2, ["finite", "got inf"]),
    "unit 0": (TABLE, {**POWER, "units": {"compute": 0.0}}, UsageError, 2, ["'compute'", "positive", "got 0"]),
    "one x for two": (TABLE, {**POWER, "law": "joint"}, UsageError, 2, ["2 input column(s) (N, D)", "got 1: compute"]),
    "two x for one": (
        TABLE,
        {"x": ["compute", "samples"], "y": "loss"},
        UsageError,
        2,
        ["1 input column(s) (X)", "got 2: compute, samples"],
    ),
    "offsets on a law without": (
        TABLE,
        {**POWER, "law": "log", "offsets": ["A"], "offset_by": "kind"},
        ConfigError,
        2,
        ["'log' cannot have group offsets on 'A'", "it allows none"],
    ),
    "offsets on the wrong amplitude": (
        TABLE,
        {**POWER, "offsets": ["B"], "offset_by": "kind"},
        ConfigError,
        2,
        ["'power' cannot have group offsets on 'B'", "it allows A"],
    ),
    "offsets on a product": (
        TABLE,
        {"law": "product", "x": ["compute", "samples"], "y": "loss", "offsets": ["A"], "offset_by": "kind"},
        ConfigError,
        2,
        ["'product' cannot have group offsets"],
    ),
    "offsets of no group": (TABLE, {**POWER, "offsets": ["A"]}, UsageError, 2, ["offsets on A", "`offset_by`"]),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_refused_in_one_paragraph(name: str):
    table, options, kind, exit_code, words = BAD[name]
    kept = table.copy()
    with pytest.raises(kind) as caught:
        fit_law(table, **options)
    text = str(caught.value)
    assert caught.value.exit_code == exit_code
    assert "\n" not in text
    for word in words:
        assert word in text
    pd.testing.assert_frame_equal(table, kept)


def test_bootstrap_refusals():
    fit = fit_law(TABLE, **POWER)
    with pytest.raises(UsageError, match="at least 1, got 0") as caught:
        bootstrap(fit, 0, by="row")
    assert caught.value.exit_code == 2
    with pytest.raises(UnknownNameError, match=r"'knd'.*Did you mean 'kind'"):
        bootstrap(fit, 10, by="knd")
    with pytest.raises(UsageError, match=r"'arch': the table has none of its columns \(arch\)"):
        bootstrap(fit, 10, by="arch")
    few = fit_law(TABLE[:4], **POWER)
    with pytest.raises(ShapeError, match="4 distinct points for a law of 3 parameters") as caught:
        bootstrap(few, 10, by="row")
    assert caught.value.exit_code == 3
    assert bootstrap(fit_law(TABLE[:5], **POWER), 3, by="row").loss.shape == (3,)


def test_rows_are_named_by_their_place_in_the_users_table():
    table = with_cell("compute", 9, -2.0, named=False)
    table.loc[[0, 3], "loss"] = np.nan
    with pytest.raises(DataError, match="row 10"):
        fit_law(table[::-1].set_index(np.arange(100, 124))[::-1], **POWER, missing="drop")


def test_a_row_of_a_selection_is_named_by_its_place_in_the_table_that_was_read():
    table = with_cell("compute", 9, -2.0, named=False)
    with pytest.raises(DataError, match="row 10"):
        fit_law(table[table.index % 2 == 1], **POWER)


def test_text_is_told_before_what_is_missing_and_a_percent_sign_has_its_cure():
    table = with_cell("loss", 9, "12%", named=False)
    table.loc[0, "loss"] = None
    with pytest.raises(DataError, match=r"row 10 has '12%'.*take the percent signs away and divide by 100"):
        fit_law(table, **POWER)


def test_missing_values_are_left_out_and_named():
    table = TABLE.copy()
    table.loc[[2, 5], "compute"] = np.nan
    table.loc[[5, 7], "loss"] = np.nan
    before = {"no score in V2": ["older"], "loss is missing": ["before"]}
    fit = fit_rows(table, law="power", **POWER, drop_incomplete=True, excluded=before)
    assert fit.n == 21
    assert fit.problem.excluded == {
        "compute is missing": ["model_02", "model_05"],
        "loss is missing": ["before", "model_07"],
        "no score in V2": ["older"],
    }
    assert fit.to_dict()["excluded"] == fit.problem.excluded
    assert "model_02" not in set(fit.problem.frame["model_id"])


@pytest.mark.parametrize("law", ["ccn"])
def test_a_loss_on_scores_takes_any_sign(law: str):
    table = TABLE.assign(loss=TABLE["loss"] - 0.32)
    assert (table["loss"] <= 0).any()
    fit = fit_law(table.assign(loss=table["loss"] + 0.05), law=law, x="compute", y="loss")
    assert fit.params["E"] == pytest.approx(0.03, abs=1e-6)


def test_rows_are_sorted_by_model_and_scaled_and_centred():
    shuffled = TABLE.sample(frac=1, random_state=1)
    problem = make_problem(shuffled, LAWS["power"], x="compute", y="loss", delta=1e-3, units={"compute": 10.0})
    assert problem.frame["model_id"].tolist() == TABLE["model_id"].tolist()
    np.testing.assert_allclose(problem.x[0], X / 10)
    np.testing.assert_allclose(problem.centre[0], np.log(X / 10).mean())
    np.testing.assert_allclose(problem.sample.points.u[0].sum(), 0, atol=1e-9)
    np.testing.assert_allclose(problem.points([X]).u[0].sum(), 0, atol=1e-9)
    assert make_problem(
        TABLE.rename(columns={"compute": "train_flop"}), LAWS["power"], x="train_flop", y="loss", delta=None
    ).units == (1e13,)


@pytest.mark.parametrize("copies", [1, 3, MAX_LAYERS, 2 * MAX_LAYERS + 3])
@pytest.mark.parametrize("log", [True, False])
def test_the_layout_holds_every_row_once(copies: int, log: bool):
    rng = np.random.default_rng(0)
    x = np.concatenate([np.repeat([1.0, 2.0, 5.0], copies), rng.uniform(1, 9, 5)])
    table = pd.DataFrame({"x": x, "y": rng.uniform(0.2, 1, len(x)), "g": rng.choice(["u", "v"], len(x))})
    problem = make_problem(table, LAWS["power" if log else "ccn"], x="x", y="y", delta=0.1, offset_by="g")
    sample, order = problem.sample, problem.order
    assert sorted(order.tolist()) == list(range(len(x)))
    assert sum(sample.layers) == len(x)
    assert list(sample.layers) == sorted(sample.layers, reverse=True)
    assert len(sample.layers) <= MAX_LAYERS
    spread = np.concatenate([sample.points.u[0][:size] for size in sample.layers])
    np.testing.assert_allclose(spread, np.log(x[order]) - np.log(x).mean(), atol=1e-12)
    group = np.concatenate([sample.points.group[:size] for size in sample.layers])
    np.testing.assert_array_equal(group, problem.group[order])
    y = problem.y[order]
    np.testing.assert_array_equal(sample.target, np.log(y) if log else y)
    assert problem.n_distinct == len(table[["x", "g"]].drop_duplicates())


def test_the_largest_group_is_the_reference():
    table = TABLE.assign(kind=["small"] * 5 + ["Big"] * 12 + ["mid"] * 7)
    problem = make_problem(table, LAWS["power"], x="compute", y="loss", delta=1e-3, offset_by="kind")
    assert problem.groups == ("Big", "mid", "small")
    assert [problem.groups[i] for i in problem.group] == table["kind"].tolist()


@pytest.mark.parametrize(
    ("table", "error", "words"),
    [
        ({"x": [1.0], "y": [0.5]}, UsageError, "must be a pandas DataFrame, or name a file.*got dict"),
        (pd.DataFrame([[1.0, 2.0, 0.5]] * 5, columns=["x", "x", "y"]), DataError, "two columns named 'x'"),
        (
            pd.DataFrame({"x": pd.date_range("2000-01-01", periods=5), "y": np.linspace(0.5, 0.1, 5)}),
            DataError,
            "holds datetime64",
        ),
        (pd.DataFrame({"x": np.arange(1, 6) + 1j, "y": np.linspace(0.5, 0.1, 5)}), DataError, "holds complex128"),
    ],
)
def test_what_is_no_table_of_numbers_is_refused(table, error, words):
    with pytest.raises(error, match=words):
        fit_law(table, x="x", y="y")


def test_names_of_mixed_types_are_ordered_as_text():
    table = pd.DataFrame({"model_id": ["b", 2, "a", 10, 1], "x": np.arange(1.0, 6), "y": np.linspace(0.5, 0.3, 5)})
    assert fit_law(table, x="x", y="y").problem.frame["model_id"].tolist() == [1, 10, 2, "a", "b"]
