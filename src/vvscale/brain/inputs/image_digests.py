"""Images told apart by their pixels, whatever their names and files."""

from __future__ import annotations

import hashlib
from collections.abc import Container
from weakref import WeakKeyDictionary

import numpy as np

from vvscale.brain.inputs.screen import open_stimulus
from vvscale.brain.inputs.stimuli import StimulusSet

# Reading the images of a large set takes minutes, and several questions are asked of the same ones.
_known: WeakKeyDictionary[StimulusSet, dict[int, str]] = WeakKeyDictionary()


def image_digests(stimuli: StimulusSet, chosen: Container[str]) -> list[tuple[str, str]]:
    """Return name and SHA-256 of the pixels of the chosen images, in the order of the set.

    Examples
    --------
    >>> from vvscale.brain import simulate
    >>> stimuli = simulate(images_per_object=2).stimuli
    >>> [(name, digest)] = image_digests(stimuli, {stimuli.stimulus_id[3]})
    >>> name == stimuli.stimulus_id[3], len(digest)
    (True, 64)
    """
    known = _known.setdefault(stimuli, {})
    found = []
    for row, name in enumerate(stimuli.stimulus_id.tolist()):
        if name in chosen:
            if row not in known:
                pixels = np.asarray(open_stimulus(stimuli, row).convert("RGB"))
                known[row] = hashlib.sha256(repr(pixels.shape).encode() + pixels.tobytes()).hexdigest()
            found.append((str(name), known[row]))
    return found
