"""Batches of preprocessed images, decoded by workers while the model runs."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from vvscale.brain.inputs.preprocess import Preprocessing
from vvscale.brain.inputs.stimuli import StimulusSet


def image_batches(
    stimuli: StimulusSet, preprocessing: Preprocessing, *, batch_size: int, n_workers: int = 1
) -> Iterator[np.ndarray]:
    """Yield (B, 3, H, W) float32 batches of all images in their order; the last one may be smaller.

    Parameters
    ----------
    stimuli, preprocessing
        What to open, and how.
    batch_size
        Images B of a batch.
    n_workers
        Threads that decode ahead; as many batches wait, plus one. Decoding and resizing release Python's lock,
        so threads do, and nothing has to be copied between processes.

    Raises
    ------
    DataError, MissingDataError
        An image cannot be read; the message names it.
    """
    starts = range(0, len(stimuli), batch_size)
    with ThreadPoolExecutor(n_workers, thread_name_prefix="vvscale-images") as pool:
        waiting = deque()
        try:
            for start in starts:
                rows = range(start, min(start + batch_size, len(stimuli)))
                waiting.append(pool.submit(preprocessing.batch, stimuli, rows))
                if len(waiting) > n_workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
