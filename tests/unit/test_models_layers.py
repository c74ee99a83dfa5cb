"""Layers by name."""

from __future__ import annotations

import pytest
from torch import nn

from vvscale.errors import UnknownNameError
from vvscale.models import build_model, layer_names, resolve_layer

MODULE = build_model("resnetflex-w2-d1-1-1", seed=0)


def test_names_are_paths_in_the_order_of_definition():
    names = layer_names(MODULE)
    assert names[:5] == ["conv1", "bn1", "relu", "maxpool", "layer1"]
    assert "layer3.0.downsample.0" in names
    assert "" not in names


@pytest.mark.parametrize(
    ("name", "layer"),
    [
        ("layer1.0.relu", "layer1.0.relu"),
        ("backbone.avgpool", "avgpool"),
        ("teacher_backbone.layer2", "layer2"),
        ("_orig_mod.module.layer2.0.bn1", "layer2.0.bn1"),
        ("backbone.8", "avgpool"),
        ("backbone.4.0.conv1", "layer1.0.conv1"),
    ],
)
def test_aliases(name: str, layer: str):
    assert resolve_layer(MODULE, name) == layer


def test_a_layer_whose_name_is_a_number_is_itself():
    assert resolve_layer(nn.Sequential(nn.Linear(1, 1), nn.ReLU()), "1") == "1"
    wrapped = nn.ModuleDict({"backbone": nn.ReLU()})
    assert resolve_layer(wrapped, "backbone") == "backbone"


@pytest.mark.parametrize("name", ["layer1.0.rleu", "backbone.layer1.0.rleu", "backbone.99", "layer9.0", ""])
def test_unknown_layers(name: str):
    with pytest.raises(UnknownNameError, match=f"Unknown layer of resnetflex-w2-d1-1-1 '{name}'.*It has 34 layers"):
        resolve_layer(MODULE, name)
    with pytest.raises(UnknownNameError, match=r"Did you mean 'layer1\.0\.relu'"):
        resolve_layer(MODULE, "layer1.0.rleu")
