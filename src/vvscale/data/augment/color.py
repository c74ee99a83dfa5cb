"""Changes of colour of a batch of bytes, each image by its own amount.

Arithmetic is that of Pillow, in which the published recipes ran, down to the last bit: integers or float32 in its
order, truncated where it truncates.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor


def as_levels(amount: Tensor, images: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """Return amounts (n,) so that they meet images (n, C, H, W)."""
    return amount.to(images.device, dtype).view(-1, 1, 1, 1)


def blend(base: Tensor, images: Tensor, factor: Tensor) -> Tensor:
    """Return ``base + factor * (images - base)``, cut to 0..255 and truncated to uint8; factor is (n,)."""
    base = base.to(torch.float32)
    change = images.to(torch.float32).sub_(base).mul_(as_levels(factor, images))
    return change.add_(base).clamp_(0, 255).to(torch.uint8)


def luminance(images: Tensor) -> Tensor:
    """Return the grey version of (n, 3, H, W) uint8 as (n, 1, H, W) int32 in 0..255."""
    red, green, blue = images.to(torch.int32).split(1, 1)
    # ITU-R 601-2 in units of 2**-16, rounded.
    return (19595 * red + 38470 * green + 7471 * blue + 0x8000) >> 16


def grayscale(images: Tensor) -> Tensor:
    """Return images without colour, still three channels."""
    return luminance(images).to(torch.uint8).expand_as(images)


def brightness(images: Tensor, factor: Tensor) -> Tensor:
    """Blend with black; factor (n,), 1 changes nothing."""
    return blend(torch.zeros_like(images), images, factor)


def contrast(images: Tensor, factor: Tensor) -> Tensor:
    """Blend with the image's mean grey; factor (n,), 1 changes nothing."""
    grey = luminance(images).sum(dim=(1, 2, 3), keepdim=True, dtype=torch.float64)
    mean = torch.floor(grey / (images.shape[2] * images.shape[3]) + 0.5)
    return blend(mean.expand_as(images), images, factor)


def saturation(images: Tensor, factor: Tensor) -> Tensor:
    """Blend with the grey image; factor (n,), 1 changes nothing."""
    return blend(luminance(images).expand_as(images), images, factor)


def sharpness(images: Tensor, factor: Tensor) -> Tensor:
    """Blend with the smoothed image; factor (n,), 1 changes nothing. The outermost pixels stay."""
    height, width = images.shape[-2:]
    if min(height, width) < 3:
        return images
    smooth = images.to(torch.int32)
    total = sum(smooth[..., y : y + height - 2, x : x + width - 2] for y in range(3) for x in range(3))
    total = total + 4 * smooth[..., 1:-1, 1:-1]
    # The kernel's sum is 13; rounded to the nearest.
    smooth[..., 1:-1, 1:-1] = (2 * total + 13) // 26
    return blend(smooth, images, factor)


def solarize(images: Tensor, threshold: Tensor | int = 128) -> Tensor:
    """Invert the values from the threshold on; a number, or one per image (n,)."""
    if isinstance(threshold, Tensor):
        threshold = as_levels(threshold, images, torch.int32)
    return torch.where(images.to(torch.int32) < threshold, images, 255 - images)


def hue(images: Tensor, shift: Tensor) -> Tensor:
    """Turn the hue by shares (n,) of the full circle, in -0.5..0.5, in steps of 1/255."""
    h, s, v = _to_hsv(images)
    steps = torch.trunc(shift.to(torch.float64) * 255).to(torch.int32)
    return _to_rgb((h + steps.to(images.device).view(-1, 1, 1)) & 255, s, v)


def _to_hsv(images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    red, green, blue = images.to(torch.int32).unbind(1)
    high = torch.maximum(torch.maximum(red, green), blue)
    low = torch.minimum(torch.minimum(red, green), blue)
    spread = (high - low).clamp(min=1).to(torch.float32)
    from_red, from_green, from_blue = ((high - channel) / spread for channel in (red, green, blue))
    second, third = 2 + from_red.double() - from_blue, 4 + from_green.double() - from_red
    turn = torch.where(green == high, second, third).to(torch.float32)
    turn = torch.where(red == high, from_blue - from_green, turn)
    turn = torch.fmod(turn.double() / 6 + 1, 1).to(torch.float32)
    share = (high - low).to(torch.float32) / high.clamp(min=1)
    is_grey = high == low
    h, s = ((part.double() * 255).to(torch.int32).masked_fill(is_grey, 0) for part in (turn, share))
    return h, s, high


def _to_rgb(h: Tensor, s: Tensor, v: Tensor) -> Tensor:
    sextant = torch.floor(h.double() * 6 / 255)
    # Which parts are single and which double precision decides where halves fall.
    rest = (h.double() * 6 / 255 - sextant).to(torch.float32)
    share = (s.double() / 255).to(torch.float32)
    darker = (share.double(), (share * rest).double(), share.double() * (1 - rest.double()))
    # Halves go up: all values are positive.
    p, q, t = (torch.floor(v * (1 - part) + 0.5).to(torch.int32) for part in darker)
    sextant = sextant.to(torch.int64).remainder(6)
    red, green, blue = ([v, q, p, p, t, v], [t, v, v, q, p, p], [p, p, t, v, v, q])
    channels = [torch.stack(values).gather(0, sextant[None])[0] for values in (red, green, blue)]
    return torch.stack(channels, 1).clamp_(0, 255).to(torch.uint8)


def blur(images: Tensor, sigma: Tensor) -> Tensor:
    """Blur with Gaussians of standard deviations (n,) in pixels; the borders are mirrored.

    Each image is multiplied by its two banded matrices, which costs no loop over images or taps.
    """
    height, width = images.shape[-2:]
    pixels = images.to(torch.float32)
    down, across = (_gaussian_matrix(sigma, side).to(images.device) for side in (height, width))
    blurred = down[:, None] @ pixels @ across[:, None].mT
    return blurred.round_().clamp_(0, 255).to(torch.uint8)


def _gaussian_matrix(sigma: Tensor, side: int) -> Tensor:
    """Return (n, side, side) float32: row i holds the weights of the pixels that make pixel i."""
    sigma = sigma.to(torch.float64)[:, None]
    reach = min(side - 1, math.ceil(4 * float(sigma.max())))
    taps = torch.arange(-reach, reach + 1)
    # Each kernel ends where its own width says: an image's result does not depend on the others.
    weights = torch.exp(-0.5 * (taps / sigma) ** 2) * (taps.abs() <= 4 * sigma + 1)
    weights = weights / weights.sum(1, keepdim=True)
    source = torch.arange(side)[:, None] + taps
    source = torch.where(source < 0, -source, torch.where(source >= side, 2 * side - 2 - source, source))
    matrix = torch.zeros(len(sigma), side, side, dtype=torch.float64)
    columns = source.expand(len(sigma), -1, -1)
    return matrix.scatter_add_(2, columns, weights[:, None].expand(-1, side, -1)).to(torch.float32)


def on_rows(images: Tensor, rows: Tensor, change: Callable[..., Tensor], *amounts: object) -> Tensor:
    """Change some images of a batch, in place; ``change`` takes them and the amounts."""
    if len(rows):
        where = rows.to(images.device)
        images[where] = change(images[where], *amounts)
    return images


def three_augment(images: Tensor, numbers: Tensor, blur_sigma: tuple[float, float]) -> Tensor:
    """Apply greyscale, solarisation or blur to each image; numbers (n, 2) in [0, 1) choose which and how wide.

    Source
    ------
    The 3-Augment of DeiT-III.
    """
    kind = (numbers[:, 0] * 3).to(torch.int64)
    low, high = blur_sigma
    images = images.clone()
    for number, change in enumerate((grayscale, solarize, blur)):
        rows = (kind == number).nonzero()[:, 0]
        amount = (low + (high - low) * numbers[rows, 1],) if change is blur else ()
        on_rows(images, rows, change, *amount)
    return images


def jitter(images: Tensor, strengths: tuple[float, ...], numbers: Tensor) -> Tensor:
    """Change brightness, contrast, saturation and hue in a random order.

    Parameters
    ----------
    images
        (n, 3, H, W) uint8.
    strengths
        Largest relative change of the first three, largest turn of the hue.
    numbers
        (n, at least 8) in [0, 1): four amounts, then four that are sorted to give the order.

    Source
    ------
    torchvision.transforms.ColorJitter on Pillow images.
    """
    order = numbers[:, 4:8].argsort(1)
    images = images.clone()
    for step in range(4):
        for number, change in enumerate((brightness, contrast, saturation, hue)):
            rows = (order[:, step] == number).nonzero()[:, 0]
            strength = strengths[number]
            if strength:
                amount = numbers[rows, number].to(torch.float64)
                low, high = (-strength, strength) if change is hue else (max(0.0, 1 - strength), 1 + strength)
                on_rows(images, rows, change, low + (high - low) * amount)
    return images


def apply_tables(images: Tensor, tables: Tensor) -> Tensor:
    """Replace each value by the entry of its image's and channel's table (n, 3, 256) or (n, 1, 256)."""
    n, channels, height, width = images.shape
    tables = tables.to(images.device, torch.uint8).expand(n, channels, 256).reshape(n * channels, 256)
    values = images.reshape(n * channels, height * width).to(torch.int64)
    return tables.gather(1, values).view(n, channels, height, width)


def histograms(images: Tensor) -> Tensor:
    """Return (n, 3, 256) int64, how often each channel has each value."""
    n, channels, height, width = images.shape
    first = torch.arange(n * channels, device=images.device)[:, None] * 256
    values = images.reshape(n * channels, height * width).to(torch.int64) + first
    return torch.bincount(values.view(-1), minlength=n * channels * 256).view(n, channels, 256)


def equalize(images: Tensor) -> Tensor:
    """Make the values of each channel as evenly frequent as they can be."""
    counts = histograms(images)
    last = counts.flip(-1).ne(0).to(torch.uint8).argmax(-1, keepdim=True)
    in_last = counts.flip(-1).gather(-1, last)
    step = (counts.sum(-1, keepdim=True) - in_last) // 255
    before = counts.cumsum(-1) - counts
    table = ((step // 2 + before) // step.clamp(min=1)).clamp_(0, 255)
    unchanged = torch.arange(256, device=images.device)
    return apply_tables(images, torch.where(step > 0, table, unchanged))


def autocontrast(images: Tensor) -> Tensor:
    """Stretch the values of each channel to 0..255."""
    low, high = images.flatten(2).to(torch.int32).aminmax(dim=-1, keepdim=True)
    levels = torch.arange(256, device=images.device, dtype=torch.float64)
    scale = 255.0 / (high - low).clamp(min=1).to(torch.float64)
    table = torch.trunc(levels * scale - low * scale).clamp_(0, 255).to(torch.int64)
    return apply_tables(images, torch.where(high > low, table, levels.to(torch.int64)))


def posterize(images: Tensor, bits: Tensor) -> Tensor:
    """Keep the highest bits (n,) in 0..8 of every value."""
    dropped = (8 - bits.to(torch.int32)).clamp(0, 8)
    mask = (255 >> dropped) << dropped
    return images & as_levels(mask, images, torch.int32).to(torch.uint8)
