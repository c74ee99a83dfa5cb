"""The task that fine-tunes a trained network on recordings; its output is loaded as that of a training is."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from vvscale.study.graph.kinds import Estimate, Rates, TaskContext
from vvscale.study.tasks.rows import LAYERS

if TYPE_CHECKING:
    from vvscale.brain.benchmarks.neural import NeuralBenchmark
    from vvscale.models import LoadedModel

# Recorded training images of a data set that is not here yet, for estimates alone.
_RECORDED_IMAGES = 1000


def run_fine_tune(context: TaskContext) -> dict[str, Any]:
    """Fine-tune one network.

    ``params``: ``name`` of the way; ``on``, id and digest of the recordings; ``layers``, a layer, ``"committed"`` or
    region -> layer, unless an input says; ``fixed_test``, as of scoring; ``options``, the fields of
    :class:`vvscale.train.neural.options.FineTuneOptions`; ``arch`` and ``dataset`` of the training.
    """
    from vvscale.brain.inputs.preprocess import Preprocessing
    from vvscale.brain.scoring.tuned import with_tuned_images
    from vvscale.models import load_model, save_weights
    from vvscale.train.neural.decoders import recordings
    from vvscale.train.neural.digests import trained_images
    from vvscale.train.neural.options import FineTuneOptions
    from vvscale.train.neural.task import Task
    from vvscale.train.neural.transfer import TUNED
    from vvscale.train.neural.tune import tune

    params = context.params
    trained = str(context.input("train"))
    model = load_model(trained)
    record = model.record
    options = FineTuneOptions.from_table(params["options"], f"[finetune.{params['name']}]")
    dataset = context.dataset(params["dataset"]["name"])
    task = Task.load(
        params["arch"], trained, dataset, out=context.out / "task", seed=options.seed, batch_size=options.task_batch,
        device=context.device,
    )  # fmt: skip
    source = recordings([one["id"] for one in params["on"]], fixed_test=params["fixed_test"])
    columns = tune(
        task.network, source=source, layers=_layers(context, source, model), out=context.out, task=task,
        options=options, preprocessing=Preprocessing.from_record("brainscore", record["preprocessing"]),
        stop=context.stop,
    )  # fmt: skip
    row = {**record["row"], **columns, "finetune": params["name"], "accuracy": task.accuracy(task.network)}
    row["model_id"] = f"{row['model_id']}{TUNED}{params['name']}-{options.fraction:g}"
    known = with_tuned_images(record, trained_images(source))
    save_weights(context.out / "weights.safetensors", task.network, {**known, "row": row})
    return {"model_id": row["model_id"], "accuracy": row["accuracy"], **columns}


def _layers(context: TaskContext, source: list[NeuralBenchmark], model: LoadedModel) -> Mapping[str, str]:
    from vvscale.brain.scoring.layers import committed_layers, read_commitment

    if "layers" in context.inputs:
        return read_commitment(context.input("layers") / LAYERS).layers
    layers = context.params["layers"]
    if layers == "committed":
        return committed_layers(model.module, model.record).layers
    return layers if isinstance(layers, Mapping) else {one.region: layers for one in source}


def estimate_fine_tune(facts: Mapping[str, Any], rates: Rates) -> Estimate:
    """Cost of tuning one network; ``facts``: its cost and the options."""
    per_epoch = math.ceil(_RECORDED_IMAGES / facts["neural_batch"])
    images = (facts["updates"] or facts["epochs"] * per_epoch) * (facts["task_batch"] + facts["neural_batch"])
    flop = 3 * facts["forward_flop"] * images
    seconds = max(flop / rates.flop_per_second, images / rates.images_per_second) + rates.task_seconds
    return Estimate(seconds, flop, 4 * facts["n_params"])
