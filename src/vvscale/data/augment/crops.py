"""Which part of each image is shown, and at which size: decided before a pixel is touched.

All of it is arithmetic on a few numbers per image, done in double precision on the CPU, so that a GPU cuts exactly
the boxes that a CPU does.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from vvscale.data.augment.settings import Augmentation, Evaluation

N_TRIES = 10
DRAWS_PER_BOX = 2 * N_TRIES + 2


@dataclass(frozen=True, eq=False)
class Boxes:
    """One box per image, stretched to a virtual size of which a window is kept.

    Attributes
    ----------
    box
        (B, 4) int64: top, left, height, width in the image, in pixels.
    stretched
        (B, 2) int64: height and width that the box is resized to.
    window
        (B, 2) int64: top and left of the kept square in the resized box.
    flip
        (B,) bool: mirrored left to right.
    """

    box: Tensor
    stretched: Tensor
    window: Tensor
    flip: Tensor

    def take(self, rows: Tensor) -> Boxes:
        """Return the boxes of some images."""
        return Boxes(self.box[rows], self.stretched[rows], self.window[rows], self.flip[rows])

    def to(self, device: torch.device) -> Boxes:
        """Return the boxes on a device."""
        parts = (self.box, self.stretched, self.window, self.flip)
        return Boxes(*(part.to(device, non_blocking=True) for part in parts))


def random_boxes(sizes: Tensor, augmentation: Augmentation, draws: Tensor, flip: Tensor) -> Boxes:
    """Return the random resized crops of images.

    Parameters
    ----------
    sizes
        (B, 2) int64, heights and widths.
    augmentation
        ``scale``, ``ratio`` and ``image_size``.
    draws
        (B, 22) in [0, 1): ten areas, ten ratios, top, left.
    flip
        (B,) bool.

    Source
    ------
    torchvision.transforms.RandomResizedCrop.get_params.
    """
    side = torch.full_like(sizes, augmentation.image_size)
    if augmentation.scale is None:
        return Boxes(torch.cat([torch.zeros_like(sizes), sizes], 1), side, torch.zeros_like(sizes), flip)
    draws = draws.to(torch.float64)
    height, width = sizes.to(torch.float64).unbind(1)
    low, high = augmentation.scale
    area = (height * width)[:, None] * (low + (high - low) * draws[:, :N_TRIES])
    log_low, log_high = math.log(augmentation.ratio[0]), math.log(augmentation.ratio[1])
    ratio = torch.exp(log_low + (log_high - log_low) * draws[:, N_TRIES : 2 * N_TRIES])
    widths, heights = torch.round(torch.sqrt(area * ratio)), torch.round(torch.sqrt(area / ratio))
    fits = (widths > 0) & (heights > 0) & (widths <= width[:, None]) & (heights <= height[:, None])
    first = fits.to(torch.uint8).argmax(1, keepdim=True)
    fitted = fits.any(1)
    fallback_height, fallback_width = _largest_allowed(height, width, augmentation.ratio)
    h = torch.where(fitted, heights.gather(1, first)[:, 0], fallback_height)
    w = torch.where(fitted, widths.gather(1, first)[:, 0], fallback_width)
    top = torch.where(fitted, torch.floor(draws[:, -2] * (height - h + 1)), torch.floor((height - h) / 2))
    left = torch.where(fitted, torch.floor(draws[:, -1] * (width - w + 1)), torch.floor((width - w) / 2))
    box = torch.stack([top, left, h, w], 1).to(torch.int64)
    return Boxes(box, side, torch.zeros_like(sizes), flip)


def _largest_allowed(height: Tensor, width: Tensor, ratio: tuple[float, float]) -> tuple[Tensor, Tensor]:
    """Return height and width of the largest central box whose proportions are within the range."""
    image_ratio = width / height
    h = torch.where(image_ratio < ratio[0], torch.round(width / ratio[0]), height)
    w = torch.where(image_ratio > ratio[1], torch.round(height * ratio[1]), width)
    # A sliver narrower than half a pixel still has one.
    return h.clamp(min=1), w.clamp(min=1)


def evaluation_boxes(sizes: Tensor, evaluation: Evaluation) -> Boxes:
    """Return the whole images (B, 2), resized by the rule, with the centre as the window.

    Source
    ------
    short-side: torchvision.transforms.Resize and CenterCrop. squash: the study's albumentations Resize and
    CenterCrop, which rounds the margin down.
    """
    resize, size = evaluation.side, evaluation.image_size
    if evaluation.rule == "squash":
        stretched = torch.full_like(sizes, resize)
        window = (stretched - size) // 2
    else:
        short = sizes.min(1, keepdim=True).values
        stretched = torch.div(sizes * resize, short, rounding_mode="floor")
        # Python's and torch's round both take halves to the even number.
        window = torch.round((stretched - size).to(torch.float64) / 2).to(torch.int64)
    flip = torch.zeros(len(sizes), dtype=torch.bool)
    return Boxes(torch.cat([torch.zeros_like(sizes), sizes], 1), stretched, window, flip)
