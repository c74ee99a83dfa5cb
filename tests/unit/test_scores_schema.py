from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from vvscale.scores import COLUMNS, schema_markdown
from vvscale.scores.schema import KEY, PUBLISHED_NAMES

DOCS = Path(__file__).resolve().parents[2] / "docs" / "schema.md"


def test_docs_equal_the_schema():
    write = "from vvscale.scores import schema_markdown; print(schema_markdown(), end='')"
    assert DOCS.read_text() == schema_markdown(), f'renew it: python -c "{write}" > docs/schema.md'


def test_every_column_is_documented_once():
    for name, column in COLUMNS.items():
        assert column.name == name
        assert column.meaning.endswith(".")
        assert (column.unit == "") == (column.dtype in {"string", "flag"} or name.endswith("seed")), name
    assert set(KEY) <= set(COLUMNS)


def test_published_names_are_unambiguous():
    every = [name for column in COLUMNS.values() for name in column.published]
    assert len(every) == len(set(every)) == len(PUBLISHED_NAMES)
    # A published name that is also one of ours would be renamed away.
    assert not set(every) & set(COLUMNS)


def test_a_column_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        COLUMNS["score"].unit = "%"  # pyright: ignore[reportAttributeAccessIssue]
    with pytest.raises(TypeError):
        COLUMNS["score"] = COLUMNS["layer"]  # pyright: ignore[reportIndexIssue]
