"""Digests of files, of plain values and of source code."""

from __future__ import annotations

import ast
import hashlib
import json
import sys
import sysconfig
from functools import cache
from pathlib import Path
from typing import Any


def digest_of(parts: Any) -> str:
    """Return the SHA-256 of plain values, in JSON with spaces behind separators; NaN and infinity are refused.

    It seals records and makes keys of caches. Recipes and runs are named by :func:`vvscale.core.config.digest`, whose
    JSON is compact: one function for both would change what was stored under either.

    Examples
    --------
    >>> digest_of({"a": 1, "b": 2}) == digest_of({"b": 2, "a": 1})
    True
    """
    return hashlib.sha256(json.dumps(parts, sort_keys=True, allow_nan=False).encode()).hexdigest()


def hash_of(path: Path, algorithm: str = "sha256") -> str:
    """Return the hash of a file in hexadecimal; ``git-blob`` is the id that git gives to its content."""
    with path.open("rb") as file:
        if algorithm == "git-blob":
            # git hashes the content behind a header with its size.
            content = file.read()
            return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
        return hashlib.file_digest(file, algorithm).hexdigest()


def source_digest(*places: Path) -> str:
    """Return the SHA-256 of what Python files compute.

    Neither a comment, a docstring or the layout of a line changes it, nor does the place of a file in its tree: files
    are taken in the order of their content, and an import of this package counts by the names that it brings.

    Parameters
    ----------
    places
        Files, or folders that are searched with all their sub-folders.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     path = Path(folder, "law.py")
    ...     _ = path.write_text("x = 1")
    ...     before = source_digest(path)
    ...     _ = path.write_text("x  =  1  # why")
    ...     before == source_digest(Path(folder))
    True
    """
    files = {file for place in places for file in ([place] if place.is_file() else place.rglob("*.py"))}
    return digest_of(sorted(_normalised(file.read_text(encoding="utf-8")) for file in files))


def code_digest(path: Path) -> str:
    """Return the SHA-256 of what a Python file computes with the files of one's own that it imports, and they import.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     path, helper = Path(folder, "nets.py"), Path(folder, "helper.py")
    ...     _ = path.write_text("import helper"), helper.write_text("width = 1")
    ...     before = code_digest(path)
    ...     _ = helper.write_text("width = 2")
    ...     before == code_digest(path)
    False
    """
    return digest_of(sorted(source_digest(file) for file in _local_files(path)))


def _local_files(path: Path) -> set[Path]:
    """Return a file and the files of one's own that it imports, and they import."""
    found, waiting = set[Path](), [path.resolve()]
    while waiting:
        file = waiting.pop()
        if file in found or not file.is_file() or file.suffix != ".py":
            continue
        found.add(file)
        for name in _imports(file.read_text(encoding="utf-8")):
            held = sys.modules.get(name)
            origin = getattr(held, "__file__", None)
            beside = file.parent.joinpath(*name.split("."))
            for candidate in (beside.with_suffix(".py"), beside / "__init__.py"):
                if candidate.is_file():
                    waiting.append(candidate.resolve())
            if origin and not is_installed(name) and name.split(".")[0] != "vvscale":
                waiting.append(Path(origin).resolve())
    return found


def _imports(source: str) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {one.name for one in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            names |= {base, *(f"{base}.{one.name}".lstrip(".") for one in node.names)} - {""}
    return names


@cache
def is_installed(module: str) -> bool:
    """Whether a module is of Python itself or of an installed package."""
    top = module.split(".")[0]
    if top in sys.stdlib_module_names and top != "__main__":
        return True
    if top in ("vvscale", "__main__"):
        return False
    held = sys.modules.get(top)
    file = getattr(held, "__file__", None) or next(iter(getattr(held, "__path__", [])), None)
    if file is None:
        return False
    return any(Path(file).is_relative_to(sysconfig.get_path(name)) for name in ("purelib", "platlib"))


def _normalised(source: str) -> str:
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "vvscale":
            node.module = "vvscale"
        body = getattr(node, "body", None)
        if isinstance(body, list) and body and _is_docstring(body[0]):
            node.body = body[1:]  # type: ignore[attr-defined]
    return ast.dump(tree)


def _is_docstring(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
