"""Cores and memory of this machine, and pools of processes that end with the one that started them."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import connection
from pathlib import Path
from typing import Any, TypeVar

from vvscale.errors import RunError, UsageError

T = TypeVar("T")

THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def available_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def free_memory() -> float:
    """Return the bytes of main memory that this process may still take."""
    free = float("inf")
    meminfo = Path("/proc/meminfo")
    if meminfo.is_file():
        fields = dict(line.split(":", 1) for line in meminfo.read_text().splitlines())
        free = 1024.0 * int(fields["MemAvailable"].split()[0])
    limit, used = Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory.current")
    if limit.is_file() and used.is_file() and limit.read_text().strip() != "max":
        free = min(free, float(limit.read_text()) - float(used.read_text()))
    return free


@contextmanager
def worker_pool(
    n_workers: int, prepare: Callable[..., None] | None = None, arguments: tuple[Any, ...] = ()
) -> Iterator[ProcessPoolExecutor]:
    """Yield a pool of fresh single-threaded processes that end with this one and leave Ctrl-C to it.

    Parameters
    ----------
    prepare, arguments
        Called once in each process before its first job, so that what all jobs share travels once.
    """
    with _single_threaded():
        # Fresh interpreters: a fork would copy whatever threads the caller has, in whatever state.
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


def run_in_processes(
    task: Callable[..., T],
    names: Sequence[str],
    n_workers: int | None,
    *,
    shared: Any,
    further: tuple[Any, ...] = (),
    longest_first: Callable[[str], Any],
    on_done: Callable[[str], None],
) -> list[T]:
    """Return ``task(name, shared, *further)`` for each name, made in a pool, or here if one worker is enough.

    Parameters
    ----------
    task
        A function of a module.
    names
        What to do.
    n_workers
        Processes; None for one per available core.
    shared
        What all tasks read; it travels to each process once.
    further
        Arguments that all tasks get.
    longest_first
        Key that sorts the names so that no core of a pool waits for a late long one.
    on_done
        Called with each finished name.

    Raises
    ------
    UsageError
        Fewer than one worker.
    RunError
        A process died.
    """
    if n_workers is not None and n_workers < 1:
        raise UsageError(f"The number of workers must be at least 1, got {n_workers}.")
    n_workers = min(n_workers or available_cores(), len(names))
    done: dict[str, T] = {}
    if n_workers <= 1:
        for name in names:
            done[name] = task(name, shared, *further)
            on_done(name)
        return [done[name] for name in names]
    try:
        with worker_pool(n_workers, _keep, (task, shared, further)) as pool:
            jobs = {pool.submit(_run_kept, name): name for name in sorted(names, key=longest_first)}
            for job in as_completed(jobs):
                done[jobs[job]] = job.result()
                on_done(jobs[job])
    except BrokenProcessPool as error:
        raise RunError(
            f"A worker process died after {len(done)} of {len(names)} pieces of work, most likely for lack of memory. "
            "Files that are there are whole. Run it again with `workers=1`."
        ) from error
    return [done[name] for name in names]


_kept: tuple[Any, ...] = ()


def _keep(*kept: Any) -> None:
    global _kept
    _kept = kept


def _run_kept(name: str) -> Any:
    task, shared, further = _kept
    return task(name, shared, *further)


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


def _start(prepare: Callable[..., None] | None, arguments: tuple[Any, ...]) -> None:
    """Begin a worker: leave Ctrl-C to the parent and end with it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    if prepare is not None:
        prepare(*arguments)


def _end_with_parent() -> None:
    """Exit when the parent is gone; its killed process could not say so."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os._exit(1)
