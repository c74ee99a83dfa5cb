"""Building networks: seeds, stems, classifiers, options that do not fit."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from vvscale.errors import ConfigError, ShapeError
from vvscale.models import architecture, build_model, model_cost
from vvscale.models.architectures.build import build_skeleton
from vvscale.models.cost import count_operations

TINY = "resnetflex-w4-d1-1-1"
ONE_OF_EACH = [
    "resnet18*0.125",
    "resnet50*0.0625",
    "resnetflex-w4-d1-0-1-1",
    "alexnet*0.05",
    "efficientnet_b0*0.25",
    "convnextflex-w8-d1-1-1-1",
    "deitflex-w12-d2-h3",
    "cornet_s*0.0625",
    "vit_small*0.1",
]


@pytest.mark.parametrize("name", ONE_OF_EACH)
@pytest.mark.parametrize(("image_size", "stem"), [(8, "auto"), (32, "auto"), (28, "small"), (96, "auto")])
def test_networks_of_each_family_run_on_images_of_each_size(name: str, image_size: int, stem):
    module = build_model(name, n_classes=5, image_size=image_size, in_channels=1, stem=stem, seed=0)
    scores = module(torch.rand(2, 1, image_size, image_size))
    assert scores.shape == (2, 5)
    assert torch.isfinite(scores).all()
    assert scores.std() > 0


@pytest.mark.parametrize("name", ONE_OF_EACH)
def test_without_classifier_a_network_returns_its_features(name: str):
    module = build_model(name, n_classes=0, image_size=32, seed=0).eval()
    features = module(torch.rand(2, 3, 32, 32))
    classified = build_model(name, n_classes=7, image_size=32, seed=0)
    head = classified.get_submodule(architecture(name).head_layer)
    assert isinstance(head, nn.Linear)
    assert features.shape == (2, head.in_features)


@pytest.mark.parametrize("name", ONE_OF_EACH)
def test_weights_are_a_function_of_the_seed(name: str):
    torch.manual_seed(7)
    before = torch.get_rng_state()
    first, again, other = (build_model(name, image_size=32, seed=seed).state_dict() for seed in (3, 3, 4))
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert any(not torch.equal(first[key], other[key]) for key in first)


def test_without_a_seed_weights_follow_the_global_generator():
    torch.manual_seed(7)
    first = build_model(TINY).state_dict()
    second = build_model(TINY).state_dict()
    assert not torch.equal(first["conv1.weight"], second["conv1.weight"])


def test_stems():
    small = build_model("resnet18*0.1", image_size=64)
    assert small.conv1.kernel_size == (3, 3)
    assert isinstance(small.maxpool, nn.Identity)
    assert build_model("resnet18*0.1", image_size=65).conv1.kernel_size == (7, 7)
    assert build_model("resnet18*0.1", image_size=32, stem="published").conv1.kernel_size == (7, 7)
    assert build_model("deitflex-w12-d1-h3", image_size=64).patch_embed.patch_size == (8, 8)
    assert build_model("deitflex-w12-d1-h3", image_size=28).patch_embed.patch_size == (4, 4)


def test_left_out_stages_are_identities():
    module = build_model("resnetflexfilters-d-1-0-0-2", seed=0)
    assert isinstance(module.layer2, nn.Identity)
    assert isinstance(module.layer3, nn.Identity)
    assert module.layer4[0].downsample[0].in_channels == 64


def test_layer_scale_starts_where_the_study_starts_it():
    assert torch.allclose(build_model("deit_tiny*0.25").blocks[0].ls1.gamma, torch.tensor(1e-4))
    assert torch.allclose(build_model("convnextflex-l-3").features[1][0].layer_scale, torch.tensor(1e-6))
    assert torch.allclose(
        build_model("convnextflex-l-3", layer_scale=0.5).features[1][0].layer_scale, torch.tensor(0.5)
    )
    assert not hasattr(build_model("vit_small*0.1").blocks[0].ls1, "gamma")


def test_a_network_remembers_how_it_was_built():
    name, options = build_model("resnet18*0.10", n_classes=10, image_size=32).built_as
    assert name == "resnet18*0.1"
    assert options.to_dict() == {
        "n_classes": 10,
        "image_size": 32,
        "in_channels": 3,
        "stem": "small",
        "drop_path": 0.0,
        "layer_scale": None,
    }
    assert build_model(name, **options.to_dict()).conv1.kernel_size == (3, 3)


@pytest.mark.parametrize(
    ("name", "options", "text"),
    [
        ("resnet18", {"drop_path": 0.1}, "'resnet18' has no option drop_path.*Leave it out"),
        ("efficientnet_b0", {"layer_scale": 0.1}, "has no option layer_scale"),
        ("timm:resnet18", {"drop_path": 0.1, "stem": "small"}, "has no option stem or drop_path"),
        ("deit_tiny", {"drop_path": 1.0}, "drop_path is 1.0; expected a rate from 0"),
        ("resnet18", {"n_classes": -1}, "n_classes -1; expected at least 0"),
        ("resnet18", {"in_channels": 0}, "in_channels 0; expected at least 1"),
        ("resnet18", {"image_size": 4}, "images of 4 pixels; expected at least 8"),
        ("resnet18", {"stem": "tiny"}, "Unknown stem 'tiny'"),
        ("deit_tiny", {"image_size": 230}, "230 pixels.*patches of 16"),
    ],
)
def test_options_that_do_not_fit(name: str, options: dict, text: str):
    with pytest.raises(ConfigError, match=text):
        build_model(name, **options)


def test_cost_of_other_classes_and_channels():
    ours = model_cost(TINY, n_classes=10, image_size=8)
    assert ours.n_params - ours.n_params_actual == 17 * 990  # 16 features and a bias for each class
    actual = model_cost(TINY, n_classes=10, image_size=8, head_classes=None)
    assert actual.n_params == actual.n_params_actual == ours.n_params_actual
    assert ours.forward_mac - actual.forward_mac == 16 * 990
    assert ours.forward_flop == 2 * ours.forward_mac == ours.forward_flop_full


def test_cost_of_a_network_is_that_of_its_name_and_leaves_it_alone():
    module = build_model(TINY, n_classes=10, image_size=8, seed=0).eval()
    state = {key: value.clone() for key, value in module.state_dict().items()}
    assert model_cost(module) == model_cost(TINY, n_classes=10, image_size=8)
    assert not module.training
    assert all(torch.equal(value, state[key]) for key, value in module.state_dict().items())


def test_cost_of_an_own_network():
    own = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Flatten(), nn.Linear(4 * 36, 2))
    measured = model_cost(own, image_size=8, in_channels=1)
    assert measured.n_params == 4 * 9 + 4 + 4 * 36 * 2 + 2
    assert measured.forward_mac == 4 * 9 * 36 + 4 * 36 * 2
    with pytest.raises(ShapeError, match=r"Cannot count the operations of Sequential on images of 3 x 8 x 8"):
        model_cost(own, image_size=8)


def test_attention_is_counted_apart():
    tokens, width, blocks = 197, 384, 12
    ours = model_cost("deit_small")
    assert ours.forward_flop_full - ours.forward_flop == 2 * 2 * blocks * tokens**2 * width
    assert count_operations(build_model("resnet18*0.1"), image_size=64)["scaled_dot_product_attention"] == 0


@pytest.mark.parametrize("name", [*ONE_OF_EACH, "timm:test_vit"])
def test_a_skeleton_has_every_tensor_and_no_memory(name: str):
    real, skeleton = build_model(name, image_size=64, seed=0), build_skeleton(name, image_size=64)
    described = {key: (tensor.shape, tensor.dtype) for key, tensor in real.state_dict().items()}
    assert {key: (tensor.shape, tensor.dtype) for key, tensor in skeleton.state_dict().items()} == described
    assert all(tensor.is_meta for tensor in (*skeleton.parameters(), *skeleton.buffers()))
    assert [one.requires_grad for one in skeleton.parameters()] == [one.requires_grad for one in real.parameters()]


def test_counting_gives_the_shapes_of_the_real_network():
    ghost = build_skeleton("timm:test_resnet")
    assert count_operations(ghost, image_size=64) == count_operations(build_model("timm:test_resnet"), image_size=64)
