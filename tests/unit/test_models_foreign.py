"""Checkpoints of other programs: every common wrapper, for networks of the study, of timm and of torchvision."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from vvscale.errors import ConfigError, DataError, MissingDataError, ShapeError
from vvscale.models import build_model, load_model

TINY = "resnetflexfilters-f-1-16-20-19"
State = dict[str, torch.Tensor]


def prefixed(state: State, prefix: str) -> State:
    return {prefix + key: tensor for key, tensor in state.items()}


def halved(state: State) -> State:
    return {key: tensor / 2 if tensor.is_floating_point() else tensor for key, tensor in state.items()}


WRAPPERS: dict[str, Callable[[State], Any]] = {
    "the state": lambda state: state,
    "data parallel": lambda state: {"state_dict": prefixed(state, "module."), "epoch": 3, "args": argparse.Namespace()},
    "compiled": lambda state: {"model": prefixed(state, "_orig_mod.module.")},
    "lightning": lambda state: {"state_dict": prefixed(state, "model.") | {"loss.weight": torch.ones(3)}},
    "timm": lambda state: {"state_dict": state, "state_dict_ema": halved(state), "optimizer": {"state": {}}},
    "composer": lambda state: {"state": {"model": prefixed(state, "module."), "rng": [1]}},
    "a backbone": lambda state: {
        "state_dict": prefixed(state, "module.encoder.") | {"module.projector.0.weight": torch.ones(2, 2)}
    },
    "without counters": lambda state: {k: v for k, v in state.items() if not k.endswith("num_batches_tracked")},
}


@pytest.fixture(scope="module")
def network() -> nn.Module:
    return build_model(TINY, n_classes=7, seed=5).eval()


@pytest.fixture(scope="module")
def shown() -> torch.Tensor:
    return torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("wrapper", WRAPPERS)
@pytest.mark.parametrize("suffix", [".pt", ".pth.tar"])
def test_every_wrapper_gives_the_same_network(wrapper: str, suffix: str, network, shown, tmp_path: Path):
    path = tmp_path / f"mine{suffix}"
    torch.save(WRAPPERS[wrapper](network.state_dict()), path)
    loaded = load_model(path, arch=TINY)
    with torch.inference_mode():
        assert torch.equal(loaded.module(shown), network(shown))
    assert loaded.record["row"]["model_id"] == "mine"
    assert loaded.record["weights"] == "plain"
    assert loaded.note.startswith(f"mine{suffix}: ")
    assert f"tensors of {TINY} read from" in loaded.note
    if wrapper in {"lightning", "a backbone"}:
        assert "in the file and not used: " in loaded.note


def test_the_architecture_is_recognised_where_it_is_a_published_one(network, shown, tmp_path: Path):
    torch.save({"state_dict": prefixed(network.state_dict(), "module.")}, tmp_path / "a.pth")
    loaded = load_model(str(tmp_path / "a.pth"))
    assert loaded.record["model"] == TINY
    with torch.inference_mode():
        assert torch.equal(loaded.module(shown), network(shown))


def test_averaged_weights_are_taken_when_they_are_asked_for(network, tmp_path: Path):
    torch.save(WRAPPERS["timm"](network.state_dict()), tmp_path / "a.pth")
    loaded = load_model(tmp_path / "a.pth", arch=TINY, ema=True)
    assert torch.equal(loaded.module.state_dict()["conv1.weight"], network.state_dict()["conv1.weight"] / 2)
    assert loaded.record["weights"] == "ema"
    torch.save(network.state_dict(), tmp_path / "b.pth")
    with pytest.raises(MissingDataError, match=r"holds no ema weights.*It has plain ones"):
        load_model(tmp_path / "b.pth", arch=TINY, ema=True)


def test_half_precision_weights_become_those_of_the_network(network, tmp_path: Path):
    torch.save({key: tensor.half() for key, tensor in network.state_dict().items()}, tmp_path / "a.pth")
    loaded = load_model(tmp_path / "a.pth", arch=TINY)
    assert {parameter.dtype for parameter in loaded.module.parameters()} == {torch.float32}


@pytest.mark.parametrize("name", ["timm:resnet10t", "torchvision:squeezenet1_1", "timm:vit_tiny_patch16_224"])
def test_networks_of_libraries(name: str, tmp_path: Path):
    network = build_model(name, seed=2).eval()
    torch.save({"state_dict": prefixed(network.state_dict(), "module.")}, tmp_path / "a.pth")
    save_file(network.state_dict(), tmp_path / "b.safetensors")
    image = torch.rand(1, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        expected = network(image)
        for file in ("a.pth", "b.safetensors"):
            assert torch.equal(load_model(tmp_path / file, arch=name).module(image), expected)


def test_a_missing_classifier_is_said_and_anything_else_refused(network, tmp_path: Path):
    state = network.state_dict()
    torch.save({key: tensor for key, tensor in state.items() if not key.startswith("fc.")}, tmp_path / "a.pth")
    note = load_model(tmp_path / "a.pth", arch=TINY).note
    assert "not in the file, left as drawn: fc.weight, fc.bias" in note
    torch.save({key: tensor for key, tensor in state.items() if "layer3" not in key}, tmp_path / "b.pth")
    with pytest.raises(ShapeError, match=r"are not those of .*: of its \d+ tensors \d+ are not in the file: layer3"):
        load_model(tmp_path / "b.pth", arch=TINY)
    torch.save(state, tmp_path / "c.pth")
    with pytest.raises(ShapeError, match=rf"have another shape there.*they are of {TINY}"):
        load_model(tmp_path / "c.pth", arch="resnet18")


def test_what_cannot_be_read_says_why(tmp_path: Path):
    torch.save({"a": torch.ones(2)}, tmp_path / "a.pth")
    with pytest.raises(ConfigError, match=r"Nothing says what network.*`arch=resnet50`.*file\.py:NAME"):
        load_model(tmp_path / "a.pth")
    torch.save({"epoch": 3}, tmp_path / "b.pth")
    with pytest.raises(MissingDataError, match=r"holds no weights.*got epoch"):
        load_model(tmp_path / "b.pth", arch=TINY)
    torch.save(nn.Linear(2, 2), tmp_path / "c.pth")
    with pytest.raises(DataError, match=r"holds a whole network instead of its weights.*state_dict"):
        load_model(tmp_path / "c.pth", arch=TINY)
    (tmp_path / "d.safetensors").write_bytes(b"nothing")
    with pytest.raises(DataError, match="cannot be read as safetensors"):
        load_model(tmp_path / "d.safetensors", arch=TINY)
    with pytest.raises(MissingDataError, match="There is no checkpoint"):
        load_model(tmp_path / "e.pth", arch=TINY)
    with pytest.raises(ConfigError, match="`arch` is for checkpoints"):
        load_model("resnet18", arch="resnet18")


def test_a_bare_name_says_that_it_is_untrained():
    assert load_model(TINY).note.startswith(f"{TINY} is untrained: its weights are as drawn with seed 0.")
    assert load_model(f"untrained:{TINY}").note == ""
