"""Fixed test images for recordings that have none: what fine-tuning, and any training on recordings, needs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from vvscale.brain.benchmarks.design import TrainTest
from vvscale.brain.benchmarks.neural import NeuralBenchmark
from vvscale.core.options import SEED
from vvscale.errors import ConfigError

_LABEL = "split"


def with_fixed_test(benchmark: NeuralBenchmark, share: float = 0.2, *, seed: int = SEED) -> NeuralBenchmark:
    """Return a benchmark whose test images are drawn once, as far as it has strata from all of them alike.

    Its name says so: scores on a tenth of the images ten times over are no scores on one fifth of them once.

    Parameters
    ----------
    benchmark
        Any; one whose test images are fixed already is returned as it is.
    share
        Of the images that test, in (0, 1).
    seed
        Of the draw.

    Examples
    --------
    >>> from vvscale.brain import simulate
    >>> fixed = with_fixed_test(simulate(images_per_object=10, n_repetitions=6).benchmark("IT"))
    >>> fixed.benchmark_id, int(fixed.parts[0].target.is_test.sum())
    ('simulated.IT-pls-test20', 16)
    """
    if isinstance(benchmark.design, TrainTest):
        return benchmark
    if not 0 < share < 1:
        raise ConfigError(f"The share of test images is {share}; expected a number in (0, 1).")
    images = benchmark.images
    strata = benchmark.strata(images)
    labels = np.zeros(len(images), dtype=int) if strata is None else np.unique(strata, return_inverse=True)[1]
    rng = np.random.default_rng(seed)
    is_test = np.zeros(len(images), dtype=bool)
    for stratum in range(labels.max() + 1):
        rows = rng.permutation(np.flatnonzero(labels == stratum))
        is_test[rows[: max(1, round(share * len(rows)))]] = True
    test = set(images[is_test].tolist())
    split = ["test" if one in test else "train" for one in benchmark.stimuli.stimulus_id.tolist()]
    stimuli = replace(benchmark.stimuli, table=benchmark.stimuli.table.assign(**{_LABEL: split}))
    name = f"{benchmark.benchmark_id}-test{100 * share:g}"
    return replace(benchmark, benchmark_id=name, stimuli=stimuli, design=TrainTest(_LABEL), stratify_by=None)
