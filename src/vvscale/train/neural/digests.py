"""Images of validation must never be trained on: told by their content, whatever their names."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import numpy as np

from vvscale.brain.inputs.screen import open_stimulus
from vvscale.brain.inputs.stimuli import StimulusSet
from vvscale.errors import DataError


def image_digests(stimuli: StimulusSet, rows: Iterable[int]) -> dict[str, int]:
    """Return the SHA-256 of the pixels of some images -> row."""
    found = {}
    for row in rows:
        pixels = np.asarray(open_stimulus(stimuli, int(row)).convert("RGB"))
        found[hashlib.sha256(repr(pixels.shape).encode() + pixels.tobytes()).hexdigest()] = int(row)
    return found


def refuse_shared_images(stimuli: StimulusSet, train: np.ndarray, test: np.ndarray, what: str) -> None:
    """Raise where an image of validation is among the training images under another name.

    Raises
    ------
    DataError
        One is; both names are given.
    """
    trained = image_digests(stimuli, train)
    for digest, row in image_digests(stimuli, test).items():
        if digest in trained:
            names = stimuli.stimulus_id
            raise DataError(
                f"The test image '{names[row]}' of '{what}' is the training image '{names[trained[digest]]}', pixel by "
                "pixel. Fine-tuning on it would make its score worthless; take it out of one of the splits."
            )
