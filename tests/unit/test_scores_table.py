from __future__ import annotations

import dataclasses
import json

import numpy as np
import pandas as pd
import pytest

from vvscale.errors import DataError, MissingDataError, ShapeError, UnknownNameError
from vvscale.scores import REGIONS, drop_missing, load_scores, model_table, resolve_regions


def scores(**by_model: list[float]) -> pd.DataFrame:
    """Rows of the five regions in reverse order, for models given as keyword = five scores."""
    rows = [
        {"model_id": model, "benchmark_id": f"b-{region}", "region": region, "score": score, "n_params": 1e6}
        for model, values in by_model.items()
        for region, score in reversed(list(zip(REGIONS, values, strict=True)))
    ]
    return load_scores(pd.DataFrame(rows))


def test_mean_over_regions_sorted_by_model():
    table = model_table(scores(b=[0.1, 0.2, 0.3, 0.4, 0.5], a=[0, 0, 0, 0, -0.1], B=[1, 1, 1, 1, 1]))
    assert table.frame["model_id"].tolist() == ["B", "a", "b"]
    assert table.frame["score"].tolist() == pytest.approx([1, -0.02, 0.3], abs=1e-15)
    assert (table.frame["misalignment"] == 1 - table.frame["score"]).all()
    assert table.excluded == {}
    assert "region" not in table.frame.columns


@pytest.mark.parametrize(
    ("regions", "expected"),
    [
        (None, 0.3),
        ("all", 0.3),
        ("neural", 0.25),
        ("behavior", 0.5),
        (["V1", "IT"], 0.25),
        (["neural", "V1"], 0.25),
    ],
)
def test_region_sets(regions: str | list[str] | None, expected: float):
    table = model_table(scores(m=[0.1, 0.2, 0.3, 0.4, 0.5]), regions)
    assert table.frame["score"].item() == pytest.approx(expected, abs=1e-15)
    assert table.regions == resolve_regions(regions)


@pytest.mark.parametrize("name", ["behaviour", "v1", "Neural", "avg", ""])
def test_unknown_regions(name: str):
    with pytest.raises(UnknownNameError, match="Unknown region"):
        model_table(scores(m=[0.1] * 5), [name])


def test_no_mean_over_fewer_regions():
    rows = scores(a=[0.1] * 5, b=[0.1, np.nan, 0.1, 0.1, 0.1], c=[0.1] * 5, d=[np.nan] * 5)
    rows = rows[~((rows["model_id"] == "c") & rows["region"].isin(["V4", "IT"]))]
    table = model_table(rows)
    assert table.frame["model_id"].tolist() == ["a"]
    assert table.excluded == {
        "no score in V2": ["b"],
        "no score in V4, IT": ["c"],
        "no score in V1, V2, V4, IT, behavior": ["d"],
    }
    assert model_table(rows, "V1").frame["model_id"].tolist() == ["a", "b", "c"]
    with pytest.raises(MissingDataError, match="None of the 1 models has a score in all of V1"):
        model_table(rows[rows["model_id"] == "d"])


def test_a_model_without_any_region_is_not_lost():
    rows = scores(a=[0.1] * 5)
    extra = rows.iloc[[0]].assign(model_id="z", region=None)
    table = model_table(pd.concat([rows, extra]))
    assert list(table.excluded.values()) == [["z"]]


def test_two_benchmarks_of_a_region_count_as_one_region():
    rows = scores(m=[0.1, 0.2, 0.3, 0.4, 0.5])
    second = rows[rows["region"] == "V1"].assign(benchmark_id="other", score=0.3)
    assert model_table(pd.concat([rows, second])).frame["score"].item() == pytest.approx(
        (0.2 + 0.2 + 0.3 + 0.4 + 0.5) / 5
    )


@pytest.mark.parametrize(("column", "values"), [("epoch", [1, 2]), ("layer", ["x", "y"]), ("run_id", ["r", "s"])])
def test_epochs_layers_and_runs_are_not_averaged(column: str, values: list):
    rows = pd.concat([scores(m=[0.1] * 5).assign(**{column: value}) for value in values])
    with pytest.raises(ShapeError, match=rf"'m' has 2 scores in behavior.*differ in {column}.*where=\"{column}="):
        model_table(rows)


def test_model_columns_are_carried_and_must_agree():
    rows = scores(a=[0.1] * 5, b=[0.2] * 5).assign(note=range(10), lab=["x"] * 5 + ["y"] * 5, dataset=None)
    frame = model_table(rows).frame
    assert frame["lab"].tolist() == ["x", "y"]
    assert frame["dataset"].isna().all()
    assert "note" not in frame.columns
    rows.loc[3, "n_params"] = 2e6
    with pytest.raises(DataError, match=r"Rows of model 'a' disagree about n_params: 1000000\.0 and 2000000\.0"):
        model_table(rows)


def test_a_table_without_regions_says_so():
    with pytest.raises(MissingDataError, match="one row per model already, fit it directly"):
        model_table(pd.DataFrame({"model_id": ["a"], "score": [0.1]}))


def test_drop_missing_counts_each_row_once():
    frame = pd.DataFrame({"model_id": list("abcd"), "x": [1, np.nan, np.nan, 4], "y": [1, 2, None, None]})
    kept, excluded = drop_missing(frame, ["x", "y"])
    assert kept["model_id"].tolist() == ["a"]
    assert excluded == {"x is missing": ["b", "c"], "y is missing": ["d"]}
    _, excluded = drop_missing(frame.drop(columns="model_id"), ["y"])
    assert excluded == {"y is missing": ["row 3", "row 4"]}
    with pytest.raises(UnknownNameError, match="Unknown column 'z'"):
        drop_missing(frame, ["z"])


def test_a_model_table_is_a_value():
    table = model_table(scores(a=[0.1] * 5))
    with pytest.raises(dataclasses.FrozenInstanceError):
        table.regions = ()  # pyright: ignore[reportAttributeAccessIssue]
    assert json.loads(json.dumps(table.to_dict()))["models"][0]["model_id"] == "a"
    assert "1 models" in table._repr_html_()
    assert table.table() is table.frame
