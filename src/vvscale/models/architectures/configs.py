"""The numbers that define a network of each family: widths, depths, heads; no layers yet.

A configuration is a value, so that names can be read, listed and scaled without PyTorch. ``scaled`` multiplies the
widths and leaves the depth alone. This module must not import torch.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal


@dataclass(frozen=True)
class ResNetConfig:
    """A ResNet: filters of the stem and of each stage, blocks per stage (0 = the stage is left out)."""

    widths: tuple[int, ...]
    blocks: tuple[int, ...]
    block: Literal["basic", "bottleneck"] = "basic"

    family: ClassVar[str] = "ResNet"
    readout_layer: ClassVar[str] = "avgpool"
    head_layer: ClassVar[str] = "fc"

    def scaled(self, factor: float) -> ResNetConfig:
        """Truncate to whole filters, as ResNetFlex does."""
        return replace(self, widths=tuple(max(1, int(width * factor)) for width in self.widths))


@dataclass(frozen=True)
class EfficientNetConfig:
    """An EfficientNet: factors on the widths and depths of b0, and the dropout before its classifier."""

    width: float
    depth: float
    dropout: float

    family: ClassVar[str] = "EfficientNet"
    readout_layer: ClassVar[str] = "avgpool"
    head_layer: ClassVar[str] = "classifier.1"

    def scaled(self, factor: float) -> EfficientNetConfig:
        """Scale before rounding to multiples of 8, as the family does between b0 and b7."""
        return replace(self, width=self.width * factor)


@dataclass(frozen=True)
class AlexNetConfig:
    """AlexNet with all widths times a factor."""

    width: float = 1.0

    family: ClassVar[str] = "AlexNet"
    readout_layer: ClassVar[str] = "avgpool"
    head_layer: ClassVar[str] = "classifier.6"

    def scaled(self, factor: float) -> AlexNetConfig:
        """Truncate to whole channels when built."""
        return replace(self, width=self.width * factor)


@dataclass(frozen=True)
class ConvNeXtConfig:
    """A ConvNeXt: width and number of blocks of each stage."""

    widths: tuple[int, ...]
    blocks: tuple[int, ...]

    family: ClassVar[str] = "ConvNeXt"
    readout_layer: ClassVar[str] = "classifier.1"
    head_layer: ClassVar[str] = "classifier.2"
    layer_scale: ClassVar[float] = 1e-6

    def scaled(self, factor: float) -> ConvNeXtConfig:
        """Round to multiples of 8, as ConvNeXtFlex does."""
        return replace(self, widths=tuple(max(8, round(width * factor / 8) * 8) for width in self.widths))


@dataclass(frozen=True)
class ViTConfig:
    """A vision transformer with patches of 16 pixels: token width, blocks and attention heads.

    ``is_deit`` tells DeiT-III (layer scale, no position for the class token) from the plain network.
    """

    width: int
    blocks: int
    heads: int
    is_deit: bool = True

    family: ClassVar[str] = "ViT"
    readout_layer: ClassVar[str] = "fc_norm"
    head_layer: ClassVar[str] = "head"

    @property
    def layer_scale(self) -> float | None:
        """Initial layer scale; None without."""
        return 1e-4 if self.is_deit else None

    def scaled(self, factor: float) -> ViTConfig:
        """Keep the number of heads and round the width to a multiple of it, as ViTFlex does."""
        return replace(self, width=max(1, round(self.width * factor / self.heads)) * self.heads)


@dataclass(frozen=True)
class CORnetConfig:
    """A CORnet-S: width of V1, V2, V4 and IT, and how often each recurs."""

    widths: tuple[int, int, int, int] = (64, 128, 256, 512)
    times: tuple[int, int, int] = (2, 4, 2)

    family: ClassVar[str] = "CORnet-S"
    readout_layer: ClassVar[str] = "decoder.avgpool"
    head_layer: ClassVar[str] = "decoder.linear"

    def scaled(self, factor: float) -> CORnetConfig:
        """Truncate to whole filters."""
        v1, v2, v4, it = (max(1, int(width * factor)) for width in self.widths)
        return replace(self, widths=(v1, v2, v4, it))


@dataclass(frozen=True)
class LibraryConfig:
    """A network that a library defines: built by its own name there, with or without its weights."""

    library: Literal["timm", "torchvision"]
    name: str


@dataclass(frozen=True)
class OwnConfig:
    """A network of the user: what builds it, and where its classifier and the layer of a readout are."""

    build: Callable[..., Any]
    family: str
    readout_layer: str = ""
    head_layer: str = ""


Config = (
    ResNetConfig
    | EfficientNetConfig
    | AlexNetConfig
    | ConvNeXtConfig
    | ViTConfig
    | CORnetConfig
    | LibraryConfig
    | OwnConfig
)


@dataclass(frozen=True)
class Architecture:
    """What is known of a network before it is built.

    Attributes
    ----------
    name
        Canonical name: the published id where there is one.
    family, parent_family
        As in the score table; the variants of a family that were scaled in width or depth are ``...Flex``,
        and ``parent_family`` counts them to their parent.
    image_size
        Side of the images it is made for, in pixels.
    resize
        Side the short side of an image is resized to before the crop of ``image_size``, in pixels.
    readout_layer
        The layer that a readout of behaviour is trained on; empty where a library defines the network.
    head_layer
        The classifier; empty where a library defines the network.
    drop_path
        Rate of stochastic depth in the study's training.
    config
        The numbers that define it.
    """

    name: str
    family: str
    parent_family: str
    image_size: int
    resize: int
    readout_layer: str
    head_layer: str
    drop_path: float
    config: Config
