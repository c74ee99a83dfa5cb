"""From a stimulus to the numbers that a model gets: placed on the screen, resized, normalised.

Two rules are in use and give other scores, so each is named and the name goes into every row. Everything here is
a pure function of files and settings without state, so that worker threads or processes can decode while a model
runs.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np
from PIL import Image

from vvscale.brain.inputs.screen import as_rgb, as_written, open_stimulus, place_on_screen
from vvscale.brain.inputs.stimuli import StimulusSet
from vvscale.errors import ConfigError, unknown_name

# Shape legend: n images, H x W pixels.

DEFAULT_IMAGE_SIZE = 224
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

RULES: Mapping[str, str] = {
    "brainscore": "bilinear with antialias straight to image_size (the reference)",
    "gokce2025": "bilinear without antialias to resize, then the centre of image_size (the scaling study)",
}
"""Name of the rule -> what it does."""

# Goes up whenever a rule gives other numbers for the same settings; 2 compresses placed JPEGs again.
_VERSION = 2
# The fraction of a resized image that the study keeps, 224 of 256 pixels.
_STUDY_CROP = 224 / 256


@dataclass(frozen=True)
class Preprocessing:
    """How stimuli become the input of a model.

    Attributes
    ----------
    name
        The rule, a key of :data:`RULES`.
    image_size
        Width and height of the input in pixels.
    resize
        With ``gokce2025``: width and height before the centre is cut out, at least ``image_size``; None for the
        study's proportion, 256 for 224. With ``brainscore`` there is no such step, and it must be None.
    mean, std
        For red, green and blue, in units of 0 to 1.
    visual_degrees
        Visual angle of the model's field of view, above 0.

    Examples
    --------
    >>> Preprocessing("gokce2025").resize
    256
    """

    name: str = "brainscore"
    image_size: int = DEFAULT_IMAGE_SIZE
    resize: int | None = None
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD
    visual_degrees: float = 8.0

    def __post_init__(self) -> None:
        if self.name not in RULES:
            raise unknown_name("preprocessing", self.name, RULES)
        if not self.image_size >= 1:
            raise ConfigError(f"Got image_size={self.image_size}; expected at least 1 pixel.")
        if not (np.isfinite(self.visual_degrees) and self.visual_degrees > 0):
            raise ConfigError(f"Got visual_degrees={self.visual_degrees}; expected an angle above 0, such as 8.")
        for name, is_right in (("mean", np.isfinite), ("std", lambda value: 0 < value < np.inf)):
            values = tuple(float(value) for value in getattr(self, name))
            if len(values) != 3 or not all(is_right(value) for value in values):
                raise ConfigError(
                    f"Got {name}={getattr(self, name)}; expected three finite numbers for red, green and blue"
                    f"{', above 0' if name == 'std' else ''}."
                )
            object.__setattr__(self, name, values)
        if self.name == "brainscore" and self.resize is not None:
            raise ConfigError(
                f"Got resize={self.resize} with the rule 'brainscore', which resizes straight to image_size; leave "
                "it out, or choose the rule 'gokce2025'."
            )
        if self.name == "gokce2025" and self.resize is None:
            object.__setattr__(self, "resize", round(self.image_size / _STUDY_CROP))
        if self.resize is not None and self.resize < self.image_size:
            raise ConfigError(f"Got resize={self.resize} below image_size={self.image_size}; nothing can be cut out.")

    @classmethod
    def from_record(
        cls, name: str, record: Mapping[str, Any], *, image_size: int | None = None, visual_degrees: float = 8.0
    ) -> Preprocessing:
        """Apply a rule with a model's own settings.

        Parameters
        ----------
        name
            The rule, a key of :data:`RULES`.
        record
            What the record of the weights says under ``preprocessing``: image_size, resize, mean, std. ``resize``
            is used by the rule ``gokce2025`` only. Without an image_size it is 224 pixels.
        image_size
            In place of the model's own, with the rule's proportion of ``resize`` to it.
        visual_degrees
            Visual angle of the model's field of view.
        """
        # The model's resize goes with the model's size.
        resize = record.get("resize") if name == "gokce2025" and image_size is None else None
        return cls(
            name,
            image_size=int(record.get("image_size", DEFAULT_IMAGE_SIZE) if image_size is None else image_size),
            resize=None if resize is None else int(resize),
            mean=tuple(record.get("mean", IMAGENET_MEAN)),
            std=tuple(record.get("std", IMAGENET_STD)),
            visual_degrees=visual_degrees,
        )

    def batch(self, stimuli: StimulusSet, rows: Iterable[int]) -> np.ndarray:
        """Return the input for some images of a set.

        Parameters
        ----------
        stimuli
            The set.
        rows
            Which images, counted from 0, in the order wanted.

        Returns
        -------
        numpy.ndarray
            (n, 3, image_size, image_size) float32, normalised.

        Raises
        ------
        DataError, MissingDataError
            An image cannot be read; the message names it.
        """
        rows = list(rows)
        made = np.empty((len(rows), 3, self.image_size, self.image_size), np.float32)
        for image, row in zip(made, rows, strict=True):
            suffix = stimuli.paths[row].suffix if stimuli.paths else ""
            pixels = self.pixels(open_stimulus(stimuli, row), stimuli.degrees_of(row), suffix=suffix)
            for channel in range(3):
                np.take(self._levels[channel], pixels[..., channel], out=image[channel])
        return made

    def pixels(self, image: Image.Image, degrees: float, *, suffix: str = "") -> np.ndarray:
        """Return (image_size, image_size, 3) uint8: one image before it is normalised.

        Parameters
        ----------
        image
            As shown.
        degrees
            The visual angle it was shown at.
        suffix
            Ending of its file: an image that is placed on the screen is compressed again where it was before.
        """
        placed = place_on_screen(image, source_degrees=degrees, target_degrees=self.visual_degrees)
        if placed is not image:
            placed = as_written(placed, suffix)
        size = self.image_size
        if self.resize is None:
            return np.asarray(as_rgb(placed).resize((size, size), Image.Resampling.BILINEAR))
        return resize_without_antialias(np.asarray(placed.convert("RGB")), self.resize, size)

    def digest(self) -> str:
        """Return the SHA-256 of everything that the numbers depend on, for keys of caches."""
        return hashlib.sha256(json.dumps([_VERSION, asdict(self)]).encode()).hexdigest()

    @cached_property
    def _levels(self) -> np.ndarray:
        """(3, 256) float32: the normalised value of each level, in the steps of the reference's float32 tensors."""
        unit = np.arange(256, dtype=np.float32) / np.float32(255)
        mean, std = (np.asarray(values, np.float32)[:, None] for values in (self.mean, self.std))
        return (unit - mean) / std


def resize_without_antialias(pixels: np.ndarray, size: int, crop: int | None = None) -> np.ndarray:
    """Interpolate between the four nearest pixels, in the fixed-point numbers of OpenCV's INTER_LINEAR.

    Parameters
    ----------
    pixels
        (H, W, 3) uint8.
    size
        Width and height of the result, whatever the proportions of the image.
    crop
        Return only so many rows and columns about the centre; None for all.

    Returns
    -------
    numpy.ndarray
        (crop, crop, 3) uint8.
    """
    crop = size if crop is None else crop
    kept = slice((size - crop) // 2, (size - crop) // 2 + crop)
    if pixels.shape[:2] == (size, size):
        return pixels[kept, kept]
    top, bottom, near, far = (part[kept, None, None] for part in _neighbours(pixels.shape[0], size))
    left, right, first, second = (part[kept] for part in _neighbours(pixels.shape[1], size, at_edge=True))
    # Rows that serve two rows of the result are interpolated once.
    used, place = np.unique(np.stack((top.ravel(), bottom.ravel())), return_inverse=True)
    strip = pixels[used]
    across = np.take(strip, left, 1) * first[:, None] + np.take(strip, right, 1) * second[:, None]
    across >>= 4
    above, below = across[place.reshape(2, -1)]
    return ((((above * near) >> 16) + ((below * far) >> 16) + 2) >> 2).astype(np.uint8)


def _neighbours(n: int, size: int, *, at_edge: bool = False) -> tuple[np.ndarray, ...]:
    """Return the two source pixels of each new one and their weights in 1/2048, all int32.

    ``at_edge`` gives a pixel beyond the edge all of the weight; otherwise the edge counts twice, which rounds
    differently. OpenCV does the first for columns and the second for rows.
    """
    place = ((np.arange(size) + 0.5) * (n / size) - 0.5).astype(np.float32)
    low = np.floor(place).astype(np.int32)
    rest = place - low.astype(np.float32)
    if at_edge:
        rest[(low < 0) | (low >= n - 1)] = 0
    weights = (np.rint(part * np.float32(2048)).astype(np.int32) for part in (1 - rest, rest))
    return np.clip(low, 0, n - 1), np.clip(low + 1, 0, n - 1), *weights
