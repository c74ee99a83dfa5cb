"""How long a scoring will take, roughly, before it starts."""

from __future__ import annotations

import time

import numpy as np

from vvscale.brain.scoring.session import Recording, Session

DISK_RATE = 3e8
"""Bytes per second of scratch files."""

METRIC_SECONDS = {"products": 1.7, "standardized": 9.3, "features": 9.3}
"""Seconds of a metric for 3200 images by what it needs, as measured of PLS and of the readout; they grow with the
square."""


def estimate_seconds(session: Session, recording: Recording) -> float:
    """Return about how many seconds a recording and its scores will take here, on an idle machine.

    The forward pass of the plan and one small product are timed; metrics and disks are as measured elsewhere.
    """
    n, distinct = recording.sizes.n_images, recording.seen.distinct()
    n_features = sum(session.work.options.how_projected.n_kept(layer.n_features) for layer in distinct.values())
    ways = len({pair.benchmark.needs for pair in recording.pairs})
    products = ways * n**2 * n_features * _seconds_per_product()
    kept = 2 * sum(one.holding.disk_bytes for one in recording.passes) / DISK_RATE
    metrics = sum(METRIC_SECONDS[pair.benchmark.needs.kind] * (n / 3200) ** 2 + 0.1 for pair in recording.pairs)
    metrics *= len(distinct) / max(1, len(recording.seen.layers))
    return recording.n_forward * session.seconds_per_image + products + kept + metrics


def _seconds_per_product(n_images: int = 512, n_features: int = 2048) -> float:
    """Time one product and return the seconds per pair of images and feature."""
    block = np.ones((n_images, n_features), dtype=np.float32)
    start = time.perf_counter()
    np.matmul(block, block.T)
    return (time.perf_counter() - start) / (n_images**2 * n_features)
