"""Every layer that the study names on a network of its own families is there."""

from __future__ import annotations

import json
import re
from functools import lru_cache

import pytest
from torch import nn

from vvscale.models import architecture, layer_names, resolve_layer
from vvscale.models.architectures.build import build_skeleton
from vvscale.models.architectures.names import PUBLISHED
from vvscale.scores import commitment, load_commitments
from vvscale.scores.published import fetch


def network_of(arch: str) -> str | None:
    """The network behind the published name of an architecture, a self-supervised one or an ablation included."""
    name = re.sub(r"^(?:simclr|dino)_", "", arch.lower())
    name = re.sub(r"^(resnet\d+)-.*", r"\1", name)
    if name in {"vit_b_16", "vit_l_16"}:
        return f"torchvision:{name}"
    return name if name in PUBLISHED else None


@lru_cache
def skeleton(name: str) -> nn.Module:
    return build_skeleton(name)


def references() -> list[tuple[str, str]]:
    """(published architecture, layer), each layer of an entry (architecture, training set, seed) once."""
    published = json.loads(fetch("commitments").read_text())
    return [
        (arch, layer)
        for arch, by_dataset in published.items()
        if network_of(arch)
        for by_seed in by_dataset.values()
        for entry in by_seed.values()
        for layer in {*entry["region2layer"].values(), *entry["layers"], entry["behavioral_readout_layer"]}
    ]


@pytest.mark.usefixtures("mirror")
def test_every_layer_of_the_commitments_is_found():
    found = references()
    assert (len({arch for arch, _ in found}), len(found)) == (91, 802)
    for arch, layer in found:
        module = skeleton(str(network_of(arch)))
        assert resolve_layer(module, layer) in layer_names(module)


@pytest.mark.usefixtures("mirror")
def test_wrapped_names_are_the_only_ones_that_need_translation():
    translated = {
        (arch, layer) for arch, layer in references() if resolve_layer(skeleton(str(network_of(arch))), layer) != layer
    }
    assert len(translated) == 21
    assert all(layer.startswith(("backbone.", "teacher_backbone.")) for _, layer in translated)
    assert resolve_layer(skeleton("resnet18"), "backbone.8") == "avgpool"


@pytest.mark.usefixtures("mirror")
def test_readout_layers_are_the_committed_ones():
    table = load_commitments()
    for arch, layer in table[table["region"] == "behavior"][["arch", "layer"]].drop_duplicates().values:
        name = network_of(arch)
        if name and ":" not in name:
            assert resolve_layer(skeleton(name), layer) == architecture(name).readout_layer


def test_cornet_has_one_layer_per_region():
    layers = commitment("cornet_s").layers
    assert [resolve_layer(skeleton("cornet_s"), layer) for layer in layers.values()] == list(layers.values())
    assert architecture("cornet_s").readout_layer == layers["behavior"] == "decoder.avgpool"
