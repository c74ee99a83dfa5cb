"""JSON and TOML as others may have written them: one error for all that is wrong, and one place that reads them."""

from __future__ import annotations

import ast
import hashlib
from pathlib import Path

import pytest

import vvscale
from vvscale.brain.scoring.layers import read_commitment
from vvscale.core.config import convert, digest, parse_changes, parse_toml, read_toml
from vvscale.core.hashing import digest_of
from vvscale.core.jsonable import parse_json
from vvscale.data.manifest import read_manifest
from vvscale.errors import ConfigError, VvscaleError
from vvscale.figures.citations import cites
from vvscale.laws.workflow.save import load_joint

DEEP = {"json": "[" * 100_000, "toml": f"a = {'[' * 20_000}"}
LONG = {"json": "1" * 10_000, "toml": f"a = {'1' * 10_000}"}
PACKAGE = Path(vvscale.__file__).parent


@pytest.mark.parametrize(
    "text", [DEEP["json"], '{"a":' * 100_000, LONG["json"], "", "{", b"\xff\xfe\x00", b"\x80", "\x00"]
)
def test_what_is_not_json_is_one_kind_of_error(text):
    with pytest.raises(ValueError, match=r"\w"):
        parse_json(text)


@pytest.mark.parametrize("text", [DEEP["toml"], LONG["toml"], "a", f"a = {'{b=' * 20_000}"])
def test_what_is_not_toml_is_one_kind_of_error(text, tmp_path: Path):
    with pytest.raises(ValueError, match=r"\w"):
        parse_toml(text)
    (tmp_path / "a.toml").write_text(text)
    with pytest.raises(ConfigError, match="is not valid TOML"):
        read_toml(tmp_path / "a.toml")


def test_a_byte_order_mark_is_no_part_of_json(tmp_path: Path):
    assert parse_json('\ufeff{"a": 1}') == parse_json(b'\xef\xbb\xbf{"a": 1}') == {"a": 1}
    for name, text in (("a.json", '\ufeff{"layers": {"IT": "x"}}'), ("a.toml", '\ufeff[layers]\nIT = "x"\n')):
        (tmp_path / name).write_text(text, encoding="utf-8")
        assert read_commitment(tmp_path / name).layers == {"IT": "x"}


def test_a_change_that_cannot_be_parsed_is_text():
    assert parse_changes([f"a={'[' * 20_000}"]) == {"a": "[" * 20_000}


@pytest.mark.parametrize("number", [2**63, -(2**63), 10**400])
def test_whole_numbers_are_those_that_arrays_hold(number):
    with pytest.raises(ConfigError, match=r"a whole number of \d+ bits for 'a'; expected one below 2\^63"):
        convert(int, number, "'a'")
    assert convert(int, 2**63 - 1, "'a'") == 2**63 - 1


@pytest.mark.parametrize("content", [DEEP["json"], LONG["json"], '{"format": ' * 10_000])
def test_readers_of_json_refuse_what_is_nested_deeply(content, tmp_path: Path):
    for name in ("manifest.json", "fits.json", "layers.json"):
        (tmp_path / name).write_text(content)
    for read in (
        lambda: read_manifest(tmp_path),
        lambda: load_joint(tmp_path),
        lambda: read_commitment(tmp_path / "layers.json"),
        lambda: cites([str(tmp_path / "fits.json")]),
    ):
        with pytest.raises(VvscaleError):
            read()


def test_nothing_else_parses_json_or_toml():
    """A reader of its own would let errors out that its callers do not expect."""
    allowed = {"core/jsonable.py", "core/config.py", "core/hdf5.py", "laws/gokce2025/experiments.py"}
    found = {
        path.relative_to(PACKAGE).as_posix()
        for path in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and (node.value.id, node.attr)
        in {("json", "loads"), ("json", "load"), ("tomllib", "loads"), ("tomllib", "load")}
    }
    assert found <= allowed


def test_both_digests_are_of_the_json_that_stored_names_and_seals_were_made_of():
    assert digest({"b": 2, "a": 1}) == hashlib.sha256(b'{"a":1,"b":2}').hexdigest()
    assert digest_of({"b": 2, "a": 1}) == hashlib.sha256(b'{"a": 1, "b": 2}').hexdigest()
