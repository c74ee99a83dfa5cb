"""What a source of images holds: paths and classes, before any image is opened."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from vvscale.errors import DataError, MissingDataError, did_you_mean

SUFFIXES = frozenset(
    ".jpg .jpeg .jpe .jfif .png .bmp .gif .webp .tif .tiff .ppm .pgm .pbm .pnm .jp2 .avif".split()  # noqa: SIM905
)

Named = list[tuple[str, str]]
"""(path below the root, class name) of each image."""


@dataclass(frozen=True)
class Listing:
    """The images of a source.

    Attributes
    ----------
    layout
        How they were found.
    root
        The folder that paths are below.
    class_names
        In the order of their labels.
    splits
        ``train``, and ``val`` where the source has one.
    left_out
        Classes that were dropped for having too few images.
    """

    layout: str
    root: Path
    class_names: tuple[str, ...]
    splits: dict[str, Named] = field(repr=False)
    left_out: tuple[str, ...] = ()


def class_folders(root: Path, folder: str) -> tuple[Named, list[str]]:
    """Return the images below ``root/folder``, one folder per class, and the class names, sorted.

    Raises
    ------
    DataError
        A class has no image, or there is no class.
    """
    top = root / folder
    names = sorted(entry.name for entry in os.scandir(top) if entry.is_dir() and not entry.name.startswith("."))
    if not names:
        raise DataError(
            f"'{top}' has no folder in it. Expected one folder of images per class, or name the layout with --layout."
        )
    images: Named = []
    for name in names:
        found = image_files(top / name)
        if not found:
            raise DataError(
                f"The class '{name}' is empty: '{top / name}' holds no image ({', '.join(sorted(SUFFIXES)[:6])}, ...). "
                "Remove the folder, or name the classes to take with --classes."
            )
        images += [(os.path.normpath(os.path.join(folder, name, path)), name) for path in found]
    return images, names


def image_files(folder: Path) -> list[str]:
    """Return the images anywhere below a folder, as sorted paths relative to it."""
    found = []
    for place, folders, files in os.walk(folder, followlinks=True):
        folders[:] = [name for name in folders if not name.startswith(".")]
        below = os.path.relpath(place, folder)
        images = (name for name in files if os.path.splitext(name)[1].lower() in SUFFIXES and name[0] != ".")
        found += [os.path.normpath(os.path.join(below, name)) for name in images]
    return sorted(found)


def read_list(path: Path) -> list[tuple[str, str]]:
    """Return (image path, label) of each line ``path label`` of a text file.

    Raises
    ------
    MissingDataError, DataError
        There is no such file, it is no text, or a line has no label.
    """
    rows = []
    for number, line in enumerate(_lines(path, "lines of 'path label'"), 1):
        if not line.strip() or line.startswith("#"):
            continue
        parts = line.rsplit(None, 1)
        if len(parts) != 2:
            raise DataError(f"Line {number} of the list '{path}' is {line!r}; expected 'path label'.")
        rows.append((parts[0].lstrip("/"), parts[1]))
    if not rows:
        raise DataError(f"The list '{path}' is empty. Expected lines 'path label'.")
    return rows


def read_names(path: Path) -> list[str]:
    """Return the class names of a text file, one per line.

    Raises
    ------
    MissingDataError, DataError
        There is no such file, it is no text, or a name is there twice.
    """
    names = [line.strip() for line in _lines(path, "one class name per line") if line.strip()]
    twice = next((name for name, n in Counter(names).items() if n > 1), None)
    if twice is not None or not names:
        wrong = f"has the class '{twice}' twice" if names else "is empty"
        raise DataError(f"The list '{path}' {wrong}. Expected one class name per line.")
    return names


def _lines(path: Path, expected: str) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError as error:
        raise MissingDataError(f"There is no list '{path}'. Expected a text file: {expected}.") from error
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"Cannot read the list '{path}': {error}. Expected UTF-8 text: {expected}.") from error


def numbered(rows: Sequence[tuple[str, str]], names: Sequence[str], what: str) -> Named:
    """Return rows with the class names that their numbers 0..n-1 stand for."""
    named = []
    for position, (path, label) in enumerate(rows, 1):
        if not label.isdigit() or int(label) >= len(names):
            raise DataError(
                f"Image {position} of {what} ('{path}') has the label '{label}', but there are {len(names)} classes: "
                f"expected 0..{len(names) - 1}. Labels that begin at 1 need 1 subtracted."
            )
        named.append((path, names[int(label)]))
    return named


def in_order(names: Iterable[str]) -> list[str]:
    """Return class names sorted: by number where all are numbers."""
    names = set(names)
    return sorted(names, key=int) if all(name.isdigit() for name in names) else sorted(names)


def checked(listing: Listing, *, classes: Sequence[str] | None, min_per_class: int) -> Listing:
    """Return the listing with the classes asked for, each with an image to train on.

    Raises
    ------
    DataError
        A class is empty, or evaluation has a class that training has not.
    """
    names = list(listing.class_names)
    if classes is not None:
        unknown = [name for name in classes if name not in set(names)]
        if unknown:
            raise DataError(
                f"The source has no class '{unknown[0]}' ({len(unknown)} of {len(classes)} names are unknown)."
                f"{did_you_mean(unknown[0], names)} It has {len(names)} classes, such as '{names[0]}'."
            )
        names = list(classes)
    counts = Counter(name for _, name in listing.splits["train"])
    left_out = tuple(name for name in names if counts[name] < min_per_class)
    names = [name for name in names if counts[name] >= min_per_class]
    empty = [name for name in names if not counts[name]]
    if empty or not names:
        which = f"the class '{empty[0]}' is empty ({len(empty)} such classes)" if empty else "no class is left"
        raise DataError(
            f"In '{listing.root}' {which}. Expected at least one training image per class; leave such classes out "
            "with --classes or --min-per-class."
        )
    known, all_known = set(names), set(listing.class_names)
    for split, images in listing.splits.items():
        strange = next((name for _, name in images if name not in all_known), None)
        if strange is not None:
            raise DataError(
                f"The {split} images have the class '{strange}', which the training images do not have."
                f"{did_you_mean(strange, names)} Expected the same classes in both."
            )
    splits = {split: [row for row in images if row[1] in known] for split, images in listing.splits.items()}
    return Listing(listing.layout, listing.root, tuple(names), splits, left_out)


def with_val(listing: Listing, *, fraction: float | None, seed: int) -> Listing:
    """Return the listing with a share of each class moved from train to val, if it has no val.

    Raises
    ------
    DataError
        There is no val and no fraction, both, or a class is too small to be split.
    """
    if listing.splits.get("val"):
        if fraction is not None:
            raise DataError(f"'{listing.root}' has images for evaluation already; leave --val-fraction away.")
        return listing
    if fraction is None or not 0 < fraction < 1:
        raise DataError(
            f"'{listing.root}' has no images for evaluation and --val-fraction is {fraction}. Expected a folder 'val' "
            "beside 'train', or a share of each class to hold out: --val-fraction 0.1."
        )
    images = listing.splits["train"]
    labels = np.array([name for _, name in images])
    held_out: set[int] = set()
    for label, name in enumerate(listing.class_names):
        rows = np.flatnonzero(labels == name)
        n = max(1, round(fraction * len(rows)))
        if n >= len(rows):
            raise DataError(
                f"The class '{name}' has {len(rows)} images, too few to hold out {fraction:g} of them and keep one. "
                "Leave it out with --min-per-class 2, or use another --val-fraction."
            )
        held_out.update(np.random.default_rng((seed, label)).permutation(rows)[:n].tolist())
    splits = {
        "train": [row for position, row in enumerate(images) if position not in held_out],
        "val": [row for position, row in enumerate(images) if position in held_out],
    }
    return Listing(listing.layout, listing.root, listing.class_names, splits, listing.left_out)
