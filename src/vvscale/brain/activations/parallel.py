"""Several layers at one time, each on one thread.

Half of the work on a layer is done by functions that use one core however many there are, so cores are filled with
layers: products of two layers on one thread each take less time than those of one layer on two.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

import torch
from threadpoolctl import threadpool_limits

T = TypeVar("T")


def run_each(work: Callable[[T], None], items: Iterable[T], n_workers: int) -> None:
    """Call a function with each item, on so many threads; the first error ends the rest.

    Examples
    --------
    >>> seen = []
    >>> run_each(seen.append, [1, 2, 3], 2)
    >>> sorted(seen)
    [1, 2, 3]
    """
    if n_workers == 1:
        for item in items:
            work(item)
        return
    options = {"thread_name_prefix": "vvscale-layers", "initializer": torch.set_num_threads, "initargs": (1,)}
    with _one_thread_each(), ThreadPoolExecutor(n_workers, **options) as pool:
        waiting = [pool.submit(work, item) for item in items]
        try:
            for future in waiting:
                future.result()
        finally:
            for future in waiting:
                future.cancel()


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
