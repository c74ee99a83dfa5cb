"""The end of a preparation: what was odd, what is refused, and the final names of all files."""

from __future__ import annotations

from collections import Counter
from importlib.metadata import version
from pathlib import Path, PurePath
from typing import Any

import numpy as np
import pandas as pd

from vvscale.core.files import make_folder, remove_inside, write_json
from vvscale.core.jsonable import sealed
from vvscale.data.manifest import MANIFEST, PIXELS, write_store
from vvscale.data.prepare.inputs import Inputs
from vvscale.data.prepare.sources.listing import Listing
from vvscale.data.prepare.sources.walk import as_text
from vvscale.data.store import FORMAT
from vvscale.errors import DataError

SPLITS = ("train", "val")


def failures(inputs: Inputs, rows: list[dict[str, Any]]) -> list[dict[str, str]]:
    """Return path, split and reason of the images that a pass could not read."""
    return [
        {"path": path, "split": split, "reason": row["error"]}
        for path, split, row in zip(inputs.files["path"], inputs.files["split"], rows, strict=True)
        if "error" in row
    ]


def refuse_corrupt(out: Path, failed: list[dict[str, str]], skip_corrupt: bool) -> None:
    """Refuse images that cannot be decoded, unless they are to be left out; all are named in a file."""
    if failed and not skip_corrupt:
        write_json(out / "corrupt.json", failed)
        shown = "; ".join(f"'{row['path']}' ({row['reason']})" for row in failed[:5])
        raise DataError(
            f"{len(failed)} images cannot be decoded: {shown}{'; ...' if len(failed) > 5 else ''}. All are listed in "
            f"'{out / 'corrupt.json'}'. Replace them, or leave them out with `skip_corrupt`; finished work is kept."
        )
    remove_inside(out, "corrupt.json")


def oddities_of(
    inputs: Inputs,
    listing: Listing,
    headers: list[dict[str, Any]],
    pixels: list[dict[str, Any]],
    failed: list[dict[str, str]],
) -> dict[str, Any]:
    """Return what was odd about the images."""
    oddities = Counter(oddity for row in headers for oddity in row.get("oddities", ()))
    seen: dict[str, list[int]] = {}
    for position, row in enumerate(pixels):
        if "source" in row:
            seen.setdefault(row["source"], []).append(position)
    paths, splits, labels = (inputs.files[name].tolist() for name in ("path", "split", "label"))
    groups = [rows for rows in seen.values() if len(rows) > 1]
    across = [rows for rows in groups if len({splits[row] for row in rows}) > 1]
    return {
        "n_images": len(headers),
        "corrupt": failed,
        "oddities": dict(sorted(oddities.items())),
        "n_duplicates": sum(len(rows) - 1 for rows in groups),
        "duplicates": [[paths[row] for row in rows] for rows in groups[:1000]],
        "duplicates_across_splits": [[f"{splits[row]}: {paths[row]}" for row in rows] for rows in across],
        "duplicates_of_two_classes": [
            [paths[row] for row in rows] for rows in groups if len({labels[row] for row in rows}) > 1
        ],
        **left_out(listing),
    }


def left_out(listing: Listing) -> dict[str, Any]:
    """Return what of the source is in neither split: classes, and files by their suffix."""
    strays: dict[str, list[str]] = {}
    for path in listing.strays:
        strays.setdefault(PurePath(path).suffix or "without a suffix", []).append(as_text(path))
    return {
        "classes_left_out": list(listing.left_out),
        "classes_without_val": list(listing.without_val),
        "files_left_out": [f"{len(paths)} {kind} ({paths[0]})" for kind, paths in sorted(strays.items())],
        "n_files_left_out": len(listing.strays),
    }


def finish(
    out: Path,
    work: Path,
    listing: Listing,
    inputs: Inputs,
    places: np.ndarray,
    pixels: list[dict[str, Any]],
    report: dict[str, Any],
) -> dict[str, dict[str, Any]]:
    """Give every file its final name, the manifest of the whole last."""
    kept = np.array(["source" in row for row in pixels])
    index = inputs.files.assign(
        offset=places[:, 0],
        height=places[:, 1].astype(np.int32),
        width=places[:, 2].astype(np.int32),
        pixels_sha256=[bytes.fromhex(row.get("pixels", "")) for row in pixels],
        source_sha256=[bytes.fromhex(row.get("source", "")) for row in pixels],
    )[kept]
    _check_classes_kept(listing, index)
    manifests = {}
    for split in SPLITS:
        make_folder(out / split)
        pixels_path(work, out, split).replace(out / split / PIXELS)
        rows = index[index["split"] == split].drop(columns="split")
        manifests[split] = write_store(out / split, rows, listing.class_names, f"{out.absolute().name}/{split}")
    libraries = {name: version(name) for name in ("pillow", "numpy", "vvscale")}
    short = {name: value for name, value in report.items() if not isinstance(value, list)}
    short |= {f"n_{name}": len(value) for name, value in report.items() if isinstance(value, list)}
    manifest = {
        "format": FORMAT,
        "name": out.absolute().name,
        "layout": listing.layout,
        "source": str(listing.root.absolute()),
        "settings": dict(inputs.settings),
        "filter": "Pillow bilinear, antialiased, shrinking only",
        "libraries": libraries,
        "fingerprint": inputs.fingerprint,
        "digests": {split: manifests[split]["digest"] for split in SPLITS},
        "report": short,
    }
    write_json(out / MANIFEST, sealed(manifest))
    return manifests


def _check_classes_kept(listing: Listing, index: pd.DataFrame) -> None:
    """Refuse a class of which no training image could be decoded."""
    present = set(index.loc[index["split"] == "train", "label"])
    lost = [name for label, name in enumerate(listing.class_names) if label not in present]
    if lost:
        raise DataError(
            f"No training image of the class '{lost[0]}' can be decoded ({len(lost)} such classes). Replace the files, "
            "or leave the class out with `classes`."
        )


def pixels_path(work: Path, out: Path, split: str) -> Path:
    """Return where the pixels of a split are: with the unfinished work until all are written."""
    return out / split / PIXELS if (out / split / PIXELS).is_file() else work / f"{split}.bin"
