"""One training run from names: ``vvscale train`` on the command line, ``vvscale.train_model`` in Python."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from vvscale.train.defaults import plan_run
from vvscale.train.loop import train
from vvscale.train.options import TrainOptions
from vvscale.train.progress import Watcher
from vvscale.train.spec import RunResult, RunSpec
from vvscale.train.step import Options as ComputeOptions

RUNS = Path("out/runs")


def train_model(
    model: str,
    data: str = "digits",
    options: TrainOptions | None = None,
    /,
    *,
    changes: Mapping[str, Any] | None = None,
    watchers: tuple[Watcher, ...] = (),
    **fields: Any,
) -> RunResult:
    """Train a network on images; rerun to resume, or to get the result of a run that has ended.

    Parameters
    ----------
    model
        Architecture; ``vvscale.list_models`` lists them.
    data
        ``"digits"`` (embedded), or a folder made by ``vvscale.prepare_images``.
    options, fields
        A :class:`TrainOptions`, its fields as keywords, or both: ``recipe``, ``samples_per_class``, ``seed``, ``out``
        and the others of ``vvscale train --help``.
    changes
        Changes of the recipe, dotted key -> value.
    watchers
        Further objects that follow the run.

    Returns
    -------
    RunResult
        With the folder of the weights, held-out accuracy (0 to 1) and the columns of the score table.

    Raises
    ------
    UnknownNameError, ConfigError, MissingDataError
        A name, an option or a data set is unknown.
    DivergedError
        The loss became NaN or infinite.
    StoppedError
        The process was told to stop; the state is saved.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as out:
    ...     done = train_model("resnetflex-w2-d1-1-1", samples_per_class=2, changes={"schedule.epochs": 1}, out=out)
    >>> done.status, done.samples_seen
    ('finished', 20)
    """
    options = TrainOptions.of(options, **fields)
    spec = plan_run(model, data, options, changes=changes)
    folder = run_folder(spec, options)
    with ExitStack() as stack:
        followers = [*watchers, *_watchers(spec, options, folder, stack)]
        return train(
            spec,
            out=folder,
            device=options.device,
            save_seconds=options.save_seconds,
            watchers=tuple(followers),
            exclusive=True,
            options=ComputeOptions(
                micro_batch=options.micro_batch, compile=options.compile, residency=options.residency
            ),
        )


def run_folder(spec: RunSpec, options: TrainOptions) -> Path:
    """Return the folder of a run."""
    return options.out or RUNS / spec.model_id


def _watchers(spec: RunSpec, options: TrainOptions, folder: Path, stack: ExitStack) -> list[Watcher]:
    """Return what the options ask to follow the run; what must be closed is left to the stack."""
    made: list[Watcher] = []
    if options.score_on:
        from vvscale.train.watchers.alignment import Scorer

        store = options.scores or folder / "scores"
        made.append(Scorer(options.score_on, every=options.score_every or 1, store=store, device=options.device))
    if options.track:
        from vvscale.train.watchers.trackers import tracker

        made += [stack.enter_context(tracker(name, spec, folder)) for name in options.track]
    return made
