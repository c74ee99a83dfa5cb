"""``vvscale fine-tune``: train a network on, for its task and for recordings at once."""

from __future__ import annotations

from pathlib import Path

from vvscale.cli.options import verb
from vvscale.cli.output import Output, brief
from vvscale.train.neural.options import FineTuneOptions


@verb
def fine_tune(
    model: str,
    /,
    *,
    on: tuple[str, ...],
    layers: str,
    data: str = "digits",
    test_on: tuple[str, ...] = (),
    metric: str = "ridge-cv",
    test_share: float = 0.2,
    out: Path = Path("out/fine-tuned"),
    device: str = "cpu",
    options: FineTuneOptions,
    output: Output,
) -> None:
    """Train a network on, for its task and for recordings at once; rerun to resume.

    Readouts of the committed layers are fitted once and frozen; afterwards fresh ones score the network on test images
    that were never trained on. `--control shuffled` and `--updates` tell apart what the recordings, and what more
    training, did.

    Parameters
    ----------
    model
        A run's folder or other weights of a network that was trained on the images of `--data`.
    on
        Recordings to tune to: benchmarks of one stimulus set.
    layers
        The layer that is read out, or a .toml or .json file of one layer per region.
    data
        Images of the task: digits, or a folder made by `vvscale prepare`.
    test_on
        Further benchmarks to score before and after.
    metric
        Of the scores before and after: ridge-cv, ridge or pls.
    test_share
        Share of the images that tests, drawn once, where a benchmark has no fixed test images.
    out
        Folder of the state, the result and the weights.
    device
        cpu or cuda.
    """
    from dataclasses import replace

    from vvscale.brain.benchmarks.neural import NeuralBenchmark
    from vvscale.brain.catalogue import resolve_benchmarks, with_metrics
    from vvscale.brain.inputs.preprocess import Preprocessing
    from vvscale.brain.mapping.fixed import with_fixed_test
    from vvscale.brain.scoring.layers import read_commitment
    from vvscale.errors import UsageError
    from vvscale.models import load_model, save_weights
    from vvscale.scores import ScoreStore
    from vvscale.train.neural.task import Task
    from vvscale.train.neural.tune import fine_tune as run

    def load(names: tuple[str, ...]) -> list[NeuralBenchmark]:
        found = []
        for one in resolve_benchmarks(names):
            if not isinstance(one, NeuralBenchmark):
                raise UsageError(f"'{one.benchmark_id}' is no recording of neuroids; fine-tuning needs responses.")
            [chosen] = with_metrics(with_fixed_test(one, test_share), [metric])
            found.append(chosen)
        return found

    source, test = load(on), load(test_on)
    # Benchmarks of one stimulus set share it, so that its images pass through the network once.
    source = [replace(one, stimuli=source[0].stimuli) if _same(one, source[0]) else one for one in source]
    record = load_model(model).record
    committed = (
        read_commitment(layers).layers
        if layers.endswith((".toml", ".json"))
        else {one.region: layers for one in [*source, *test]}
    )
    task = Task.load(
        str(record["model"]),
        model,
        data,
        out=out / "task",
        seed=options.seed,
        batch_size=options.task_batch,
        device=device,
    )
    found = run(
        task.network,
        source=source,
        test=test,
        layers=committed,
        preprocessing=Preprocessing.from_record("brainscore", record["preprocessing"]),
        out=out,
        task=task,
        options=options,
    )
    model_id = f"{record['row']['model_id']}_tuned-{source[0].region}-{options.seed}"
    rows = found.rows.assign(model_id=model_id, run_id=f"{options.control}-{options.fraction:g}-{found.n_updates}")
    path = ScoreStore(out / "scores").append(rows)
    save_weights(out / "weights.safetensors", task.network, {**record, "row": {**record["row"], "model_id": model_id}})
    shown = ["benchmark_id", "is_source", "score_before", "score", "gain"]
    output.table(found.rows[shown].map(brief), title=f"{model_id}: {found.n_updates} updates, {found.n_images} images")
    first = found.rows.iloc[0]
    output.say(f"Accuracy {first['accuracy_before']:.4f} before, {first['accuracy']:.4f} after.")
    output.say(f"Stored {len(rows)} rows in {path}; weights in {out / 'weights.safetensors'}")
    if options.control == "none":
        output.say(
            f"Next: the same with `--control shuffled --out {out}-shuffled`: without the pairing it must not gain."
        )
    output.document({"command": "fine-tune", "model_id": model_id, **found.to_dict()})


def _same(one: object, other: object) -> bool:
    return one.stimuli.digest() == other.stimuli.digest()  # type: ignore[attr-defined]
