"""``vvscale train``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from vvscale.cli.output import Output

Repeated = Parameter(show_default=False, negative="")


def train(
    model: str,
    /,
    *,
    data: str = "digits",
    samples_per_class: int = 0,
    recipe: str | None = None,
    changes: Annotated[tuple[str, ...], Parameter(name="--set", show_default=False, negative="")] = (),
    seed: int = 0,
    subset_seed: int | None = None,
    subset_rule: Literal["uniform", "nested", "published"] = "uniform",
    image_size: int | None = None,
    start: str | None = None,
    device: str = "auto",
    micro_batch: int | None = None,
    compiled: Annotated[bool | None, Parameter(name="--compile", negative="--no-compile")] = None,
    residency: Literal["auto", "device", "host", "map"] = "auto",
    save_seconds: float = 300.0,
    score_on: Annotated[tuple[str, ...], Repeated] = (),
    score_every: int | None = None,
    scores: Path | None = None,
    track: Annotated[tuple[str, ...], Repeated] = (),
    out: Path | None = None,
    dry_run: Annotated[bool, Parameter(negative="")] = False,
    output: Output | None = None,
) -> None:
    """Train a network; the same command again goes on, or says how it ended.

    On several GPUs: torchrun --nproc-per-node 8 -m vvscale train MODEL ... Exit code 75 means that it was told to
    stop, has saved its state, and should be run again.

    Parameters
    ----------
    model
        Architecture, such as resnet18, resnet18*0.25, resnetflexfilters-f-1-16-20-7, deit_small or, for small images,
        resnetflex-w4-d1-1-1; `vvscale ls architectures`.
    data
        'digits' (embedded; also digits:16, digits:32) or a folder made by `vvscale prepare`.
    samples_per_class
        Training images per class; 0 for all.
    recipe
        Name (`vvscale ls recipes`) or TOML file; by default the study's for the family, or 'tiny' for small images.
    changes
        Change of the recipe, such as optimizer.lr=0.05. Repeatable.
    seed
        Of weights, order and augmentation.
    subset_seed
        Of the choice of images; by default --seed.
    subset_rule
        How images are chosen; nested: a larger subset holds the smaller ones; published: the study's generator.
    image_size
        Width of the images in pixels as the network sees them.
    start
        Weights to start from: a run's folder, gokce2025:MODEL_ID, timm:NAME or torchvision:NAME.
    device
        auto, cpu, cuda or cuda:NUMBER.
    micro_batch
        Most images per process that pass through the network at once; gradients are accumulated.
    compiled
        Compile the network; by default on CUDA.
    residency
        Where images are kept: on the device, in pinned memory, or mapped from the disk.
    save_seconds
        Time between states to go on from.
    score_on
        Score the network on these benchmarks during training: regions, benchmark ids, 'simulated' or
        'simulated-digits'. Repeatable.
    score_every
        With --score-on: at every so many-th look at the run, by default at each; the last one always.
    scores
        With --score-on: the score store that rows are added to; by default scores/ in the run's folder.
    track
        Copy the log to tensorboard or wandb. Repeatable.
    out
        The run's folder; by default out/runs/<model_id>.
    dry_run
        Print parameters, FLOP, memory, hours and bytes on the disk, measured for two seconds; train nothing.
    """
    import shlex
    from contextlib import ExitStack

    from vvscale.cli.training_progress import watch_training
    from vvscale.errors import UsageError
    from vvscale.train import Options, plan_run, train
    from vvscale.train.progress import Watcher
    from vvscale.train.recipe import parse_changes
    from vvscale.train.run_folder import RunFolder

    output = output or Output()
    if score_every is not None and not score_on:
        raise UsageError(
            f"--score-every {score_every} says how often to score, and nothing says on what. Add --score-on, such as "
            "--score-on simulated-digits, or leave out --score-every."
        )
    spec = plan_run(
        model, data, recipe=recipe, changes=parse_changes(changes), samples_per_class=samples_per_class, seed=seed,
        subset_seed=subset_seed, subset_rule=subset_rule, image_size=image_size, start=start,
    )  # fmt: skip
    folder = out or Path("out/runs") / spec.model_id
    store = scores or folder / "scores"
    if dry_run:
        _estimate(spec, device, micro_batch, output)
        output.note(f"Nothing was trained. It would be written to {folder}.")
        return
    had_ended = RunFolder(folder).result() is not None
    with ExitStack() as stack:
        watchers: list[Watcher] = [stack.enter_context(watch_training(spec.model_id, quiet=output.quiet))]
        if score_on:
            from vvscale.train.watchers.alignment import Scorer

            every = 1 if score_every is None else score_every
            watchers.append(Scorer(score_on, every=every, store=store, device=device))
        if track:
            from vvscale.train.watchers.trackers import tracker

            watchers += [stack.enter_context(tracker(name, spec, folder)) for name in track]
        result = train(
            spec, out=folder, device=device, save_seconds=save_seconds, watchers=tuple(watchers), exclusive=True,
            options=Options(micro_batch=micro_batch, compile=compiled, residency=residency),
        )  # fmt: skip
    how_good = "" if result.accuracy is None else f", accuracy {result.accuracy:.4f}"
    output.say(
        f"{result.model_id}: {result.status} after {result.steps:,} steps and {result.samples_seen:,} images"
        f"{how_good}, {result.seconds:.1f} s\n  {result.path / 'weights.safetensors'}"
    )
    scoring = "--on simulated"
    if had_ended and score_on:
        output.note("Nothing was scored: looks are scored while a run trains, and this one had finished before.")
        scoring = shlex.join([*(token for name in score_on for token in ("--on", name)), "--out", str(store)])
    output.note(f"Next: vvscale score {shlex.quote(str(result.path))} {scoring}")
    output.document({"command": "train", **result.to_dict()})


def _estimate(spec: object, device: str, micro_batch: int | None, output: Output) -> None:
    import pandas as pd

    from vvscale.train.estimate import estimate

    found = estimate(spec, device=device, micro_batch=micro_batch)  # pyright: ignore[reportArgumentType]
    output.table(pd.DataFrame(found.lines(), columns=["quantity", "value"]), title=found.model)
    output.document({"command": "train --dry-run", **found.to_dict()})
