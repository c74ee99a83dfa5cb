"""Open a file as an image, whatever its name says, without starting another program."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import IO

from PIL import Image

# Pillow goes by the content of a file, and hands PostScript to Ghostscript, an interpreter of programs.
_RUN_PROGRAMS = frozenset({"EPS"})


def open_image(file: str | Path | IO[bytes]) -> Image.Image:
    """Open an image as ``PIL.Image.open`` does, of every format but those that another program reads.

    Raises
    ------
    PIL.UnidentifiedImageError
        It is no image, or of such a format.
    """
    return Image.open(file, formats=_formats())


@lru_cache
def _formats() -> tuple[str, ...]:
    Image.init()
    return tuple(one for one in Image.ID if one not in _RUN_PROGRAMS)
