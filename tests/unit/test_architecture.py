"""The direction of imports, and what starting up may load."""

from __future__ import annotations

import ast
import functools
import importlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import vvscale

PACKAGE = Path(vvscale.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))
FOLDERS = sorted({path.parent for path in FILES})
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


@functools.cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def imported_parts(tree: ast.Module) -> set[str]:
    """Return the parts of vvscale that a module imports anywhere, functions and type checking included."""
    parts = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            parts |= {name.name.split(".")[1] for name in node.names if name.name.startswith("vvscale.")}
        elif isinstance(node, ast.ImportFrom) and node.module == "vvscale":
            parts |= {name.name if (PACKAGE / name.name).is_dir() else "__init__" for name in node.names}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("vvscale."):
            parts.add(str(node.module).split(".")[1])
    return parts


# One test for all files: a test for each would cost more than what it looks at.
def test_imports_go_one_way():
    wrong = []
    for path in FILES:
        part = part_of(path)
        if part not in MAY_IMPORT:
            wrong.append(f"{path} is in a part that has no place in the architecture")
            continue
        forbidden = imported_parts(tree_of(path)) - MAY_IMPORT[part] - {part}
        wrong += [f"{path} ({part}) must not import {sorted(forbidden)}"] if forbidden else []
        imports = [node for node in ast.walk(tree_of(path)) if isinstance(node, ast.ImportFrom)]
        wrong += [f"{path} imports relatively" for node in imports if node.level]
    assert not wrong, "\n".join(wrong)


# The house, at every level.

MOST_LINES, MOST_BODY, MOST_FILES = 400, 60, 12
# What is larger, and why. Entries go when they are no longer needed; nothing is added without a reason.
LONGER_FILES: dict[str, str] = {}
LONGER_BODIES: dict[str, str] = {}
LARGER_FOLDERS = {}


def name_of(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


def module_of(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def walk_running(tree: ast.AST) -> Iterator[ast.AST]:
    """Yield the nodes below one, but for the bodies of ``if TYPE_CHECKING:``."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            continue
        yield node
        yield from walk_running(node)


def running_imports(tree: ast.AST, modules: set[str]) -> set[str]:
    """Return the modules that a file imports when it runs; what only type checkers read makes no circle."""
    found = set()
    for node in walk_running(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "vvscale":
            for one in node.names:
                below = f"{node.module}.{one.name}"
                found.add(below if below in modules else str(node.module))
        elif isinstance(node, ast.Import):
            found |= {one.name for one in node.names if one.name in modules}
    return found


@functools.cache
def edges() -> set[tuple[str, str]]:
    modules = {module_of(path) for path in FILES}
    plain = [path for path in FILES if path.name != "__init__.py"]
    return {(module_of(path), target) for path in plain for target in running_imports(tree_of(path), modules)}


def circles(pairs: set[tuple[str, str]]) -> list[str]:
    """Return the nodes that lie on a circle: those left when all that import nothing, or nothing left, are taken."""
    left = {one for pair in pairs for one in pair}
    while True:
        ends = {one for one in left if not any(a == one and b in left and a != b for a, b in pairs)}
        if not ends:
            return sorted(left)
        left -= ends


def test_a_circle_is_seen():
    assert circles({("a", "b"), ("b", "c"), ("d", "a")}) == []
    assert circles({("a", "b"), ("b", "c"), ("c", "a"), ("a", "d")}) == ["a", "b", "c"]


def test_no_circle_between_files():
    assert not circles(edges())


@pytest.mark.parametrize("folder", FOLDERS, ids=name_of)
def test_no_circle_between_the_folders_of_a_folder(folder: Path):
    inside = module_of(folder / "__init__.py")
    below = {f"{inside}.{one.name}" for one in folder.iterdir() if one.is_dir()}
    depth = inside.count(".") + 2
    pairs = {tuple(".".join(one.split(".")[:depth]) for one in pair) for pair in edges()}
    assert not circles({(a, b) for a, b in pairs if a != b and {a, b} <= below})


def test_a_folder_says_its_purpose_and_is_small():
    wrong = []
    for folder in FOLDERS:
        if not ast.get_docstring(tree_of(folder / "__init__.py")):
            wrong.append(f"{folder}/__init__.py does not say what the folder is for")
        n_files = len(list(folder.glob("*.py"))) - 1
        if n_files > MOST_FILES and name_of(folder) not in LARGER_FOLDERS:
            wrong.append(f"{name_of(folder)} has {n_files} files")
    assert not wrong, "\n".join(wrong)


def test_the_documentation_quotes_each_folder():
    """Its table holds the first line of every ``__init__``; write there what the folder says."""
    page = (PACKAGE.parents[1] / "docs" / "architecture.md").read_text(encoding="utf-8")
    lines = {name_of(one): str(ast.get_docstring(tree_of(one / "__init__.py"))).splitlines()[0] for one in FOLDERS}
    rows = [f"| `{name}/` | {line} |" for name, line in lines.items() if name != "."]
    assert not [row for row in rows if row not in page]


def test_files_and_functions_are_short():
    wrong = []
    for path in FILES:
        n_lines = len(path.read_text(encoding="utf-8").splitlines())
        if n_lines > MOST_LINES and name_of(path) not in LONGER_FILES:
            wrong.append(f"{name_of(path)} has {n_lines} lines")
        for node in ast.walk(tree_of(path)):
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            body = node.body[1:] if ast.get_docstring(node) is not None else node.body
            n_body = node.end_lineno - body[0].lineno + 1 if body else 0
            where = f"{name_of(path)}:{node.name}"
            if n_body > MOST_BODY and where not in LONGER_BODIES:
                wrong.append(f"{where} has {n_body} lines")
    assert not wrong, "\n".join(wrong)


def test_what_is_allowed_to_be_larger_still_is():
    """Entries go when they are no longer needed."""
    n_lines = {name_of(path): len(path.read_text(encoding="utf-8").splitlines()) for path in FILES}
    assert not [name for name in LONGER_FILES if n_lines.get(name, 0) <= MOST_LINES]
    n_files = {name_of(folder): len(list(folder.glob("*.py"))) - 1 for folder in FOLDERS}
    assert not [name for name in LARGER_FOLDERS if n_files.get(name, 0) <= MOST_FILES]


@pytest.mark.parametrize("folder", FOLDERS, ids=name_of)
def test_no_public_name_is_also_that_of_a_submodule(folder: Path):
    """What is imported last would win: the function, or the module of its name."""
    package = importlib.import_module(module_of(folder / "__init__.py"))
    below = {path.stem for path in folder.glob("*.py")} | {path.name for path in folder.iterdir() if path.is_dir()}
    assert not below & set(getattr(package, "__all__", ()))


def test_imported_parts_sees_every_way_to_import():
    source = (
        "import vvscale.laws.fit\nfrom vvscale import scores\ndef f():\n    from vvscale.cli.output import Output\n"
    )
    assert imported_parts(ast.parse(source)) == {"laws", "cli", "scores"}


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
