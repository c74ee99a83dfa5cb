"""Images of validation must never be trained on: told by their content, whatever their names."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from vvscale.brain.benchmarks.benchmark import Benchmark
from vvscale.brain.benchmarks.neural import NeuralBenchmark
from vvscale.brain.inputs.screen import open_stimulus
from vvscale.errors import DataError


def refuse_trained_images(source: Sequence[NeuralBenchmark], tested: Sequence[Benchmark]) -> None:
    """Raise where an image that a network is scored on is among those it is tuned on, under this name or another.

    Parameters
    ----------
    source
        Whose training images are tuned on.
    tested
        Whose test images scores are of: recordings, and choices of observers alike.

    Raises
    ------
    DataError
        One is; the benchmark and both names are given.
    """
    digests: dict[int, list[str]] = {}
    trained: dict[str, str] = {}
    for one in source:
        fitted = {name for part in one.parts for name in part.images[part.target.is_train.any(0)].tolist()}
        trained |= {digest: name for name, digest in _images(one, fitted, digests)}
    for one in tested:
        for name, digest in _images(one, set(one.tested.tolist()), digests):
            if digest in trained:
                raise DataError(_refusal(one, name, trained[digest]))


def _refusal(benchmark: Benchmark, name: str, other: str) -> str:
    way_out = (
        "take it out of one of the splits, or fix the test images of all benchmarks alike with `fixed_test`"
        if isinstance(benchmark, NeuralBenchmark)
        else "tune to recordings of other images, or score this benchmark in a study without fine-tuning"
    )
    return (
        f"The test image '{name}' of '{benchmark.benchmark_id}' is the training image '{other}', pixel by pixel. "
        f"Fine-tuning on it would make its score worthless; {way_out}."
    )


def _images(benchmark: Benchmark, chosen: set[str], digests: dict[int, list[str]]) -> list[tuple[str, str]]:
    """Return name and SHA-256 of the pixels of chosen images."""
    stimuli: Any = benchmark.stimuli
    rows = [row for row, name in enumerate(stimuli.stimulus_id.tolist()) if name in chosen]
    known = digests.setdefault(id(stimuli), [""] * len(stimuli))
    for row in rows:
        if not known[row]:
            pixels = np.asarray(open_stimulus(stimuli, row).convert("RGB"))
            known[row] = hashlib.sha256(repr(pixels.shape).encode() + pixels.tobytes()).hexdigest()
    return [(str(stimuli.stimulus_id[row]), known[row]) for row in rows]
