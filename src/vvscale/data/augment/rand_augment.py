"""RandAugment on batches: images are grouped by the operation drawn for them.

Operations, amounts and probabilities are timm's for the increasing set (``inc1``), and pixels come out as from
Pillow, which timm uses.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from vvscale.data.augment import color
from vvscale.errors import ConfigError

_MAX_LEVEL = 10.0


@dataclass(frozen=True)
class RandAugment:
    """What ``rand-m9-mstd0.5-inc1`` says.

    Attributes
    ----------
    magnitude, spread
        Mean and standard deviation of the strength, on a scale up to 10.
    n_ops
        Operations per image.
    probability
        That each operation drawn is applied.
    """

    magnitude: float = 9.0
    spread: float = 0.0
    n_ops: int = 2
    probability: float = 0.5

    @property
    def n_draws(self) -> int:
        """Numbers needed per image."""
        return 4 * self.n_ops


def parse(text: str) -> RandAugment:
    """Read timm's notation: ``rand``, then m (magnitude), mstd, n (operations), p, and inc1, joined by ``-``.

    Raises
    ------
    ConfigError
        The text is not of that form, or asks for what is not here.
    """
    names = {"mstd": "spread", "m": "magnitude", "n": "n_ops", "p": "probability"}
    head, *parts = text.split("-")
    values: dict[str, float] = {}
    is_increasing = False
    for part in parts:
        key = part.rstrip("0123456789.")
        number = part[len(key) :]
        if key == "inc" and number == "1":
            is_increasing = True
        elif key in names and number.count(".") <= 1 and number.strip("."):
            values[names[key]] = int(float(number)) if key == "n" else float(number)
        else:
            head = ""
    setting = RandAugment(**values)  # pyright: ignore[reportArgumentType]
    in_range = setting.magnitude <= _MAX_LEVEL and setting.n_ops >= 1 and setting.probability <= 1
    if head != "rand" or not is_increasing or not in_range:
        raise ConfigError(
            f"Cannot use the RandAugment '{text}'. Expected 'rand', then m0..m10, mstd, n, p0..p1 and inc1 joined by "
            "'-', such as 'rand-m9-mstd0.5-inc1'; only the increasing set of operations (inc1) is here."
        )
    return setting


def rand_augment(
    images: Tensor, text: str, draw: Callable[[int], Tensor], *, fill: tuple[int, ...] = (124, 116, 104)
) -> Tensor:
    """Apply random operations to images (n, 3, H, W) uint8.

    Parameters
    ----------
    images
        On any device.
    text
        The setting; see :func:`parse`.
    draw
        Gives that many numbers (n, n_draws) in [0, 1) per image.
    fill
        Colour that comes in where an image is moved.
    """
    setting = parse(text)
    numbers = draw(setting.n_draws).to(torch.float64).view(len(images), setting.n_ops, 4)
    images = images.clone()
    for step in numbers.unbind(1):
        which, applied, strength, sign = step.unbind(1)
        kind = (which * len(OPERATIONS)).to(torch.int64)
        # The middle of each step of the numbers, so that the normal quantile is finite.
        level = (setting.magnitude + setting.spread * torch.special.ndtri(strength + 2.0**-25)).clamp(0, _MAX_LEVEL)
        for number, (name, operation) in enumerate(OPERATIONS.items()):
            rows = ((kind == number) & (applied < setting.probability)).nonzero()[:, 0]
            color.on_rows(images, rows, operation, amount_of(name, level[rows], sign[rows] < 0.5), fill)
    return images


def amount_of(name: str, level: Tensor, is_negative: Tensor) -> Tensor:
    """Return the amounts (n,) of an operation for levels in 0..10; as timm's level functions.

    Degrees for Rotate, shares of the side for shifts, kept bits, thresholds, additions, or factors.
    """
    share = level / _MAX_LEVEL
    if name == "Posterize":
        return 4 - torch.floor(share * 4)
    if name == "Solarize":
        return 256 - torch.floor(share * 256).clamp(max=256)
    if name == "SolarizeAdd":
        return torch.floor(share * 110).clamp(max=128)
    signed = torch.where(is_negative, -share, share)
    if name in _LARGEST:
        return signed * _LARGEST[name]
    return (1 + 0.9 * signed).clamp(min=0.1)


_LARGEST = {"Rotate": 30.0, "ShearX": 0.3, "ShearY": 0.3, "TranslateXRel": 0.45, "TranslateYRel": 0.45}


def affine(images: Tensor, matrices: Tensor, fill: tuple[int, ...]) -> Tensor:
    """Move pixels: the value at (x, y) comes from (a x + b y + c, d x + e y + f), of the four pixels around it.

    Parameters
    ----------
    images
        (n, 3, H, W) uint8.
    matrices
        (n, 6) float64: a, b, c, d, e, f; positions are of pixel centres, at halves.
    fill
        Colour of what comes from outside.

    Source
    ------
    PIL.Image.transform with AFFINE and BILINEAR.
    """
    n, channels, height, width = images.shape
    device = images.device
    a, b, c, d, e, f = matrices.to(device, torch.float64)[:, :, None, None].unbind(1)
    y, x = (torch.arange(side, device=device, dtype=torch.float64) + 0.5 for side in (height, width))
    y = y[:, None]
    source_x, source_y = a * x + b * y + c, d * x + e * y + f
    is_inside = (source_x >= 0) & (source_x < width) & (source_y >= 0) & (source_y < height)
    left, top = torch.floor(source_x - 0.5), torch.floor(source_y - 0.5)
    across, down = (source_x - 0.5 - left)[:, None], (source_y - 0.5 - top)[:, None]
    flat = images.reshape(n, channels, height * width)

    def at(row: Tensor, column: Tensor) -> Tensor:
        position = row.clamp(0, height - 1) * width + column.clamp(0, width - 1)
        position = position.to(torch.int64).view(n, 1, -1).expand(-1, channels, -1)
        return flat.gather(2, position).view(n, channels, height, width).to(torch.float64)

    def between(first: Tensor, second: Tensor, share: Tensor) -> Tensor:
        return first + (second - first) * share

    upper = between(at(top, left), at(top, left + 1), across)
    lower = between(at(top + 1, left), at(top + 1, left + 1), across)
    moved = between(upper, lower, down).to(torch.uint8)
    outside = torch.tensor(fill, dtype=torch.uint8, device=device).view(1, channels, 1, 1)
    return torch.where(is_inside[:, None], moved, outside)


def rotate(images: Tensor, degrees: Tensor, fill: tuple[int, ...]) -> Tensor:
    """Turn images (n, 3, H, W) counter-clockwise about their centre."""
    height, width = images.shape[-2:]
    matrices = []
    for angle in degrees.tolist():
        radians = -math.radians(angle % 360.0)
        cosine, sine = round(math.cos(radians), 15), round(math.sin(radians), 15)
        x, y = width / 2, height / 2
        matrices.append([cosine, sine, cosine * -x + sine * -y + x, -sine, cosine, -sine * -x + cosine * -y + y])
    return affine(images, torch.tensor(matrices, dtype=torch.float64), fill)


def _moved(column: int, images: Tensor, amount: Tensor, fill: tuple[int, ...]) -> Tensor:
    """Apply the identity but for one coefficient."""
    matrices = torch.tensor([1.0, 0, 0, 0, 1, 0], dtype=torch.float64).repeat(len(images), 1)
    matrices[:, column] = amount
    return affine(images, matrices, fill)


def _solarize_add(images: Tensor, amount: Tensor) -> Tensor:
    values = images.to(torch.int32)
    raised = (values + color.as_levels(amount, images, torch.int32)).clamp_(max=255)
    return torch.where(values < 128, raised, values).to(torch.uint8)


Operation = Callable[[Tensor, Tensor, tuple[int, ...]], Tensor]

OPERATIONS: dict[str, Operation] = {
    "AutoContrast": lambda images, amount, fill: color.autocontrast(images),
    "Equalize": lambda images, amount, fill: color.equalize(images),
    "Invert": lambda images, amount, fill: 255 - images,
    "Rotate": rotate,
    "Posterize": lambda images, amount, fill: color.posterize(images, amount),
    "Solarize": lambda images, amount, fill: color.solarize(images, amount),
    "SolarizeAdd": lambda images, amount, fill: _solarize_add(images, amount),
    "Color": lambda images, amount, fill: color.saturation(images, amount),
    "Contrast": lambda images, amount, fill: color.contrast(images, amount),
    "Brightness": lambda images, amount, fill: color.brightness(images, amount),
    "Sharpness": lambda images, amount, fill: color.sharpness(images, amount),
    "ShearX": lambda images, amount, fill: _moved(1, images, amount, fill),
    "ShearY": lambda images, amount, fill: _moved(3, images, amount, fill),
    "TranslateXRel": lambda images, amount, fill: _moved(2, images, amount * images.shape[3], fill),
    "TranslateYRel": lambda images, amount, fill: _moved(5, images, amount * images.shape[2], fill),
}
