"""CORnet-S: four areas named V1, V2, V4 and IT, of which the last three recur.

Names of layers and weights are those of the published checkpoints.

Source: Kubilius et al. (2019), "Brain-like object recognition with high-performing shallow recurrent ANNs";
the initialisation is that of its reference implementation (dicarlolab/CORnet, cornet_s.py).
"""

from __future__ import annotations

import math
from collections import OrderedDict

import torch
from torch import Tensor, nn

from vvscale.models.architectures.configs import CORnetConfig

# The bottleneck of an area is this many times wider than its output.
_EXPANSION = 4


class _FreeStride(nn.Conv2d):
    """A 3x3 convolution whose stride is chosen at each call, since an area halves the image only once."""

    def forward(self, x: Tensor, stride: int) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        return nn.functional.conv2d(x, self.weight, stride=stride, padding=1)


class RecurrentArea(nn.Module):
    """A bottleneck block that is applied ``times`` times with shared weights and its own norms each time."""

    def __init__(self, n_inputs: int, n_outputs: int, *, times: int) -> None:
        super().__init__()
        self.times = times
        inner = n_outputs * _EXPANSION
        self.conv_input = nn.Conv2d(n_inputs, n_outputs, kernel_size=1, bias=False)
        self.skip = nn.Conv2d(n_outputs, n_outputs, kernel_size=1, stride=2, bias=False)
        self.norm_skip = nn.BatchNorm2d(n_outputs)
        self.conv1 = nn.Conv2d(n_outputs, inner, kernel_size=1, bias=False)
        self.nonlin1 = nn.ReLU(inplace=True)
        self.conv2 = _FreeStride(inner, inner, kernel_size=3, bias=False)
        self.nonlin2 = nn.ReLU(inplace=True)
        self.conv3 = nn.Conv2d(inner, n_outputs, kernel_size=1, bias=False)
        self.nonlin3 = nn.ReLU(inplace=True)
        # Where the output of the area is read; hooks keep the last of its calls.
        self.output = nn.Identity()
        for step in range(times):
            self.add_module(f"norm1_{step}", nn.BatchNorm2d(inner))
            self.add_module(f"norm2_{step}", nn.BatchNorm2d(inner))
            self.add_module(f"norm3_{step}", nn.BatchNorm2d(n_outputs))

    def forward(self, x: Tensor) -> Tensor:
        """Return (n, n_outputs, h/2, w/2)."""
        x = self.conv_input(x)
        for step in range(self.times):
            skip = self.norm_skip(self.skip(x)) if step == 0 else x
            x = self.nonlin1(self.get_submodule(f"norm1_{step}")(self.conv1(x)))
            x = self.nonlin2(self.get_submodule(f"norm2_{step}")(self.conv2(x, 2 if step == 0 else 1)))
            x = self.get_submodule(f"norm3_{step}")(self.conv3(x))
            x = self.output(self.nonlin3(x + skip))
        return x


class CORnetS(nn.Sequential):
    """CORnet-S of any width.

    Parameters
    ----------
    config
        Width of each area and how often it recurs.
    n_classes
        Outputs of the classifier.
    in_channels
        Channels of the images.
    is_small
        Stem for small images: 3x3 of stride 1 without max-pooling, instead of 7x7 of stride 2 with it.
    """

    def __init__(self, config: CORnetConfig, *, n_classes: int, in_channels: int, is_small: bool) -> None:
        v1, v2, v4, it = config.widths
        kernel, stride = (3, 1) if is_small else (7, 2)
        first: OrderedDict[str, nn.Module] = OrderedDict(
            conv1=nn.Conv2d(in_channels, v1, kernel, stride=stride, padding=kernel // 2, bias=False),
            norm1=nn.BatchNorm2d(v1),
            nonlin1=nn.ReLU(inplace=True),
            pool=nn.Identity() if is_small else nn.MaxPool2d(kernel_size=3, stride=2, padding=1),
            conv2=nn.Conv2d(v1, v1, kernel_size=3, padding=1, bias=False),
            norm2=nn.BatchNorm2d(v1),
            nonlin2=nn.ReLU(inplace=True),
            output=nn.Identity(),
        )
        decoder: OrderedDict[str, nn.Module] = OrderedDict(
            avgpool=nn.AdaptiveAvgPool2d(1),
            flatten=nn.Flatten(),
            linear=nn.Linear(it, n_classes),
            output=nn.Identity(),
        )
        super().__init__(
            OrderedDict(
                V1=nn.Sequential(first),
                V2=RecurrentArea(v1, v2, times=config.times[0]),
                V4=RecurrentArea(v2, v4, times=config.times[1]),
                IT=RecurrentArea(v4, it, times=config.times[2]),
                decoder=nn.Sequential(decoder),
            )
        )
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                fan_out = module.weight[:, 0].numel()
                torch.nn.init.normal_(module.weight, std=math.sqrt(2 / fan_out))
