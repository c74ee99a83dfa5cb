"""How a stimulus set is recorded: what the layers are, in which passes, and about how long it takes."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from vvscale.brain.activations.memory import Pass, Sizes, check_memory, plan_passes, resident_memory
from vvscale.brain.activations.record import Probe
from vvscale.brain.scoring.work import Pair, Work

DISK_RATE = 3e8
"""Bytes per second of scratch files."""

METRIC_SECONDS = {"products": 1.7, "standardized": 9.3, "features": 9.3}
"""Seconds of a metric for 3200 images by what it needs, as measured of PLS and of the readout; they grow with the
square."""


@dataclass(frozen=True, eq=False)
class Recording:
    """What one stimulus set needs of the model.

    Attributes
    ----------
    stimuli
        Digest of the set.
    pairs
        Scores to make from it.
    sizes, seen, passes
        What fits, what the layers are, and in which passes they are recorded.
    """

    stimuli: str
    pairs: tuple[Pair, ...]
    sizes: Sizes
    seen: Probe
    passes: tuple[Pass, ...]

    @property
    def n_forward(self) -> int:
        """Images that go through the model."""
        return len(self.passes) * (self.sizes.n_images + self.sizes.n_fitted)

    @property
    def n_steps(self) -> int:
        """How often progress is reported: once per batch and per distinct layer."""
        sets = (self.sizes.n_images, self.sizes.n_fitted)
        n_batches = sum(-(-n // self.sizes.batch_size) for n in sets)
        return len(self.passes) * n_batches + len(self.seen.distinct())


def plan_recording(
    work: Work, stimuli: str, pairs: Sequence[Pair], seen: Probe, n_pixels: int, *, n_more: int = 0
) -> Recording:
    """Decide how the layers of some scores are recorded.

    Parameters
    ----------
    work, stimuli, pairs
        What is scored, the digest of the stimulus set, and the scores to make from it.
    seen
        What a first pass showed of the layers; those that it refused get no score.
    n_pixels
        Numbers of one preprocessed image.
    n_more
        (N, N) tables that are held besides those of the metrics.

    Raises
    ------
    OutOfMemoryError
        The memory or disk allowed is too small.
    """
    projection, options = work.options.how_projected, work.options
    seen = seen.only(dict.fromkeys(pair.layer for pair in pairs if pair.layer in seen.layers))
    if projection.kind == "sparse":
        seen = seen.underived()
    pairs = tuple(pair for pair in pairs if pair.layer in seen.layers)
    is_parallel = options.device == "cpu" and all(pair.benchmark.needs.kind != "features" for pair in pairs)
    threads = torch.get_num_threads() if options.threads is None else options.threads
    sizes = Sizes(
        memory=options.memory_bytes,
        resident=resident_memory(),
        n_images=len(work.stimuli[stimuli]),
        n_fitted=len(work.projection_images or ()),
        n_pixels=n_pixels,
        batch_size=options.batch_size,
        n_tables=n_more + max((pair.benchmark.n_tables for pair in pairs), default=0),
        threads=threads if is_parallel else 1,
    )
    if not pairs:
        return Recording(stimuli, (), sizes, seen, ())
    check_memory(sizes, seen, projection)
    passes = plan_passes(sizes, seen, projection, options.scratch_folder, max_passes=options.max_passes)
    return Recording(stimuli, pairs, sizes, seen, passes)


def estimate_seconds(work: Work, recording: Recording, seconds_per_image: float) -> float:
    """Return about how many seconds a recording and its scores will take here, on an idle machine.

    One small product is timed here and a forward pass before; metrics and disks are as measured elsewhere.
    """
    n, distinct = recording.sizes.n_images, recording.seen.distinct()
    n_features = sum(work.options.how_projected.n_kept(layer.n_features) for layer in distinct.values())
    ways = len({pair.benchmark.needs for pair in recording.pairs})
    products = ways * n**2 * n_features * _seconds_per_product()
    kept = 2 * sum(one.holding.disk_bytes for one in recording.passes) / DISK_RATE
    metrics = sum(METRIC_SECONDS[pair.benchmark.needs.kind] * (n / 3200) ** 2 + 0.1 for pair in recording.pairs)
    metrics *= len(distinct) / max(1, len(recording.seen.layers))
    return recording.n_forward * seconds_per_image + products + kept + metrics


def _seconds_per_product() -> float:
    """Time one product and return the seconds per pair of images and feature."""
    block = np.ones((512, 2048), dtype=np.float32)
    start = time.perf_counter()
    np.matmul(block, block.T)
    return (time.perf_counter() - start) / (len(block) * block.size)
