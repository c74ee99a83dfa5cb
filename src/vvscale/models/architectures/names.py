"""Networks by name: the study's ids, any width and depth between them, and those of timm and torchvision.

    resnet18, efficientnet_b0, deit_small, cornet_s    a published network
    resnet18*0.25                                      the same with all widths times 0.25
    resnetflex-w4-d1-1-1                               ResNet of three stages of one block, 4, 8, 16 filters
    convnextflex-w48-d3-3-9-3, deitflex-w96-d12-h6     any width, depth and number of heads
    timm:NAME, torchvision:NAME                        a network of these libraries

A name is read into an ``Architecture``, which says everything about the network but its layers. This module
must not import torch, except to ask a library about its own networks.

Source: Gokce & Schrimpf (2025), the study's table of models; its layer configurations (f, wr, d, l).
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from typing import Literal

import numpy as np

from vvscale.core.userfile import is_user_file
from vvscale.errors import ConfigError, UnknownNameError, did_you_mean
from vvscale.models.architectures.configs import (
    AlexNetConfig,
    Architecture,
    Config,
    ConvNeXtConfig,
    CORnetConfig,
    EfficientNetConfig,
    LibraryConfig,
    OwnConfig,
    ResNetConfig,
    ViTConfig,
)
from vvscale.models.architectures.own import REGISTERED, architecture_of_file

HINT = "'vvscale ls architectures' lists them."
LIBRARIES = ("timm", "torchvision")

_RESNET_WIDTHS = (64, 64, 128, 256, 512)
_CONVNEXT_TINY = ConvNeXtConfig((96, 192, 384, 768), (3, 3, 9, 3))
_DEIT_SMALL = ViTConfig(384, 12, 6)
_RESNETS: tuple[tuple[int, tuple[int, ...], Literal["basic", "bottleneck"]], ...] = (
    (18, (2, 2, 2, 2), "basic"),
    (34, (3, 4, 6, 3), "basic"),
    (50, (3, 4, 6, 3), "bottleneck"),
    (101, (3, 4, 23, 3), "bottleneck"),
    (152, (3, 8, 36, 3), "bottleneck"),
)
_FLEX_DEPTHS = (
    (1, 0, 0, 0),
    (1, 0, 0, 1),
    (1, 0, 0, 2),
    (1, 0, 1, 0),
    (1, 1, 0, 0),
    (1, 1, 1, 0),
    (1, 1, 1, 1),
    (1, 1, 1, 2),
    (1, 1, 2, 2),
    (1, 2, 2, 2),
    (2, 2, 2, 2),
)
# Networks of fewer than four stages are for small images.
_SMALL_IMAGE = 32
Stem = Literal["auto", "published", "small"]
# Images of at most this side get the small stem.
SMALL_IMAGE = 64


def _published() -> dict[str, Architecture]:
    known: list[Architecture] = []

    def add(
        name: str, config: Config, *, family: str = "", size: int = 224, resize: int = 256, drop: float = 0.0
    ) -> None:
        known.append(_describe(name, config, family=family, image_size=size, resize=resize, drop_path=drop))

    add("alexnet", AlexNetConfig())
    add("cornet_s", CORnetConfig())
    for layers, blocks, block in _RESNETS:
        add(f"resnet{layers}", ResNetConfig(_RESNET_WIDTHS, blocks, block))
    for number, width, depth, dropout, size, resize in (
        (0, 1.0, 1.0, 0.2, 224, 256),
        (1, 1.0, 1.1, 0.2, 240, 255),
        (2, 1.1, 1.2, 0.3, 288, 288),
        (3, 1.2, 1.4, 0.3, 320, 320),
        (4, 1.4, 1.8, 0.4, 384, 384),
    ):
        add(f"efficientnet_b{number}", EfficientNetConfig(width, depth, dropout), size=size, resize=resize, drop=0.2)
    for size_name, width, blocks, drop in (
        ("tiny", 96, (3, 3, 9, 3), 0.1),
        ("small", 96, (3, 3, 27, 3), 0.4),
        ("base", 128, (3, 3, 27, 3), 0.5),
        ("large", 192, (3, 3, 27, 3), 0.5),
    ):
        add(f"convnext_{size_name}", ConvNeXtConfig(_doubling(width, 4), blocks), drop=drop)
    for size_name, width, blocks, heads, drop in (
        ("tiny", 192, 12, 3, 0.0),
        ("small", 384, 12, 6, 0.0),
        ("base", 768, 12, 12, 0.1),
        ("large", 1024, 24, 16, 0.4),
    ):
        add(f"deit_{size_name}", ViTConfig(width, blocks, heads), drop=drop)
    add("vit_small", ViTConfig(384, 12, 6, is_deit=False), drop=0.1)
    add("vit_base", ViTConfig(768, 12, 12, is_deit=False), drop=0.1)
    for index in range(20):
        name = f"resnetflexfilters-f-1-16-20-{index}"
        add(name, _flex_filters(name, 1, 16, 20, index), family="ResNetFlex")
    for index in range(3):
        name = f"resnetflexfilters_wr-4-1-2-4-{index}"
        add(name, _flex_filters_rounded(name, 4, 1, 2, 4, index), family="ResNetFlex")
    for blocks in _FLEX_DEPTHS:
        add(
            f"resnetflexfilters-d-{'-'.join(map(str, blocks))}",
            ResNetConfig(_RESNET_WIDTHS, blocks),
            family="ResNetFlex",
        )
    for index in range(4):
        divisor = np.geomspace(1, 8, 5)[index + 1]
        add(f"convnextflex-l-{index}", _CONVNEXT_TINY.scaled(1 / divisor), family="ConvNeXtFlex")
        add(f"deitflex-l-{index}", _DEIT_SMALL.scaled(1 / divisor), family="ViTFlex")
    return {one.name: one for one in known}


def _describe(
    name: str,
    config: Config,
    *,
    family: str = "",
    image_size: int = 224,
    resize: int = 256,
    drop_path: float = 0.0,
) -> Architecture:
    parent = "" if isinstance(config, LibraryConfig) else config.family
    readout, head = ("", "") if isinstance(config, LibraryConfig) else (config.readout_layer, config.head_layer)
    return Architecture(
        name=name,
        family=family or parent,
        parent_family=parent or family,
        image_size=image_size,
        resize=resize,
        readout_layer=readout,
        head_layer=head,
        drop_path=drop_path,
        config=config,
    )


def _doubling(width: int, stages: int) -> tuple[int, ...]:
    return tuple(width * 2**stage for stage in range(stages))


def _divisor(name: str, start: int, end: int, n: int, index: int) -> float:
    if not (start > 0 and end > 0 and index < n):
        raise ConfigError(
            f"'{name}' asks for divisor {index} of {n} between {start} and {end}. Expected bounds above 0 and an "
            f"index from 0 to {n - 1}. {HINT}"
        )
    return float(np.geomspace(start, end, n)[index])


def _flex_filters(name: str, start: int, end: int, n: int, index: int) -> ResNetConfig:
    divisor = _divisor(name, start, end, n, index)
    return ResNetConfig(tuple(int(2 * width / divisor) for width in _RESNET_WIDTHS), (2, 2, 2, 2))


def _flex_filters_rounded(name: str, scale: int, start: int, end: int, n: int, index: int) -> ResNetConfig:
    divisor = _divisor(name, start, end, n, index)
    return ResNetConfig(tuple(round(scale * width / divisor / 8) * 8 for width in _RESNET_WIDTHS), (2, 2, 2, 2))


def _read_filters(name: str, numbers: list[int]) -> Architecture:
    return _describe(name, _flex_filters(name, *numbers), family="ResNetFlex")  # pyright: ignore[reportArgumentType]


def _read_filters_rounded(name: str, numbers: list[int]) -> Architecture:
    config = _flex_filters_rounded(name, *numbers)  # pyright: ignore[reportArgumentType]
    return _describe(name, config, family="ResNetFlex")


def _read_depths(name: str, numbers: list[int]) -> Architecture:
    return _describe(name, ResNetConfig(_RESNET_WIDTHS, tuple(numbers)), family="ResNetFlex")


def _read_resnet(name: str, numbers: list[int]) -> Architecture:
    width, *blocks = numbers
    stages = len(blocks)
    config = ResNetConfig((width, *_doubling(width, 4)), (*blocks, *(0,) * (4 - stages)))
    size = {} if stages == 4 else {"image_size": _SMALL_IMAGE, "resize": _SMALL_IMAGE}
    return _describe(name, config, family="ResNetFlex", **size)


def _read_convnext(name: str, numbers: list[int]) -> Architecture:
    width, *blocks = numbers
    return _describe(name, ConvNeXtConfig(_doubling(width, 4), tuple(blocks)), family="ConvNeXtFlex")


def _read_vit(name: str, numbers: list[int]) -> Architecture:
    width, blocks, *heads = numbers
    config = ViTConfig(width, blocks, heads[0] if heads else 6)
    return _describe(name, config, family="ViTFlex")


# Names that follow a rule; the groups of digits are the numbers that the reader gets.
_RULES: tuple[tuple[str, str, Callable[[str, list[int]], Architecture]], ...] = (
    ("resnetflexfilters-f-START-END-N-I", r"resnetflexfilters-f(?:-\d+){4}", _read_filters),
    ("resnetflexfilters_wr-SCALE-START-END-N-I", r"resnetflexfilters_wr(?:-\d+){5}", _read_filters_rounded),
    ("resnetflexfilters-d-A-B-C-D", r"resnetflexfilters-d(?:-\d+){4}", _read_depths),
    ("resnetflex-wWIDTH-dA-B-C[-D]", r"resnetflex-w\d+-d\d+(?:-\d+){0,3}", _read_resnet),
    ("convnextflex-wWIDTH-dA-B-C-D", r"convnextflex-w\d+-d\d+(?:-\d+){3}", _read_convnext),
    ("deitflex-wWIDTH-dBLOCKS[-hHEADS]", r"deitflex-w\d+-d\d+(?:-h\d+)?", _read_vit),
)

RULES = (*(form for form, _, _ in _RULES), "NAME*FACTOR", "timm:NAME", "torchvision:NAME", "file.py:NAME")
"""The forms of names that are not listed one by one."""

PUBLISHED = _published()
"""Published id -> architecture."""


def architecture(name: str) -> Architecture:
    """Read the name of a network.

    Parameters
    ----------
    name
        A published id, one of the forms of ``RULES``, or such a name times a factor on all widths.

    Raises
    ------
    UnknownNameError
        The name follows none of them; the message offers the nearest.
    ConfigError
        It does, but its numbers describe no network.

    Examples
    --------
    >>> architecture("resnetflexfilters-f-1-16-20-19").config.widths
    (8, 8, 16, 32, 64)
    >>> architecture("resnet18*0.25").parent_family
    'ResNet'
    """
    return _read(name)


@lru_cache(maxsize=1024)
def _read(name: str) -> Architecture:
    base, star, factor = name.partition("*")
    if star:
        return _scaled(_read(base), factor, name)
    if is_user_file(name):
        return architecture_of_file(name)
    library, colon, rest = name.partition(":")
    if colon and library in LIBRARIES:
        return _of_library(name, LibraryConfig(library, rest))  # pyright: ignore[reportArgumentType]
    if base in PUBLISHED:
        return PUBLISHED[base]
    for _, pattern, read in _RULES:
        if re.fullmatch(pattern, base):
            return _checked(read(base, [int(number) for number in re.findall(r"\d+", base)]))
    if base in REGISTERED:
        return REGISTERED[base]
    raise UnknownNameError(
        f"Unknown architecture '{name}'.{did_you_mean(base, [*PUBLISHED, *REGISTERED])} {HINT} Any width and "
        f"depth can be named too: {', '.join(RULES)}."
    )


def _of_library(name: str, config: LibraryConfig) -> Architecture:
    from vvscale.models.architectures.library import library_preprocessing

    sizes = library_preprocessing(config)
    size = {"image_size": sizes["image_size"], "resize": sizes["resize"]}
    return _describe(name, config, family=config.library, **size)


def _scaled(base: Architecture, text: str, name: str) -> Architecture:
    try:
        factor = float(text)
    except ValueError:
        factor = float("nan")
    if isinstance(base.config, LibraryConfig | OwnConfig) or not 0 < factor <= 64:
        raise ConfigError(
            f"Cannot scale the width of '{base.name}' by '{text}' (in '{name}'). Expected a network of the study "
            "and a factor above 0 and at most 64, such as 'resnet18*0.25'."
        )
    if factor == 1:
        return base
    return replace(
        base,
        name=f"{base.name}*{factor:g}",
        family=base.family if base.family.endswith("Flex") else f"{base.parent_family}Flex",
        drop_path=0.0,
        config=base.config.scaled(factor),
    )


def _checked(one: Architecture) -> Architecture:
    config = one.config
    if isinstance(config, ViTConfig):
        wrong = config.heads < 1 or config.width < 1 or config.blocks < 1 or config.width % config.heads
    else:
        assert isinstance(config, ResNetConfig | ConvNeXtConfig)
        is_short = isinstance(config, ConvNeXtConfig) and min(config.blocks) < 1
        wrong = min(config.widths) < 1 or sum(config.blocks) < 1 or is_short
    if wrong:
        raise ConfigError(
            f"'{one.name}' describes no network: {config}. Expected widths and depths of at least 1 (a stage of a "
            "ResNet may have 0 blocks) and a width of a transformer that is a multiple of its heads."
        )
    return one


def list_models(pattern: str = "*") -> list[str]:
    """List the built-in and registered networks, or those of a library with ``timm:`` or ``torchvision:`` in front.

    Parameters
    ----------
    pattern
        With ``*`` and ``?``.

    Examples
    --------
    >>> list_models("efficientnet_b[01]")
    ['efficientnet_b0', 'efficientnet_b1']
    """
    library, colon, rest = pattern.partition(":")
    if not colon:
        return [name for name in (*PUBLISHED, *REGISTERED) if fnmatch.fnmatchcase(name, pattern)]
    if library == "timm":
        import timm

        return [f"timm:{name}" for name in timm.list_models(rest)]
    if library == "torchvision":
        from torchvision.models import list_models as torchvision_models

        return [f"torchvision:{name}" for name in torchvision_models(include=rest)]
    raise UnknownNameError(
        f"Unknown library '{library}' in '{pattern}'.{did_you_mean(library, LIBRARIES)} Known: {', '.join(LIBRARIES)}."
    )


def stem_for(name: str, image_size: int, stem: Stem = "auto") -> Literal["published", "small", ""]:
    """Return the first layers of a network for images of this side; empty where it has no choice of them.

    Examples
    --------
    >>> stem_for("resnet18", 64), stem_for("resnet18", 128), stem_for("resnet18", 64, "published")
    ('small', 'published', 'published')
    """
    if isinstance(architecture(name).config, LibraryConfig | OwnConfig):
        return ""
    if stem == "auto":
        return "small" if image_size <= SMALL_IMAGE else "published"
    return stem
