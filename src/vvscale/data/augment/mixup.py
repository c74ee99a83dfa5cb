"""Mixup and cutmix of the neighbours of a batch, with the shares of both labels.

Positions 2k and 2k+1 of a batch are mixed with each other, so that any even share of a batch can be mixed by itself;
the mixing share is drawn once per batch.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from scipy.special import betaincinv
from torch import Tensor
from torch.nn import functional

from vvscale.data.augment.counter import uniform
from vvscale.data.augment.settings import Augmentation


@dataclass(frozen=True)
class Mix:
    """How a batch is mixed.

    Attributes
    ----------
    share
        What an image keeps of its own label.
    box
        (top, bottom, left, right) of the rectangle that comes from the neighbour, in pixels, or None to blend.
    """

    share: float
    box: tuple[int, int, int, int] | None = None


NO_MIX = Mix(1.0)


def draw_mix(augmentation: Augmentation, *, seed: int, epoch: int, batch: int) -> Mix:
    """Return how one global batch is mixed; a function of these numbers alone.

    Source
    ------
    timm.data.mixup.Mixup, mode "batch".
    """
    if not augmentation.mixes or uniform(seed, epoch, batch, 0) >= augmentation.mix_p:
        return NO_MIX
    both = augmentation.mixup > 0 and augmentation.cutmix > 0
    by_cutmix = uniform(seed, epoch, batch, 1) < augmentation.mix_switch_p if both else augmentation.cutmix > 0
    alpha = augmentation.cutmix if by_cutmix else augmentation.mixup
    share = float(betaincinv(alpha, alpha, uniform(seed, epoch, batch, 2)))
    if not by_cutmix:
        return Mix(share)
    centre = uniform(seed, epoch, batch, 3), uniform(seed, epoch, batch, 4)
    return cut_box(share, augmentation.image_size, centre)


def cut_box(share: float, size: int, centre: tuple[float, float]) -> Mix:
    """Return the cutmix whose box has its centre at shares ``centre`` of the sides; clipped at the borders."""
    side = int(size * (1 - share) ** 0.5)
    (top, bottom), (left, right) = (
        (max(0, middle - side // 2), min(size, middle + (side + 1) // 2)) for middle in (int(c * size) for c in centre)
    )
    # The box was clipped: the label follows what is left of it.
    return Mix(1 - (bottom - top) * (right - left) / size**2, (top, bottom, left, right))


def apply_mix(images: Tensor, mix: Mix) -> Tensor:
    """Return (B, C, H, W) images mixed with their neighbours; the last of an odd number stays as it is."""
    if mix.share == 1.0:
        return images
    others = images[neighbours(len(images)).to(images.device)]
    if mix.box is None:
        return images.mul(mix.share).add_(others, alpha=1 - mix.share)
    top, bottom, left, right = mix.box
    mixed = images.clone()
    mixed[:, :, top:bottom, left:right] = others[:, :, top:bottom, left:right]
    return mixed


def mix_targets(labels: Tensor, n_classes: int, mix: Mix) -> Tensor:
    """Return (B, n_classes) float32, the shares of each class; rows add up to 1."""
    own = functional.one_hot(labels, n_classes).to(torch.float32)
    if mix.share == 1.0:
        return own
    return own.mul(mix.share).add_(own[neighbours(len(labels)).to(labels.device)], alpha=1 - mix.share)


def neighbours(n: int) -> Tensor:
    """Return 1, 0, 3, 2, ...; with an odd ``n`` the last is its own neighbour.

    Examples
    --------
    >>> neighbours(5).tolist()
    [1, 0, 3, 2, 4]
    """
    return (torch.arange(n) ^ 1).clamp(max=n - 1)
