"""The inner products of a recorded layer and of all that follow from it, in one walk over its blocks.

A convolution, its normalisation and their ReLU lie on the disk once. Walking over them together reads them once,
derives each layer once, and makes the products of a convolution serve its normalisation too: less their means, the
features of a channel differ by a factor.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from torch import nn

from vvscale.brain.activations.derived import derive, scale_and_shift
from vvscale.brain.activations.hooks import find_module
from vvscale.brain.activations.products import EXACT_IMAGES, accumulator
from vvscale.brain.activations.projection import Projection
from vvscale.brain.activations.record import Layer
from vvscale.brain.activations.storage import block_width
from vvscale.brain.metrics.gram import Gram, GramAccumulator
from vvscale.brain.metrics.metric import Needs
from vvscale.errors import DataError

# Shape legend: N images, w features of a block, C channels.

WIDE_CHANNEL = 512
"""Features of a channel from which on the products of single channels take no longer than those of a block."""

PLAIN = Needs()
"""Products of features that are not scaled."""


def are_summed(layer: Layer, needs: Iterable[Needs], projection: Projection, n_images: int) -> bool:
    """Whether all that is needed of a layer are sums over its blocks, which :func:`family_products` makes."""
    is_whole = projection.n_kept(layer.n_features) == layer.n_features and 2 * layer.n_features > n_images
    return is_whole and all(one.kind != "features" for one in needs)


def family_products(
    blocks: Iterable[np.ndarray],
    module: nn.Module,
    layers: Mapping[str, Layer],
    names: Sequence[str],
    *,
    needs: Mapping[str, Iterable[Needs]],
    image_names: np.ndarray,
) -> dict[str, dict[Needs, Gram] | DataError]:
    """Compute the inner products of a family of layers.

    Parameters
    ----------
    blocks
        (N or more, w) float32 blocks of the recorded layer.
    module, layers
        The model, and what a first pass showed of its layers.
    names
        The recorded layer, then the others, each after the one that it is derived from.
    needs
        What is needed of each, all of it sums; see :func:`are_summed`.
    image_names
        (N,) labels.

    Returns
    -------
    dict
        By layer, its inner products by need, or why it has none.
    """
    n_images = len(image_names)
    sums = {name: {one: accumulator(one, image_names) for one in sorted(set(needs[name]), key=repr)} for name in names}
    modules = {name: find_module(module, name)[0] for name in names[1:]}
    scaled = _scaled(layers, modules, sums) if n_images > EXACT_IMAGES else {}
    twins = {one.name for one in scaled.values()}
    derived = _derived(layers, names, {name for name in names if name not in twins or set(sums[name]) != {PLAIN}})
    memory = {name: np.empty(0, np.float32) for name in derived}
    errors: dict[str, DataError] = {}
    first = 0
    for block in blocks:
        held = {names[0]: block}
        for name in derived:
            if memory[name].size < block.size:
                memory[name] = np.empty(block.size, np.float32)
            out = memory[name][: block.size].reshape(block.shape)
            held[name] = derive(modules[name], held[layers[name].derived_from or ""], first, layers[name].shape, out)
        for name, features in held.items():
            for one, total in sums[name].items():
                twin = scaled.get(name) if one == PLAIN else None
                if name in errors or (one == PLAIN and name in twins):
                    continue
                try:
                    if twin is None:
                        total.add(features[:n_images])
                    else:
                        twin.add(total, features[:n_images], first)
                except DataError as error:
                    # What is not finite in a layer is not finite in its normalisation.
                    errors |= {name: error} if twin is None else {name: error, twin.name: error}
        first += block.shape[1]
    return {name: errors.get(name) or _finished(sums[name]) for name in names}


@dataclass(frozen=True)
class _Scaled:
    """A normalisation whose products follow from those of the layer that it normalises.

    Attributes
    ----------
    name, total
        Of the normalisation, and its sum.
    scale, shift
        (C,) float32.
    places
        Features of one channel.
    """

    name: str
    total: GramAccumulator
    scale: np.ndarray
    shift: np.ndarray
    places: int

    def add(self, total: GramAccumulator, block: np.ndarray, first: int) -> None:
        """Add a block that begins with feature number ``first`` to both sums."""
        stretch = min(self.places, block.shape[1])
        channel = first // self.places
        channels = slice(channel, channel + block.shape[1] // stretch)
        total.add_with_scaled(block, self.total, self.scale[channels], self.shift[channels], stretch)


def _scaled(
    layers: Mapping[str, Layer], modules: Mapping[str, nn.Module], sums: Mapping[str, Mapping[Needs, GramAccumulator]]
) -> dict[str, _Scaled]:
    """Return by layer the normalisation of it whose products are made with its own; of several the first."""
    found: dict[str, _Scaled] = {}
    for name, module in modules.items():
        source, affine = layers[name].derived_from or "", scale_and_shift(module)
        is_taken = source in found or any(one.name == source for one in found.values())
        if affine is None or is_taken or PLAIN not in sums[source] or PLAIN not in sums[name]:
            continue
        if not all(np.isfinite(table).all() for table in affine):
            continue  # it gets its error from its own features
        places = int(np.prod(layers[name].shape[1:], dtype=np.int64))
        width = block_width(places)
        if places >= WIDE_CHANNEL and (width % places == 0 or places % width == 0):
            found[source] = _Scaled(name, sums[name][PLAIN], *affine, places)
    return found


def _derived(layers: Mapping[str, Layer], names: Sequence[str], wanted: set[str]) -> list[str]:
    """Return the layers to derive, in order: those wanted, and what they are derived from."""
    for name in reversed(names[1:]):
        if name in wanted:
            wanted = {*wanted, layers[name].derived_from or ""}
    return [name for name in names[1:] if name in wanted]


def _finished(sums: Mapping[Needs, GramAccumulator]) -> dict[Needs, Gram] | DataError:
    try:
        return {one: total.gram() for one, total in sums.items()}
    except DataError as error:
        return error
