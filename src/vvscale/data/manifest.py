"""The files of a prepared data set: written once, opened by mapping, checked by digest.

FOLDER/manifest.json            what was asked for and what came out
FOLDER/report.json              what was odd about the images
FOLDER/{train,val}/images.bin   pixels, image after image
FOLDER/{train,val}/index.parquet   where each image lies, its label, its digests, where it came from
FOLDER/{train,val}/manifest.json   counts, class names, digests
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from vvscale.core.files import write_json, write_with
from vvscale.core.hashing import hash_of
from vvscale.core.inputs.plain import plain_file
from vvscale.core.jsonable import SEAL, parse_json, seal_holds, sealed
from vvscale.data.prepare.parallel import Progress, counted
from vvscale.data.store import FORMAT, ImageStore, content_digest
from vvscale.errors import DataError, DigestError, MissingDataError

PIXELS, INDEX, MANIFEST, REPORT = "images.bin", "index.parquet", "manifest.json", "report.json"
_NEEDED = ["offset", "height", "width", "label"]
_DIGESTS = "pixels_sha256"
# What each manifest must say, and of what type.
_OF_WHOLE = {"fingerprint": str, "settings": dict, "report": dict, "digests": dict}
_OF_SPLIT = {"digest": str, "index_sha256": str, "images_bytes": int, "n_images": int, "name": str, "class_names": list}


def write_store(folder: Path, index: pd.DataFrame, class_names: tuple[str, ...], name: str) -> dict[str, Any]:
    """Write index and manifest beside the pixels, which are there already, and return the manifest.

    Parameters
    ----------
    folder
        Of the split.
    index
        Columns offset, height, width, label, pixels_sha256, source_sha256 (bytes), path, source_bytes,
        source_mtime_ns.
    class_names, name
        Of the store.
    """
    sizes = index[["height", "width"]].to_numpy(np.int64)
    digest = content_digest(class_names, sizes, index["label"].to_numpy(), b"".join(index["pixels_sha256"]))
    table = pa.Table.from_pandas(index, preserve_index=False)
    write_with(folder / INDEX, lambda part: pq.write_table(table, part))
    manifest = {
        "format": FORMAT,
        "name": name,
        "n_images": len(index),
        "n_classes": len(class_names),
        "images_bytes": (folder / PIXELS).stat().st_size,
        "digest": digest,
        "index_sha256": hash_of(folder / INDEX),
        "class_names": list(class_names),
    }
    write_json(folder / MANIFEST, sealed(manifest))
    return manifest


def read_manifest(folder: Path) -> dict[str, Any]:
    """Return a manifest.

    Raises
    ------
    MissingDataError, DataError
        There is none, or it is of another format.
    """
    path = folder / MANIFEST
    try:
        manifest = parse_json(plain_file(path).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise MissingDataError(
            f"'{folder}' is not a prepared data set: it has no {MANIFEST}. Expected the folder that `vvscale prepare` "
            "wrote; if it was interrupted, run the same command again."
        ) from error
    except (OSError, ValueError) as error:
        raise DataError(f"Cannot read '{path}': {error}. Prepare the data set again.") from error
    found = manifest.get("format") if isinstance(manifest, dict) else None
    if found != FORMAT:
        raise DataError(
            f"'{path}' has the format {found!r}; this version reads '{FORMAT}'. Prepare the data set again, or use "
            "the version of vvscale that wrote it."
        )
    needed = _OF_SPLIT if "index_sha256" in manifest else _OF_WHOLE
    wrong = [name for name, kind in needed.items() if not isinstance(manifest.get(name), kind)]
    if wrong or (SEAL in manifest and not seal_holds(manifest)):
        what = f"it lacks {', '.join(wrong)}" if wrong else "its content does not have the digest that it carries"
        raise DigestError(
            f"'{path}' is not the file that was written: {what}. Copy the folder again, or prepare it again with "
            "`replace`."
        )
    return manifest


def open_store(folder: str | Path) -> ImageStore:
    """Open one split of a prepared data set; its pixels are mapped, not read.

    What is read later is compared with the digests of the index: see ``ImageStore.check_pixels``.

    Raises
    ------
    MissingDataError, DataError
        A file is absent, cut short or of another format.
    DigestError
        The index or the manifest is not the one that was written.
    """
    folder = Path(folder)
    manifest = read_manifest(folder)
    for name in (INDEX, PIXELS):
        if not (folder / name).is_file():
            raise MissingDataError(f"'{folder}' lacks {name}. Prepare the data set again.")
    found = (folder / PIXELS).stat().st_size
    if found != manifest["images_bytes"]:
        raise DataError(
            f"'{folder / PIXELS}' has {found:,} bytes; expected {manifest['images_bytes']:,}. It was cut short or is "
            "of another data set; copy it again or prepare the data set again."
        )
    if hash_of(folder / INDEX) != manifest["index_sha256"]:
        raise DigestError(
            f"'{folder / INDEX}' is not the file that was written: expected sha256 {manifest['index_sha256'][:12]}..., "
            f"got {hash_of(folder / INDEX)[:12]}.... Copy it again or prepare the data set again."
        )
    try:
        index = pq.read_table(folder / INDEX, columns=[*_NEEDED, _DIGESTS])
        column = {name: index[name].to_numpy().astype(np.int64) for name in _NEEDED}
    except (pa.ArrowException, OSError, ValueError, KeyError) as error:
        raise DataError(f"Cannot read '{folder / INDEX}': {error}. Prepare the data set again.") from error
    sizes = np.stack([column["height"], column["width"]], 1)
    pixel_digests = b"".join(index[_DIGESTS].to_pylist())
    class_names = tuple(manifest["class_names"])
    # Covers what the digest of the index does not: the names of the classes, and the digest that runs record.
    if content_digest(class_names, sizes, column["label"], pixel_digests) != manifest["digest"]:
        raise DigestError(
            f"'{folder / MANIFEST}' does not describe '{INDEX}' beside it: class names or digest were changed. Copy "
            "the folder again or prepare the data set again."
        )
    return ImageStore(
        # Copy-on-write: nothing writes, and torch wants memory that could be written.
        buffer=np.memmap(folder / PIXELS, np.uint8, mode="c"),
        offsets=column["offset"],
        sizes=sizes,
        labels=column["label"],
        class_names=class_names,
        name=manifest["name"],
        known_digest=manifest["digest"],
        pixel_digests=np.frombuffer(pixel_digests, np.uint8).reshape(-1, hashlib.sha256().digest_size),
    )


def verify(folder: str | Path, *, progress: Progress | None = None) -> int:
    """Read every pixel of a prepared data set and compare it with the digests; return the number of images.

    Raises
    ------
    DigestError
        Images changed; the message names the first.
    MissingDataError, DataError
        As :func:`open_store`.
    """
    n_images = 0
    for split in ("train", "val"):
        store = open_store(Path(folder) / split)
        index = pq.read_table(Path(folder) / split / INDEX, columns=["pixels_sha256", "path"])
        expected = index["pixels_sha256"].to_pylist()
        damaged = []
        add = counted(split, store.n_images, progress)
        for position in range(store.n_images):
            if hashlib.sha256(store.image(position).data).digest() != expected[position]:
                damaged.append(position)
            add(1)
        if damaged:
            raise DigestError(
                f"{len(damaged)} of {store.n_images} images of '{folder}/{split}' are not what was written, the first "
                f"of them at position {damaged[0]} ('{index['path'][damaged[0]]}'). The disk or a copy damaged "
                f"{PIXELS}; copy it again or prepare the data set again."
            )
        n_images += store.n_images
    return n_images
