"""What the documentation site writes from the code is whole: verbs, TOML keys, columns, public names."""

import importlib.util
import re
from pathlib import Path

import pytest

import vvscale
from vvscale.cli.verbs import VERBS
from vvscale.scores import COLUMNS

DOCS = Path(__file__).resolve().parents[2] / "docs"


@pytest.fixture(scope="module")
def generate():
    spec = importlib.util.spec_from_file_location("generate", DOCS / "site" / "generate.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_verb_and_its_options_are_in_the_reference(generate):
    text = generate.cli()
    for verb in VERBS:
        assert f"\n## vvscale {verb}\n" in text
    for flag in ("--plot", "--resamples", "--layers", "--samples-per-class", "--facet"):
        assert flag in text
    assert "](#" not in text


def test_every_key_of_a_study_is_in_the_reference(generate):
    text = generate.toml()
    for key in ("benchmarks", "law", "resamples", "budget", "figures", "based_on", "time_minutes", "where"):
        assert f"| `{key}` |" in text, key
    rows = [line for line in text.splitlines() if line.startswith("| `")]
    assert len(rows) > 40
    assert all(len(re.findall(r"(?<!\\)\|", row)) == 5 for row in rows)


def test_columns_and_public_names(generate):
    text = generate.columns()
    assert all(f"| `{name}` |" in text for name in COLUMNS)
    api = generate.api()
    for name in set(vvscale.__all__) - {"__version__"}:
        assert f"vvscale.{name}" in api


def test_pages_link_only_to_pages_that_are_there():
    pages = [*DOCS.glob("*.md"), *DOCS.glob("guides/*.md")]
    assert len(pages) > 10
    for page in pages:
        for target in re.findall(r"\]\(([\w./-]+\.md)(?:#[\w-]+)?\)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"
