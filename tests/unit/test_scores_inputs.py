"""Tables as people have them: separators, encodings, ids that look like numbers, percent, categories."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from vvscale.cli import main
from vvscale.core.config import read_toml
from vvscale.errors import ConfigError, DataError, ShapeError, VvscaleWarning
from vvscale.laws.rows import load_rows
from vvscale.laws.workflow.fit_tables import run_fits
from vvscale.laws.workflow.options import FitOptions
from vvscale.scores import load_scores, load_table, parse_where, select
from vvscale.scores.options import STYLE, CsvOptions


def long_table(n: int = 4) -> pd.DataFrame:
    rows = [(f"m{k}", region, f"{region}-b", 0.1 * k + 0.05) for k in range(n) for region in ("V1", "V2", "V4", "IT")]
    return pd.DataFrame(rows, columns=["model_id", "region", "benchmark_id", "score"])


def wide_table(n: int = 6) -> pd.DataFrame:
    return pd.DataFrame({"model_id": [f"m{k}" for k in range(n)], "train_flop": 1e15 * 1.5 ** np.arange(n),
                         "score": np.linspace(0.2, 0.68, n)})  # fmt: skip


@pytest.mark.parametrize(
    ("separator", "decimal", "said"),
    [
        (";", ",", "is separated by semicolons and has decimal commas"),
        (";", ".", "is separated by semicolons; it was read so"),
        ("\t", ".", "is separated by tabs; it was read so"),
        ("\t", ",", "is separated by tabs and has decimal commas"),
    ],
)
def test_other_separators_are_read_and_said(separator, decimal, said, tmp_path: Path):
    table = wide_table()
    table.to_csv(tmp_path / "a.csv", sep=separator, decimal=decimal, index=False)
    with pytest.warns(VvscaleWarning, match=said):
        found = load_table(tmp_path / "a.csv")
    pd.testing.assert_frame_equal(found, table)
    assert load_table(tmp_path / "a.csv", sep=separator, decimal=decimal).equals(found)


def test_a_comma_is_no_sign_of_semicolons(tmp_path: Path):
    """A comma-separated table may hold semicolons in its texts."""
    table = pd.DataFrame({"model_id": ["a;b", "c;d"], "score": [0.1, 0.2]})
    table.to_csv(tmp_path / "a.csv", index=False)
    pd.testing.assert_frame_equal(load_table(tmp_path / "a.csv"), table)


def test_two_ways_to_write_fractions_are_refused(tmp_path: Path):
    (tmp_path / "a.csv").write_text("a;b\n1.5;0,2\n")
    with pytest.raises(DataError, match="has fractions with points and with commas"):
        load_table(tmp_path / "a.csv")


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_another_encoding_is_named(encoding, tmp_path: Path):
    mark = {"utf-16-le": b"\xff\xfe", "utf-16-be": b"\xfe\xff"}.get(encoding, b"")
    (tmp_path / "a.csv").write_bytes(mark + wide_table().to_csv(index=False).encode(encoding))
    with pytest.raises(DataError, match=r"text in UTF-16.*iconv -f utf-16 -t utf-8 'a.csv'"):
        load_table(tmp_path / "a.csv")


def test_a_byte_order_mark_is_no_part_of_a_name(tmp_path: Path):
    wide_table().to_csv(tmp_path / "a.csv", index=False, encoding="utf-8-sig")
    pd.testing.assert_frame_equal(load_table(tmp_path / "a.csv"), wide_table())
    (tmp_path / "a.toml").write_text("\ufeffname = 'a'\n", encoding="utf-8")
    assert read_toml(tmp_path / "a.toml") == {"name": "a"}


@pytest.mark.parametrize("ids", [["0", "1", "2", "3"], ["00", "01", "1e3", "inf"], ["NA", "nan", "null", "None"]])
@pytest.mark.parametrize("quote", ["", '"'])
def test_ids_are_text_whatever_they_look_like(ids, quote, tmp_path: Path):
    lines = ["model_id,region,benchmark_id,score"]
    lines += [
        f"{quote}{name}{quote},{region},{region}-b,0.{k}5" for k, name in enumerate(ids) for region in ("V1", "V2")
    ]
    (tmp_path / "a.csv").write_text("\n".join(lines) + "\n")
    assert load_scores(tmp_path / "a.csv")["model_id"].unique().tolist() == ids
    frame, _ = load_rows(tmp_path / "a.csv", regions=["V1", "V2"])
    assert sorted(frame["model_id"]) == sorted(ids)


def test_integer_ids_of_a_frame_are_text():
    table = long_table().assign(model_id=lambda frame: frame["model_id"].str[1:].astype(int))
    assert load_scores(table)["model_id"].unique().tolist() == ["0", "1", "2", "3"]


def test_an_empty_id_is_missing_and_refused(tmp_path: Path):
    (tmp_path / "a.csv").write_text("model_id,region,benchmark_id,score\n,V1,b,0.5\n")
    with pytest.raises(DataError, match=r"Row 1 .* has no model_id"):
        load_scores(tmp_path / "a.csv")


def test_percent_is_refused_by_name(tmp_path: Path):
    for table in (wide_table(), long_table()):
        table.assign(score=table["score"] * 100).to_csv(tmp_path / "a.csv", index=False)
        with pytest.raises(DataError, match=r"go from .* They look like percent: divide the column 'score' by 100"):
            load_rows(tmp_path / "a.csv", regions=["V1"] if "region" in table else None)
    above = wide_table().assign(score=[0.9, 1.1, 1.2, 0.8, 1.05, 3.0])  # ceiled scores may exceed 1
    assert len(load_rows(above)[0]) == 6


def test_brainscores_own_column_names_are_ours():
    theirs = long_table().rename(columns={"model_id": "model", "benchmark_id": "benchmark"})
    assert load_scores(theirs)["model_id"].tolist() == long_table()["model_id"].tolist()
    frame, _ = load_rows(theirs, regions=["V1", "V2", "V4", "IT"])
    assert len(frame) == 4  # 16 rows were once pooled over regions


def test_regions_without_a_model_are_refused():
    with pytest.raises(DataError, match=r"none that names the model.*Rename the column"):
        load_rows(long_table().rename(columns={"model_id": "network"}))


def test_one_model_in_two_rows_is_said():
    table = wide_table().assign(model_id=["a", "a", "b", "c", "d", "e"])
    with pytest.warns(VvscaleWarning, match="2 rows share their model_id with another, such as 'a'"):
        assert len(load_rows(table)[0]) == 6
    assert len(load_rows(table.assign(epoch=range(6)))[0]) == 6


def test_one_model_at_several_inputs_is_no_copy():
    """What tells the rows apart is named; and nothing is said where it is an input of the law."""
    table = pd.DataFrame(
        {
            "model": np.repeat(["a", "b", "c"], 4),
            "params": np.repeat([1e3, 1e4, 1e5], 4),
            "images": [10, 20, 40, 80] * 3,
        }
    ).assign(my_score=np.linspace(0.1, 0.5, 12))
    needs = ["params", "1-my_score"]
    with pytest.warns(VvscaleWarning, match=r"They differ in images: .*`where=images=80`") as told:
        frame, _ = load_rows(table, needs=needs, y="1-my_score")
    assert "Remove the copies" not in str(told[0].message)
    assert frame["1-my_score"].tolist() == (1 - table["my_score"]).tolist()
    assert len(load_rows(table, needs=["images", *needs], y="1-my_score")[0]) == 12


@pytest.mark.parametrize("how", ["frame", "parquet"])
def test_categories_are_their_values(how, tmp_path: Path):
    table = long_table().astype({"region": "category", "model_id": "category"}).assign(
        dataset=pd.Categorical(["imagenet"] * 16), seed=pd.Categorical([3] * 16)
    )  # fmt: skip
    source = table
    if how == "parquet":
        table.to_parquet(tmp_path / "a.parquet")
        source = tmp_path / "a.parquet"
    found = load_scores(source)
    assert (found["dataset"].unique().tolist(), found["seed"].unique().tolist()) == (["imagenet"], [3])
    assert len(load_rows(source, regions=["V1", "IT"])[0]) == 4


def test_names_with_spaces_in_conditions():
    table = wide_table().rename(columns={"train_flop": "train FLOP (total)"})
    found = select(table, **parse_where(["train FLOP (total)>=2e15", "model_id!=m5"]))
    assert found["model_id"].tolist() == ["m2", "m3", "m4"]


def test_two_rows_of_one_score_are_still_refused():
    with pytest.raises(ShapeError, match="are the same by"):
        load_scores(pd.concat([long_table(), long_table().head(1)]))


WRITTEN = {("|", "."): "|", ("|", ","): "|", ("\t", ","): "tab", (" ", "."): " ", (";", "."): ";", (",", ","): ","}


@pytest.mark.parametrize(("style", "sep"), WRITTEN.items())
def test_every_verb_reads_a_table_as_it_is_said_to_be_written(style, sep, tmp_path: Path, monkeypatch, capsys):
    """One option class, through the command line, the library and a DataFrame alike."""
    monkeypatch.chdir(tmp_path)
    table = wide_table(8).assign(region="IT", benchmark_id="b")
    table.to_csv("a.csv", sep=style[0], decimal=style[1], index=False)
    said = ["--sep", sep, "--decimal", style[1]]
    assert main(["fit", "a.csv", "--regions", "IT", *said, "--json"]) == 0
    ours = json.loads(capsys.readouterr().out)[0]["params"]
    assert main(["export", "a.csv", "--csv", "b.csv", *said]) == 0
    assert main(["ls", "scores", "--table", "a.csv", *said]) == 0
    assert main(["figure", "compute", "--scores", "a.csv", "--format", "json", "--out", "f", *said]) == 0
    pd.testing.assert_frame_equal(load_table("b.csv")[list(table)], table)
    options = FitOptions(regions=("IT",), sep=sep, decimal=style[1])
    assert run_fits("a.csv", options)[0].fit.params == ours
    assert run_fits(table, regions=("IT",))[0].fit.params == ours


def test_what_is_said_of_a_users_file_does_not_reach_published_ones(gokce2025):
    with CsvOptions(sep=";", decimal=",").reading():
        pd.testing.assert_frame_equal(load_scores("gokce2025"), gokce2025)
    assert STYLE.get() == (None, None)


@pytest.mark.parametrize(
    ("text", "advice"),
    [
        ("a|b\n1|2\n3|4\n", r"Its fields look separated by '\|': give `sep=\"\|\"`"),
        ("a b\n1 2\n3 4\n", r'give `sep=" "`'),
        ("a,b\n1,5,2\n3,5,4\n", "`sep` and `decimal`"),
        ("a;b\n1.5;2,5\n", r'`decimal=","` or `decimal="."`'),
    ],
)
def test_what_looks_otherwise_written_advises_the_options(text, advice, tmp_path: Path):
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(DataError, match=advice):
        load_table(tmp_path / "a.csv")


def test_quoted_decimal_commas_are_said(tmp_path: Path):
    wide_table().to_csv(tmp_path / "a.csv", decimal=",", index=False)
    with pytest.warns(VvscaleWarning, match=r"text such as '\d+,\d+' in .*'score'. If .* give `decimal=\",\"`"):
        load_table(tmp_path / "a.csv")
    pd.testing.assert_frame_equal(load_table(tmp_path / "a.csv", decimal=","), wide_table())


@pytest.mark.parametrize("sep", ["", ";;", '"', "\n", "semicolon"])
def test_a_separator_is_one_character(sep):
    with pytest.raises(ConfigError, match=r"`sep` is .*one character"):
        CsvOptions(sep=sep)
