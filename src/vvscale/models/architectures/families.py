"""From configuration and options to layers: torchvision's and timm's where they define a network, ours for the rest.

Every network of a family comes from one constructor, the published ones and those scaled in width or depth
alike. This module must not read names.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from torch import nn
from torchvision.models import AlexNet
from torchvision.models.convnext import CNBlockConfig, ConvNeXt
from torchvision.models.efficientnet import EfficientNet, MBConvConfig

from vvscale.models.architectures.configs import (
    AlexNetConfig,
    Config,
    ConvNeXtConfig,
    CORnetConfig,
    EfficientNetConfig,
    ResNetConfig,
    ViTConfig,
)
from vvscale.models.architectures.cornet import CORnetS
from vvscale.models.architectures.resnet import ResNetFlex

# Expansion, kernel, stride, inputs, outputs, blocks of each stage.
# Source: Tan & Le (2019), table 1.
_EFFICIENTNET_B0 = (
    (1, 3, 1, 32, 16, 1),
    (6, 3, 2, 16, 24, 2),
    (6, 5, 2, 24, 40, 2),
    (6, 3, 2, 40, 80, 3),
    (6, 5, 1, 80, 112, 3),
    (6, 5, 2, 112, 192, 4),
    (6, 3, 1, 192, 320, 1),
)
# A transformer for small images gets at least this many patches along each side.
_MIN_PATCHES = 7
PATCH = 16


@dataclass(frozen=True)
class ModelOptions:
    """How a network was built: the arguments of ``build_model``, with nothing left to be chosen."""

    n_classes: int
    image_size: int
    in_channels: int
    stem: Literal["published", "small"]
    drop_path: float = 0.0
    layer_scale: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the options as plain values, to be given to ``build_model`` again."""
        return asdict(self)


def construct(config: Config, options: ModelOptions) -> nn.Module:
    """Build the network of a configuration with a classifier of at least one class."""
    if isinstance(config, ResNetConfig):
        return ResNetFlex(
            config,
            n_classes=options.n_classes,
            in_channels=options.in_channels,
            is_small=options.stem == "small",
        )
    if isinstance(config, CORnetConfig):
        return CORnetS(
            config,
            n_classes=options.n_classes,
            in_channels=options.in_channels,
            is_small=options.stem == "small",
        )
    if isinstance(config, AlexNetConfig):
        return AlexNetFlex(config, options)
    if isinstance(config, EfficientNetConfig):
        return _efficientnet(config, options)
    if isinstance(config, ConvNeXtConfig):
        return _convnext(config, options)
    assert isinstance(config, ViTConfig)
    return _vit(config, options)


class AlexNetFlex(AlexNet):
    """torchvision's AlexNet with all widths times a factor, and a 3x3 stem for small images."""

    def __init__(self, config: AlexNetConfig, options: ModelOptions) -> None:
        nn.Module.__init__(self)
        w1, w2, w3, w4, hidden = (max(1, int(width * config.width)) for width in (64, 192, 384, 256, 4096))
        if options.stem == "small":
            first, pool = nn.Conv2d(options.in_channels, w1, 3, padding=1), nn.Identity()
        else:
            first = nn.Conv2d(options.in_channels, w1, 11, stride=4, padding=2)
            pool = nn.MaxPool2d(kernel_size=3, stride=2)
        self.features = nn.Sequential(
            first,
            nn.ReLU(inplace=True),
            pool,
            nn.Conv2d(w1, w2, 5, padding=2),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(kernel_size=3, stride=2),
            nn.Conv2d(w2, w3, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(w3, w4, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(w4, w4, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(kernel_size=3, stride=2),
        )
        self.avgpool = nn.AdaptiveAvgPool2d((6, 6))
        self.classifier = nn.Sequential(
            nn.Dropout(p=0.5),
            nn.Linear(w4 * 6 * 6, hidden),
            nn.ReLU(inplace=True),
            nn.Dropout(p=0.5),
            nn.Linear(hidden, hidden),
            nn.ReLU(inplace=True),
            nn.Linear(hidden, options.n_classes),
        )


def _efficientnet(config: EfficientNetConfig, options: ModelOptions) -> nn.Module:
    stages = [MBConvConfig(*stage, width_mult=config.width, depth_mult=config.depth) for stage in _EFFICIENTNET_B0]
    module = EfficientNet(
        stages,
        config.dropout,
        stochastic_depth_prob=options.drop_path,
        num_classes=options.n_classes,
    )
    if options.stem == "small" or options.in_channels != 3:
        stride = 1 if options.stem == "small" else 2
        width = stages[0].input_channels
        conv = nn.Conv2d(options.in_channels, width, 3, stride=stride, padding=1, bias=False)
        nn.init.kaiming_normal_(conv.weight, mode="fan_out")
        module.set_submodule("features.0.0", conv)
    return module


def _convnext(config: ConvNeXtConfig, options: ModelOptions) -> nn.Module:
    assert options.layer_scale is not None
    outputs = (*config.widths[1:], None)
    module = ConvNeXt(
        [CNBlockConfig(*stage) for stage in zip(config.widths, outputs, config.blocks, strict=True)],
        stochastic_depth_prob=options.drop_path,
        layer_scale=options.layer_scale,
        num_classes=options.n_classes,
    )
    if options.stem == "small" or options.in_channels != 3:
        kernel, stride, padding = (3, 1, 1) if options.stem == "small" else (4, 4, 0)
        conv = nn.Conv2d(options.in_channels, config.widths[0], kernel, stride=stride, padding=padding)
        nn.init.trunc_normal_(conv.weight, std=0.02)
        nn.init.zeros_(conv.bias)  # pyright: ignore[reportArgumentType]
        module.set_submodule("features.0.0", conv)
    return module


def _vit(config: ViTConfig, options: ModelOptions) -> nn.Module:
    # timm takes seconds to import, and only these networks need it.
    from timm.layers.drop import DropPath
    from timm.models.vision_transformer import VisionTransformer

    patch = PATCH if options.stem == "published" else _small_patch(options.image_size)
    module = VisionTransformer(
        img_size=options.image_size,
        patch_size=patch,
        in_chans=options.in_channels,
        num_classes=options.n_classes,
        embed_dim=config.width,
        depth=config.blocks,
        num_heads=config.heads,
        no_embed_class=config.is_deit,
        init_values=options.layer_scale,
    )
    if options.drop_path:
        # timm lets the rate grow with depth; DeiT-III, and the study, use one rate for all blocks.
        for block in module.blocks:
            block.drop_path1 = DropPath(options.drop_path)
            block.drop_path2 = DropPath(options.drop_path)
    return module


def _small_patch(image_size: int) -> int:
    """Return the largest patch that divides the image into at least 7 x 7."""
    return max(side for side in range(1, image_size // _MIN_PATCHES + 1) if image_size % side == 0)
