"""The two passes over the images of a source: headers, then pixels. Run in processes that load little else."""

from __future__ import annotations

import errno
import hashlib
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vvscale.core.files import write_at
from vvscale.data.prepare.decode import UnreadableError, decode, read_bytes, read_header
from vvscale.errors import DataError


@dataclass(frozen=True)
class Pieces:
    """Some neighbouring images of one split, for one process."""

    name: str
    root: Path
    paths: tuple[str, ...]
    size: int
    pixels_path: Path | None = None
    places: tuple[tuple[int, int, int], ...] = ()
    """Offset, height and width of each; height 0 for those with an unreadable header."""

    @property
    def n_images(self) -> int:
        """How many images."""
        return len(self.paths)


def headers_of(part: Pieces) -> list[dict[str, Any]]:
    """Read the headers of a part: height, width and oddities, or the error."""
    rows: list[dict[str, Any]] = []
    for path in part.paths:
        try:
            rows.append(asdict(read_header(part.root, path, part.size)))
        except UnreadableError as error:
            rows.append({"error": str(error)})
    return rows


def pixels_of(part: Pieces) -> list[dict[str, Any]]:
    """Decode the images of a part to their places: digests of file and pixels, or the error."""
    if part.pixels_path is None:
        raise ValueError("a part without a file to write to")
    rows: list[dict[str, Any]] = []
    with part.pixels_path.open("rb+", buffering=0) as file:
        for path, (offset, height, width) in zip(part.paths, part.places, strict=True):
            if not height:
                rows.append({})
                continue
            try:
                data = read_bytes(part.root, path)
                pixels = decode(data, part.size)
            except (UnreadableError, OSError) as error:
                rows.append({"error": str(error)})
                continue
            if pixels.shape != (height, width, 3):
                rows.append({"error": f"decoded to {pixels.shape[:2]}, its header said {(height, width)}"})
                continue
            content = np.ascontiguousarray(pixels)
            _write_at(file.fileno(), content.data.cast("B"), offset, part.pixels_path)
            rows.append(
                {"source": hashlib.sha256(data).hexdigest(), "pixels": hashlib.sha256(content.data).hexdigest()}
            )
        os.fsync(file.fileno())
    return rows


def _write_at(file: int, content: memoryview, offset: int, path: Path) -> None:
    try:
        write_at(file, content, offset)
    except OSError as error:
        if error.errno not in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}:
            raise
        raise DataError(
            f"Cannot write '{path}': the disk is full ({error.strerror}). What is finished is kept: free some "
            "space and run the same command again, or remove the folder."
        ) from error
