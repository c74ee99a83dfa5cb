"""``vvscale train``."""

from __future__ import annotations

from vvscale.cli.options import verb
from vvscale.cli.output import Output
from vvscale.errors import shell_words
from vvscale.train.options import TrainOptions


@verb
def train(model: str, /, *, data: str = "digits", options: TrainOptions, dry_run: bool = False, output: Output) -> None:
    """Train a network; rerun to resume, or to be told how the run ended.

    On several GPUs: torchrun --nproc-per-node 8 -m vvscale train MODEL ... Exit code 75 means that it was told to
    stop, has saved its state, and should be run again.

    Parameters
    ----------
    model
        Architecture, such as resnet18, resnet18*0.25, resnetflexfilters-f-1-16-20-7, deit_small or, for small images,
        resnetflex-w4-d1-1-1; `vvscale ls architectures`.
    data
        'digits' (embedded; also digits:16, digits:32) or a folder made by `vvscale prepare`.
    dry_run
        Print parameters, FLOP, memory, hours and bytes on the disk, measured for two seconds; train nothing.
    """
    from vvscale.cli.progress import watch_training
    from vvscale.train.build import input_line
    from vvscale.train.defaults import plan_run
    from vvscale.train.run import run_folder, train_model
    from vvscale.train.run_folder import RunFolder

    spec = plan_run(model, data, options)
    folder = run_folder(spec, options)
    if dry_run:
        output.note(input_line(spec))
        _estimate(spec, options, output)
        output.note(f"Nothing was trained. It would be written to {folder}. Next: the same without --dry-run.")
        return
    output.note(input_line(spec))
    had_ended = RunFolder(folder).result() is not None
    with watch_training(spec.model_id, quiet=output.quiet) as watcher:
        result = train_model(model, data, options, watchers=(watcher,))
    how_good = "" if result.accuracy is None else f", accuracy {result.accuracy:.4f}"
    output.say(
        f"{result.model_id}: {result.status} after {result.steps:,} steps and {result.samples_seen:,} images"
        f"{how_good}, {result.seconds:.1f} s\n  {result.path / 'weights.safetensors'}"
    )
    scoring = ["--on", "simulated"]
    if had_ended and options.score_on:
        output.note("Nothing was scored: a run is scored while it trains, and this one had finished before.")
        scoring = ["--on", *options.score_on, "--out", options.scores or folder / "scores"]
    output.note(f"Next: vvscale score {shell_words(result.path, *scoring)}")
    output.document({"command": "train", **result.to_dict()})


def _estimate(spec: object, options: TrainOptions, output: Output) -> None:
    import pandas as pd

    from vvscale.train.estimate import estimate

    if options.score_on:
        from vvscale.brain.catalogue import benchmark_ids

        # A name that is wrong is found out here as it would be by the run.
        benchmark_ids(options.score_on)
    found = estimate(spec, device=options.device, micro_batch=options.micro_batch)  # pyright: ignore[reportArgumentType]
    output.table(pd.DataFrame(found.lines(), columns=["quantity", "value"]), title=found.model)
    output.document({"command": "train --dry-run", **found.to_dict()})
