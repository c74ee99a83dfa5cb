"""ResNets of any width and depth: torchvision's network with free filters and stages that may be left out.

Names of layers and weights are torchvision's, so that published checkpoints load. A stage of no blocks is an
identity, and the halving of the image that it would have done is gone with it.

Source: He et al. (2016); torchvision.models.resnet; ResNetFlex of Gokce & Schrimpf (2025).
"""

from __future__ import annotations

from torch import nn
from torchvision.models.resnet import BasicBlock, Bottleneck, ResNet

from vvscale.models.architectures.configs import ResNetConfig

_BLOCKS: dict[str, type[BasicBlock] | type[Bottleneck]] = {"basic": BasicBlock, "bottleneck": Bottleneck}


class ResNetFlex(ResNet):
    """torchvision's ResNet with filters (stem, stage 1..4) and blocks per stage as given.

    Parameters
    ----------
    config
        Widths and depths.
    n_classes
        Outputs of the classifier.
    in_channels
        Channels of the images.
    is_small
        Stem for small images: 3x3 of stride 1 without max-pooling, instead of 7x7 of stride 2 with it.
    """

    def __init__(self, config: ResNetConfig, *, n_classes: int, in_channels: int, is_small: bool) -> None:
        # torchvision's own constructor would build, and draw the weights of, the unscaled network first.
        nn.Module.__init__(self)
        self._norm_layer = nn.BatchNorm2d
        self.dilation, self.groups, self.base_width = 1, 1, 64
        self.inplanes, *widths = config.widths
        block = _BLOCKS[config.block]
        kernel, stride = (3, 1) if is_small else (7, 2)
        self.conv1 = nn.Conv2d(in_channels, self.inplanes, kernel, stride=stride, padding=kernel // 2, bias=False)
        self.bn1 = nn.BatchNorm2d(self.inplanes)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.Identity() if is_small else nn.MaxPool2d(kernel_size=3, stride=2, padding=1)
        for stage, (width, n_blocks) in enumerate(zip(widths, config.blocks, strict=True), start=1):
            stride = 1 if stage == 1 else 2
            layer = self._make_layer(block, width, n_blocks, stride=stride) if n_blocks else nn.Identity()
            setattr(self, f"layer{stage}", layer)
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.fc = nn.Linear(self.inplanes, n_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
