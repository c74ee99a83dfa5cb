"""The direction of imports, and what starting up may load."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

import vvscale

PACKAGE = Path(vvscale.__file__).parent
CORE = {"errors", "core"}
SCORES = CORE | {"scores"}
# part -> the other parts it may import
MAY_IMPORT = {
    "errors": set(),
    "core": {"errors"},
    "scores": CORE,
    "laws": SCORES,
    "figures": SCORES | {"laws"},
    "models": SCORES,
    "data": CORE,
    "train": SCORES | {"models", "data", "brain"},
    "brain": SCORES | {"models", "data"},
    "study": SCORES | {"train", "brain", "models", "data", "laws", "figures", "__init__"},
    "cache": SCORES | {"models", "brain"},
    "doctor": CORE,
    "cli": SCORES | {"cache", "doctor", "laws", "figures", "models", "data", "train", "brain", "study", "__init__"},
    "__init__": SCORES | {"brain", "data", "figures", "laws", "models", "study", "train"},
    "__main__": {"cli"},
}
HEAVY = ("torch", "pandas", "matplotlib", "scipy", "duckdb", "pyarrow", "pooch")


def part_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported_parts(source: str) -> set[str]:
    """Return the parts of vvscale that a module imports anywhere, functions and type checking included."""
    parts = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            parts |= {name.name.split(".")[1] for name in node.names if name.name.startswith("vvscale.")}
        elif isinstance(node, ast.ImportFrom) and node.module == "vvscale":
            parts |= {name.name if (PACKAGE / name.name).is_dir() else "__init__" for name in node.names}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("vvscale."):
            parts.add(str(node.module).split(".")[1])
    return parts


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_one_way(path: Path):
    part = part_of(path)
    assert part in MAY_IMPORT, f"{path} is in a part that has no place in the architecture"
    forbidden = imported_parts(path.read_text()) - MAY_IMPORT[part] - {part}
    assert not forbidden, f"{path} ({part}) must not import {sorted(forbidden)}"
    imports = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ImportFrom)]
    assert not any(node.level for node in imports), f"{path} imports relatively"


def test_imported_parts_sees_every_way_to_import():
    source = (
        "import vvscale.laws.fit\nfrom vvscale import scores\ndef f():\n    from vvscale.cli.output import Output\n"
    )
    assert imported_parts(source) == {"laws", "cli", "scores"}


@pytest.mark.parametrize("code", ["import vvscale", "from vvscale.cli import main; main(['--help'])"])
def test_starting_up_loads_nothing_heavy(code: str):
    report = f"{code}\nimport sys, json; print(json.dumps(sorted(sys.modules)), file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", report], capture_output=True, text=True, check=True)
    loaded = set(json.loads(done.stderr))
    assert "vvscale" in loaded
    assert not loaded & set(HEAVY)


def test_public_names_resolve():
    assert vvscale.load_scores.__module__ == "vvscale.scores.load"
    with pytest.raises(AttributeError, match="no attribute 'load_score'"):
        vvscale.load_score  # noqa: B018
