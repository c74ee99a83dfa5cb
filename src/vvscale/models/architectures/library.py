"""Networks, weights and preprocessing of timm and torchvision, by their own names there.

The libraries find, download, check and cache their weights; here their errors become ours. This module must
not define a network.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

from torch import nn

from vvscale.errors import ConfigError, MissingDataError, UnknownNameError, did_you_mean, shell_words
from vvscale.models.architectures.configs import Architecture, LibraryConfig
from vvscale.models.architectures.families import ModelOptions

T = TypeVar("T")

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

# Class of a library's network -> family in the published table, where the two differ.
_FAMILIES = {"Davit": "DaVit", "EfficientVit": "EfficientViT-B", "Levit": "LeViT", "VisionTransformer": "ViT"}


def build_library_model(config: LibraryConfig, options: ModelOptions, *, is_pretrained: bool) -> nn.Module:
    """Build a network of timm or torchvision, in training mode.

    Raises
    ------
    ConfigError
        torchvision's networks and weights do not go with these classes or channels.
    MissingDataError
        The weights could not be had.
    """
    make = _timm if config.library == "timm" else _torchvision
    return make(config, options, is_pretrained).train()


def _timm(config: LibraryConfig, options: ModelOptions, is_pretrained: bool) -> nn.Module:
    import timm

    if is_pretrained and not timm.is_model_pretrained(config.name):
        raise _no_weights(f"timm:{config.name}")
    # Only networks of one size take it as an argument.
    size = {"img_size": options.image_size} if _timm_config(config.name).get("fixed_input_size") else {}
    make = partial(
        timm.create_model,
        config.name,
        pretrained=is_pretrained,
        num_classes=options.n_classes,
        in_chans=options.in_channels,
        **size,
    )
    return _downloaded(f"timm:{config.name}", make) if is_pretrained else make()


def _timm_config(name: str) -> dict[str, Any]:
    import timm

    config = timm.get_pretrained_cfg(name)
    return config.to_dict() if config else {}


def _torchvision(config: LibraryConfig, options: ModelOptions, is_pretrained: bool) -> nn.Module:
    from torchvision import models

    base, _, tag = config.name.partition(".")
    if options.in_channels != 3 or options.n_classes == 0:
        raise ConfigError(
            f"torchvision's {base} takes images of 3 channels and has a classifier; got {options.in_channels} channels "
            f"and {options.n_classes} classes. Next: give it these, or use a network of the study or of timm."
        )
    size = {"image_size": options.image_size} if base.startswith("vit_") else {}
    if not is_pretrained:
        return models.get_model(base, weights=None, num_classes=options.n_classes, **size)
    chosen = models.get_model_weights(base)[tag or "DEFAULT"]
    n_known = len(chosen.meta["categories"])
    if options.n_classes != n_known:
        raise ConfigError(
            f"The weights {chosen} have {n_known} classes, and {options.n_classes} were asked for. Next: ask for "
            f"{n_known}, or for '{base}' of the study with pretrained=True, whose classifier is drawn anew."
        )
    return _downloaded(
        f"torchvision:{config.name}", partial(models.get_model, base, weights=chosen, progress=False, **size)
    )


def load_library_weights(module: nn.Module, known: Architecture) -> None:
    """Give a network of the study the weights that torchvision or timm has for it, except another classifier.

    Raises
    ------
    ConfigError
        Neither has weights for it, or it was built with another stem, image size or number of channels.
    MissingDataError
        The weights could not be had.
    """
    twin = _twin(known)
    options: ModelOptions = module.built_as[1]  # pyright: ignore[reportAssignmentType, reportIndexIssue]
    is_transformer = known.parent_family == "ViT"
    if (
        options.stem != "published"
        or options.in_channels != 3
        or (is_transformer and options.image_size != known.image_size)
    ):
        raise ConfigError(
            f"The pretrained weights of '{known.name}' are for images of 3 channels with the published stem"
            f"{f' and {known.image_size} pixels' if is_transformer else ''}; got {options.in_channels} channels, the "
            f"{options.stem} stem and {options.image_size} pixels. Leave these options out, or start without weights."
        )
    state = build_library_model(twin, replace(options, n_classes=1000), is_pretrained=True).state_dict()
    if options.n_classes != 1000:
        state = {key: value for key, value in state.items() if not key.startswith(f"{known.head_layer}.")}
    absent, unexpected = module.load_state_dict(state, strict=False)
    assert not unexpected
    assert all(key.startswith(f"{known.head_layer}.") for key in absent)


def _twin(known: Architecture) -> LibraryConfig:
    name, (kind, _, size) = known.name, known.name.partition("_")
    if "flex" not in name and "*" not in name:
        if known.parent_family in {"ResNet", "EfficientNet", "ConvNeXt", "AlexNet"}:
            return LibraryConfig("torchvision", name)
        if kind == "deit" and size != "tiny":
            return LibraryConfig("timm", f"deit3_{size}_patch16_224")
        if kind == "vit":
            return LibraryConfig("timm", f"{name}_patch16_224")
    raise _no_weights(name)


def library_family(module: nn.Module) -> str:
    """Return the family of a library's network, in the words of the published table where it is there."""
    name = type(module).__name__
    return _FAMILIES.get(name, name)


def library_preprocessing(config: LibraryConfig) -> dict[str, Any]:
    """Return how the library prepares images for a network: image_size, resize (pixels), mean, std.

    Raises
    ------
    UnknownNameError
        The library has no such network or weights.
    """
    base, dot, tag = config.name.partition(".")
    if config.library == "timm":
        import timm
        from timm.data.config import resolve_data_config

        if not timm.is_model(base):
            raise _unknown("timm", config.name, timm.list_models())
        tagged = timm.list_pretrained(f"{base}.*")
        if dot and config.name not in tagged:
            raise _unknown("timm", config.name, tagged)
        data = resolve_data_config({}, pretrained_cfg=_timm_config(config.name))
        size = data["input_size"][-1]
        return {
            "image_size": size,
            "resize": math.floor(size / data["crop_pct"]),
            "mean": list(data["mean"]),
            "std": list(data["std"]),
        }
    from torchvision import models

    known = models.list_models(module=models)
    if base not in known:
        raise _unknown("torchvision", config.name, known)
    weights = models.get_model_weights(base)
    if dot and tag not in weights.__members__:
        raise _unknown("torchvision", config.name, [f"{base}.{one}" for one in weights.__members__])
    preset = weights[tag or "DEFAULT"].transforms()
    return {
        "image_size": preset.crop_size[0],
        "resize": preset.resize_size[0],
        "mean": list(preset.mean),
        "std": list(preset.std),
    }


def _downloaded(name: str, make: Callable[[], T]) -> T:
    try:
        return make()
    except (OSError, RuntimeError) as error:
        # Missing files and broken connections are OSErrors, a wrong hash a RuntimeError.
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise MissingDataError(
            f"The weights of '{name}' are not in the library's own cache and could not be had: {reason} Expected a "
            "connection to its host. Without one, copy its cache from a machine that has them (timm: the folder "
            "HF_HOME; torchvision: TORCH_HOME) or build the network without weights."
        ) from error


def _unknown(library: str, name: str, known: Iterable[str]) -> UnknownNameError:
    names = list(known)
    return UnknownNameError(
        f"{library} has no '{name}'.{did_you_mean(name, names)} "
        f"`vvscale ls architectures {shell_words(f'{library}:{name[:4]}*')}` lists its networks."
    )


def _no_weights(name: str) -> ConfigError:
    return ConfigError(
        f"There are no pretrained weights of '{name}'. torchvision has them for ResNet, EfficientNet, ConvNeXt and "
        "AlexNet, timm for DeiT-III small to large and many others ('timm:NAME'). Leave pretrained out, or load a "
        "published checkpoint: load_model('gokce2025:MODEL_ID')."
    )
