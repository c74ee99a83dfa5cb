"""From names to a scored readout: load the network and the recordings, train, store the row."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from vvscale.brain.benchmarks.neural import NeuralBenchmark
from vvscale.brain.catalogue import load_benchmark
from vvscale.brain.inputs.preprocess import Preprocessing
from vvscale.brain.mapping.fixed import with_fixed_test
from vvscale.brain.scoring.layers import resolve_name
from vvscale.brain.scoring.tuned import refuse_tuned_images
from vvscale.errors import UsageError
from vvscale.models import load_model
from vvscale.scores import ScoreStore
from vvscale.train.readouts.fit import ReadoutScore, record_tokens, train_readout
from vvscale.train.readouts.options import ReadoutOptions, ReadoutRunOptions


@dataclass(frozen=True, eq=False)
class StoredReadout:
    """A trained readout and where its row was stored.

    Attributes
    ----------
    model_id
        Of the network that is read out.
    layer, benchmark_id
        As on the row: the layer under its full name, the benchmark with its test images.
    found
        The readout and its score.
    scores_path
        Part of the score store.
    """

    model_id: str
    layer: str
    benchmark_id: str
    found: ReadoutScore
    scores_path: Path

    def to_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return {**self.found.to_dict(), "model_id": self.model_id}


def read_out_model(model: str, options: ReadoutRunOptions | None = None, /, **fields: Any) -> StoredReadout:
    """Train a readout of a layer's tokens for all subjects of a benchmark, and store its score; rerun to resume.

    Parameters
    ----------
    model
        As :func:`vvscale.models.load_model` takes it.
    options, fields
        A :class:`ReadoutRunOptions`, its fields as keywords, or both.

    Raises
    ------
    UsageError
        The benchmark has no recordings of neuroids.
    DataError
        The network was fine-tuned on an image that tests.
    """
    options = ReadoutRunOptions.of(options, **fields)
    benchmark = load_benchmark(options.on)
    if not isinstance(benchmark, NeuralBenchmark):
        raise UsageError(f"'{options.on}' is no recording of neuroids, so there is nothing to read out.")
    benchmark = with_fixed_test(benchmark, options.test_share)
    loaded = load_model(model)
    refuse_tuned_images(loaded.record, [benchmark])
    recorded = loaded.record.get("preprocessing", {})
    shown = Preprocessing.from_record("brainscore", recorded, image_size=options.image_size)
    name = resolve_name(loaded.module, options.layer)
    tokens = record_tokens(loaded.module, name, benchmark, shown, options.device)
    found = train_readout(
        tokens, benchmark, out=options.out, layer=name, device=options.device, options=options.part(ReadoutOptions)
    )
    model_id = loaded.record.get("row", {}).get("model_id") or model
    row = {**found.row, "model_id": model_id, "run_id": f"{options.kind}-{options.seed}"}
    path = ScoreStore(options.out / "scores").append(pd.DataFrame([row]))
    return StoredReadout(model_id, name, benchmark.benchmark_id, found, path)
