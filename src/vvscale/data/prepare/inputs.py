"""What a preparation was asked for, so that the same request is known again and a changed one is explained."""

from __future__ import annotations

import hashlib
import json
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from vvscale.data.prepare.sources.containers import container_of
from vvscale.data.prepare.sources.listing import Listing
from vvscale.data.prepare.sources.walk import as_text
from vvscale.errors import DataError, MissingDataError

COLUMNS = ["split", "path", "label", "source_bytes", "source_mtime_ns"]


@dataclass(frozen=True, eq=False)
class Inputs:
    """Files and settings of one preparation.

    Attributes
    ----------
    settings
        What the result depends on besides the files.
    files
        One row per image: split, path, label, source_bytes, source_mtime_ns.
    paths
        The same paths as the operating system knows them; they may hold bytes that are not UTF-8.
    """

    settings: Mapping[str, Any]
    files: pd.DataFrame = field(repr=False)
    paths: tuple[str, ...] = field(repr=False)

    @property
    def fingerprint(self) -> str:
        """sha256 in hex of all of it."""
        digest = hashlib.sha256(json.dumps(dict(self.settings), sort_keys=True).encode())
        for name in COLUMNS:
            column = self.files[name]
            is_text = name in ("split", "path")
            digest.update("\0".join(column).encode() if is_text else column.to_numpy("<i8").tobytes())
        return digest.hexdigest()

    def changes(self, settings: Mapping[str, Any], files: pd.DataFrame) -> str:
        """Say what is different here from what was, in words."""
        said = [
            f"{name} is {_short(value)}, was {_short(settings.get(name))}"
            for name, value in self.settings.items()
            if value != settings.get(name)
        ]
        both = self.files.merge(files, on=["split", "path"], how="outer", suffixes=("", "_was"), indicator=True)
        in_both = both["_merge"] == "both"
        is_same = (both[COLUMNS[3:]].to_numpy() == both[[f"{name}_was" for name in COLUMNS[3:]]].to_numpy()).all(1)
        kinds = {
            "new": both["_merge"] == "left_only",
            "gone": both["_merge"] == "right_only",
            "changed": in_both & ~is_same,
        }
        for kind, rows in kinds.items():
            paths = both.loc[rows, "path"]
            if len(paths):
                said.append(
                    f"{len(paths)} of the images are {kind} ('{paths.iloc[0]}'{', ...' if len(paths) > 1 else ''})"
                )
        return "; ".join(said) or "the classes of some images"


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else text[:57] + "..."


def collect(listing: Listing, settings: Mapping[str, Any]) -> Inputs:
    """Look up size and time of every file of a listing; none is opened.

    Raises
    ------
    MissingDataError
        A file is not there.
    DataError
        It is not a plain file.
    """
    label_of = {name: label for label, name in enumerate(listing.class_names)}
    parts, places = [], []
    for split, images in listing.splits.items():
        paths = [path for path, _ in images]
        stats = _stats(listing.root, paths)
        places += paths
        parts.append(
            pd.DataFrame(
                {
                    "split": split,
                    "path": [as_text(path) for path in paths],
                    "label": [label_of[name] for _, name in images],
                    COLUMNS[3]: stats[:, 0],
                    COLUMNS[4]: stats[:, 1],
                }
            )
        )
    return Inputs(settings, pd.concat(parts, ignore_index=True), tuple(places))


def _stats(root: Path, paths: list[str]) -> np.ndarray:
    """Return (n, 2) int64: bytes and time of each file; images inside a larger file share those of the file."""
    stats = np.empty((len(paths), 2), np.int64)
    known: dict[str, tuple[int, int]] = {}
    for position, path in enumerate(paths):
        name = (container_of(path) or (path,))[0]
        if name not in known:
            try:
                found = (root / name).stat()
            except (OSError, ValueError) as error:
                raise MissingDataError(
                    f"There is no image '{as_text(str(root / name))}', which the listing names: "
                    f"{getattr(error, 'strerror', None) or error}. Is the download complete, and are paths relative to "
                    "the source folder?"
                ) from error
            if not stat.S_ISREG(found.st_mode):
                raise DataError(f"'{as_text(str(root / name))}' is named like an image and is not a plain file.")
            known = {name: (found.st_size, found.st_mtime_ns)}
        stats[position] = known[name]
    return stats
