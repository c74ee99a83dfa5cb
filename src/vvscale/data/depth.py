"""Images of more than eight bits a channel, brought to eight or refused; Pillow's own conversion clips them."""

from __future__ import annotations

import numpy as np
from PIL import Image

_WIDE_MODES = ("I;16", "I;16L", "I;16B", "I;16N", "I")
# A camera's 12 bits in a 16-bit file: its brightest white would become the 15 of 255.
_TWELVE_BITS = 1 << 12


def is_wide(image: Image.Image) -> bool:
    """Whether an image has integers of more than eight bits."""
    return image.mode in _WIDE_MODES


def to_eight_bits(image: Image.Image) -> Image.Image:
    """Return an image of at most eight bits a channel: 0..65535 becomes 0..255, others stay as they are.

    Raises
    ------
    ValueError
        The range of the numbers is unknown: floating-point ones, 32-bit ones, or those of a camera's 12 bits.

    Examples
    --------
    >>> to_eight_bits(Image.fromarray(np.array([[0, 0x8000, 0xFFFF]], np.uint16))).tobytes().hex()
    '0080ff'
    """
    if image.mode == "F":
        raise ValueError("pixels are floating-point numbers, whose range is unknown; save it with 8 bits a channel")
    if not is_wide(image):
        return image
    values = np.asarray(image).astype(np.int64)
    if values.min() < 0 or values.max() > 0xFFFF:
        raise ValueError("pixels are 32-bit numbers, whose range is unknown; save it with 8 bits a channel")
    if 0 < values.max() < _TWELVE_BITS:
        raise ValueError(
            f"pixels are 16-bit numbers of at most {values.max()}, so that it would be almost black; scale them to "
            "0..65535, or save it with 8 bits a channel"
        )
    return Image.fromarray((values >> 8).astype(np.uint8))
