"""Several batches or layers at one time, each on its share of the threads.

Half of the work on a layer is done by functions that use one core however many there are, so cores are filled with
layers: products of two layers on one thread each take less time than those of one layer on two. In the same way one
copy of a model computes while what another one showed is written down.
"""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar, cast

import numpy as np
import torch
from threadpoolctl import threadpool_limits
from torch import nn

from vvscale.brain.activations.record import Layer, Recorder

T = TypeVar("T")
W = TypeVar("W")


def run_each(work: Callable[[W, T], None], items: Iterable[T], workers: Sequence[W], *, threads: int = 1) -> None:
    """Call a function with each item and the worker that takes it; the first error ends the rest.

    Parameters
    ----------
    work
        Called as ``work(worker, item)``.
    items
        Taken one by one as workers are free.
    workers
        Anything that only one item may use at a time, one for each thread; the first works on this thread.
    threads
        PyTorch's own threads for each of several workers.

    Examples
    --------
    >>> seen = []
    >>> run_each(lambda worker, item: seen.append((item, worker in "ab")), [1, 2, 3], "ab")
    >>> sorted(seen)
    [(1, True), (2, True), (3, True)]
    """
    waiting, taking, ended = iter(items), threading.Lock(), threading.Event()

    def work_on(worker: W) -> None:
        try:
            while not ended.is_set():
                with taking:
                    item = next(waiting, ended)
                if item is ended:
                    return
                work(worker, cast("T", item))
        except BaseException:
            ended.set()
            raise

    if len(workers) == 1:
        work_on(workers[0])
        return
    options = {
        "thread_name_prefix": "vvscale-worker",
        "initializer": torch.set_num_threads,
        "initargs": (threads,),
    }
    with _one_thread_each(), ThreadPoolExecutor(len(workers) - 1, **options) as pool:
        torch.set_num_threads(threads)
        running = [pool.submit(work_on, worker) for worker in workers[1:]]
        work_on(workers[0])
        for future in running:
            future.result()


def replicas(module: nn.Module, layers: Mapping[str, Layer], images: Any, n: int) -> list[nn.Module]:
    """Return a model and copies of it that may run beside it, ``n`` in all; the model alone where that is not sure.

    A copy shares the parameters and has modules and buffers of its own. Hooks that others have set may write where all
    copies see it, and code may go round a copy to what it was made from: such a model runs alone.

    Parameters
    ----------
    module, layers
        A model on the CPU, and what a probe showed of the layers to record.
    images
        (B, channels, height, width) float32, shown to model and copies, which must give the same numbers.
    """
    if n == 1 or any(one._forward_hooks or one._forward_pre_hooks for one in module.modules()):
        return [module]
    shared = {id(one): one for one in module.parameters()}
    try:
        copies = [copy.deepcopy(module, dict(shared)) for _ in range(1, n)]
        first, *others = (_shown(one, layers, images) for one in (module, *copies))
    except Exception:  # noqa: BLE001 (a model's own code: what is wrong with it shows where it runs alone)
        return [module]
    are_same = all(np.array_equal(first[name], other[name], equal_nan=True) for other in others for name in layers)
    return [module, *copies] if are_same else [module]


def _shown(module: nn.Module, layers: Mapping[str, Layer], images: Any) -> dict[str, np.ndarray]:
    rows: dict[str, np.ndarray] = {}

    def keep(name: str, _start: int, seen: torch.Tensor) -> None:
        rows[name] = seen.to("cpu", torch.float32, copy=True).numpy()

    with Recorder(module, layers, keep) as recorder:
        recorder.run(images)
    return rows


@contextmanager
def _one_thread_each() -> Iterator[None]:
    """Keep the libraries below from starting threads of their own."""
    # PyTorch counts threads anew in each thread, so its limit is set where they start; this is the one to go back to.
    before = torch.get_num_threads()
    try:
        with threadpool_limits(1, user_api="blas"):
            yield
    finally:
        torch.set_num_threads(before)
