from __future__ import annotations

import math
import struct
import tempfile
from typing import Any

import numpy as np
import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

from vvscale.scores import Not, ScoreStore, load_table, parse_where, select

FLOATS = st.floats(allow_nan=True, allow_infinity=False, width=64)


def bits(value: float) -> str:
    return "nan" if math.isnan(value) else struct.pack(">d", value).hex()


@settings(deadline=None, max_examples=40)
@given(st.lists(st.lists(FLOATS, min_size=1, max_size=6), min_size=1, max_size=4))
def test_the_store_returns_every_bit(parts: list[list[float]]):
    with tempfile.TemporaryDirectory() as folder:
        store = ScoreStore(folder)
        expected = []
        for number, scores in enumerate(parts):
            ids = [f"{number}-{row}" for row in range(len(scores))]
            store.append(pd.DataFrame({"model_id": ids, "benchmark_id": "b", "score": scores}))
            expected += [(name, bits(score)) for name, score in zip(ids, scores, strict=True)]
        got = store.read()
        assert [(name, bits(score)) for name, score in zip(got["model_id"], got["score"], strict=True)] == expected
        with store.connect() as connection:
            rows = connection.sql("SELECT model_id, score FROM scores").fetchall()
        assert sorted((name, bits(math.nan if score is None else score)) for name, score in rows) == sorted(expected)


@settings(deadline=None, max_examples=40)
@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=20))
def test_csv_returns_every_bit(values: list[float]):
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/t.csv"
        # A second column, since a line with one empty cell could not be told from an empty line.
        pd.DataFrame({"x": values, "text": "t"}).to_csv(path, index=False)
        assert [bits(value) for value in load_table(path)["x"].astype(float)] == [bits(value) for value in values]


FAMILIES = st.one_of(st.none(), st.sampled_from(["ResNet", "ResNetFlex", "ViT", "odd[1]"]))
ROW = st.tuples(
    FAMILIES,
    st.sampled_from([0, 1, 300]),
    st.one_of(st.just(math.nan), st.integers(0, 9).map(float)),
    st.booleans(),
)
COLUMNS = ["family", "samples_per_class", "n_params", "is_ssl"]
BOUND = st.one_of(st.none(), st.integers(-1, 10))


@settings(deadline=None)
@given(st.lists(ROW, min_size=1, max_size=30), BOUND, BOUND, st.data())
def test_select_is_what_a_loop_would_do(rows: list[tuple], low: int | None, high: int | None, data: st.DataObject):
    table = pd.DataFrame(rows, columns=COLUMNS).astype({"family": "str"})
    families = [name for name in table["family"].unique() if isinstance(name, str)]
    conditions: dict[str, Any] = {"n_params": (low, high), "is_ssl": data.draw(st.booleans())}
    wanted = data.draw(st.lists(st.sampled_from(families), min_size=1)) if families else []
    turned = data.draw(st.booleans())
    if wanted:
        conditions["family"] = Not(wanted) if turned else wanted

    def meets(row: tuple) -> bool:
        family, _, n_params, is_ssl = row
        in_range = not math.isnan(n_params) and (low is None or n_params >= low) and (high is None or n_params <= high)
        in_family = not wanted or (family is not None and (family in wanted) != turned)
        return in_range and in_family and is_ssl == conditions["is_ssl"]

    expected = [position for position, row in enumerate(rows) if meets(row)]
    assert select(table, **conditions).index.tolist() == expected


@given(st.floats(allow_nan=False, allow_infinity=False), st.sampled_from([">", ">=", "<", "<="]))
def test_bounds_are_exact(bound: float, operator: str):
    values = np.array([math.nextafter(bound, -math.inf), bound, math.nextafter(bound, math.inf)])
    values = values[np.isfinite(values)]
    table = pd.DataFrame({"x": values})
    expected = {">": values > bound, ">=": values >= bound, "<": values < bound, "<=": values <= bound}[operator]
    assert select(table, **parse_where([f"x{operator}{bound!r}"]))["x"].tolist() == values[expected].tolist()
