"""Digests of files, of plain values and of source code."""

from __future__ import annotations

import ast
import hashlib
import json
from pathlib import Path
from typing import Any


def digest_of(parts: Any) -> str:
    """Return the SHA-256 of plain values.

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
