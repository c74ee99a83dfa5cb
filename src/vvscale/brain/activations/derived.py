"""Layers that follow from the layer before them number by number, and so need not be recorded.

Half of a network's layers are non-linearities and normalisations with fixed statistics. Their output is computed
from the recorded input again, by PyTorch's own functions, when it is needed: on the CPU to the last digit for ReLU
and normalisations, to the last but one for the smooth ones. That halves what must be kept.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import nn

# Shape legend: N images, w features of a block, C channels.

# Types, not their subclasses: a subclass may do anything.
_ELEMENTWISE = (
    nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.ELU, nn.GELU, nn.SiLU, nn.Hardswish, nn.Hardsigmoid, nn.Sigmoid, nn.Tanh,
)  # fmt: skip
_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


def can_derive(module: nn.Module) -> bool:
    """Whether a module's output follows from its input number by number, in evaluation mode."""
    if type(module) in _NORMS:
        return getattr(module, "running_mean", None) is not None
    return type(module) in _ELEMENTWISE


def scale_and_shift(module: Any) -> tuple[np.ndarray, np.ndarray] | None:
    """Return what a normalisation with fixed statistics multiplies and adds, (C,) float32 each; None for others."""
    if type(module) not in _NORMS:
        return None
    mean, var = (held.detach().cpu().double() for held in (module.running_mean, module.running_var))
    scale = (var + module.eps) ** -0.5
    if module.weight is not None:
        scale = scale * module.weight.detach().cpu().double()
    shift = -mean * scale
    if module.bias is not None:
        shift = shift + module.bias.detach().cpu().double()
    return scale.float().numpy(), shift.float().numpy()


def derive(module: Any, block: np.ndarray, first: int, shape: tuple[int, ...], out: np.ndarray) -> np.ndarray:
    """Return a block of a layer's activations from the block of its input.

    Parameters
    ----------
    module
        One that :func:`can_derive` accepts, in evaluation mode.
    block
        (N, w) float32, not changed.
    first
        Number of the block's first feature.
    shape
        Of one image's activation; channels first.
    out
        (N, w) float32, where the result goes: fresh memory for each block would cost more than the arithmetic.
    """
    if type(module) is nn.ReLU:
        return np.maximum(block, 0, out=out)
    with torch.no_grad():
        if type(module) in _ELEMENTWISE:
            np.copyto(out, block)
            held = torch.from_numpy(out)
            made = module(held)
            return out if made is held else np.copyto(out, made.numpy()) or out
        return _normalised(module, block, first, max(1, int(np.prod(shape[1:], dtype=np.int64))), out)


def _normalised(module: Any, block: np.ndarray, first: int, places: int, out: np.ndarray) -> np.ndarray:
    """Normalise a block whose edges may cut through channels of so many places.

    PyTorch rounds differently for other memory layouts, so channels are handed over as the model has them: planes
    of one channel, contiguous, one table per stretch of whole channels.
    """
    end = first + block.shape[1]
    at = first
    while at < end:
        channel = at // places
        n_whole = (end - at) // places if at % places == 0 else 0
        stop = at + n_whole * places if n_whole else min((channel + 1) * places, end)
        n_channels = max(1, n_whole)
        columns = slice(at - first, stop - first)
        planes = torch.from_numpy(np.ascontiguousarray(block[:, columns]).reshape(len(block), n_channels, -1))
        mean, var, weight, bias = (
            None if held is None else held.detach().cpu().float()[channel : channel + n_channels]
            for held in (module.running_mean, module.running_var, module.weight, module.bias)
        )
        is_whole = stop - at == block.shape[1]
        made = torch.from_numpy(out.reshape(planes.shape)) if is_whole else torch.empty_like(planes)
        # What functional.batch_norm calls, which cannot be told where to write.
        ends = torch.empty(0), torch.empty(0)
        torch.native_batch_norm(planes, weight, bias, mean, var, False, 0.0, module.eps, out=(made, *ends))
        if not is_whole:
            out[:, columns] = made.numpy().reshape(len(block), -1)
        at = stop
    return out
