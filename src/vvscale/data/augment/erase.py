"""Random erasing: a rectangle of a normalised image is overwritten."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

_N_TRIES = 10
_AREA = (0.02, 1 / 3)
_LOG_RATIO = (math.log(0.3), math.log(1 / 0.3))
DRAWS_PER_ERASE = 1 + 4 * _N_TRIES


def erasing_boxes(size: int, probability: float, numbers: Tensor) -> tuple[Tensor, Tensor]:
    """Return the rows (m,) to erase and their boxes (m, 4): top, left, height, width.

    Parameters
    ----------
    size
        Side of the images.
    probability
        Of each image to be erased.
    numbers
        (n, 41) in [0, 1): whether, then area, ratio, top and left of ten tries.

    Source
    ------
    timm.data.random_erasing.RandomErasing.
    """
    numbers = numbers.to(torch.float64)
    tries = numbers[:, 1:].view(-1, 4, _N_TRIES)
    area = size**2 * (_AREA[0] + (_AREA[1] - _AREA[0]) * tries[:, 0])
    ratio = torch.exp(_LOG_RATIO[0] + (_LOG_RATIO[1] - _LOG_RATIO[0]) * tries[:, 1])
    heights, widths = torch.round(torch.sqrt(area * ratio)), torch.round(torch.sqrt(area / ratio))
    fits = (heights < size) & (widths < size)
    first = fits.to(torch.uint8).argmax(1, keepdim=True)
    h, w, top, left = (values.gather(1, first)[:, 0] for values in (heights, widths, tries[:, 2], tries[:, 3]))
    boxes = torch.stack([torch.floor(top * (size - h + 1)), torch.floor(left * (size - w + 1)), h, w], 1)
    rows = ((numbers[:, 0] < probability) & fits.any(1)).nonzero()[:, 0]
    return rows, boxes[rows].to(torch.int64)


def erase(
    images: Tensor, probability: float, numbers: Tensor, noise: Callable[[Tensor], Tensor] | None = None
) -> Tensor:
    """Overwrite boxes of images (n, C, S, S) in place and return them.

    Parameters
    ----------
    images
        Normalised.
    probability, numbers
        As for :func:`erasing_boxes`.
    noise
        Gives the values (m, C, S, S) for rows (m,); zero by default.
    """
    size = images.shape[-1]
    rows, boxes = erasing_boxes(size, probability, numbers)
    if not len(rows):
        return images
    boxes = boxes.to(images.device)[:, :, None]
    line = torch.arange(size, device=images.device)
    inside = ((line >= boxes[:, start]) & (line < boxes[:, start] + boxes[:, start + 2]) for start in (0, 1))
    down, across = inside
    mask = (down[:, :, None] & across[:, None, :])[:, None]
    values = torch.zeros((), device=images.device) if noise is None else noise(rows)
    where = rows.to(images.device)
    images[where] = torch.where(mask, values, images[where])
    return images
