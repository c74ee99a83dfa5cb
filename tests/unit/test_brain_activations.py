"""Recording: every layer as it was when it was called, whatever the model does to it afterwards."""

import numpy as np
import pytest
import torch
import torchvision
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from vvscale.brain.activations.derived import can_derive, derive
from vvscale.brain.activations.hooks import evaluating, find_module, hooks
from vvscale.brain.activations.record import Recorder, probe, record
from vvscale.brain.scoring.layers import default_layers
from vvscale.errors import ConfigError, DataError, MissingDataError, ShapeError, UnknownNameError


def images(n=5, size=32, seed=0):
    return np.random.default_rng(seed).standard_normal((n, 3, size, size)).astype(np.float32)


def trained_like(model):
    """Give normalisations statistics of their own, so that they do something."""
    torch.manual_seed(1)
    for one in model.modules():
        if isinstance(one, nn.BatchNorm2d):
            one.running_mean.normal_()
            one.running_var.uniform_(0.5, 2)
            one.weight.data.normal_()
    return model


@pytest.fixture(scope="module")
def resnet():
    torch.manual_seed(0)
    return trained_like(torchvision.models.resnet18())


def test_all_layers_equal_plain_hooks_that_clone(resnet):
    names = default_layers(resnet)
    expected = {}
    batch = torch.from_numpy(images())
    handles = [
        find_module(resnet, name)[0].register_forward_hook(
            lambda _m, _i, out, name=name: expected.update({name: out.detach().clone()})
        )
        for name in names
    ]
    with evaluating(resnet):
        resnet(batch)
    for handle in handles:
        handle.remove()
    found = record(resnet, [images()], names)
    assert len(names) == 60
    for name in names:
        np.testing.assert_array_equal(found[name], expected[name].reshape(5, -1).numpy(), err_msg=name)


def test_in_place_activations_do_not_change_what_was_recorded(resnet):
    found = record(resnet, [images()], ["bn1", "relu", "layer1.0.bn2"])
    assert (found["bn1"] < 0).any()
    assert (found["layer1.0.bn2"] < 0).any()
    np.testing.assert_array_equal(found["relu"], np.maximum(found["bn1"], 0))


def test_a_layer_that_is_the_same_tensor_is_recorded_once(resnet):
    seen = probe(resnet, default_layers(resnet), images(2))
    assert seen.layers["layer1.0.relu"].same_as == "layer1.0"
    assert seen.layers["layer1.0.relu"].n_calls == 2
    assert (len(seen.layers), len(seen.distinct()), len(seen.recorded())) == (60, 52, 31)
    assert seen.layers["relu"].derived_from == "bn1"
    assert seen.families()["conv1"] == ["conv1", "bn1", "relu"]
    alone = seen.only(["relu", "layer1.0.relu"])
    assert alone.recorded().keys() == {"relu", "layer1.0.relu"}


def test_derived_layers_equal_recorded_ones(resnet):
    names = default_layers(resnet)
    seen, found = probe(resnet, names, images(2)), record(resnet, [images()], names)
    derived = [layer for layer in seen.layers.values() if layer.derived_from]
    assert len(derived) == 21
    with evaluating(resnet):
        for layer in derived:
            source, wanted = found[layer.derived_from], found[layer.name]
            for first, stop in ((0, source.shape[1]), (5, 170), (60, 1000)):
                made = derive(
                    find_module(resnet, layer.name)[0],
                    source[:, first:stop],
                    first,
                    layer.shape,
                    np.empty_like(source[:, first:stop], order="C"),
                )
                np.testing.assert_array_equal(made, wanted[:, first:stop], err_msg=layer.name)


@pytest.mark.parametrize(
    "module", [nn.ReLU(inplace=True), nn.GELU(), nn.SiLU(inplace=True), nn.Hardswish(), nn.LeakyReLU(0.2), nn.Sigmoid()]
)
def test_elementwise_layers_are_derived_without_touching_their_input(module):
    assert can_derive(module)
    block = images(4).reshape(4, -1)
    before = block.copy()
    made = derive(module, block, 0, block.shape[1:], np.empty_like(block))
    np.testing.assert_array_equal(block, before)
    np.testing.assert_allclose(made, module(torch.from_numpy(before.copy())).numpy(), rtol=1e-6, atol=1e-7)


def test_what_cannot_be_derived_is_not():
    class Loud(nn.ReLU):
        def forward(self, x):
            return 2 * super().forward(x)

    assert not can_derive(Loud())
    assert not can_derive(nn.BatchNorm2d(3, track_running_stats=False))
    assert not can_derive(nn.LayerNorm(3))


def test_a_model_that_changes_its_input_does_not_change_the_images():
    batch = images(4, 8)
    before = batch.copy()
    found = record(nn.Sequential(nn.Identity(), nn.ReLU(inplace=True)), [batch], ["0", "1"])
    np.testing.assert_array_equal(batch, before)
    np.testing.assert_array_equal(found["0"], before.reshape(4, -1))
    np.testing.assert_array_equal(found["1"], np.maximum(before, 0).reshape(4, -1))


class Reused(nn.Module):
    """Calls one block three times, as CORnet-S does, and a ReLU whose earlier call another layer returns."""

    def __init__(self):
        super().__init__()
        self.step = nn.Conv2d(3, 3, 1)
        self.relu = nn.ReLU(inplace=True)
        self.block = Returning(self.relu)

    def forward(self, x):
        x = self.block(x)
        for _ in range(3):
            x = self.step(x)
        return self.relu(x)


class Returning(nn.Module):
    def __init__(self, relu):
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 1)
        self.act = relu

    def forward(self, x):
        return self.act(self.conv(x))


def test_of_a_reused_module_the_last_call_counts():
    torch.manual_seed(0)
    model = Reused()
    batch = torch.from_numpy(images())
    with torch.no_grad():
        first = torch.relu(model.block.conv(batch))
        last = model.step(model.step(model.step(first)))
    found = record(model, [images()], ["block", "step", "relu", "block.act"])
    np.testing.assert_allclose(found["block"], first.reshape(5, -1), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found["step"], last.reshape(5, -1), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found["relu"], torch.relu(last).reshape(5, -1), rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(found["relu"], found["block.act"])


def test_tokens_are_flattened_in_c_order():
    model = nn.Sequential(nn.Flatten(2), nn.Linear(64, 7))  # (N, 3, 7): three tokens of seven
    found = record(model, [images(4, 8)], ["1"])["1"]
    with torch.no_grad():
        expected = model(torch.from_numpy(images(4, 8)))
    np.testing.assert_allclose(found, expected.numpy().reshape(4, 21), rtol=1e-6)


def test_batches_give_what_one_batch_gives_also_where_the_last_is_short(resnet):
    whole = record(resnet, [images(7)], ["layer2.0", "fc"])
    parts = record(resnet, [images(7)[:3], images(7)[3:6], images(7)[6:]], ["layer2.0", "fc"])
    for name in whole:
        np.testing.assert_allclose(parts[name], whole[name], rtol=1e-4, atol=1e-4)


def test_a_single_image_is_recorded(resnet):
    assert record(resnet, [images(1)], ["fc"])["fc"].shape == (1, 1000)


def test_modes_are_left_as_they_were():
    model = nn.Sequential(nn.Conv2d(3, 2, 1), nn.BatchNorm2d(2), nn.Dropout())
    model[1].eval()
    before = model[1].running_mean.clone()
    record(model, [images()], ["2"])
    assert [one.training for one in model.modules()] == [True, True, False, True]
    assert torch.equal(model[1].running_mean, before)
    assert not model[0]._forward_hooks


class Odd(nn.Module):
    def __init__(self, give):
        super().__init__()
        self.inner = Giving(give)
        self.never = nn.Linear(1, 1)

    def forward(self, x):
        self.inner(x)
        return x


class Giving(nn.Module):
    def __init__(self, give):
        super().__init__()
        self.give = give

    def forward(self, x):
        return self.give(x)


@pytest.mark.parametrize(
    ("give", "text"),
    [
        (lambda x: (x, x), r"Layer 'inner' gives a tuple of 2 parts.*'inner\[0\]'"),
        (lambda x: {"tokens": x}, r"Layer 'inner' gives a dictionary with the keys 'tokens'.*'inner\[tokens\]'"),
        (lambda x: None, r"Layer 'inner' gives nothing \(None\)"),
        (lambda x: x.sum(), r"Layer 'inner' gives a tensor of shape \(\) for 2 images"),
        (lambda x: x.transpose(0, 1), r"Layer 'inner' gives a tensor of shape \(3, 2, 8, 8\) for 2 images"),
        (lambda x: x.reshape(-1, 8), r"may work on windows or put tokens first"),
        (lambda x: torch.fft.fft(x), "Layer 'inner' gives complex numbers"),
        (lambda x: x[:, :0], "Layer 'inner' gives an empty tensor"),
    ],
)
def test_outputs_that_are_no_table_are_refused_by_name(give, text):
    with pytest.raises(ShapeError, match=text):
        record(Odd(give), [images(2, 8)], ["inner"])


def test_a_part_of_a_tuple_or_dictionary_can_be_named():
    batch = images(2, 8)
    of_tuple = record(Odd(lambda x: (x, 2 * x)), [batch], ["inner[1]"])["inner[1]"]
    of_dictionary = record(Odd(lambda x: {"a": 3 * x}), [batch], ["inner[a]"])["inner[a]"]
    np.testing.assert_array_equal(of_tuple, 2 * batch.reshape(2, -1))
    np.testing.assert_array_equal(of_dictionary, 3 * batch.reshape(2, -1))
    with pytest.raises(ConfigError, match="has no part '5': a tuple of 2 parts"):
        record(Odd(lambda x: (x, x)), [batch], ["inner[5]"])


def test_a_layer_that_is_never_called_is_named():
    with pytest.raises(ShapeError, match="Layer 'never' is never called"):
        record(Odd(lambda x: x), [images(2, 8)], ["never"])


def test_layers_that_cannot_be_recorded_do_not_stand_in_the_way():
    seen = probe(Odd(lambda x: (x, x)), ["never", "inner", "inner[0]"], images(2, 8))
    assert seen.refused.keys() == {"never", "inner"}
    assert seen.layers.keys() == {"inner[0]"}


def test_unknown_layers_get_a_suggestion(resnet):
    with pytest.raises(UnknownNameError, match=r"Unknown layer 'layer1\.0\.con1'\. Did you mean 'layer1\.0\.conv1'"):
        record(resnet, [images(2)], ["layer1.0.con1"])


def test_a_layer_that_changes_shape_is_named():
    model = nn.Sequential(nn.Conv2d(3, 2, 1), nn.AdaptiveAvgPool2d(1))
    with pytest.raises(ShapeError, match=r"Layer '0' gives \(2, 16, 16\) numbers .* gave \(2, 8, 8\) before"):
        record(model, [images(2, 8), images(2, 16)], ["0"])


def test_a_path_that_depends_on_the_images_is_named():
    class Choosy(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 3, 1)

        def forward(self, x):
            x = self.conv(x)
            return self.conv(x) if len(x) == 3 else x

    with pytest.raises(ShapeError, match="Layer 'conv' was called 2 times in this forward pass and 1 times before"):
        record(Choosy(), [images(2, 8), images(3, 8)], ["conv"])


def test_a_model_that_fails_says_on_what():
    with pytest.raises(DataError, match=r"failed on a batch of 2 images of 8 x 8 pixels, 3 channels: RuntimeError"):
        record(nn.Sequential(nn.Linear(5, 5)), [images(2, 8)], ["0"])


def test_no_images_no_record(resnet):
    with pytest.raises(MissingDataError, match="no image to record"):
        record(resnet, [], ["fc"])


def test_the_recorder_counts_images(resnet):
    seen = probe(resnet, ["fc"], images(2))
    with Recorder(resnet, seen.recorded(), lambda name, start, rows: None) as recorder:
        recorder.run(images(5))
        recorder.run(images(2))
    assert recorder.n_forward == 7


def test_hooks_are_removed_when_something_fails(resnet):
    def fail(name, output):
        raise RuntimeError(name)

    def run():
        with hooks(resnet, ["fc"], fail), evaluating(resnet):
            resnet(torch.from_numpy(images(2)))

    with pytest.raises(RuntimeError, match="fc"):
        run()
    assert not resnet.fc._forward_hooks


@settings(max_examples=20, deadline=None)
@given(kinds=st.lists(st.sampled_from(["conv", "bn", "relu", "gelu", "id", "drop"]), min_size=1, max_size=8))
def test_any_chain_of_layers_is_recorded_or_derived_exactly(kinds):
    torch.manual_seed(0)
    make = {
        "conv": lambda: nn.Conv2d(3, 3, 3, padding=1), "bn": lambda: nn.BatchNorm2d(3),
        "relu": lambda: nn.ReLU(inplace=True), "gelu": nn.GELU, "id": nn.Identity, "drop": nn.Dropout,
    }  # fmt: skip
    model = trained_like(nn.Sequential(*(make[kind]() for kind in kinds)))
    names = [str(number) for number in range(len(kinds))]
    batch = images(3, 8)
    found = record(model, [batch], names)
    seen = probe(model, names, batch)
    x = torch.from_numpy(batch.copy())
    with evaluating(model):
        for name in names:
            x = model[int(name)](x.clone())
            np.testing.assert_allclose(found[name], x.reshape(3, -1), rtol=1e-5, atol=1e-6)
            source = seen.layers[name].derived_from
            if source:
                made = derive(model[int(name)], found[source], 0, seen.layers[name].shape, np.empty_like(found[source]))
                np.testing.assert_allclose(made, found[name], rtol=1e-5, atol=1e-6)


class Drops(nn.Module):
    """Dropout that is called as a function, so that evaluation mode does not reach it."""

    def __init__(self):
        super().__init__()
        self.conv, self.relu = nn.Conv2d(3, 4, 3), nn.ReLU(inplace=True)

    def forward(self, x):
        return self.relu(nn.functional.dropout(self.conv(x), 0.5))


class Relative(nn.Module):
    """Activations relative to the mean of the batch."""

    def __init__(self):
        super().__init__()
        self.conv, self.flat = nn.Conv2d(3, 4, 3), nn.Flatten()

    def forward(self, x):
        y = self.conv(x)
        return self.flat(y - y.mean(0, keepdim=True))


STEADY_IMAGES = np.random.default_rng(0).standard_normal((4, 3, 8, 8)).astype(np.float32)


@pytest.mark.parametrize(
    ("module", "layer", "text"),
    [
        (Drops(), "relu", "Layer 'relu' gives other numbers when the same image is shown again"),
        (Relative(), "flat", "Layer 'flat' gives other numbers for an image when the other images of its batch change"),
        (nn.Sequential(nn.BatchNorm2d(3, track_running_stats=False)), "0", "Layer '0' .* other images of its batch"),
        (nn.Sequential(nn.Conv2d(3, 2, 1), nn.Softmax(0)), "1", "Layer '1' .* other images of its batch"),
    ],
)
def test_an_activation_that_is_not_of_the_image_alone_is_refused_by_name(module, layer, text):
    with pytest.raises(DataError, match=text):
        record(module, [STEADY_IMAGES], [layer])
    # The layers before it are as good as ever.
    if hasattr(module, "conv"):
        assert record(module, [STEADY_IMAGES], ["conv"])["conv"].shape == (4, 144)


def test_layers_that_are_steady_are_not_refused():
    steady = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Dropout(0.5), nn.InstanceNorm2d(4), nn.ReLU(inplace=True),
        nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.LayerNorm(16), nn.Linear(16, 5), nn.Softmax(1),
    )  # fmt: skip
    assert len(record(steady, [STEADY_IMAGES], [str(number) for number in range(10)])) == 10
    for dtype in (torch.float64, torch.bfloat16):
        record(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()).to(dtype), [STEADY_IMAGES], ["0", "1"])
