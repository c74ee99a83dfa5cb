"""Layers whose activation of an image depends on chance or on the other images of its batch.

Such an activation is not of the image: a normalisation without running statistics takes those of the batch, dropout
that is called as a function draws anew each time. Scores of it would change with the batch size, so the layer is named
instead.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from vvscale.brain.activations.forward import forward
from vvscale.brain.activations.hooks import evaluating, hooks

TOLERANCE = 1e-3
"""Largest difference of an activation, relative to the largest of its image, that is taken for rounding: products of
other shapes round differently by 1e-6, half precision by 1e-3."""


def unsteady_layers(module: nn.Module, layers: Sequence[str], images: Any, *, device: str = "cpu") -> dict[str, str]:
    """Show an image in two different batches, and name the layers that tell them apart.

    Parameters
    ----------
    module, device
        The model, and where it runs.
    layers
        Names of layers whose output is one tensor with a row per image.
    images
        (B, channels, height, width) float32, at least two.

    Returns
    -------
    dict
        Layer -> why it cannot be scored; empty where all are steady.

    Examples
    --------
    >>> images = np.random.default_rng(0).standard_normal((2, 3, 4, 4)).astype(np.float32)
    >>> list(unsteady_layers(nn.Sequential(nn.InstanceNorm2d(3), nn.BatchNorm2d(3)), ["0", "1"], images))
    []
    >>> list(unsteady_layers(nn.Sequential(nn.BatchNorm2d(3, track_running_stats=False)), ["0"], images))
    ['0']
    """
    images = np.asarray(images)
    # Upside down and twice as strong, the other image is surely another one.
    others = np.concatenate((images[:1], 2 * images[1:, :, ::-1]))
    first, second = (_first_rows(module, layers, batch, device) for batch in (images, others))
    changed = [name for name in first if name in second and not _is_same(first[name], second[name])]
    if not changed:
        return {}
    again = _first_rows(module, changed, images, device)
    return {
        name: _by_batch(name) if _is_same(first[name], again[name]) else _by_chance(name)
        for name in changed
        if name in again
    }


def _first_rows(module: nn.Module, layers: Sequence[str], images: np.ndarray, device: str) -> dict[str, Tensor]:
    """Return the activation of the first image at each layer."""
    rows: dict[str, Tensor] = {}

    def see(name: str, output: Any) -> None:
        if isinstance(output, Tensor) and output.ndim and len(output) == len(images):
            rows[name] = output[0].detach().to("cpu", torch.float32, copy=True)

    with evaluating(module), hooks(module, layers, see):
        forward(module, images, device)
    return rows


def _is_same(first: Tensor, second: Tensor) -> bool:
    if first.shape != second.shape:
        return False
    known = torch.isfinite(first) & torch.isfinite(second)
    if not known.any():
        return True
    difference = (first - second)[known].abs().max()
    return bool(difference <= TOLERANCE * first[known].abs().max())


def _by_batch(name: str) -> str:
    return (
        f"Layer '{name}' gives other numbers for an image when the other images of its batch change, so its activation "
        "is not of the image alone. Likely cause: a normalisation without running statistics (track_running_stats="
        "False), or an operation over the batch. Score a layer before it, or give the model fixed statistics."
    )


def _by_chance(name: str) -> str:
    return (
        f"Layer '{name}' gives other numbers when the same image is shown again, so its activation is drawn at random. "
        "Likely cause: dropout or noise that is called as a function without `training=self.training`. Score a layer "
        "before it, or switch the draw off in evaluation mode."
    )
