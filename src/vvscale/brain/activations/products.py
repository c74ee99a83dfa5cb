"""From kept activations to what benchmarks need of a layer, one layer at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np
from torch import nn

from vvscale.brain.activations.derived import derive
from vvscale.brain.activations.hooks import find_module
from vvscale.brain.activations.projection import Projection
from vvscale.brain.activations.record import Layer
from vvscale.brain.activations.storage import HeldActivations
from vvscale.brain.metrics.centring import not_finite
from vvscale.brain.metrics.gram import BLOCK_FEATURES, Gram, GramAccumulator
from vvscale.brain.metrics.metric import Needs

EXACT_IMAGES = 512
"""Up to so many images products are float64: rounding moves a correlation the more the fewer there are, and the
products of few images cost little."""

# Shape legend: N images, w features of a block, F images that components are fitted on.


def layer_blocks(
    held: HeldActivations, module: nn.Module, layers: Mapping[str, Layer], name: str
) -> Iterator[np.ndarray]:
    """Yield the (N, w) float32 blocks of a layer's features, recorded or derived.

    Do not change them; a block is valid until the next.
    """
    layer = layers[name]
    if layer.derived_from is None:
        yield from held.blocks(name)
        return
    target = find_module(module, name)[0]
    first, memory = 0, np.empty(0, np.float32)
    for block in layer_blocks(held, module, layers, layer.derived_from):
        if memory.size < block.size:
            memory = np.empty(block.size, np.float32)
        yield derive(target, block, first, layer.shape, memory[: block.size].reshape(block.shape))
        first += block.shape[1]


def layer_products(
    blocks: Callable[[], Iterable[np.ndarray]],
    layer: Layer,
    *,
    needs: Iterable[Needs],
    projection: Projection,
    image_names: np.ndarray,
    device: str | None = None,
    n_fitted: int = 0,
) -> dict[Needs, Any]:
    """Compute what benchmarks need of one layer: inner products of its features, standardised or not, or the features.

    Parameters
    ----------
    blocks
        Returns the layer's (N + F, w) blocks.
    layer
        Which layer.
    needs
        What is needed, each once.
    projection
        How features become fewer first.
    image_names
        (N,) labels, for messages and to find the images that scale features.
    device
        None for NumPy, else a PyTorch device.
    n_fitted
        The last F rows of the blocks are images that the projection is fitted on.

    Raises
    ------
    DataError
        An activation is NaN or infinite, or none differs between images.
    """
    wanted = sorted(set(needs), key=repr)
    n_images = len(image_names)
    fewer = projection.of_blocks(_finite(blocks(), image_names), layer.n_features, n_fitted)
    n_features = layer.n_features if fewer is None else fewer.shape[1]
    n_features = min(n_features, projection.n_kept(layer.n_features))
    is_whole = 2 * n_features <= n_images or any(one.kind == "features" for one in wanted)
    if fewer is None and is_whole:
        fewer = np.concatenate([block[:n_images].copy() for block in blocks()], axis=1)
    found: dict[Needs, Any] = {}
    for one in wanted:
        if one.kind == "features":
            found[one] = fewer
        elif fewer is not None and 2 * n_features <= n_images:
            found[one] = Gram.from_features(fewer, **_options(one, image_names, device))
        else:
            found[one] = accumulator(one, image_names, device)
    totals = {one: total for one, total in found.items() if isinstance(total, GramAccumulator)}
    if totals:
        for block in blocks() if fewer is None else _cut(fewer):
            for total in totals.values():
                total.add(block[:n_images])
    return {one: totals[one].gram() if one in totals else made for one, made in found.items()}


def _options(one: Needs, image_names: np.ndarray, device: str | None = None) -> dict[str, Any]:
    return {
        "device": device,
        "standardize": one.kind == "standardized",
        "scaled_by": None if one.scaled_by is None else np.isin(image_names, np.array(one.scaled_by, object)),
        "image_names": image_names,
    }


def accumulator(one: Needs, image_names: np.ndarray, device: str | None = None) -> GramAccumulator:
    """Return an empty sum of what is needed of a layer."""
    precision = "float64" if len(image_names) <= EXACT_IMAGES else "float32"
    return GramAccumulator(len(image_names), precision=precision, **_options(one, image_names, device))


def _cut(features: np.ndarray) -> Iterator[np.ndarray]:
    for first in range(0, features.shape[1], BLOCK_FEATURES):
        yield features[:, first : first + BLOCK_FEATURES]


def _finite(blocks: Iterable[np.ndarray], image_names: np.ndarray) -> Iterator[np.ndarray]:
    """Pass blocks on that hold finite numbers only."""
    first = 0
    for block in blocks:
        if not np.isfinite(block.sum(0, dtype=np.float64)).all():
            fitted = (f"number {number} to fit on" for number in range(len(block) - len(image_names)))
            raise not_finite(block, first, [*image_names, *fitted])
        first += block.shape[1]
        yield block
