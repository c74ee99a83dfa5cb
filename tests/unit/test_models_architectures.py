"""Names of networks: what they mean, and what is refused."""

from __future__ import annotations

import subprocess
import sys

import pytest

from vvscale.errors import ConfigError, UnknownNameError
from vvscale.models import architecture, list_models
from vvscale.models.architectures.configs import ConvNeXtConfig, ResNetConfig, ViTConfig
from vvscale.models.architectures.names import PUBLISHED
from vvscale.models.architectures.own import REGISTERED


def test_names_are_read_without_torch():
    code = "import sys; from vvscale.models import architecture as a; a('resnet18*0.5'); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


@pytest.mark.parametrize(
    ("name", "config"),
    [
        ("resnetflexfilters-f-1-16-20-7", ResNetConfig((46, 46, 92, 184, 368), (2, 2, 2, 2))),
        ("resnetflexfilters_wr-4-1-2-4-1", ResNetConfig((200, 200, 408, 816, 1624), (2, 2, 2, 2))),
        ("resnetflexfilters-d-1-0-0-2", ResNetConfig((64, 64, 128, 256, 512), (1, 0, 0, 2))),
        ("resnetflexfilters-f-1-4-3-2", ResNetConfig((32, 32, 64, 128, 256), (2, 2, 2, 2))),
        ("resnetflex-w4-d1-1-1", ResNetConfig((4, 4, 8, 16, 32), (1, 1, 1, 0))),
        ("resnetflex-w6-d3-0-1-2", ResNetConfig((6, 6, 12, 24, 48), (3, 0, 1, 2))),
        ("convnextflex-l-1", ConvNeXtConfig((32, 64, 136, 272), (3, 3, 9, 3))),
        ("convnextflex-w24-d1-2-3-1", ConvNeXtConfig((24, 48, 96, 192), (1, 2, 3, 1))),
        ("deitflex-l-3", ViTConfig(48, 12, 6)),
        ("deitflex-w64-d3-h4", ViTConfig(64, 3, 4)),
        ("deitflex-w96-d3", ViTConfig(96, 3, 6)),
        ("resnet18*0.25", ResNetConfig((16, 16, 32, 64, 128), (2, 2, 2, 2))),
        ("deit_small*0.25", ViTConfig(96, 12, 6)),
        ("convnext_tiny*0.01", ConvNeXtConfig((8, 8, 8, 8), (3, 3, 9, 3))),
    ],
)
def test_configs_of_names(name: str, config: object):
    assert architecture(name).config == config


def test_scaled_names_are_canonical_and_keep_the_family_of_their_parent():
    scaled = architecture("resnet50*0.50")
    assert (scaled.name, scaled.family, scaled.parent_family) == ("resnet50*0.5", "ResNetFlex", "ResNet")
    assert architecture("resnet50*1") == architecture("resnet50")
    assert architecture("deitflex-l-0*2").family == "ViTFlex"
    assert architecture("efficientnet_b0*2").family == "EfficientNetFlex"


def test_sizes_of_images():
    sizes = {name: (architecture(name).image_size, architecture(name).resize) for name in PUBLISHED}
    assert sizes["resnet18"] == (224, 256)
    assert sizes["efficientnet_b1"] == (240, 255)
    assert sizes["efficientnet_b2"] == (288, 288)
    assert architecture("resnetflex-w4-d1-1-1").image_size == 32
    assert architecture("resnetflex-w4-d1-1-1-1").image_size == 224


def test_listing():
    # Others may be registered by then, such as the one of an example in a docstring.
    assert len(set(list_models()) - set(REGISTERED)) == 64
    assert list_models("deit_*") == ["deit_tiny", "deit_small", "deit_base", "deit_large"]
    assert "timm:resnet18" in list_models("timm:resnet1*")
    assert list_models("torchvision:resnet1*") == [
        "torchvision:resnet101",
        "torchvision:resnet152",
        "torchvision:resnet18",
    ]
    assert list_models("nothing*") == []
    with pytest.raises(UnknownNameError, match=r"Unknown library 'tim' in 'tim:\*'\. Did you mean 'timm'\?"):
        list_models("tim:*")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("resnt18", r"Unknown architecture 'resnt18'\. Did you mean 'resnet18'\? 'vvscale ls architectures' lists"),
        ("resnt18*0.5", r"Unknown architecture 'resnt18'\. Did you mean 'resnet18'"),
        ("resnetflexfilters-d-1-0-0", r"any width and depth|Any width and depth can be named too"),
        ("", r"Unknown architecture ''"),
    ],
)
def test_unknown_names(name: str, text: str):
    with pytest.raises(UnknownNameError, match=text):
        architecture(name)


@pytest.mark.parametrize("factor", ["0", "-1", "nan", "x", "", "65", "inf"])
def test_factors_that_scale_nothing(factor: str):
    with pytest.raises(
        ConfigError, match=f"Cannot scale the width of 'resnet18' by '{factor}'.*above 0 and at most 64"
    ):
        architecture(f"resnet18*{factor}")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("resnetflex-w0-d1-1-1", "describes no network"),
        ("resnetflex-w4-d0-0-0", "describes no network"),
        ("deitflex-w64-d2-h5", "multiple of its heads"),
        ("deitflex-w64-d2-h0", "describes no network"),
        ("convnextflex-w8-d1-0-1-1", "describes no network"),
        ("resnetflexfilters-f-1-16-20-20", "divisor 20 of 20 between 1 and 16.*index from 0 to 19"),
        ("resnetflexfilters-f-0-16-20-2", "bounds above 0"),
        ("resnetflexfilters-f-1-9000-20-19", "describes no network"),
        ("timm:resnet18*0.5", "Expected a network of the study"),
    ],
)
def test_numbers_that_describe_no_network(name: str, text: str):
    with pytest.raises(ConfigError, match=text):
        architecture(name)
