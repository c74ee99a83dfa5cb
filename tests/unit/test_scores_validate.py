from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest

from vvscale.errors import DataError, MissingDataError, ShapeError, UnknownNameError, VvscaleWarning
from vvscale.scores import load_scores, model_table


def table(**columns: Any) -> pd.DataFrame:
    """Twenty rows of five models on four regions, with some columns replaced."""
    rows = [(f"m{model}", f"b-{region}", region) for model in range(5) for region in ("V1", "V2", "V4", "IT")]
    frame = pd.DataFrame(rows, columns=["model_id", "benchmark_id", "region"])
    return frame.assign(**{"score": np.linspace(0.1, 0.5, 20), **columns})


def test_published_names_become_ours_and_extra_columns_stay():
    frame = table(arch_family="ResNetFlex", macs=1.0, my_note="x", benchmark_name="b").drop(columns="benchmark_id")
    frame["region"] = frame["region"].replace("IT", "Behavioral")
    got = load_scores(frame)
    assert {"family", "forward_mac", "my_note", "benchmark_id"} <= set(got.columns)
    assert not {"arch_family", "macs", "benchmark_name"} & set(got.columns)
    assert set(got["region"]) == {"V1", "V2", "V4", "behavior"}
    assert set(got["parent_family"]) == {"ResNet"}
    assert "arch_family" in frame.columns, "the input must not change"


def test_dtypes_are_those_of_the_schema():
    missing = [None, *["x"] * 19]
    seeds = [np.nan, *range(19)]
    got = load_scores(
        table(seed=seeds, samples_per_class=0, ssl_method=missing, is_ssl=["True", None] * 10, n_params=3)
    )
    assert got["seed"].dtype == "float64"
    assert got["samples_per_class"].dtype == "int64"
    assert got["n_params"].dtype == "float64"
    assert got["is_ssl"].dtype == "boolean"
    assert got["is_ssl"].isna().sum() == 10
    assert got["ssl_method"].dtype == "str"
    assert load_scores(table(is_ssl=[0, 1] * 10))["is_ssl"].dtype == bool


def test_integers_beyond_float_precision_stay_exact():
    assert load_scores(table(n_samples=2**53 + 1))["n_samples"].tolist() == [2**53 + 1] * 20


def test_one_row_per_model_needs_no_region():
    got = load_scores(pd.DataFrame({"model_id": ["a", "b"], "score": [0.1, np.nan]}))
    assert got["score"].isna().tolist() == [False, True]


@pytest.mark.parametrize(
    ("frame", "error", "message"),
    [
        (table().drop(columns="score"), MissingDataError, r"no column 'score'.*It has: model_id"),
        (table().rename(columns={"score": "scores"}), MissingDataError, "Rename 'scores' to 'score'"),
        (
            table(score=[*[0.1] * 16, "n/a", *[0.2] * 3]),
            DataError,
            r"'score'.*holds 'n/a' in row 17\. Expected a number",
        ),
        (table(score=[*[0.1] * 4, np.inf, *[0.2] * 15]), DataError, r"'score'.*inf in row 5.*finite"),
        (table(n_params=[-np.inf, *[1.0] * 19]), DataError, r"'n_params'.*-inf in row 1"),
        (table(seed=[0.5, *[1] * 19]), DataError, r"'seed'.*0\.5 in row 1.*whole number"),
        (
            table(is_ssl=[*["no idea"] * 2, *[True] * 18]),
            DataError,
            r"'is_ssl'.*'no idea' in row 1 and 1 more",
        ),
        (
            table(dataset=[*["imagenet"] * 2, 7, *["x"] * 17]),
            DataError,
            r"'dataset'.*7 in row 3.*Expected text",
        ),
        (table(benchmark_id=[0, 1, 2, 3] * 5), DataError, r"'benchmark_id'.*only indexes the benchmarks"),
        (table(model_id=[None, *["m"] * 19]), MissingDataError, "Row 1 .* has no model_id"),
        (table(macs=1.0, forward_mac=1.0), ShapeError, "'macs' and 'forward_mac', which mean the same"),
        (table(ckpt=1, epochs=[*[1] * 6, 2, *[1] * 13]), DataError, "Row 7 .* ckpt 1 and epochs 2"),
        (table().iloc[:0], ShapeError, "no rows"),
        (
            pd.DataFrame([["m", 0.1, 0.2]], columns=["model_id", "score", "score"]),
            ShapeError,
            "named 'score'",
        ),
    ],
)
def test_bad_tables_name_row_and_column(frame: pd.DataFrame, error: type[Exception], message: str):
    with pytest.raises(error, match=message) as caught:
        load_scores(frame)
    assert caught.value.exit_code == 3  # pyright: ignore[reportAttributeAccessIssue]
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("name", "near"), [("v1", "V1"), ("behaviour", "behavior"), ("Behavioural", "behavior")])
def test_unknown_region(name: str, near: str):
    frame = table(region=[*["V1"] * 3, name, *["V1"] * 16], benchmark_id=[f"b{row}" for row in range(20)])
    with pytest.raises(UnknownNameError, match=rf"'{name}'. Did you mean '{near}'\? It is in row 4"):
        load_scores(frame)


def test_other_recordings_have_regions_of_their_own():
    frame = table(region=["occipital", "FFA-1", "hV4", "whole_brain"] * 5)
    loaded = load_scores(frame)
    assert set(loaded["region"]) == {"occipital", "FFA-1", "hV4", "whole_brain"}
    assert model_table(loaded).regions == ("FFA-1", "hV4", "occipital", "whole_brain")
    assert model_table(loaded, "hV4").regions == ("hV4",)
    with pytest.raises(UnknownNameError, match="Unknown region 'FFA1'"):
        model_table(loaded, "FFA1")


def test_rows_of_a_mapping_curve_are_told_apart_by_its_axis():
    frame = pd.concat([table(mapping_samples=n, mapping_seed=seed) for n in (10, 100) for seed in (0, 1)])
    assert len(load_scores(frame)) == 80


def test_conflicting_rows_are_named():
    frame = pd.concat([table(), table().iloc[[3]].assign(score=0.9)])
    with pytest.raises(ShapeError, match=r"Rows 4 and 21 .*model_id 'm0', benchmark_id 'b-IT'.*0\.16\d+ and 0\.9;"):
        load_scores(frame)


@pytest.mark.parametrize("column", ["layer", "epoch", "run_id"])
def test_rows_may_differ_by_layer_epoch_or_run(column: str):
    values = [1, 2] if column == "epoch" else ["a", "b"]
    frame = pd.concat([table(**{column: value}) for value in values])
    assert len(load_scores(frame)) == 40
    with pytest.raises(ShapeError, match="repeat"):
        load_scores(pd.concat([frame, frame.iloc[[0]]]))


def test_a_missing_factor_three_is_warned_of():
    frame = table(forward_flop=2e9, samples_seen=1e6, train_flop=2e15)
    with pytest.warns(VvscaleWarning, match=r"In 20 rows .* 1 x forward_flop"):
        load_scores(frame)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load_scores(frame.assign(train_flop=6e15))


def test_unknown_source(tmp_path: Any, monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(UnknownNameError, match=r"'gokce2024'\. Did you mean 'gokce2025'"):
        load_scores("gokce2024")
    with pytest.raises(MissingDataError, match="does not exist"):
        load_scores(tmp_path / "no.csv")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").mkdir()
    with pytest.raises(MissingDataError, match="no scores in 'mine'"):
        load_scores("mine")


def test_files_and_frames_agree(tmp_path: Any):
    frame = table(family="ViTFlex", is_ssl=False, seed=0)
    frame.to_csv(tmp_path / "t.csv", index=False)
    frame.to_parquet(tmp_path / "t.parquet")
    for path in (tmp_path / "t.csv", str(tmp_path / "t.parquet")):
        pd.testing.assert_frame_equal(load_scores(path), load_scores(frame), check_exact=True)
