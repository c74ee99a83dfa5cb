"""The adapter to Brain-Score, against a stand-in of its two classes: the real ones need an environment of their own."""

import sys
from types import ModuleType

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from vvscale.brain.inputs.preprocess import Preprocessing
from vvscale.brain.scoring.brainscore_adapter import brainscore_model
from vvscale.errors import ConfigError, MissingDataError, UnknownNameError

LAYERS = {"V1": "0", "IT": "1", "behavior": "1"}


class PytorchWrapper:
    """Hooks as Brain-Score's does, which the adapter replaces."""

    def __init__(self, model, preprocessing, identifier):
        self.model, self.preprocessing, self.identifier = model, preprocessing, identifier

    def get_activations(self, paths, layers):
        found = {}
        handles = [self.register_hook(self.model.get_submodule(layer), layer, found) for layer in layers]
        with torch.no_grad():
            self.model(torch.from_numpy(self.preprocessing(paths)))
        for handle in handles:
            handle.remove()
        return found


class ModelCommitment:
    def __init__(self, **settings):
        vars(self).update(settings)


@pytest.fixture
def installed(monkeypatch):
    package = "brainscore_vision.model_helpers"
    pytorch, transformation = (
        ModuleType(f"{package}.activations.pytorch"),
        ModuleType(f"{package}.brain_transformation"),
    )
    pytorch.PytorchWrapper, transformation.ModelCommitment = PytorchWrapper, ModelCommitment
    for name in ("brainscore_vision", package, f"{package}.activations"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    monkeypatch.setitem(sys.modules, pytorch.__name__, pytorch)
    monkeypatch.setitem(sys.modules, transformation.__name__, transformation)


def model(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv2d(3, 2, 1), nn.ReLU(inplace=True))


def test_without_brain_score_the_way_to_have_it_is_named():
    with pytest.raises(MissingDataError, match=r"environment of its own: 'python -m venv.*--no-deps vvscale"):
        brainscore_model(model(), identifier="m", layers=LAYERS)


@pytest.mark.usefixtures("installed")
def test_images_layers_and_activations_are_what_score_model_uses(tmp_path):
    path = tmp_path / "image.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (40, 50, 3), dtype=np.uint8)).save(path)
    pre = Preprocessing("gokce2025", image_size=28)
    wrapped = brainscore_model(model(), identifier="m", layers=LAYERS, preprocessing=pre)
    assert wrapped.region_layer_map == {"V1": "0", "IT": "1"}
    assert (wrapped.layers, wrapped.behavioral_readout_layer, wrapped.visual_degrees) == (["0", "1"], "1", 8.0)
    found = wrapped.activations_model.get_activations([str(path)], ["0", "1"])
    image = pre.pixels(Image.open(path), 8.0)
    expected = (image / 255 - np.array(pre.mean)) / np.array(pre.std)
    with torch.no_grad():
        conv = model()[0](torch.from_numpy(expected.astype(np.float32).transpose(2, 0, 1))[None])
    np.testing.assert_allclose(found["0"], conv.numpy(), atol=1e-5)
    assert (found["0"] < 0).any(), "the ReLU in place changed what was recorded before it"
    np.testing.assert_array_equal(found["1"], np.maximum(found["0"], 0))


@pytest.mark.usefixtures("installed")
def test_other_weights_or_preprocessing_have_another_name():
    names = {
        brainscore_model(one, identifier="m", layers=LAYERS, preprocessing=pre).identifier
        for one in (model(0), model(1))
        for pre in (Preprocessing(), Preprocessing("gokce2025"))
    }
    assert len(names) == 4
    assert all(name.startswith("m-") for name in names)
    with pytest.raises(ConfigError, match="No layer was given"):
        brainscore_model(model(), identifier="m", layers={})


class Parts(nn.Module):
    """Gives a tuple, a dictionary and a tensor."""

    def __init__(self):
        super().__init__()
        self.conv, self.both = nn.Conv2d(3, 2, 1), Both()

    def forward(self, x):
        return self.both(self.conv(x))[1]


class Both(nn.Module):
    def forward(self, x):
        return x, 2 * x


def test_a_part_of_an_output_is_recorded(installed, tmp_path):
    torch.manual_seed(0)
    made = brainscore_model(Parts(), identifier="parts", layers={"IT": "both[1]", "V1": "conv"})
    Image.fromarray(np.full((8, 8, 3), 200, np.uint8)).save(tmp_path / "a.png")
    wrapper = made.activations_model
    found, handles = {}, []
    for layer in ("conv", "both[1]"):
        handles.append(wrapper.register_hook(wrapper.get_layer(layer), layer, found))
    with torch.no_grad():
        wrapper.model(torch.from_numpy(wrapper.preprocessing([str(tmp_path / "a.png")])))
    np.testing.assert_array_equal(found["both[1]"], 2 * found["conv"])


def test_a_layer_that_is_not_there_is_named_when_the_model_is_wrapped(installed):
    with pytest.raises(UnknownNameError, match=r"'cnov'. Did you mean 'conv'"):
        brainscore_model(Parts(), identifier="parts", layers={"IT": "cnov"})
