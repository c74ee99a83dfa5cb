"""Build a network from its name, with options that are checked before anything is built.

Names of layers and keys of the state are those of the published checkpoints, whatever the options.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from vvscale.errors import ConfigError
from vvscale.models.architectures.configs import (
    AlexNetConfig,
    Architecture,
    ConvNeXtConfig,
    EfficientNetConfig,
    LibraryConfig,
    OwnConfig,
    ViTConfig,
)
from vvscale.models.architectures.families import PATCH, ModelOptions, construct
from vvscale.models.architectures.names import Stem, architecture, stem_for
from vvscale.models.architectures.own import build_own


def build_model(
    name: str,
    *,
    n_classes: int = 1000,
    image_size: int | None = None,
    in_channels: int = 3,
    stem: Stem = "auto",
    drop_path: float = 0.0,
    layer_scale: float | None = None,
    pretrained: bool = False,
    seed: int | None = None,
) -> nn.Module:
    """Build a network by name.

    Parameters
    ----------
    name
        See ``architecture`` and ``list_models``.
    n_classes
        Outputs of the classifier; 0 = none, the network returns its features.
    image_size
        Side of the images in pixels; None = what the architecture is made for. Convolutional networks take
        other sizes too, a transformer only this one.
    in_channels
        Channels of the images.
    stem
        ``published``; ``small`` for small images (first convolution 3x3 of stride 1, no max-pooling, patches
        of a seventh of the image or less); ``auto`` is small up to 64 pixels.
    drop_path
        Rate of stochastic depth. It grows with depth in ConvNeXt and EfficientNet and is the same for every
        block in transformers, as in the study; ``architecture(name).drop_path`` is the study's.
    layer_scale
        Initial layer scale of ConvNeXt and DeiT; None = the study's (1e-6, 1e-4).
    pretrained
        Start from the weights of torchvision or timm; needs the published stem. A classifier of other than
        their number of classes is drawn anew.
    seed
        The weights are a function of it alone and no global random state is touched; None draws from
        torch's global generator.

    Returns
    -------
    torch.nn.Module
        In training mode; ``(n, in_channels, image_size, image_size)`` to ``(n, n_classes)``, or to features
        ``(n, n_features)`` without classifier. Its attribute ``built_as`` holds the name and options.

    Raises
    ------
    UnknownNameError
        There is no such network.
    ConfigError
        The options do not fit it.
    MissingDataError
        Pretrained weights could not be had.

    Examples
    --------
    >>> network = build_model("resnet18*0.125", n_classes=10, image_size=32, seed=0)
    >>> network(torch.zeros(2, 3, 32, 32)).shape
    torch.Size([2, 10])
    """
    known = architecture(name)
    options = _options(known, n_classes, image_size, in_channels, stem, drop_path, layer_scale)
    if isinstance(known.config, LibraryConfig):
        from vvscale.models.architectures.library import build_library_model

        module = _seeded(partial(build_library_model, known.config, options, is_pretrained=pretrained), seed)
    elif isinstance(known.config, OwnConfig):
        module = _seeded(partial(build_own, known.name, known.config, options), seed)
    else:
        module = _seeded(partial(_build, known, options), seed)
    module.built_as = (known.name, options)  # pyright: ignore[reportArgumentType]
    if pretrained and isinstance(known.config, OwnConfig):
        raise ConfigError(f"'{name}' is a network of your own; vvscale knows no pretrained weights for it.")
    if pretrained and not isinstance(known.config, LibraryConfig):
        from vvscale.models.architectures.library import load_library_weights

        load_library_weights(module, known)
    return module


def build_skeleton(name: str, **options: Any) -> nn.Module:
    """Build a network without values on torch's meta device, where it takes no memory and next to no time.

    Parameters
    ----------
    name, options
        As of ``build_model``.
    """
    with torch.device("meta"), _NoValues():
        return build_model(name, **options, seed=0)


def build_to_load(name: str, **options: Any) -> nn.Module:
    """Build a network whose state is about to be loaded: a skeleton where the state holds all there is to it."""
    # The network of a library or a user may have buffers that its state leaves out.
    is_others = isinstance(architecture(name).config, LibraryConfig | OwnConfig)
    return build_model(name, **options, seed=0) if is_others else build_skeleton(name, **options)


class _NoValues(TorchFunctionMode):
    """Skips what only fills tensors with values; on the meta device there are none."""

    _FILLING = frozenset({"normal_", "uniform_", "erfinv_", "fill_", "zero_", "add_", "mul_", "clamp_"})

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        # torch.nn.init passes its tensor by name.
        kwargs = kwargs or {}
        if func.__name__ in self._FILLING or getattr(func, "__module__", "") == "torch.nn.init":
            return args[0] if args else kwargs["tensor"]
        return func(*args, **kwargs)


def _options(
    known: Architecture,
    n_classes: int,
    image_size: int | None,
    in_channels: int,
    stem: Stem,
    drop_path: float,
    layer_scale: float | None,
) -> ModelOptions:
    for option, value, lowest in (("n_classes", n_classes, 0), ("in_channels", in_channels, 1)):
        if value < lowest:
            raise ConfigError(f"Cannot build '{known.name}' with {option} {value}; expected at least {lowest}.")
    size = known.image_size if image_size is None else image_size
    smallest = 1 if isinstance(known.config, OwnConfig) else 7 if isinstance(known.config, AlexNetConfig) else 8
    if size < smallest:
        raise ConfigError(f"Cannot build '{known.name}' for images of {size} pixels; expected at least {smallest}.")
    if stem not in ("auto", "published", "small"):
        raise ConfigError(f"Unknown stem '{stem}'. Expected 'auto', 'published' or 'small'.")
    if not 0 <= drop_path < 1:
        raise ConfigError(f"drop_path is {drop_path}; expected a rate from 0 up to, not including, 1.")
    if isinstance(known.config, LibraryConfig | OwnConfig):
        _refuse(known, stem=stem == "small", drop_path=drop_path, layer_scale=layer_scale is not None)
        return ModelOptions(n_classes, size, in_channels, "published")
    chosen = stem_for(known.name, size, stem) or "published"
    if isinstance(known.config, ViTConfig) and chosen == "published" and size % PATCH:
        raise ConfigError(
            f"Cannot build '{known.name}' for images of {size} pixels: they do not divide into patches of {PATCH}. "
            f"Expected a multiple of {PATCH}, such as {max(1, round(size / PATCH)) * PATCH}, or stem 'small'."
        )
    takes_drop = isinstance(known.config, ConvNeXtConfig | EfficientNetConfig | ViTConfig)
    takes_scale = isinstance(known.config, ConvNeXtConfig | ViTConfig)
    _refuse(known, drop_path=drop_path and not takes_drop, layer_scale=layer_scale is not None and not takes_scale)
    if takes_scale and layer_scale is None:
        layer_scale = known.config.layer_scale  # pyright: ignore[reportAttributeAccessIssue]
    return ModelOptions(n_classes, size, in_channels, chosen, drop_path, layer_scale)


def _refuse(known: Architecture, **given: object) -> None:
    wrong = [option for option, value in given.items() if value]
    if wrong:
        raise ConfigError(
            f"'{known.name}' has no option {' or '.join(wrong)}. Of the study's families ConvNeXt and ViT take "
            "drop_path and layer_scale, EfficientNet drop_path. Leave it out."
        )


def _seeded(make: Callable[[], nn.Module], seed: int | None) -> nn.Module:
    if seed is None:
        return make()
    # Weights are drawn on the CPU; torch.manual_seed would set the generators of other devices too.
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        return make()


def _build(known: Architecture, options: ModelOptions) -> nn.Module:
    # Libraries refuse or warn at 0 classes, so the classifier is built for one and then taken off.
    module = construct(known.config, replace(options, n_classes=options.n_classes or 1))
    if options.n_classes == 0:
        module.set_submodule(known.head_layer, nn.Identity())
    return module
