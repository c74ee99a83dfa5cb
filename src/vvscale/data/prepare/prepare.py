"""Make a prepared data set: decode every image once and store its pixels, so that training never decodes.

The headers of all images are read first, which gives every image its place in the file before the first pixel is
written. Processes then write straight to those places; nothing is assembled afterwards, and a run that was killed
goes on with the parts that are missing.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from vvscale.core.files import locked, make_folder, remove_inside, write_json, write_with
from vvscale.core.jsonable import parse_json
from vvscale.core.processes import available_cores
from vvscale.data.manifest import INDEX, MANIFEST, PIXELS, REPORT, read_manifest, verify
from vvscale.data.prepare.decode import UnreadableError, decode
from vvscale.data.prepare.finish import SPLITS, failures, finish, left_out, oddities_of, pixels_path, refuse_corrupt
from vvscale.data.prepare.inputs import COLUMNS, Inputs, collect
from vvscale.data.prepare.options import PrepareOptions
from vvscale.data.prepare.parallel import Progress, counted, run_parts
from vvscale.data.prepare.passes import Pieces, headers_of, pixels_of
from vvscale.data.prepare.result import Prepared
from vvscale.data.prepare.sources.containers import read_bytes
from vvscale.data.prepare.sources.layouts import read_layout, read_lists
from vvscale.data.prepare.sources.listing import Listing, checked, with_val
from vvscale.data.prepare.sources.lists import read_names
from vvscale.data.prepare.sources.walk import WORK, as_text
from vvscale.errors import ConfigError, DataError

IMAGES_PER_PART = 256
_SAMPLE = 200


def prepare_images(
    source: str | Path,
    out: str | Path,
    options: PrepareOptions | None = None,
    *,
    dry_run: bool = False,
    progress: Progress | None = None,
    **fields: Any,
) -> Prepared:
    """Decode a source of images into a prepared data set.

    Parameters
    ----------
    source
        Folder of the images.
    out
        Folder to make.
    options, **fields
        Which images and how; a :class:`PrepareOptions`, its fields, or both.
    dry_run
        Only count, and estimate bytes and time from a sample.
    progress
        Called now and then with what is being read ("headers", then "pixels"), the number of images done, those of
        an earlier run included, and their number in all.

    Returns
    -------
    Prepared

    Raises
    ------
    MissingDataError, DataError, UnknownNameError
        The source is absent or contradicts itself; images are corrupt; ``out`` holds something else; the disk has
        too little room.
    ConfigError
        An option is out of range.
    RunError
        A process died.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> from PIL import Image
    >>> with TemporaryDirectory() as folder:
    ...     for split, name in (("train", "cat"), ("train", "dog"), ("val", "cat"), ("val", "dog")):
    ...         (Path(folder) / "images" / split / name).mkdir(parents=True)
    ...         Image.new("RGB", (8, 8)).save(Path(folder) / "images" / split / name / "0.png")
    ...     prepare_images(Path(folder) / "images", Path(folder) / "out").did
    'prepared'
    """
    start = time.monotonic()
    source, out = Path(source), Path(out)
    options = PrepareOptions.of(options, **fields)
    n_workers = options.workers or available_cores()
    if out.resolve() == source.resolve():
        raise ConfigError(f"The result cannot go into the source folder '{source}'. Choose another `out`.")
    listing = _list(source, options)
    settings = {"size": options.size, "class_names": list(listing.class_names)}
    inputs = collect(listing, settings)
    found = _found(out, inputs, listing, replace=options.replace)
    if found is not None:
        if not dry_run:
            remove_inside(out, WORK)
        return found
    if dry_run:
        return _plan(out, listing, inputs, n_workers)
    with _locked(out, inputs, replace=options.replace) as work:
        headers = _read_headers(listing, inputs, work, n_workers, progress)
        places, n_bytes = _place(inputs, headers)
        refuse_corrupt(out, failures(inputs, headers), options.skip_corrupt)
        _check_room(out, work, n_bytes)
        pixels = _write_pixels(listing, inputs, work, out, places, n_bytes, n_workers, progress)
        failed = failures(inputs, headers) + failures(inputs, pixels)
        oddities = oddities_of(inputs, listing, headers, pixels, failed)
        write_json(out / REPORT, oddities)
        refuse_corrupt(out, failed, options.skip_corrupt)
        manifests = finish(out, work, listing, inputs, places, pixels, oddities)
        remove_inside(out, WORK)
    return _prepared(out, "prepared", listing, manifests, oddities, time.monotonic() - start)


def _list(source: Path, options: PrepareOptions) -> Listing:
    classes: Sequence[str] = options.classes
    if len(classes) == 1 and (Path(classes[0]).is_file() or Path(classes[0]).suffix == ".txt"):
        classes = read_names(Path(classes[0]))
    if options.train_list is None:
        if options.val_list is not None:
            raise ConfigError("Got `val_list` without `train_list`; name both lists, or none.")
        listing = read_layout(source, options.layout)
    else:
        listing = read_lists(source, options.train_list, options.val_list, list(classes) or None)
    listing = checked(listing, classes=classes or None, min_per_class=options.min_per_class)
    return with_val(listing, fraction=options.val_fraction, seed=options.seed)


# --- what is there already --------------------------------------------------------------------------------------


def _found(out: Path, inputs: Inputs, listing: Listing, *, replace: bool) -> Prepared | None:
    """Return the finished data set if it is the one asked for; refuse if it is another."""
    if not (out / MANIFEST).is_file() or (replace and _is_damaged(out)):
        return None
    manifest = read_manifest(out)
    if manifest["fingerprint"] == inputs.fingerprint:
        splits = {split: read_manifest(out / split) for split in SPLITS}
        report = parse_json((out / REPORT).read_text()) if (out / REPORT).is_file() else manifest["report"]
        return _prepared(out, "found", listing, splits, report, 0.0)
    if replace:
        return None
    was = [_listed(out / split / INDEX, columns=COLUMNS[1:]).assign(split=split) for split in SPLITS]
    raise DataError(
        f"'{out}' holds a data set made from something else: {inputs.changes(manifest['settings'], pd.concat(was))}. "
        "Choose another `out`, or replace it with `replace`."
    )


def _listed(path: Path, **options: Any) -> pd.DataFrame:
    """Return the images of a data set that is in the way."""
    try:
        return pd.read_parquet(path, **options)
    except (pa.ArrowException, OSError, ValueError, KeyError) as error:
        raise DataError(
            f"'{path}' cannot be read: {(str(error) or type(error).__name__).splitlines()[0]}. Expected the images of "
            "the data set that lies here, made from something else than was asked for. Choose another `out`, or "
            "replace it with `replace`."
        ) from error


def _is_damaged(out: Path) -> bool:
    try:
        verify(out)
    except DataError:
        return True
    return False


@contextmanager
def _locked(out: Path, inputs: Inputs, *, replace: bool) -> Iterator[Path]:
    """Yield the folder of unfinished work on these inputs, which no other process uses meanwhile."""
    work = out / WORK
    with locked(work / "lock") as is_ours:
        if not is_ours:
            raise DataError(f"Another process is preparing '{out}' at this moment. Wait for it, or end it.")
        ours = work / inputs.fingerprint[:16]
        others = [folder for folder in work.iterdir() if folder.is_dir() and folder != ours]
        if others and not replace:
            was = _listed(others[0] / "inputs.parquet")
            settings = was.attrs["settings"]
            raise DataError(
                f"'{out}' holds unfinished work on something else: {inputs.changes(settings, was)}. Choose another "
                "`out`, or drop that work with `replace`."
            )
        for folder in others:
            remove_inside(work, folder.name)
        if not (ours / "inputs.parquet").is_file():
            _clear(out)
            make_folder(ours)
            files = inputs.files.copy()
            files.attrs["settings"] = dict(inputs.settings)
            write_with(ours / "inputs.parquet", files.to_parquet)
        yield ours


def _clear(out: Path) -> None:
    """Remove the files of an earlier data set and no others; the manifest first, so that no half passes for one."""
    names = [MANIFEST, *(f"{split}/{name}" for split in SPLITS for name in (MANIFEST, INDEX, PIXELS))]
    for name in names:
        remove_inside(out, name)


# --- the two passes ---------------------------------------------------------------------------------------------


def _cut(listing: Listing, inputs: Inputs, kind: str, **common: Any) -> Iterator[tuple[str, slice, Pieces]]:
    """Yield split, rows of the split and the part for every part."""
    for split in SPLITS:
        paths = [path for path, of in zip(inputs.paths, inputs.files["split"], strict=True) if of == split]
        for first in range(0, len(paths), IMAGES_PER_PART):
            rows = slice(first, first + IMAGES_PER_PART)
            name = f"{kind}-{split}-{first // IMAGES_PER_PART:06d}"
            yield split, rows, Pieces(name, listing.root, tuple(paths[rows]), inputs.settings["size"], **common)


def _read_headers(
    listing: Listing, inputs: Inputs, work: Path, n_workers: int, progress: Progress | None
) -> list[dict[str, Any]]:
    parts = [part for _, _, part in _cut(listing, inputs, "headers")]
    heard = counted("headers", len(inputs.files), progress)
    results = run_parts(headers_of, parts, work, n_workers=n_workers, heard=heard)
    return [row for rows in results for row in rows]


def _place(inputs: Inputs, headers: list[dict[str, Any]]) -> tuple[np.ndarray, dict[str, int]]:
    """Return (n, 3) int64 offset, height, width, and the bytes of each split."""
    sizes = np.array([(row.get("height", 0), row.get("width", 0)) for row in headers], dtype=np.int64)
    places = np.concatenate([np.zeros((len(sizes), 1), np.int64), sizes], 1)
    n_bytes = {}
    for split in SPLITS:
        rows = (inputs.files["split"] == split).to_numpy()
        lengths = 3 * sizes[rows].prod(1)
        places[rows, 0] = np.cumsum(lengths) - lengths
        n_bytes[split] = int(lengths.sum())
    return places, n_bytes


def _write_pixels(
    listing: Listing,
    inputs: Inputs,
    work: Path,
    out: Path,
    places: np.ndarray,
    n_bytes: dict[str, int],
    n_workers: int,
    progress: Progress | None,
) -> list[dict[str, Any]]:
    for split, length in n_bytes.items():
        path = pixels_path(work, out, split)
        if not path.is_file() or path.stat().st_size != length:
            # Without its file no earlier part is worth anything.
            for part in work.glob(f"pixels-{split}-*.json"):
                remove_inside(work, part)
            with path.open("wb") as file:
                file.truncate(length)
    split_of = inputs.files["split"].to_numpy()
    own = {split: places[split_of == split].tolist() for split in SPLITS}
    parts = []
    for split, rows, part in _cut(listing, inputs, "pixels"):
        there = tuple(map(tuple, own[split][rows]))
        parts.append(Pieces(part.name, part.root, part.paths, part.size, pixels_path(work, out, split), there))
    heard = counted("pixels", len(inputs.files), progress)
    results = run_parts(pixels_of, parts, work, n_workers=n_workers, heard=heard)
    return [row for rows in results for row in rows]


def _check_room(out: Path, work: Path, n_bytes: dict[str, int]) -> None:
    """Refuse to begin what the disk cannot hold."""
    files = [pixels_path(work, out, split) for split in SPLITS]
    written = sum(512 * path.stat().st_blocks for path in files if path.is_file())
    needed = max(0, sum(n_bytes.values()) - written)
    free = shutil.disk_usage(out).free
    # Index, parts and a little air.
    if 1.02 * needed + 1e7 > free:
        raise DataError(
            f"'{out}' has {free / 1e9:.1f} GB free; {needed / 1e9:.1f} GB of pixels are still to be written. Choose "
            "another `out`, a smaller `size`, or fewer `classes`."
        )


def _prepared(
    out: Path,
    did: str,
    listing: Listing,
    manifests: dict[str, dict[str, Any]],
    report: Mapping[str, Any],
    seconds: float,
) -> Prepared:
    return Prepared(
        folder=out,
        did=did,
        layout=listing.layout,
        n_train=manifests["train"]["n_images"],
        n_val=manifests["val"]["n_images"],
        n_classes=len(listing.class_names),
        n_bytes=sum(manifest["images_bytes"] for manifest in manifests.values()),
        seconds=seconds,
        digests={split: manifest["digest"] for split, manifest in manifests.items()},
        report=report,
    )


def _plan(out: Path, listing: Listing, inputs: Inputs, n_workers: int) -> Prepared:
    """Estimate bytes and time from images spread evenly over the source."""
    paths, size = inputs.paths, inputs.settings["size"]
    sample = [paths[row] for row in np.unique(np.linspace(0, len(paths) - 1, _SAMPLE).astype(int))]
    start, n_bytes, failed = time.monotonic(), [], []
    for path in sample:
        try:
            n_bytes.append(decode(read_bytes(listing.root, path), size).size)
        except (UnreadableError, OSError) as error:
            failed.append({"path": as_text(path), "reason": str(error)})
    seconds = (time.monotonic() - start) / len(sample) * len(paths) / n_workers
    counts = inputs.files["split"].value_counts()
    return Prepared(
        folder=out,
        did="planned",
        layout=listing.layout,
        n_train=int(counts["train"]),
        n_val=int(counts["val"]),
        n_classes=len(listing.class_names),
        n_bytes=int(np.mean(n_bytes) * len(paths)) if n_bytes else 0,
        seconds=seconds,
        report={"n_sampled": len(sample), "corrupt": failed, **left_out(listing)},
    )
