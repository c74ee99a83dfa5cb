"""Random numbers that are a pure function of where they are used: (seed, epoch, image, draw).

There is no generator and no state: a run that resumes, or is spread over other ranks, asks for the same numbers and
gets them. The mixing function works on 64-bit integers, whose arithmetic is the same on every device.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

_MASK = (1 << 64) - 1
# The increment and the two multipliers of the mixing function of splitmix64.
_STEP, _FIRST, _SECOND = 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB
_BITS = 24


def mix(value: int) -> int:
    """Scramble one integer of 64 bits; the scalar twin of what arrays go through."""
    value = (value + _STEP) & _MASK
    value = ((value ^ (value >> 30)) * _FIRST) & _MASK
    value = ((value ^ (value >> 27)) * _SECOND) & _MASK
    return value ^ (value >> 31)


def hashes(seed: int, epoch: int, index: Tensor, n: int, *, stream: int | Tensor = 0) -> Tensor:
    """Return (len(index), n) int64 of 64 random bits; as :func:`uniforms`."""
    key = mix(mix(seed & _MASK) ^ (epoch & _MASK))
    if index.is_cuda:
        rows = _mix_tensor(index.to(torch.int64) ^ _signed(key))
        rows = _mix_tensor(rows ^ stream)
        draws = torch.arange(n, device=index.device, dtype=torch.int64).mul_(_signed(_STEP))
        return _mix_tensor(rows[:, None] + draws)
    # Small arrays are several times faster in numpy, and this is asked for in every step of the smallest models.
    streams = np.asarray(stream, dtype=np.int64).view(np.uint64)
    rows = _mix_array(index.numpy().astype(np.int64).view(np.uint64) ^ np.uint64(key))
    rows = _mix_array(rows ^ streams)
    draws = np.arange(n, dtype=np.uint64) * np.uint64(_STEP)
    return torch.from_numpy(_mix_array(rows[:, None] + draws).view(np.int64))


def uniforms(seed: int, epoch: int, index: Tensor, n: int, *, stream: int | Tensor = 0) -> Tensor:
    """Return (len(index), n) float32 in [0, 1), uniform and independent, on the device of ``index``.

    Parameters
    ----------
    seed, epoch
        Any integers; each pair has numbers of its own.
    index
        (n_rows,) which image each row is for; a row depends on nothing else of the batch.
    n
        How many numbers per row; the first of them do not change when more are asked for.
    stream
        A number, or one per row, that keeps several uses of one image apart: its views, its repeats.

    Examples
    --------
    >>> torch.equal(uniforms(0, 1, torch.tensor([5, 7]), 3)[1], uniforms(0, 1, torch.tensor([7]), 3)[0])
    True
    """
    # 24 bits fill the mantissa of float32, so that every value is exact and none rounds up to 1.
    return _shifted(hashes(seed, epoch, index, n, stream=stream), 64 - _BITS).to(torch.float32).mul_(2.0**-_BITS)


def _signed(value: int) -> int:
    """Return the 64-bit pattern of ``value`` as the signed integer that tensors hold."""
    return value - (1 << 64) if value >> 63 else value


def _shifted(value: Tensor, bits: int) -> Tensor:
    # The shift of signed tensors copies the sign; the mask makes it that of unsigned ones.
    return (value >> bits).bitwise_and_((1 << (64 - bits)) - 1)


def _mix_tensor(value: Tensor) -> Tensor:
    value = value + _signed(_STEP)
    value = _shifted(value, 30).bitwise_xor_(value).mul_(_signed(_FIRST))
    value = _shifted(value, 27).bitwise_xor_(value).mul_(_signed(_SECOND))
    return _shifted(value, 31).bitwise_xor_(value)


def _mix_array(value: np.ndarray) -> np.ndarray:
    value = value + np.uint64(_STEP)
    value = (value ^ (value >> np.uint64(30))) * np.uint64(_FIRST)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(_SECOND)
    return value ^ (value >> np.uint64(31))


def uniform(seed: int, epoch: int, position: int, draw: int) -> float:
    """Return one number in [0, 1) of 53 bits for what belongs to no image, such as a batch; plain Python."""
    return (mix(mix(mix(mix(seed & _MASK) ^ (epoch & _MASK)) ^ position) + (draw + 1) * _STEP) >> 11) * 2.0**-53


def permutation(seed: int, epoch: int, n: int) -> Tensor:
    """Return a random order (n,) int64 of 0..n-1 on the CPU."""
    return hashes(seed, epoch, torch.arange(n), 1, stream=_ORDER)[:, 0].argsort(stable=True)


# Far from the small streams of views and repeats.
_ORDER = 0x5D8A2F1B
