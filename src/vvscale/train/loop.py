"""The training loop: steps, evaluations, checkpoints, and how a run ends."""

from __future__ import annotations

import dataclasses
import math
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from itertools import islice
from pathlib import Path
from typing import Any

import torch

from vvscale.errors import DivergedError, StoppedError
from vvscale.train.build import build_job
from vvscale.train.compute.ranks import ranks
from vvscale.train.compute.schedule import log_epochs
from vvscale.train.progress import Progress, Watcher
from vvscale.train.records import evaluate_run, export, record_of
from vvscale.train.run_folder import RunFolder
from vvscale.train.spec import RunResult, RunSpec
from vvscale.train.step import Job, Options

_CUDA_CHECK = 50
"""Steps between checks of the loss and at signals on a GPU; each of them waits for it."""


def train(
    spec: RunSpec,
    *,
    out: str | Path,
    device: str = "auto",
    options: Options | None = None,
    save_seconds: float = 300.0,
    watchers: tuple[Watcher, ...] = (),
    exclusive: bool = False,
    stop: Callable[[], bool] = lambda: False,
) -> RunResult:
    """Train one network, resume its run, or say how it ended.

    Parameters
    ----------
    spec
        What to train.
    out
        The run's folder; the same folder and spec resume where an earlier process stopped, to the same bits on
        a CPU.
    device
        ``"auto"``, ``"cpu"``, ``"cuda"`` or ``"cuda:<number>"``.
    options
        How to compute.
    save_seconds
        Time between states to resume from; 0 saves after every step.
    watchers
        Who follows the run; called in the first process only.
    exclusive
        Whether to refuse a folder that another exclusive run is training in. For callers that have nothing of
        their own to keep runs apart, as studies have.
    stop
        True once it should stop, as after a signal.

    Raises
    ------
    UsageError
        ``exclusive``, and another run is at it.
    ConfigError
        The spec, the folder or the device does not allow it.
    DataError
        The weights or the result of a finished run are damaged, or are gone.
    DivergedError
        The loss became NaN or infinite; the result says when, and a second call says it again.
    StoppedError
        SIGTERM or SIGUSR1 came, or ``stop`` says so; the state is saved.
    """
    folder = RunFolder(out)
    if exclusive:
        folder.refuse_others_files()
    with ranks(device) as here, _stopping(stop) as is_stopped:
        job = build_job(spec, here, options or Options(), folder)
        # A run that has ended is only read, and may lie where one cannot write.
        with folder.alone(here) if exclusive and folder.result() is None else nullcontext():
            if (ended := folder.result()) is not None:
                folder.check_weights(ended)
                return _ended(folder, ended)
            progress = Progress(n_steps=job.n_steps)
            if (state := folder.load(here)) is not None:
                job.restore(state)
                progress = Progress(**state["progress"])
            if here.is_first:
                folder.forget_after(progress.epoch)
            return _run(job, folder, progress, watchers, save_seconds, is_stopped)


def _run(
    job: Job,
    folder: RunFolder,
    progress: Progress,
    watchers: tuple[Watcher, ...],
    save_seconds: float,
    is_stopped: Callable[[], bool],
) -> RunResult:
    here = job.here
    watchers = watchers if here.is_first else ()
    evaluations = log_epochs(job.n_epochs, job.recipe.evaluations_per_decade)
    exports = set(log_epochs(job.n_epochs, job.recipe.checkpoints_per_decade))
    check_every = _CUDA_CHECK if here.device.type == "cuda" else 1
    losses = torch.tensor(progress.loss_sum, dtype=torch.float64, device=here.device)
    line: dict[str, Any] = {}
    last_save = tick = time.monotonic()
    # A state is saved after a step and before what its epoch ends with, so a resumed run may have no step left
    # in its epoch, or in all, and still has to end it.
    for epoch in range(progress.epoch, job.n_epochs):
        n_left = min(job.steps_per_epoch - progress.batch, job.n_steps - progress.step)
        for batch in islice(job.loader.epoch(epoch, start=progress.batch), n_left):
            losses += job.step(batch, progress.step)
            progress.step, progress.batch = progress.step + 1, progress.batch + 1
            progress.samples_seen += batch.n_global
            progress.n_losses += 1
            for watcher in watchers:
                watcher.on_step(progress)
            if progress.step % check_every == 0 or progress.step == job.n_steps:
                now = time.monotonic()
                progress.seconds, tick = progress.seconds + now - tick, now
                progress.loss_sum = losses.item()
                _refuse_divergence(job, folder, progress)
                if here.any(is_stopped()):
                    _save(job, folder, progress)
                    raise _stopped(folder, progress)
                if here.any(now - last_save >= save_seconds):
                    _save(job, folder, progress)
                    last_save = now
        progress.epoch, progress.batch, line = epoch + 1, 0, {}
        if progress.epoch in evaluations:
            position = {"evaluation": evaluations.index(progress.epoch) + 1, "n_evaluations": len(evaluations)}
            line = position | evaluate_run(job, progress, float(here.mean(losses)) / max(progress.n_losses, 1))
            for watcher in watchers:
                line |= watcher.on_evaluation(line, job.evaluated, record_of(job, progress, line, weights="evaluated"))
            if here.is_first:
                folder.log(line)
            losses.zero_()
            progress.n_losses = 0
        if progress.epoch in exports and here.is_first:
            export(job, progress, line, folder.epoch_path(progress.epoch))
    return _finish(job, folder, progress, line)


def _finish(job: Job, folder: RunFolder, progress: Progress, line: dict[str, Any]) -> RunResult:
    here = job.here
    if here.is_first:
        record = export(job, progress, line, folder.weights_path)
        found = {"accuracy": line.get("accuracy"), "loss": line.get("loss")}
        folder.write_result(_result("finished", progress, row=record["row"], **found))
    here.barrier()
    ended = folder.result()
    assert ended is not None
    return _ended(folder, ended)


def _result(status: str, progress: Progress, *, accuracy: Any, loss: Any, row: dict[str, Any]) -> dict[str, Any]:
    """Return what is kept of how a run ended."""
    return {
        "status": status, "accuracy": accuracy, "loss": loss, "steps": progress.step,
        "samples_seen": progress.samples_seen, "seconds": round(progress.seconds, 3), "row": row,
    }  # fmt: skip


def _ended(folder: RunFolder, ended: dict[str, Any]) -> RunResult:
    if ended["status"] == "diverged":
        raise DivergedError(
            f"The run '{folder.path}' diverged: the sum of losses was {ended['loss']} after step {ended['steps']}. "
            "Expected a finite number. Likely cause: the learning rate is too high for this network or batch. Lower it "
            "with `changes=optimizer.lr=...`, or add `changes=optimizer.clip_norm=1`; remove the folder to train it "
            "again as it is."
        )
    row = ended["row"]
    return RunResult(path=folder.path, model_id=row["model_id"], **{**ended, "row": row})


def _save(job: Job, folder: RunFolder, progress: Progress) -> None:
    """Save all that is needed to resume; every process has the same."""
    if job.here.is_first:
        folder.save(progress.step, {"progress": dataclasses.asdict(progress), **job.state()})
    job.here.barrier()


def _refuse_divergence(job: Job, folder: RunFolder, progress: Progress) -> None:
    if job.here.any(not math.isfinite(progress.loss_sum)):
        row = {"model_id": job.spec.model_id}
        ended = _result("diverged", progress, accuracy=None, loss=str(progress.loss_sum), row=row)
        if job.here.is_first:
            folder.write_result(ended)
        _ended(folder, ended)


def _stopped(folder: RunFolder, progress: Progress) -> StoppedError:
    return StoppedError(
        f"The run '{folder.path}' was told to stop, and has saved its state after step {progress.step} of "
        f"{progress.n_steps}. Rerun to resume."
    )


@contextmanager
def _stopping(stop: Callable[[], bool]) -> Iterator[Callable[[], bool]]:
    """Turn SIGTERM and SIGUSR1 into a flag beside ``stop``, so that a step is never cut in half."""
    flag = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop  # signals can be received in the main thread only
        return
    before = {number: signal.signal(number, lambda *_: flag.set()) for number in (signal.SIGTERM, signal.SIGUSR1)}
    try:
        yield lambda: flag.is_set() or stop()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
