"""What is scored and how: which layer on which benchmark, what each score depends on, and in which passes.

Nothing is scored here: a plan can be shown without acting on it.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from vvscale.brain.activations.accept import accepted
from vvscale.brain.activations.memory import Budget, Pass, resident_memory
from vvscale.brain.activations.record import Probe
from vvscale.brain.benchmarks.benchmark import Benchmark
from vvscale.brain.inputs.preprocess import Preprocessing
from vvscale.brain.inputs.stimuli import StimulusSet, row_order
from vvscale.brain.metrics.metric import Needs
from vvscale.brain.scoring.keys import Unkeyable, benchmark_digest, code_digest, model_digest, weights_digest
from vvscale.brain.scoring.layers import LayerCommitment, choose_layers, readout_layer, resolve_name
from vvscale.brain.scoring.options import ScoringOptions
from vvscale.core.hashing import digest_of
from vvscale.errors import ConfigError, DataError, UsageError, VvscaleWarning

DISK_RATE = 3e8
"""Bytes per second of scratch files."""

METRIC_SECONDS = {"products": 1.7, "standardized": 9.3, "features": 9.3}
"""Seconds of a metric for 3200 images by what it needs, as measured of PLS and of the readout; they grow with the
square."""


@dataclass(frozen=True)
class Pair:
    """One layer on one benchmark."""

    layer: str
    benchmark: Benchmark


@dataclass(frozen=True, eq=False)
class Work:
    """What is to be scored, with the digests that keys are made of.

    Attributes
    ----------
    module, preprocessing, projection_images, options
        The model, and how it is scored.
    pairs
        Layers on benchmarks, by benchmark and in the order of the model.
    stimuli
        Digest of a stimulus set -> the set.
    stimuli_of, data_digests
        benchmark_id -> digest of its stimulus set, and of all its data.
    benchmark_digests
        benchmark_id -> digest of its data and settings; None where it cannot be keyed.
    common
        What every key holds; its model is None where it cannot be keyed.
    weights
        Digest of the weights alone, for rows.
    """

    module: nn.Module
    preprocessing: Preprocessing
    projection_images: StimulusSet | None
    options: ScoringOptions
    pairs: tuple[Pair, ...]
    stimuli: Mapping[str, StimulusSet]
    stimuli_of: Mapping[str, str]
    data_digests: Mapping[str, str]
    benchmark_digests: Mapping[str, str | None]
    common: Mapping[str, Any]
    weights: str

    @property
    def run_id(self) -> str:
        """Name of the scoring run: the same for the same model and settings."""
        named = {name: value for name, value in self.common.items() if name != "code"}
        return digest_of({**named, "weights": self.weights})[:12]

    def score_key(self, pair: Pair) -> dict[str, Any] | None:
        """Return everything that a score depends on, or None where that cannot be told: nothing is cached then."""
        options = self.options
        if self.common["model"] is None or self.benchmark_digests[pair.benchmark.benchmark_id] is None:
            return None
        return {
            **self.common,
            "layer": pair.layer,
            "benchmark": self.benchmark_digests[pair.benchmark.benchmark_id],
            "intervals": [options.resamples, options.seed],
        }

    def products_key(self, layer: str, stimuli: str, needs: Needs) -> dict[str, Any] | None:
        """Return everything that inner products depend on, or None where that cannot be told."""
        if self.common["model"] is None:
            return None
        return {**self.common, "layer": layer, "stimuli": stimuli, "needs": [needs.kind, needs.scaled_by]}


def plan_work(
    module: nn.Module,
    *,
    benchmarks: Sequence[Benchmark],
    layers: str | Sequence[str] | Mapping[str, str] | LayerCommitment,
    options: ScoringOptions,
    preprocessing: Preprocessing,
    projection_images: StimulusSet | None = None,
) -> Work:
    """Pair layers with benchmarks and compute the digests.

    Raises
    ------
    UsageError
        No benchmark, or two of one name.
    UnknownNameError, ConfigError
        A layer does not exist, a region has none, or the layers of the model cannot be watched.
    DataError, MissingDataError, ShapeError
        A benchmark cannot be scored on whatever the model: its parts do not match, a stratum has one image.
    """
    module = accepted(module)
    refuse_unscorable(benchmarks)
    # Benchmarks usually share the very same set, and its images are read once.
    sets = {id(one.stimuli): one.stimuli for one in benchmarks}
    digests = {key: stimuli.digest() for key, stimuli in sets.items()}
    stimuli_of = {one.benchmark_id: digests[id(one.stimuli)] for one in benchmarks}
    # Parts of one benchmark have the same data, which are read once.
    of_rows = {one.row_id: one for one in benchmarks}
    read = {name: one.data_digest() for name, one in of_rows.items()}
    data_digests = {one.benchmark_id: read[one.row_id] for one in benchmarks}
    fitted = projection_images
    if options.how_projected.kind == "pca" and fitted is None:
        raise ConfigError(
            "Principal components are fitted on images of their own (the ICML 2025 study: 1000 of the ImageNet "
            "validation set), and none were given. Give a folder as `projection_images`, or use "
            '`projection="sparse-1000"`.'
        )
    common = {
        "model": _digest_or_none("the model", lambda: model_digest(module)),
        "code": code_digest(),
        "preprocessing": preprocessing.digest(),
        "projection": str(options.how_projected),
        "projection_images": None if fitted is None else fitted.digest(),
        "device": options.device.split(":")[0],
        "batch_size": options.batch_size,
    }
    return Work(
        module=module,
        preprocessing=preprocessing,
        projection_images=projection_images,
        options=options,
        pairs=_pair(module, benchmarks, layers),
        stimuli={stimuli_of[one.benchmark_id]: one.stimuli for one in benchmarks},
        stimuli_of=stimuli_of,
        data_digests=data_digests,
        benchmark_digests={
            one.benchmark_id: _digest_or_none(
                f"the benchmark '{one.benchmark_id}'",
                lambda one=one: benchmark_digest(one, data_digests[one.benchmark_id]),
            )
            for one in benchmarks
        },
        common=common,
        weights=weights_digest(module),
    )


def _digest_or_none(what: str, digest: Callable[[], str]) -> str | None:
    try:
        return digest()
    except Unkeyable as error:
        warnings.warn(
            f"Scores of {what} are not cached: {error}, so a change of it could not be told. Expected numbers, text, "
            "arrays, functions and objects made of these.",
            VvscaleWarning,
            stacklevel=3,
        )
        return None


def refuse_unscorable(benchmarks: Sequence[Benchmark]) -> None:
    """Raise what would stop every model on these benchmarks, before any model runs."""
    if not benchmarks:
        raise UsageError("No benchmark was given; expected at least one.")
    names = [one.benchmark_id for one in benchmarks]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise UsageError(f"The benchmark '{twice}' was given twice; expected each once.")
    for benchmark in benchmarks:
        try:
            row_order(benchmark.stimuli.stimulus_id, benchmark.images, "The stimuli")
            benchmark.refuse_unscorable()
        except (DataError, UsageError) as error:
            raise type(error)(f"Benchmark '{benchmark.benchmark_id}' cannot score any model: {error}") from error


def _pair(
    module: nn.Module,
    benchmarks: Sequence[Benchmark],
    layers: str | Sequence[str] | Mapping[str, str] | LayerCommitment,
) -> tuple[Pair, ...]:
    committed = layers.layers if isinstance(layers, LayerCommitment) else layers
    if not isinstance(committed, Mapping):
        chosen = choose_layers(module, committed)
        return tuple(Pair(layer, benchmark) for benchmark in benchmarks for layer in chosen)
    pairs = []
    for benchmark in benchmarks:
        layer = committed.get(benchmark.row_id, committed.get(benchmark.region))
        if layer is None and benchmark.region != "behavior":
            raise ConfigError(
                f"No layer is committed to {benchmark.region}, which '{benchmark.benchmark_id}' needs; committed are "
                f"{', '.join(committed) or 'none'}. Add it to the file of layers, or leave the benchmark out."
            )
        pairs.append(Pair(readout_layer(module) if layer is None else resolve_name(module, layer), benchmark))
    return tuple(pairs)


@dataclass(frozen=True, eq=False)
class Recording:
    """What one stimulus set needs of the model.

    Attributes
    ----------
    stimuli
        Digest of the set.
    pairs
        Scores to make from it.
    budget, passes
        What fits and what the layers are, and in which passes they are recorded.
    """

    stimuli: str
    pairs: tuple[Pair, ...]
    budget: Budget
    passes: tuple[Pass, ...]

    @property
    def n_forward(self) -> int:
        """Images that go through the model."""
        return len(self.passes) * (self.budget.n_images + self.budget.n_fitted)

    @property
    def n_steps(self) -> int:
        """How often progress is reported: once per batch and per distinct layer."""
        sets = (self.budget.n_images, self.budget.n_fitted)
        n_batches = sum(-(-n // self.budget.batch_size) for n in sets)
        return len(self.passes) * n_batches + len(self.budget.seen.distinct())


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
    is_parallel = options.array_device is None and all(pair.benchmark.needs.kind != "features" for pair in pairs)
    threads = torch.get_num_threads() if options.threads is None else options.threads
    budget = Budget(
        memory=options.memory_bytes,
        resident=resident_memory(),
        n_images=len(work.stimuli[stimuli]),
        n_fitted=len(work.projection_images or ()),
        n_pixels=n_pixels,
        batch_size=options.batch_size,
        seen=seen,
        projection=projection,
        n_tables=n_more + max((pair.benchmark.n_tables for pair in pairs), default=0),
        threads=threads if is_parallel else 1,
    )
    if not pairs:
        return Recording(stimuli, (), budget, ())
    budget.check()
    return Recording(stimuli, pairs, budget, budget.passes(options.scratch_folder, max_passes=options.max_passes))


def estimate_seconds(work: Work, recording: Recording, seconds_per_image: float) -> float:
    """Return about how many seconds a recording and its scores will take here, on an idle machine.

    One small product is timed here and a forward pass before; metrics and disks are as measured elsewhere.
    """
    n, seen = recording.budget.n_images, recording.budget.seen
    distinct = seen.distinct()
    n_features = sum(work.options.how_projected.n_kept(layer.n_features) for layer in distinct.values())
    ways = len({pair.benchmark.needs for pair in recording.pairs})
    products = ways * n**2 * n_features * _seconds_per_product()
    kept = 2 * sum(one.holding.disk_bytes for one in recording.passes) / DISK_RATE
    metrics = sum(METRIC_SECONDS[pair.benchmark.needs.kind] * (n / 3200) ** 2 + 0.1 for pair in recording.pairs)
    metrics *= len(distinct) / max(1, len(seen.layers))
    return recording.n_forward * seconds_per_image + products + kept + metrics


def _seconds_per_product() -> float:
    """Time one product and return the seconds per pair of images and feature."""
    block = np.ones((512, 2048), dtype=np.float32)
    start = time.perf_counter()
    np.matmul(block, block.T)
    return (time.perf_counter() - start) / (len(block) * block.size)
