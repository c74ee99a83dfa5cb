"""From names to a fine-tuned network: load the network, the recordings and the images, tune, store what was found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vvscale.brain.benchmarks.neural import NeuralBenchmark
from vvscale.brain.inputs.preprocess import Preprocessing
from vvscale.brain.scoring.layers import read_commitment
from vvscale.brain.scoring.tuned import refuse_tuned_images, with_tuned_images
from vvscale.errors import UsageError
from vvscale.models import load_model, save_weights
from vvscale.scores import ScoreStore
from vvscale.train.neural.decoders import recordings
from vvscale.train.neural.digests import trained_images
from vvscale.train.neural.options import FineTuneOptions, FineTuneRunOptions
from vvscale.train.neural.task import Task
from vvscale.train.neural.transfer import TUNED
from vvscale.train.neural.tune import FineTuned, fine_tune


@dataclass(frozen=True, eq=False)
class StoredFineTuning:
    """A fine-tuned network and where it was stored.

    Attributes
    ----------
    model_id
        Of the tuned network.
    found
        The network and its scores before and after.
    scores_path, weights_path
        Part of the score store, and the weights.
    """

    model_id: str
    found: FineTuned
    scores_path: Path
    weights_path: Path

    def to_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return {"model_id": self.model_id, **self.found.to_dict()}


def fine_tune_model(model: str, options: FineTuneRunOptions | None = None, /, **fields: Any) -> StoredFineTuning:
    """Fine-tune a trained network on recordings and store its scores and weights; rerun to resume.

    Parameters
    ----------
    model
        A run's folder or other weights of a network that was trained on the images of ``data``.
    options, fields
        A :class:`FineTuneRunOptions`, its fields as keywords, or both.

    Raises
    ------
    UsageError
        A benchmark has no recordings of neuroids, or ``out`` holds the weights of another network.
    """
    options = FineTuneRunOptions.of(options, **fields)
    out = options.out
    weights = out / "weights.safetensors"
    if weights.exists() and not (out / "task" / "spec.json").exists():
        raise UsageError(
            f"The folder '{out}' holds the weights of another network, 'weights.safetensors', which fine-tuning would "
            f"write over. Give another `out`, such as '{out}-tuned'."
        )
    chosen = {"fixed_test": options.test_share, "metric": options.metric}
    source, test = (recordings(names, **chosen) for names in (options.on, options.test_on))
    record = load_model(model).record
    if "model" not in record:
        raise UsageError(
            f"'{model}' says neither its architecture nor its classes; fine-tuning needs the folder of a run, or the "
            "weights of one. Train the network first: `vvscale train` takes one of your own too."
        )
    refuse_tuned_images(record, [*source, *test])
    task = Task.load(
        str(record["model"]), model, options.data, out=out / "task", seed=options.seed,
        batch_size=options.task_batch, device=options.device,
    )  # fmt: skip
    found = fine_tune(
        task.network, source=source, test=test, layers=_layers(options.layers, [*source, *test]),
        preprocessing=Preprocessing.from_record("brainscore", record["preprocessing"]), out=out, task=task,
        options=options.part(FineTuneOptions),
    )  # fmt: skip
    model_id = f"{record['row']['model_id']}{TUNED}{source[0].region}-{options.seed}"
    rows = found.rows.assign(model_id=model_id, run_id=f"{options.control}-{options.fraction:g}-{found.n_updates}")
    known = with_tuned_images(record, trained_images(source))
    save_weights(weights, task.network, {**known, "row": {**record["row"], "model_id": model_id}})
    return StoredFineTuning(model_id, found, ScoreStore(out / "scores").append(rows), weights)


def _layers(layers: str, benchmarks: Sequence[NeuralBenchmark]) -> Mapping[str, str]:
    if layers.endswith((".toml", ".json")):
        return read_commitment(layers).layers
    return {one.region: layers for one in benchmarks}
