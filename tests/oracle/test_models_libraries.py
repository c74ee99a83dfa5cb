"""Our networks against those of torchvision and timm: the same weights from one seed, the same outputs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import timm
import torch
import torchvision
from torch import nn

from vvscale.models import build_model, model_cost

FROZEN = json.loads((Path(__file__).parent / "data" / "models_fvcore.json").read_text())

TWINS = {
    "resnet18": lambda: torchvision.models.resnet18(),
    "resnet50": lambda: torchvision.models.resnet50(),
    "alexnet": lambda: torchvision.models.alexnet(),
    "efficientnet_b0": lambda: torchvision.models.efficientnet_b0(),
    "efficientnet_b2": lambda: torchvision.models.efficientnet_b2(),
    "efficientnet_b4": lambda: torchvision.models.efficientnet_b4(),
    "convnext_tiny": lambda: torchvision.models.convnext_tiny(),
    "deit_small": lambda: timm.create_model("deit3_small_patch16_224", init_values=1e-4),
    "vit_small": lambda: timm.create_model("vit_small_patch16_224"),
}
DROPOUT = {"efficientnet_b2": 0.3, "efficientnet_b4": 0.4, "alexnet": 0.5}


@pytest.mark.parametrize("name", TWINS)
def test_same_weights_and_outputs_as_the_library(name: str):
    with torch.random.fork_rng():
        torch.manual_seed(3)
        theirs = TWINS[name]().eval()
    ours = build_model(name, seed=3).eval()
    expected, got = theirs.state_dict(), ours.state_dict()
    assert list(got) == list(expected)
    assert all(torch.equal(got[key], expected[key]) for key in expected)
    assert [layer for layer, _ in ours.named_modules()] == [layer for layer, _ in theirs.named_modules()]
    images = torch.rand(1, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        assert torch.equal(ours(images), theirs(images))
    rates = {module.p for module in ours.modules() if isinstance(module, nn.Dropout)}
    assert rates == {module.p for module in theirs.modules() if isinstance(module, nn.Dropout)}


@pytest.mark.parametrize("name", ["convnext_tiny", "efficientnet_b0"])
def test_drop_path_grows_with_depth_as_in_the_library(name: str):
    theirs = getattr(torchvision.models, name)(stochastic_depth_prob=0.3)
    ours = build_model(name, drop_path=0.3, seed=0)

    def rates(module: nn.Module) -> list[float]:
        return [one.p for one in module.modules() if isinstance(one, torchvision.ops.StochasticDepth)]

    assert rates(ours) == rates(theirs)
    assert max(rates(ours)) > 0.25


def test_drop_path_of_transformers_is_one_rate():
    blocks = build_model("deit_tiny", drop_path=0.2, seed=0).blocks
    assert {rate.drop_prob for block in blocks for rate in (block.drop_path1, block.drop_path2)} == {0.2}


@pytest.mark.parametrize("case", FROZEN["cases"], ids=lambda case: f"{case['name']}@{case['image_size']}")
def test_macs_are_those_of_fvcore(case: dict):
    ours = model_cost(case["name"], image_size=case["image_size"], stem=case["stem"], in_channels=case["in_channels"])
    assert (ours.n_params, ours.forward_mac) == (case["n_params"], case["forward_mac"])
