"""What is done to an image between the store and the model, as values: for training and for evaluation.

The values here say what; ``boxes``, ``resample``, ``augment`` and ``mix`` do it. Nothing here draws numbers.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Literal, get_args

from vvscale.errors import ConfigError, unknown_name

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

ErasingMode = Literal["pixel", "const"]
ResizeRule = Literal["squash", "short-side"]


@dataclass(frozen=True, kw_only=True)
class Augmentation:
    """Random changes of training images, in the order of the fields.

    Attributes
    ----------
    image_size
        Side of the result, in pixels.
    scale, ratio
        Range of the share of the area that a random crop keeps, and of its width over its height; ``scale=None``
        takes whole images, squashed to a square where they are not.
    antialias
        Whether pixels are averaged when the crop is larger than the result. The study's pipeline does not.
    hflip
        Probability of the mirror image.
    shift
        Largest random shift along each axis, in pixels; black comes in. For images too small to crop.
    three_augment
        Exactly one of greyscale, solarisation and blur, as in DeiT-III.
    rand_augment
        RandAugment in timm's notation, such as ``rand-m9-mstd0.5-inc1``; None for none.
    color_jitter, color_jitter_p
        Largest relative changes of brightness, contrast, saturation and of hue (share of the circle, up to 0.5), and
        the probability that they are applied; one number means the first three.
    grayscale, blur, solarize
        Probabilities.
    blur_sigma
        Range of the blur's standard deviation, in pixels.
    erasing, erasing_mode
        Probability that a rectangle is overwritten, after normalisation, with noise of its own in every pixel or
        with zero.
    mixup, cutmix
        Parameter of the Beta distribution of the mixing share; 0 for none. Neighbours of a batch are mixed.
    mix_p, mix_switch_p
        Probability that a batch is mixed, and, with both kinds on, that it is by cutmix.
    mean, std
        Of the normalisation, on the scale 0..1.

    Raises
    ------
    ConfigError
        A value is out of its range.
    """

    image_size: int
    scale: tuple[float, float] | None = (0.08, 1.0)
    ratio: tuple[float, float] = (3 / 4, 4 / 3)
    antialias: bool = False
    hflip: float = 0.5
    shift: int = 0
    three_augment: bool = False
    rand_augment: str | None = None
    color_jitter: float | tuple[float, float, float, float] = 0.0
    color_jitter_p: float = 1.0
    grayscale: float = 0.0
    blur: float = 0.0
    blur_sigma: tuple[float, float] = (0.1, 2.0)
    solarize: float = 0.0
    erasing: float = 0.0
    erasing_mode: ErasingMode = "pixel"
    mixup: float = 0.0
    cutmix: float = 0.0
    mix_p: float = 1.0
    mix_switch_p: float = 0.5
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD

    def __post_init__(self) -> None:
        _as_tuples(self)
        _check_size(self)
        for name in ("hflip", "color_jitter_p", "grayscale", "blur", "solarize", "erasing", "mix_p", "mix_switch_p"):
            _check(self, name, 0 <= getattr(self, name) <= 1, "a probability in 0..1")
        for name in ("mixup", "cutmix"):
            _check(self, name, getattr(self, name) >= 0, "a number of at least 0 (0 is off)")
        if self.scale is not None:
            low, high = _pair(self, "scale")
            _check(self, "scale", 0 < low <= high <= 1, "two numbers 0 < low <= high <= 1, or None")
        for name in ("ratio", "blur_sigma"):
            low, high = _pair(self, name)
            _check(self, name, 0 < low <= high, "two numbers 0 < low <= high")
        _check(self, "shift", 0 <= self.shift < self.image_size, "whole pixels from 0 to below `image_size`")
        expected = "at least 0, one number or four, and at most 0.5 for the hue"
        _check(
            self, "color_jitter", len(self.jitter) == 4 and min(self.jitter) >= 0 and self.jitter[3] <= 0.5, expected
        )
        if self.erasing_mode not in get_args(ErasingMode):
            raise unknown_name("erasing mode", str(self.erasing_mode), get_args(ErasingMode))
        if self.rand_augment is not None:
            from vvscale.data.augment.rand_augment import parse

            parse(self.rand_augment)

    @property
    def jitter(self) -> tuple[float, ...]:
        """Largest changes of brightness, contrast, saturation and hue."""
        if isinstance(self.color_jitter, tuple):
            return self.color_jitter
        return (self.color_jitter,) * 3 + (0.0,)

    @property
    def mixes(self) -> bool:
        """Whether images of a batch are mixed, so that labels are shares of classes."""
        return bool(self.mix_p and (self.mixup or self.cutmix))

    @property
    def is_geometric(self) -> bool:
        """Whether flips and shifts are all there is: then a batch can be read straight from a prepared tensor."""
        rest = (self.three_augment, self.rand_augment, any(self.jitter), self.grayscale, self.blur, self.solarize)
        return self.scale is None and not any(rest)


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """How images are shown to a model that is evaluated: resize, then the centre.

    A prepared store has been shrunk once already; ``prepare_images(size=0)`` keeps the pixels from which the study
    started.

    Attributes
    ----------
    image_size
        Side of the result, in pixels.
    resize
        Side before the centre is cut out; by default ``image_size``, which cuts nothing off a square.
    rule
        "squash": both sides become ``resize``, whatever the proportions, as in the study. "short-side": the shorter
        side does and the proportions stay.
    antialias
        Whether pixels are averaged when images shrink. The study's pipeline does not; most others do.
    mean, std
        Of the normalisation, on the scale 0..1.

    Raises
    ------
    ConfigError, UnknownNameError
        A value is out of its range.
    """

    image_size: int
    resize: int | None = None
    rule: ResizeRule = "squash"
    antialias: bool = False
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD

    def __post_init__(self) -> None:
        _as_tuples(self)
        _check_size(self)
        if self.resize is None:
            object.__setattr__(self, "resize", self.image_size)
        _check(self, "resize", self.side >= self.image_size, f"at least `image_size`, {self.image_size}")
        if self.rule not in get_args(ResizeRule):
            raise unknown_name("rule of resizing", str(self.rule), get_args(ResizeRule))

    @property
    def side(self) -> int:
        """Side before the centre is cut out."""
        return self.image_size if self.resize is None else self.resize


Transform = Augmentation | Evaluation


def _as_tuples(transform: Transform) -> None:
    # TOML has lists only.
    for field in fields(transform):
        value = getattr(transform, field.name)
        if isinstance(value, list):
            object.__setattr__(transform, field.name, tuple(value))


def _check_size(transform: Transform) -> None:
    size = transform.image_size
    _check(transform, "image_size", isinstance(size, int) and 1 <= size <= 8192, "whole pixels in 1..8192")
    for name in ("mean", "std"):
        values = getattr(transform, name)
        is_valid = isinstance(values, tuple) and len(values) == 3 and (name == "mean" or min(values) > 0)
        _check(transform, name, is_valid, "three numbers, one per channel" + ", above 0" * (name == "std"))


def _pair(transform: Transform, name: str) -> tuple[float, float]:
    value = getattr(transform, name)
    _check(transform, name, isinstance(value, tuple) and len(value) == 2, "two numbers, low and high")
    return value


def _check(transform: Transform, name: str, is_valid: bool, expected: str) -> None:
    if not is_valid:
        kind = type(transform).__name__
        raise ConfigError(f"{kind}: `{name}` is {getattr(transform, name)!r}; expected {expected}.")
