"""Images of validation must never be trained on: told by their content, whatever their names."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from vvscale.brain.benchmarks.neural import NeuralBenchmark
from vvscale.brain.inputs.screen import open_stimulus
from vvscale.errors import DataError


def refuse_trained_images(source: Sequence[NeuralBenchmark], tested: Sequence[NeuralBenchmark]) -> None:
    """Raise where an image that a network is scored on is among those it is tuned on, under this name or another.

    Parameters
    ----------
    source
        Whose training images are tuned on.
    tested
        Whose test images scores are of.

    Raises
    ------
    DataError
        One is; the benchmark and both names are given.
    """
    digests: dict[int, list[str]] = {}
    trained: dict[str, str] = {}
    for one in source:
        trained |= {digest: name for name, digest in _images(one, "is_train", digests)}
    for one in tested:
        for name, digest in _images(one, "is_test", digests):
            if digest in trained:
                other = trained[digest]
                raise DataError(
                    f"The test image '{name}' of '{one.benchmark_id}' is the training image '{other}', pixel by pixel. "
                    "Fine-tuning on it would make its score worthless; take it out of one of the splits, or fix the "
                    "test images of all benchmarks alike with `fixed_test`."
                )


def _images(benchmark: NeuralBenchmark, role: str, digests: dict[int, list[str]]) -> list[tuple[str, str]]:
    """Return name and SHA-256 of the pixels of the images that train or test in any split, for any subject."""
    stimuli: Any = benchmark.stimuli
    chosen = set()
    for part in benchmark.parts:
        chosen |= set(part.images[getattr(part.target, role).any(0)].tolist())
    rows = [row for row, name in enumerate(stimuli.stimulus_id.tolist()) if name in chosen]
    known = digests.setdefault(id(stimuli), [""] * len(stimuli))
    for row in rows:
        if not known[row]:
            pixels = np.asarray(open_stimulus(stimuli, row).convert("RGB"))
            known[row] = hashlib.sha256(repr(pixels.shape).encode() + pixels.tobytes()).hexdigest()
    return [(str(stimuli.stimulus_id[row]), known[row]) for row in rows]
