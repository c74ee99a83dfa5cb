"""What a source of images holds: paths and classes, before any image is opened."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from vvscale.data.prepare.sources.walk import SUFFIXES, Named
from vvscale.errors import DataError, did_you_mean


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
    strays
        Files of the source that are no images by their suffix, and links that lead back.
    """

    layout: str
    root: Path
    class_names: tuple[str, ...]
    splits: dict[str, Named] = field(repr=False)
    left_out: tuple[str, ...] = ()
    strays: tuple[str, ...] = ()

    @property
    def without_val(self) -> tuple[str, ...]:
        """Classes that have no image to evaluate on."""
        shown = {name for _, name in self.splits.get("val", ())}
        return tuple(name for name in self.class_names if name not in shown)


def in_order(names: Iterable[str]) -> list[str]:
    """Return class names sorted: by number where all are numbers."""
    names = set(names)
    return sorted(names, key=int) if all(name.isascii() and name.isdigit() for name in names) else sorted(names)


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
            f"In '{listing.root}' {which}. Expected at least one training image ({', '.join(sorted(SUFFIXES)[:6])}, "
            "...) per class; leave such classes out with `min_per_class=1`, or name those to take with `classes`."
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
    return replace(listing, class_names=tuple(names), splits=splits, left_out=left_out)


def with_val(listing: Listing, *, fraction: float | None, seed: int) -> Listing:
    """Return the listing with a share of each class moved from train to val, if it has no val.

    Raises
    ------
    DataError
        There is no val and no fraction, both, or a class is too small to be split.
    """
    if listing.splits.get("val"):
        if fraction is not None:
            raise DataError(f"'{listing.root}' has images for evaluation already; leave `val_fraction` away.")
        return listing
    if fraction is None or not 0 < fraction < 1:
        raise DataError(
            f"'{listing.root}' has no images for evaluation and no `val_fraction`. Expected a folder 'val' beside "
            "'train', or a share of each class to hold out, between 0 and 1: `val_fraction=0.1`."
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
                "Leave it out with `min_per_class=2`, or use another `val_fraction`."
            )
        held_out.update(np.random.default_rng((seed, label)).permutation(rows)[:n].tolist())
    splits = {
        "train": [row for position, row in enumerate(images) if position not in held_out],
        "val": [row for position, row in enumerate(images) if position in held_out],
    }
    return replace(listing, splits=splits)
