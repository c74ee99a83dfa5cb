"""Networks that were fine-tuned on recordings are not scored on the images that they were tuned on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from vvscale.brain.benchmarks.benchmark import Benchmark
from vvscale.brain.inputs.image_digests import image_digests
from vvscale.errors import DataError

_KEY = "tuned_images"
# Of a SHA-256; among a million images two are the same to so many with a chance of one in ten million.
_DIGITS = 16


def with_tuned_images(record: Mapping[str, Any], digests: Iterable[str]) -> dict[str, Any]:
    """Return a record of weights that knows the images its network was tuned on, beside those of earlier tunings."""
    return {**record, _KEY: sorted({*record.get(_KEY, ()), *(one[:_DIGITS] for one in digests)})}


def refuse_tuned_images(record: Mapping[str, Any], benchmarks: Sequence[Benchmark]) -> None:
    """Raise where a network would be scored on an image that it was tuned on, under its name or another.

    Raises
    ------
    DataError
        It would; the network, the benchmark and the image are named.
    """
    tuned = set(record.get(_KEY, ()))
    if not tuned:
        return
    # Parts of one benchmark are judged on the same images.
    for one in {benchmark.row_id: benchmark for benchmark in benchmarks}.values():
        for name, digest in image_digests(one.stimuli, set(one.tested.tolist())):
            if digest[:_DIGITS] in tuned:
                model_id = record["row"].get("model_id")
                raise DataError(
                    f"'{model_id}' was fine-tuned on recordings of '{name}', which is a test image of "
                    f"'{one.benchmark_id}': its score there would be worthless. Give `fixed_test` the share that it "
                    "was tuned with, 0.2 if that was not chosen, or score it on other images."
                )
