"""Images of validation must never be trained on: told by their content, whatever their names."""

from __future__ import annotations

from collections.abc import Sequence

from vvscale.brain.benchmarks.benchmark import Benchmark
from vvscale.brain.benchmarks.neural import NeuralBenchmark
from vvscale.brain.inputs.image_digests import image_digests
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
    trained = trained_images(source)
    for one in tested:
        for name, digest in image_digests(one.stimuli, set(one.tested.tolist())):
            if digest in trained:
                raise DataError(_refusal(one, name, trained[digest]))


def trained_images(source: Sequence[NeuralBenchmark]) -> dict[str, str]:
    """Return SHA-256 of the pixels -> name of the images that train in any split, for any subject."""
    trained: dict[str, str] = {}
    for one in source:
        fitted = {name for part in one.parts for name in part.images[part.target.is_train.any(0)].tolist()}
        trained |= {digest: name for name, digest in image_digests(one.stimuli, fitted)}
    return trained


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
