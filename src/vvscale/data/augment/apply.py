"""Apply a transform to a batch: every choice is drawn first, on the CPU; then pixels change, on the device.

Pixels are bytes until they are normalised, as in the libraries whose operations these are, so that results can be
compared exactly.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum

import torch
from torch import Tensor
from torch.nn import functional

from vvscale.data.augment import color
from vvscale.data.augment.counter import uniforms
from vvscale.data.augment.crops import DRAWS_PER_BOX, evaluation_boxes, random_boxes
from vvscale.data.augment.erase import DRAWS_PER_ERASE, erase
from vvscale.data.augment.rand_augment import rand_augment
from vvscale.data.augment.resize import cut
from vvscale.data.augment.settings import Augmentation, Evaluation, Transform


class Use(IntEnum):
    """What numbers are drawn for. Each use of an image has a stream of its own; values must never change."""

    BOX = 0
    FLIP = 1
    SHIFT = 2
    THREE_AUGMENT = 3
    RAND_AUGMENT = 4
    JITTER = 5
    GRAYSCALE = 6
    BLUR = 7
    SOLARIZE = 8
    ERASE = 9
    ERASE_NOISE = 10


_USES = 64
_VIEWS = 1024


@dataclass(frozen=True, eq=False)
class Draws:
    """Numbers in [0, 1) for the images of one view of one batch.

    Attributes
    ----------
    seed, epoch
        Of the run and its pass over the data.
    index
        (B,) int64, positions in the store, on the CPU.
    copy
        (B,) int64, how often each image has already been in this epoch.
    view
        Which view of the image.
    """

    seed: int
    epoch: int
    index: Tensor
    copy: Tensor
    view: int = 0

    def __call__(self, use: Use, n: int, rows: Tensor | None = None, device: torch.device | None = None) -> Tensor:
        """Return (B, n) numbers for one use, for some of the rows if given."""
        index, stream = self.index, use + _USES * (self.view + _VIEWS * self.copy)
        if rows is not None:
            index, stream = index[rows], stream[rows]
        return uniforms(self.seed, self.epoch, index.to(device), n, stream=stream.to(device))


def apply_transform(transform: Transform, buffer: Tensor, offsets: Tensor, sizes: Tensor, draws: Draws) -> Tensor:
    """Return (B, 3, image_size, image_size) float32, on the device of ``buffer``.

    Parameters
    ----------
    transform
        What to do.
    buffer, offsets, sizes
        Where the images are, as for :func:`vvscale.data.augment.resize.cut`.
    draws
        The random numbers; not used for an evaluation.
    """
    size = transform.image_size
    if isinstance(transform, Evaluation):
        boxes = evaluation_boxes(sizes, transform)
        images = cut(buffer, offsets, sizes, boxes, size, antialias=transform.antialias)
        return normalised(images, transform)
    flip = flips(transform, draws)
    numbers = draws(Use.BOX, DRAWS_PER_BOX) if transform.scale is not None else torch.empty(len(offsets), 0)
    boxes = random_boxes(sizes, transform, numbers, flip)
    images = cut(buffer, offsets, sizes, boxes, size, antialias=transform.antialias)
    images = shifted(images, shifts(transform, draws), transform.shift)
    images = _recolored(images, transform, draws)
    images = normalised(images, transform)
    if transform.erasing:
        noise = _noise(draws, images) if transform.erasing_mode == "pixel" else None
        images = erase(images, transform.erasing, draws(Use.ERASE, DRAWS_PER_ERASE), noise)
    return images


def flips(augmentation: Augmentation, draws: Draws) -> Tensor:
    """Return (B,) bool: which images are mirrored."""
    if not augmentation.hflip:
        return torch.zeros(len(draws.index), dtype=torch.bool)
    return draws(Use.FLIP, 1)[:, 0] < augmentation.hflip


def shifts(augmentation: Augmentation, draws: Draws) -> Tensor:
    """Return (B, 2) int64 in 0..2*shift: where the window of each padded image begins."""
    n = 2 * augmentation.shift + 1
    if n == 1:
        return torch.zeros(len(draws.index), 2, dtype=torch.int64)
    return (draws(Use.SHIFT, 2) * n).to(torch.int64)


def windows(images: Tensor, shift: int) -> Tensor:
    """Return a view (B, C, 2*shift+1, 2*shift+1, H, W) of every shift of images padded with ``shift`` zeros."""
    height, width = images.shape[-2] - 2 * shift, images.shape[-1] - 2 * shift
    return images.unfold(2, height, 1).unfold(3, width, 1)


def shifted(images: Tensor, start: Tensor, shift: int) -> Tensor:
    """Return the windows of zero-padded images that begin at ``start`` (B, 2)."""
    if not shift:
        return images
    rows = torch.arange(len(images), device=images.device)
    y, x = start.to(images.device).unbind(1)
    return windows(functional.pad(images, (shift,) * 4), shift)[rows, :, y, x]


def normalised(images: Tensor, transform: Transform) -> Tensor:
    """Return bytes as float32, zero mean and unit spread; contiguous on a CPU, channels last on a GPU."""
    mean = torch.tensor(transform.mean, device=images.device).mul_(255).view(1, 3, 1, 1)
    std = torch.tensor(transform.std, device=images.device).mul_(255).view(1, 3, 1, 1)
    # Channels-last tensors corrupt memory in some narrow convolutions of oneDNN: never on a CPU.
    layout = torch.channels_last if images.is_cuda else torch.contiguous_format
    return images.to(torch.float32, memory_format=layout).sub_(mean).div_(std)


def _recolored(images: Tensor, augmentation: Augmentation, draws: Draws) -> Tensor:
    if augmentation.three_augment:
        numbers = draws(Use.THREE_AUGMENT, 2)
        images = color.three_augment(images, numbers, augmentation.blur_sigma)
    if augmentation.rand_augment is not None:
        mean = tuple(min(255, round(255 * channel)) for channel in augmentation.mean)
        images = rand_augment(images, augmentation.rand_augment, lambda n: draws(Use.RAND_AUGMENT, n), fill=mean)
    if any(augmentation.jitter):
        numbers = draws(Use.JITTER, 9)
        rows = _chosen(numbers[:, 8], augmentation.color_jitter_p)
        images = color.on_rows(images, rows, color.jitter, augmentation.jitter, numbers[rows])
    if augmentation.grayscale:
        rows = _chosen(draws(Use.GRAYSCALE, 1)[:, 0], augmentation.grayscale)
        images = color.on_rows(images, rows, color.grayscale)
    if augmentation.blur:
        numbers = draws(Use.BLUR, 2)
        rows = _chosen(numbers[:, 0], augmentation.blur)
        low, high = augmentation.blur_sigma
        sigma = low + (high - low) * numbers[rows, 1]
        images = color.on_rows(images, rows, color.blur, sigma)
    if augmentation.solarize:
        rows = _chosen(draws(Use.SOLARIZE, 1)[:, 0], augmentation.solarize)
        images = color.on_rows(images, rows, color.solarize)
    return images


def _chosen(numbers: Tensor, probability: float) -> Tensor:
    return (numbers < probability).nonzero()[:, 0]


def _noise(draws: Draws, images: Tensor) -> Callable[[Tensor], Tensor]:
    """Return a function of rows that gives their normal noise (n, C, H, W), made on the device."""
    shape = images.shape[1:]

    def noise(rows: Tensor) -> Tensor:
        flat = draws(Use.ERASE_NOISE, shape.numel(), rows, images.device)
        # The middle of each of the 2**24 steps, so that neither end is infinite.
        return torch.special.ndtri(flat.add_(2.0**-25)).view(-1, *shape)

    return noise
