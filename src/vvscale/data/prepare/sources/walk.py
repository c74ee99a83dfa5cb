"""Image files below a folder: every one once, links that lead back left aside, and what is no image counted."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from vvscale.errors import DataError

SUFFIXES = frozenset(
    ".jpg .jpeg .jpe .jfif .png .bmp .gif .webp .tif .tiff .ppm .pgm .pbm .pnm .jp2 .avif".split()  # noqa: SIM905
)
WORK = ".work"
"""Folder of unfinished work, in the folder of the result."""

Named = list[tuple[str, str]]
"""(path below the root, class name) of each image."""


@dataclass
class Folders:
    """The images below a folder, one folder per class.

    Attributes
    ----------
    images
        Of all classes.
    names
        Of the classes, sorted, those without an image included.
    strays
        Other files, by path below the root, and links that lead back to a folder they lie in.
    """

    images: Named = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    strays: list[str] = field(default_factory=list)


def class_folders(root: Path, folder: str) -> Folders:
    """Return the images below ``root/folder``, one folder per class.

    Raises
    ------
    DataError
        There is no class, or the folders are not those of classes.
    """
    top = root / folder
    found = Folders()
    with os.scandir(top) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            if entry.name.startswith("."):
                continue
            if not entry.is_dir():
                found.strays.append(_below(folder, entry.name))
            elif not is_prepared(Path(entry.path)):
                found.names.append(entry.name)
    if not found.names:
        shards = sorted(Path(name).suffix for name in found.strays if name.endswith((".tar", ".tgz", ".gz", ".zip")))
        advice = f"It holds {shards[0]} files: unpack them first." if shards else ""
        raise DataError(
            f"'{top}' has no folder in it. {advice or 'Expected one folder of images per class.'} Or name another "
            "`layout`."
        )
    _refuse_splits(top, found.names)
    classes = [top / name for name in found.names]
    for name in found.names:
        images, strays = image_files(top / name, but=classes)
        found.images += [(_below(folder, name, path), as_text(name)) for path in images]
        found.strays += [_below(folder, name, path) for path in strays]
    found.names = [as_text(name) for name in found.names]
    return found


def as_text(path: str) -> str:
    r"""Return a path as text that every file can hold; bytes that are not UTF-8 are spelled out.

    Examples
    --------
    >>> as_text("train/caf\udce9.jpg")
    'train/caf\\xe9.jpg'
    """
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def is_prepared(folder: Path) -> bool:
    """Whether a folder is a result of ``vvscale prepare``, or unfinished work on one; these are never a source."""
    return (folder / WORK).is_dir() or ((folder / "manifest.json").is_file() and (folder / "train").is_dir())


def image_files(folder: Path, *, but: Iterable[Path] = ()) -> tuple[list[str], list[str]]:
    """Return the images anywhere below a folder, and the other files, as sorted paths relative to it.

    Links to other folders are followed. A link to a folder that it lies in, to one that was listed already or to one
    of ``but`` is counted with the other files: it would bring images in twice, or those of other classes.

    Raises
    ------
    DataError
        A folder cannot be read.
    """
    images, others = [], []
    seen = {_identity(path) for path in (folder, *folder.absolute().parents, *but)}
    for place, folders, files in os.walk(folder, followlinks=True, onerror=_refuse):
        below = os.path.relpath(place, folder)
        kept = []
        for name in sorted(folders):
            if name.startswith("."):
                continue
            identity = _identity(Path(place, name))
            if identity in seen:
                others.append(_below(below, name))
            else:
                seen.add(identity)
                kept.append(name)
        folders[:] = kept
        for name in files:
            if name[0] != ".":
                is_image = os.path.splitext(name)[1].lower() in SUFFIXES
                (images if is_image else others).append(_below(below, name))
    return sorted(images), sorted(others)


def _identity(path: Path) -> tuple[int, int]:
    stat = path.stat()
    return stat.st_dev, stat.st_ino


def _below(*parts: str) -> str:
    return os.path.normpath(os.path.join(*parts))


def _refuse(error: OSError) -> None:
    raise DataError(
        f"Cannot read the folder '{error.filename}': {error.strerror}. Its images would be missing without a word; "
        "change its permissions."
    ) from error


# --- folders of splits are no classes ---------------------------------------------------------------------------

TRAIN_FOLDERS = ("train", "training")
VAL_FOLDERS = ("val", "valid", "validation", "test")
_SPLITS = {*TRAIN_FOLDERS, *VAL_FOLDERS, "eval", "dev", "testing"}


def _refuse_splits(top: Path, names: list[str]) -> None:
    """Refuse folders that are splits, or the data set itself; as classes they would train to nothing."""
    splits = [name for name in names if name.casefold() in _SPLITS]
    if len(splits) > 1 or (splits and len(names) == 1):
        raise DataError(
            f"The folders {' and '.join(map(repr, splits))} of '{top}' look like splits, not classes. Expected "
            "folders named 'train' and 'val' in lower case with one folder per class in each; rename them, or name "
            "lists of images with `train_list` and `val_list`."
        )
    inner = {entry.name for entry in os.scandir(top / names[0]) if entry.is_dir() and entry.name[0] != "."}
    hidden = sorted(name for name in inner if name.casefold() in _SPLITS)
    if len(hidden) > 1:
        raise DataError(
            f"The folder '{top / names[0]}' holds {' and '.join(map(repr, hidden))}, which look like splits. "
            f"{_ITSELF if len(names) == 1 else 'Expected train/CLASS and val/CLASS, not CLASS/train and CLASS/val.'}"
            f"{f' Next: name the folder {str(top / names[0])!r} instead.' if len(names) == 1 else ''}"
        )
    if len(names) == 1 and inner and not any(name.is_file() for name in (top / names[0]).iterdir()):
        raise DataError(
            f"'{top}' holds one folder, '{names[0]}', and that holds folders. {_ITSELF} "
            f"Next: name the folder {str(top / names[0])!r} instead, or more than one class."
        )


_ITSELF = "It looks like the data set itself, not a class."
