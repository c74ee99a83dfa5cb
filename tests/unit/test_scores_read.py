from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from vvscale.errors import DataError, MissingDataError, ShapeError, UsageError
from vvscale.scores import load_table


def write(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def test_csv_floats_are_read_exactly(tmp_path: Path):
    values = [0.1, 1 / 3, 5e-324, 1.7976931348623157e308, -0.0, 2.42113018944e16]
    path = tmp_path / "t.csv"
    pd.DataFrame({"x": values}).to_csv(path, index=False)
    assert [value.hex() for value in load_table(path)["x"]] == [value.hex() for value in values]


def test_any_columns_are_read_as_they_are(tmp_path: Path):
    path = write(tmp_path / "t.csv", "a,b c,macs\n1,x,2.5\n2,,\n")
    table = load_table(path)
    assert table.columns.tolist() == ["a", "b c", "macs"]
    assert table["b c"].isna().tolist() == [False, True]


def test_a_type_is_inferred_from_all_rows(tmp_path: Path):
    # One megabyte of integers before the first fraction.
    path = write(tmp_path / "t.csv", "x\n" + "1234567\n" * 200_000 + "0.5\n")
    assert load_table(path)["x"].iloc[-1] == 0.5


def test_quoted_commas_and_newlines(tmp_path: Path):
    path = write(tmp_path / "t.csv", 'a,b\n"x,y","p\nq"\n')
    assert load_table(path).to_dict("list") == {"a": ["x,y"], "b": ["p\nq"]}


def test_truncated_csv_names_the_line(tmp_path: Path):
    path = write(tmp_path / "t.csv", "model_id,region,score\nm,V1,0.1\nm,V2,0.2\nm,V")
    with pytest.raises(ShapeError, match=r"Line 4 of .*t\.csv' has 2 fields; expected 3.*cut off.*'m,V'"):
        load_table(path)


def test_ragged_csv_counts_the_lines(tmp_path: Path):
    path = write(tmp_path / "t.csv", "a,b\n1,2,3\n1,2\n4,5,6\n")
    with pytest.raises(ShapeError, match=r"Line 2 .* has 3 fields, and 1 more lines are wrong too; expected 2.*quotes"):
        load_table(path)


def test_truncated_inside_a_quote(tmp_path: Path):
    path = write(tmp_path / "t.csv", 'a,b\n1,"x\n2,y\n')
    with pytest.raises(DataError, match="quotes do not pair up; the last is in line 2"):
        load_table(path)


@pytest.mark.parametrize(("text", "byte"), [("Käfer", "0xe4"), ("naïve", "0xef")])
def test_not_utf8_names_line_and_byte(tmp_path: Path, text: str, byte: str):
    path = write(tmp_path / "t.csv", f"model_id,score\nm,0.1\n{text},0.2\n".encode("latin1"))
    with pytest.raises(DataError, match=rf"line 3 holds the byte {byte}.*not UTF-8.*iconv"):
        load_table(path)


def test_utf16(tmp_path: Path):
    path = write(tmp_path / "t.csv", "a,b\n1,2\n".encode("utf-16"))
    with pytest.raises(DataError, match="UTF-8"):
        load_table(path)


def test_empty_and_header_only(tmp_path: Path):
    with pytest.raises(ShapeError, match="is empty \\(0 bytes\\)"):
        load_table(write(tmp_path / "t.csv", ""))
    with pytest.raises(ShapeError, match="a header and no rows"):
        load_table(write(tmp_path / "t.csv", "a,b\n"))


def test_two_columns_of_one_name(tmp_path: Path):
    with pytest.raises(ShapeError, match="more than one column named 'score'"):
        load_table(write(tmp_path / "t.csv", "score,b,score\n1,2,3\n"))


def test_missing_file_folder_and_suffix(tmp_path: Path):
    with pytest.raises(MissingDataError, match=r"none\.csv': it does not exist"):
        load_table(tmp_path / "none.csv")
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(MissingDataError, match="is a folder"):
        load_table(tmp_path / "folder.csv")
    with pytest.raises(UsageError, match=r"suffix '\.xlsx', expected one of \.csv, \.parquet"):
        load_table(tmp_path / "t.xlsx")


@pytest.mark.parametrize("is_category", [False, True])
def test_text_of_a_parquet_file_that_is_not_utf_8_is_refused(tmp_path: Path, is_category: bool):
    ids = pa.StringArray.from_buffers(2, pa.py_buffer(np.array([0, 2, 4], np.int32)), pa.py_buffer(b"m0m\xc0"))
    if is_category:
        ids = pa.DictionaryArray.from_arrays(pa.array([0, 1]), ids)
    pq.write_table(pa.table({"model_id": ids, "score": [0.1, 0.2]}), tmp_path / "a.parquet")
    with pytest.raises(DataError, match=r"a\.parquet' as Parquet: .*[Uu][Tt][Ff]-?8"):
        load_table(tmp_path / "a.parquet")


def test_parquet_round_trip_and_damage(tmp_path: Path):
    path = tmp_path / "a=1.parquet"
    frame = pd.DataFrame({"x": [0.1, 1 / 3], "is_ssl": [True, False]})
    frame.to_parquet(path)
    pd.testing.assert_frame_equal(load_table(path), frame, check_exact=True)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(DataError, match=r"a=1\.parquet' as Parquet.*cut off"):
        load_table(path)
