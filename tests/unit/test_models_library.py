"""Networks of timm and torchvision by id; their weights from the libraries' own caches, offline."""

from __future__ import annotations

from pathlib import Path

import huggingface_hub
import pytest
import timm
import torch
import torchvision
from safetensors.torch import save_file
from torch import nn

from vvscale.errors import ConfigError, MissingDataError, UnknownNameError
from vvscale.models import (
    architecture,
    build_model,
    load_model,
    load_weights,
    model_cost,
    model_record,
    save_weights,
)
from vvscale.models.architectures import library
from vvscale.models.architectures.configs import LibraryConfig
from vvscale.models.architectures.families import ModelOptions


def test_sizes_are_the_libraries_own():
    assert (architecture("timm:test_vit.r160_in1k").image_size, architecture("timm:test_vit").resize) == (160, 168)
    assert (architecture("torchvision:efficientnet_b1").image_size, architecture("torchvision:resnet50").resize) == (
        240,
        232,
    )
    assert architecture("torchvision:resnet50.IMAGENET1K_V1").resize == 256
    module = build_model("timm:test_vit", seed=0)
    assert model_record(module)["preprocessing"] == {
        "image_size": 160,
        "resize": 168,
        "mean": [0.5, 0.5, 0.5],
        "std": [0.5, 0.5, 0.5],
    }


def test_networks_without_weights():
    module = build_model("timm:test_vit", n_classes=7, in_channels=1, image_size=64, seed=0)
    assert module.training
    assert module(torch.rand(2, 1, 64, 64)).shape == (2, 7)
    assert build_model("timm:test_resnet", n_classes=0, seed=0)(torch.rand(2, 3, 32, 32)).shape[0] == 2
    assert build_model("torchvision:squeezenet1_1", n_classes=7, seed=0)(torch.rand(2, 3, 64, 64)).shape == (2, 7)
    first, again = (build_model("timm:test_resnet", seed=3).state_dict() for _ in range(2))
    assert all(torch.equal(first[key], again[key]) for key in first)


def test_cost_and_family_of_a_library_network():
    assert model_cost("timm:resnet18").n_params == model_cost("resnet18").n_params
    record = model_record(build_model("timm:test_vit", seed=0))
    assert record["row"]["family"] == record["row"]["parent_family"] == "ViT"


def test_a_library_network_comes_back_from_disk(tmp_path: Path):
    module = build_model("timm:test_vit", n_classes=7, image_size=64, seed=1)
    save_weights(tmp_path / "weights.safetensors", module, model_record(module))
    loaded = load_model(tmp_path)
    assert all(torch.equal(tensor, loaded.module.state_dict()[key]) for key, tensor in module.state_dict().items())
    assert load_weights(tmp_path)[1]["preprocessing"]["image_size"] == 64


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("timm:resnt18", r"timm has no 'resnt18'\. Did you mean 'resnet18'\?.*ls architectures 'timm:resn\*'`"),
        ("timm:resnet18.a9_in1k", r"timm has no 'resnet18\.a9_in1k'\. Did you mean 'resnet18\.a\d_in1k'"),
        ("torchvision:resnt18", r"torchvision has no 'resnt18'\. Did you mean 'resnet18'"),
        ("torchvision:resnet18.V1", r"torchvision has no 'resnet18\.V1'"),
    ],
)
def test_unknown_networks_and_weights(name: str, text: str):
    with pytest.raises(UnknownNameError, match=text):
        build_model(name)


@pytest.mark.parametrize(
    ("name", "options", "text"),
    [
        ("torchvision:resnet18", {"in_channels": 1}, "images of 3 channels and has a classifier; got 1 channels"),
        ("torchvision:resnet18", {"n_classes": 0}, "got 3 channels and 0 classes"),
        ("torchvision:resnet18", {"n_classes": 10, "pretrained": True}, "have 1000 classes, and 10 were asked for"),
        ("timm:resnet10t", {"pretrained": True, "stem": "small"}, "has no option stem"),
        ("cornet_s", {"pretrained": True}, "no pretrained weights of 'cornet_s'"),
        ("resnet18*0.5", {"pretrained": True}, r"no pretrained weights of 'resnet18\*0\.5'"),
        ("deit_tiny", {"pretrained": True}, "no pretrained weights of 'deit_tiny'"),
        ("resnet18", {"pretrained": True, "image_size": 32}, "got 3 channels, the small stem and 32 pixels"),
        ("resnet18", {"pretrained": True, "in_channels": 1}, "got 1 channels"),
        ("deit_small", {"pretrained": True, "image_size": 256}, "the published stem and 224 pixels; got"),
    ],
)
def test_options_that_do_not_go_with_the_weights(name: str, options: dict, text: str):
    with pytest.raises(ConfigError, match=text):
        build_model(name, **options)


def test_pretrained_weights_come_from_the_caches_of_the_libraries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    timm_weights = timm.create_model("test_vit.r160_in1k").state_dict()
    snapshot = tmp_path / "hub" / "models--timm--test_vit.r160_in1k"
    (snapshot / "snapshots" / "1").mkdir(parents=True)
    (snapshot / "refs").mkdir()
    (snapshot / "refs" / "main").write_text("1")
    save_file(timm_weights, snapshot / "snapshots" / "1" / "model.safetensors")
    torchvision_weights = torchvision.models.squeezenet1_1().state_dict()
    (tmp_path / "torch" / "hub" / "checkpoints").mkdir(parents=True)
    torch.save(torchvision_weights, tmp_path / "torch" / "hub" / "checkpoints" / "squeezenet1_1-b8a52dc0.pth")

    loaded = load_model("timm:test_vit.r160_in1k")
    assert all(torch.equal(tensor, timm_weights[key]) for key, tensor in loaded.module.state_dict().items())
    assert not loaded.module.training
    assert loaded.record["row"]["is_pretrained"]
    assert loaded.record["source"] == {"library": "timm:test_vit.r160_in1k"}
    other = load_model("torchvision:squeezenet1_1").module.state_dict()
    assert all(torch.equal(tensor, torchvision_weights[key]) for key, tensor in other.items())
    with pytest.raises(
        MissingDataError, match=r"weights of 'timm:test_vit2\.r160_in1k' are not in the library's own cache"
    ):
        load_model("timm:test_vit2.r160_in1k")


@pytest.mark.parametrize(
    ("name", "twin"),
    [
        ("resnet18", LibraryConfig("torchvision", "resnet18")),
        ("convnext_tiny", LibraryConfig("torchvision", "convnext_tiny")),
        ("deit_small", LibraryConfig("timm", "deit3_small_patch16_224")),
        ("vit_small", LibraryConfig("timm", "vit_small_patch16_224")),
    ],
)
def test_networks_of_the_study_take_the_weights_of_their_twin(
    name: str, twin: LibraryConfig, monkeypatch: pytest.MonkeyPatch
):
    build = library.build_library_model

    def offline(config: LibraryConfig, options: ModelOptions, *, is_pretrained: bool) -> nn.Module:
        assert (config, is_pretrained) == (twin, True)
        with torch.random.fork_rng():
            torch.manual_seed(11)
            return build(config, options, is_pretrained=False)

    monkeypatch.setattr(library, "build_library_model", offline)
    theirs = offline(twin, ModelOptions(1000, 224, 3, "published"), is_pretrained=True).state_dict()
    drawn = build_model(name, n_classes=10, seed=0).state_dict()
    ours = build_model(name, n_classes=10, pretrained=True, seed=0).state_dict()
    head = f"{architecture(name).head_layer}."
    assert {key for key in ours if key.startswith(head)} == {f"{head}weight", f"{head}bias"}
    assert all(torch.equal(ours[key], (drawn if key.startswith(head) else theirs)[key]) for key in ours)
    assert any(not torch.equal(ours[key], drawn[key]) for key in ours)


def test_a_failed_download_is_missing_data(monkeypatch: pytest.MonkeyPatch):
    def fails(*_: object, **__: object) -> None:
        raise OSError("no network\nand more lines")

    monkeypatch.setattr(torchvision.models, "get_model", fails)
    with pytest.raises(
        MissingDataError, match=r"weights of 'torchvision:resnet18' are not in.*had: no network Expected"
    ):
        load_model("torchvision:resnet18")
