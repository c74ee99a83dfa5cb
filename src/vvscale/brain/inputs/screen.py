"""Images as they stand on the screen: of the size that the model's field of view asks for, never resampled.

A model sees ``visual_degrees``; a stimulus was shown at its own. A stimulus that covers less stands on a mid-grey
canvas, one that covers more loses its rim, and one of the same angle is left as it is.
"""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import numpy as np
from PIL import Image, UnidentifiedImageError

from vvscale.brain.inputs.stimuli import StimulusSet
from vvscale.data.depth import to_eight_bits
from vvscale.data.image_file import open_image
from vvscale.errors import DataError, MissingDataError

GRAY = (128, 128, 128)

_LOSSY = ("JPEG", "JPEG2000", "WEBP", "GIF")


def open_stimulus(stimuli: StimulusSet, row: int) -> Image.Image:
    """Read one image of a set, whole, with at most eight bits a channel.

    Parameters
    ----------
    stimuli
        The set, with pixels or paths.
    row
        Which image, counted from 0.

    Raises
    ------
    MissingDataError
        The file is not there.
    DataError
        The file is not an image, or only a part of one, or its numbers have no known range.
    """
    if stimuli.pixels is not None:
        return Image.fromarray(stimuli.pixels[row])
    path = stimuli.paths[row]
    try:
        with open_image(path) as image:
            image.load()
            return to_eight_bits(image)
    except FileNotFoundError as error:
        raise MissingDataError(
            f"The image '{path}' of stimulus '{stimuli.stimulus_id[row]}' of '{stimuli.identifier}' is not there. "
            "Likely cause: the cache was cleared while in use. Run the same command again to unpack it anew."
        ) from error
    # Pillow's readers raise all of these for files that are cut short or edited.
    except (
        UnidentifiedImageError, Image.DecompressionBombError, OSError, SyntaxError, ValueError, TypeError, KeyError,
        IndexError, AttributeError, EOFError, OverflowError, ZeroDivisionError, RuntimeError, struct.error, zlib.error,
    ) as error:  # fmt: skip
        raise DataError(
            f"Cannot read the image '{path}' of stimulus '{stimuli.stimulus_id[row]}' of '{stimuli.identifier}': "
            f"{error}. Expected a whole PNG, JPEG or other file that Pillow reads; replace it, or run "
            "'vvscale cache clear' if it lies in the cache."
        ) from error


def place_on_screen(image: Image.Image, *, source_degrees: float, target_degrees: float) -> Image.Image:
    """Give an image the extent that ``target_degrees`` has on the screen where it was shown.

    Parameters
    ----------
    image
        As shown.
    source_degrees, target_degrees
        Visual angle of its width, and of the width wanted, both above 0.

    Returns
    -------
    PIL.Image.Image
        The same image where the angles are equal; else ratio x its size, rounded half to even: on a grey RGB
        canvas where it grows, cropped about the centre where it shrinks.

    Source
    ------
    brainscore_vision/benchmark_helpers/screen.py, class ImageConverter.

    Examples
    --------
    >>> place_on_screen(Image.new("L", (320, 320)), source_degrees=4, target_degrees=8).size
    (640, 640)
    """
    if source_degrees == target_degrees:
        return image
    ratio = target_degrees / source_degrees
    size = np.array(image.size)
    target = (ratio * size).round().astype(int)
    if (target < 1).any():
        raise DataError(
            f"An image of {size[0]} x {size[1]} pixels that covers {source_degrees} degrees has nothing left at "
            f"{target_degrees} degrees. Use a wider visual angle for the model."
        )
    if ratio > 1:
        canvas = Image.new("RGB", _pair(target), GRAY)
        canvas.paste(image, _pair(((target - size) / 2).round()))
        return canvas
    corner = ((size - target) / 2).round().astype(int)
    return image.crop((*_pair(corner), *_pair(corner + target)))


def as_written(image: Image.Image, suffix: str) -> Image.Image:
    """Return an image as it comes back from a file of this ending.

    The reference writes what it has placed on the screen under the name of the stimulus and reads it again, so what
    was a JPEG is compressed a second time, with the quality that Pillow has by default; single pixels move by up to
    91 of 255 levels. Endings of lossless formats return the image itself.

    Source
    ------
    brainscore_vision/benchmark_helpers/screen.py, ImageConverter._write.
    """
    kind = Image.registered_extensions().get(suffix.lower())
    if kind not in _LOSSY:
        return image
    file = io.BytesIO()
    image.save(file, kind)
    file.seek(0)
    with Image.open(file) as written:
        written.load()
        return written


def as_rgb(image: Image.Image) -> Image.Image:
    """Return the colours of an image as RGB; transparency is ignored, as in the reference."""
    if image.mode == "RGB":
        return image
    canvas = Image.new("RGB", image.size)
    canvas.paste(image)
    return canvas


def _pair(values: Any) -> tuple[int, int]:
    return int(values[0]), int(values[1])
