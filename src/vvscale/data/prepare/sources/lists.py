"""Text files that name images or classes, as people write them."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path, PureWindowsPath

from vvscale.data.prepare.sources.walk import SUFFIXES, Named
from vvscale.errors import DataError, MissingDataError

# First words of a header line.
_HEADERS = {"path", "file", "filename", "file_name", "image", "img", "image_path", "filepath", "name"}


def read_list(path: Path) -> Named:
    """Return (image path, label) of each line of a text file: ``path label``, separated by space, tab or comma.

    Raises
    ------
    MissingDataError, DataError
        There is no such file, it is no text, or a line has no label.
    """
    lines = [
        (number, line)
        for number, line in enumerate(text_lines(path, "lines of 'path label'"), 1)
        if line.strip() and not line.startswith("#")
    ]
    if not lines:
        raise DataError(f"The list '{path}' is empty. Expected lines 'path label'.")
    separator = _separator([line for _, line in lines])
    rows = []
    for number, line in lines:
        parts = [part.strip().strip('"') for part in line.rsplit(separator, 1)]
        if len(parts) != 2:
            raise DataError(f"Line {number} of the list '{path}' is {line!r}; expected 'path label'.")
        rows.append((parts[0], parts[1]))
    if rows[0][0].casefold() in _HEADERS:
        rows = rows[1:]
    if not rows:
        raise DataError(f"The list '{path}' has a header and nothing else. Expected lines 'path label'.")
    return rows


def _separator(lines: Sequence[str]) -> str | None:
    """Return the separator of a list; None for white space. Paths may hold spaces, and names of classes commas."""
    for separator in ("\t", ","):
        heads = [line.rsplit(separator, 1)[0].strip().strip('"') for line in lines if separator in line]
        n_images = sum(os.path.splitext(head)[1].lower() in SUFFIXES for head in heads)
        if len(heads) == len(lines) and n_images >= len(lines) - 1:
            return separator
    return None


def relative_to(root: Path, rows: Named, what: Path) -> Named:
    """Return the rows of a list with paths below ``root``.

    Absolute paths below the root are made relative, a leading ``/`` of official lists is taken away, and the
    backslashes of Windows are turned.

    Raises
    ------
    DataError
        Paths are absolute and lie elsewhere.
    """
    bases = {f"{os.path.normpath(base)}{os.sep}" for base in (root.absolute(), root.resolve())}
    is_windows = "\\" in rows[0][0] and not (root / rows[0][0]).exists()
    placed = []
    for path, label in rows:
        path = path.replace("\\", "/") if is_windows else path
        base = next((base for base in bases if path.startswith(base)), None)
        if base is not None:
            path = path.removeprefix(base)
        elif (path.startswith("/") and _is_elsewhere(root, path)) or PureWindowsPath(path).drive:
            raise DataError(
                f"The list '{what}' names '{path}', an absolute path that is not below '{root}'. Expected paths "
                "relative to the source folder; cut off what comes before them, or name the folder that they are below."
            )
        placed.append((path.lstrip("/"), label))
    return placed


def _is_elsewhere(root: Path, path: str) -> bool:
    # Official lists write "/a/airfield/1.jpg" for the folder a of the data set.
    return not (root / path.lstrip("/")).exists()


def read_names(path: Path) -> list[str]:
    """Return the class names of a text file, one per line.

    Raises
    ------
    MissingDataError, DataError
        There is no such file, it is no text, or a name is there twice.
    """
    names = read_labels(path, "one class name per line")
    twice = next((name for name, n in Counter(names).items() if n > 1), None)
    if twice is not None or not names:
        wrong = f"has the class '{twice}' twice" if names else "is empty"
        raise DataError(f"The list '{path}' {wrong}. Expected one class name per line.")
    return names


def read_labels(path: Path, expected: str = "one label per line") -> list[str]:
    """Return the lines of a text file that hold something, without blanks around it."""
    return [line.strip() for line in text_lines(path, expected) if line.strip()]


def text_lines(path: Path, expected: str) -> list[str]:
    """Return the lines of a text file; a byte order mark is no part of them."""
    if path.exists() and not path.is_file():
        raise DataError(f"The list '{path}' is not a file. Expected a text file: {expected}.")
    try:
        return path.read_text(encoding="utf-8-sig").splitlines()
    except FileNotFoundError as error:
        raise MissingDataError(f"There is no list '{path}'. Expected a text file: {expected}.") from error
    except UnicodeDecodeError as error:
        kind = "UTF-16" if path.read_bytes()[:2] in (b"\xff\xfe", b"\xfe\xff") else "another encoding"
        raise DataError(
            f"Cannot read the list '{path}': it is text in {kind}. Expected UTF-8 text: {expected}. Convert it: "
            f"iconv -f {'utf-16' if kind == 'UTF-16' else 'latin1'} -t utf-8 '{path}'."
        ) from error
    except OSError as error:
        raise DataError(f"Cannot read the list '{path}': {error}. Expected UTF-8 text: {expected}.") from error


def numbered(rows: Sequence[tuple[str, str]], names: Sequence[str], what: str) -> Named:
    """Return rows with the class names that their numbers 0..n-1 stand for."""
    named = []
    for position, (path, label) in enumerate(rows, 1):
        if not is_number(label) or int(label) >= len(names):
            raise DataError(
                f"Image {position} of {what} ('{path}') has the label '{label}', but there are {len(names)} classes: "
                f"expected 0..{len(names) - 1}. Labels that begin at 1 need 1 subtracted."
            )
        named.append((path, names[int(label)]))
    return named


def is_number(text: str) -> bool:
    """Whether a label is a number from 0 of at most nine digits."""
    # str.isdigit also holds for characters such as a superscript two, which int refuses.
    return text.isascii() and text.isdigit() and len(text) < 10
