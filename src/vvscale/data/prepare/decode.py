"""Bytes of an image file to RGB pixels of a known size; what is odd about a file is said, not hidden.

Pixels are those of torchvision's loader and Resize (Pillow's antialiased bilinear filter, its default for
classification), so that a prepared store shows a model what the usual pipeline would after its first step. Only
shrinking is done: enlarging would store no more information.
"""

from __future__ import annotations

import io
import os
import warnings
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import numpy as np
from PIL import ExifTags, Image, ImageOps

from vvscale.data.depth import is_wide, to_eight_bits
from vvscale.data.image_file import open_image
from vvscale.data.prepare.sources.containers import container_of, read_bytes

_KIND_OF_MODE = {
    "L": "grey",
    "1": "grey",
    "LA": "grey",
    "CMYK": "cmyk",
    "YCCK": "cmyk",
    "P": "palette",
    "PA": "palette",
}


class UnreadableError(Exception):
    """An image cannot be decoded; the text says why."""


@dataclass(frozen=True)
class Header:
    """What is known of an image without decoding it.

    Attributes
    ----------
    height, width
        As stored: turned upright, the shorter side shrunk.
    oddities
        Such as "grey", "cmyk", "palette", "alpha", "16-bit", "rotated", "small" (its shorter side is below the one
        asked for).
    """

    height: int
    width: int
    oddities: tuple[str, ...]


def read_header(root: Path, path: str, size: int) -> Header:
    """Return what an image will be stored as; its pixels are not decoded.

    Raises
    ------
    UnreadableError
        It is no image.
    """
    if container_of(path) is not None:
        with _said():
            return _header(_open(read_bytes(root, path)), size)
    with _said(), (root / path).open("rb") as file:
        return _header(_open(file), size)


def decode(data: bytes, size: int) -> np.ndarray:
    """Return the pixels to store, (h, w, 3) uint8.

    Parameters
    ----------
    data
        Content of a file.
    size
        Side that the shorter one is shrunk to, in pixels; 0 keeps every image as it is.

    Raises
    ------
    UnreadableError
        It cannot be decoded to the end.
    """
    with _said():
        image = _open(data)
        header = _header(image, size)
        image = _upright(image) if "rotated" in header.oddities else image
        image = _rgb(image)
        if image.size != (header.width, header.height):
            image = image.resize((header.width, header.height), Image.Resampling.BILINEAR)
        return np.asarray(image)


class _said:  # noqa: N801 - used like a keyword
    """Turn whatever a decoder raises into UnreadableError, and silence its warnings."""

    def __enter__(self) -> None:
        self._warnings = warnings.catch_warnings()
        self._warnings.__enter__()
        warnings.simplefilter("ignore")

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._warnings.__exit__(kind, error, trace)
        if isinstance(error, Exception) and not isinstance(error, (UnreadableError, MemoryError)):
            text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            # Decoders name the object in memory; it means nothing to a reader.
            text = "not an image file" if "cannot identify" in text else text or type(error).__name__
            raise UnreadableError(text.splitlines()[0]) from error


def _open(data: bytes | io.BufferedReader) -> Image.Image:
    if data == b"" or (not isinstance(data, bytes) and not os.fstat(data.fileno()).st_size):
        raise UnreadableError("the file is empty")
    return open_image(io.BytesIO(data) if isinstance(data, bytes) else data)


def _header(image: Image.Image, size: int) -> Header:
    if image.mode == "F":
        raise UnreadableError("pixels are floating-point numbers, whose range is unknown")
    width, height = image.size
    oddities = []
    if image.mode in _KIND_OF_MODE:
        oddities.append(_KIND_OF_MODE[image.mode])
    if is_wide(image):
        oddities.append("16-bit")
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        oddities.append("alpha")
    orientation = _orientation(image)
    if orientation > 1:
        oddities.append("rotated")
    if orientation >= 5:
        width, height = height, width
    short, long = sorted((width, height))
    if short < size:
        oddities.append("small")
    if size and short > size:
        # As torchvision's Resize rounds.
        long = int(size * long / short)
        height, width = (size, long) if height <= width else (long, size)
    return Header(height, width, tuple(oddities))


def _orientation(image: Image.Image) -> int:
    # Asking a PNG for its EXIF decodes all of it; where it comes before the pixels it is known already.
    if image.format == "PNG" and "exif" not in image.info:
        return 1
    value = image.getexif().get(ExifTags.Base.Orientation, 1)
    return value if value in range(1, 9) else 1


def _upright(image: Image.Image) -> Image.Image:
    return ImageOps.exif_transpose(image)


def _rgb(image: Image.Image) -> Image.Image:
    """Return three channels of bytes; transparency is dropped, as torchvision's loader does."""
    image = to_eight_bits(image)
    if image.mode in ("P", "PA") and "transparency" in image.info:
        image = image.convert("RGBA")
    return image.convert("RGB")
