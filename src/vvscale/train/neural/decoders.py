"""Frozen readouts: from a layer's features to the responses of each subject, by ridge regression, once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import nn

from vvscale.brain.activations.record import record
from vvscale.brain.benchmarks.design import TrainTest
from vvscale.brain.benchmarks.neural import NeuralBenchmark, Part
from vvscale.brain.catalogue import resolve_benchmarks, with_metrics
from vvscale.brain.inputs.preprocess import Preprocessing
from vvscale.brain.inputs.stimuli import row_order
from vvscale.brain.mapping.fixed import with_fixed_test
from vvscale.brain.metrics.centring import zscored
from vvscale.errors import ConfigError, UsageError

# Shape legend: N training images of one benchmark, p features, q neuroids.

ALPHAS = tuple(np.logspace(-1, 7, 17).tolist())
"""Penalties that the readouts choose from."""

_BATCH = 128


@dataclass(frozen=True, eq=False)
class NeuralTarget:
    """Recordings of one subject and region that a network is tuned to.

    Attributes
    ----------
    name
        Of the benchmark and subject.
    layer
        Whose features are read out.
    rows
        (N,) rows of the training images in the stimulus set.
    responses
        (N, q) z-scored over the training images, so that every neuroid weighs the same.
    """

    name: str
    layer: str
    rows: np.ndarray = field(repr=False)
    responses: np.ndarray = field(repr=False)


def recordings(
    names: Sequence[str], *, fixed_test: float | None = None, metric: str | None = None
) -> list[NeuralBenchmark]:
    """Return benchmarks to tune to or to score on, with fixed test images; those of one stimulus set share it.

    Parameters
    ----------
    names
        As of :func:`vvscale.brain.resolve_benchmarks`.
    fixed_test
        Share of the images that tests where a design draws them anew; None leaves designs as they are.
    metric
        In place of each benchmark's own.

    Raises
    ------
    UsageError
        One is no recording of neuroids.
    """
    found: list[NeuralBenchmark] = []
    for one in resolve_benchmarks(names):
        [chosen] = [one] if metric is None else with_metrics(one, [metric])
        if not isinstance(chosen, NeuralBenchmark):
            raise UsageError(f"'{one.benchmark_id}' is no recording of neuroids; fine-tuning needs responses.")
        chosen = chosen if fixed_test is None else with_fixed_test(chosen, fixed_test)
        # Shared, so that its images pass through the network once.
        is_same = found and chosen.stimuli.digest() == found[0].stimuli.digest()
        found.append(replace(chosen, stimuli=found[0].stimuli) if is_same else chosen)
    return found


def targets_of(benchmark: NeuralBenchmark, layer: str) -> list[NeuralTarget]:
    """Return one target per subject: the training images of a benchmark with fixed test images.

    Raises
    ------
    UsageError
        Its test images are not fixed: what trains in one split tests in another.
    """
    if not isinstance(benchmark.design, TrainTest):
        raise UsageError(
            f"'{benchmark.benchmark_id}' draws its test images anew in every split, so all would be trained on. "
            "Fine-tuning needs fixed test images: design='train-test', or vvscale.brain.mapping.fixed."
        )
    return [_target(benchmark, part, layer) for part in benchmark.parts]


def _target(benchmark: NeuralBenchmark, part: Part, layer: str) -> NeuralTarget:
    train = part.target.is_train[0]
    rows = row_order(benchmark.stimuli.stimulus_id, part.images[train], "The stimuli")
    responses = zscored(part.target.responses[train])
    return NeuralTarget(f"{benchmark.benchmark_id} {part.subjects[0].assembly_id}", layer, rows, responses)


def features_of(
    network: nn.Module, layers: Sequence[str], stimuli: Any, rows: np.ndarray, preprocessing: Preprocessing
) -> dict[str, np.ndarray]:
    """Return the (N, p) features of some layers for some images, in evaluation mode."""
    device = str(next(network.parameters()).device)
    batches = (preprocessing.batch(stimuli, rows[start : start + _BATCH]) for start in range(0, len(rows), _BATCH))
    return record(network, batches, layers, device=device)


class Decoder(nn.Module):
    """A frozen linear map from flattened features to responses.

    Parameters
    ----------
    weight, bias
        (q, p) and (q,).
    """

    weight: torch.Tensor
    bias: torch.Tensor

    def __init__(self, weight: np.ndarray, bias: np.ndarray) -> None:
        super().__init__()
        self.register_buffer("weight", torch.as_tensor(weight, dtype=torch.float32))
        self.register_buffer("bias", torch.as_tensor(bias, dtype=torch.float32))

    @classmethod
    def fitted(cls, features: np.ndarray, responses: np.ndarray) -> Decoder:
        """Fit ridge regression with the penalty of least leave-one-out error, one for all neuroids."""
        from sklearn.linear_model import RidgeCV

        fit = RidgeCV(ALPHAS).fit(features.astype(np.float64), responses)
        weight, bias = np.asarray(fit.coef_), np.asarray(fit.intercept_)
        return cls(np.atleast_2d(weight), np.atleast_1d(bias))

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Return (B, q) predictions of (B, p) features."""
        return features @ self.weight.T + self.bias


def linear_cka(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """Return linear CKA of two (B, any) tables, in [0, 1]."""
    first, second = first - first.mean(0), second - second.mean(0)
    # Products of images are smaller than those of features.
    K, L = first @ first.T, second @ second.T
    return (K * L).sum() / (K.norm() * L.norm()).clamp_min(1e-12)


def layers_of(benchmarks: Sequence[NeuralBenchmark], layers: Mapping[str, str]) -> dict[str, str]:
    """Return benchmark_id -> layer, from a commitment by benchmark or region."""
    found = {}
    for one in benchmarks:
        layer = layers.get(one.benchmark_id, layers.get(one.region))
        if layer is None:
            raise ConfigError(
                f"No layer is committed to {one.region}, which '{one.benchmark_id}' is tuned through; committed are "
                f"{', '.join(layers) or 'none'}."
            )
        found[one.benchmark_id] = layer
    return found
