"""Many experiments at once, on all cores, one process each: what ``vvscale reproduce`` runs."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import connection
from typing import TYPE_CHECKING, Any

from vvscale.errors import RunError, UsageError
from vvscale.laws.comparison.sensitivity import sensitivity
from vvscale.laws.gokce2025.experiments import EXPERIMENTS, ModelTables
from vvscale.laws.gokce2025.reproduction import reproduce
from vvscale.laws.planning.cost import fit_cost
from vvscale.laws.planning.support import Support
from vvscale.laws.status import Status

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


@dataclass(frozen=True)
class Result:
    """One experiment's outcome as plain values: its ``fits.json`` entry, and its resamples by unit."""

    entry: dict[str, Any]
    resamples: dict[str, pd.DataFrame]


def run_one(
    name: str, scores: ModelTables, n_resamples: int, units: tuple[str, ...], seed: int, is_doubted: bool = False
) -> Result:
    """Fit and resample one experiment; ``is_doubted`` asks whether its conclusion changes with other choices."""
    experiment = EXPERIMENTS[name]
    done = reproduce(experiment, scores, n_resamples=n_resamples, units=units, seed=seed)
    entry = done.to_dict()
    if is_doubted and done.fit.law.has_limit and done.fit.status is not Status.TOO_FEW_POINTS:
        told = sensitivity(done.fit, rows=experiment.other_rows(scores), seed=seed)
        entry["sensitivity"] = told.to_dict()
    if done.fit.law.is_joint:
        entry["cost"] = dict(fit_cost(done.fit.problem.frame).__dict__)
        entry["support"] = Support.from_rows(done.fit.problem.frame, done.fit.problem.columns).to_dict()
    return Result(entry, {unit: resampled.table() for unit, resampled in done.resamples.items()})


def run(
    names: Sequence[str],
    scores: pd.DataFrame,
    *,
    n_resamples: int = 0,
    units: tuple[str, ...] = ("row",),
    seed: int = 42,
    is_doubted: bool = False,
    n_workers: int | None = None,
    on_done: Callable[[str], None] = lambda name: None,
) -> list[Result]:
    """Fit experiments; results in the order of ``names``, whatever the order of finishing.

    Parameters
    ----------
    is_doubted
        Whether to add what changes under other forms, losses, units and rows.
    n_workers
        Processes; by default one per available core. Without resamples, or with one worker, everything runs in this
        process.
    on_done
        Called with each finished name.
    """
    if n_workers is not None and n_workers < 1:
        raise UsageError(f"The number of workers must be at least 1, got {n_workers}.")
    n_workers = min(n_workers or available_cores(), len(names))
    if n_resamples == 0 or n_workers <= 1:
        results = []
        tables = ModelTables(scores)
        for name in names:
            results.append(run_one(name, tables, n_resamples, units, seed, is_doubted))
            on_done(name)
        return results
    # The longest first, so that no core waits for a late long one.
    ordered = sorted(names, key=lambda name: EXPERIMENTS[name].law != "shifted")
    by_name: dict[str, Result] = {}
    try:
        with worker_pool(n_workers, _keep, (scores,)) as pool:
            jobs = {pool.submit(_run_kept, name, n_resamples, units, seed, is_doubted): name for name in ordered}
            for job in as_completed(jobs):
                by_name[jobs[job]] = job.result()
                on_done(jobs[job])
    except BrokenProcessPool as error:
        raise RunError(
            f"A worker process died after {len(by_name)} of {len(names)} experiments, most likely for lack of "
            "memory. Nothing was written. Run it again with `workers=1`."
        ) from error
    return [by_name[name] for name in names]


@contextmanager
def worker_pool(
    n_workers: int, prepare: Callable[..., None], arguments: tuple[Any, ...]
) -> Iterator[ProcessPoolExecutor]:
    """Yield a pool of fresh single-threaded processes that end with this one and leave Ctrl-C to it.

    Parameters
    ----------
    prepare, arguments
        Called once in each process before its first job, so that what all jobs share travels once.
    """
    with _single_threaded():
        context = multiprocessing.get_context("spawn")
        pool = ProcessPoolExecutor(n_workers, mp_context=context, initializer=_start, initargs=(prepare, arguments))
        try:
            yield pool
        except BaseException:
            # Interrupted or failed: do not wait for the pieces that run.
            for child in multiprocessing.active_children():
                child.terminate()
            raise
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def available_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def _single_threaded() -> Iterator[None]:
    """Child processes started inside use one thread each: they share the cores already."""
    before = {name: os.environ.get(name) for name in THREAD_VARIABLES}
    os.environ.update(dict.fromkeys(THREAD_VARIABLES, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _start(prepare: Callable[..., None], arguments: tuple[Any, ...]) -> None:
    """Begin a worker: leave Ctrl-C to the parent and end with it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    prepare(*arguments)


def _end_with_parent() -> None:
    """Exit when the parent is gone; its killed process could not say so."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os._exit(1)


_tables: ModelTables | None = None


def _keep(scores: pd.DataFrame) -> None:
    global _tables
    _tables = ModelTables(scores)


def _run_kept(name: str, n_resamples: int, units: tuple[str, ...], seed: int, is_doubted: bool) -> Result:
    assert _tables is not None
    return run_one(name, _tables, n_resamples, units, seed, is_doubted)
