"""Models as people have them: wrapped, scripted, lazy, of half precision, with nested outputs, or failing."""

from __future__ import annotations

import collections
import dataclasses

import numpy as np
import pytest
import torch
from torch import nn

from vvscale.brain.activations.accept import accepted
from vvscale.brain.activations.record import probe, record
from vvscale.errors import ConfigError, DataError, ShapeError


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.conv, self.fc = nn.Conv2d(3, 4, 7, 4), nn.Linear(4, 10)

    def forward(self, x):
        return self.fc(self.conv(x).mean((2, 3)))


IMAGES = np.random.default_rng(0).random((4, 3, 32, 32), dtype=np.float32)


@pytest.mark.parametrize(
    "wrap",
    [
        nn.DataParallel,
        lambda net: torch.compile(net, backend="eager"),
        lambda net: nn.DataParallel(nn.DataParallel(net)),
    ],
    ids=["DataParallel", "compiled", "twice"],
)  # fmt: skip
def test_wrappers_are_taken_off(wrap):
    net = Net()
    assert accepted(wrap(net)) is net


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore:Lazy modules")
@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: torch.jit.script(Net()), "is scripted .*Give the module that it was made from"),
        (lambda: torch.jit.trace(Net().eval(), torch.zeros(1, 3, 32, 32)), "is scripted"),
        (lambda: nn.Sequential(torch.jit.script(nn.ReLU())), "The part '0' of the model is scripted"),
        (lambda: nn.Sequential(nn.LazyConv2d(4, 7)), r"2 lazy parameters, such as '0.weight'.*model\(torch.zeros"),
        (lambda: Net().to("meta"), r"4 parameters without values.*'conv.weight'.*assign=True"),
        (lambda: nn.Linear(3, 4), "a Linear, has no submodules.*torch.nn.Sequential"),
    ],
)
def test_what_cannot_be_watched_is_refused_by_name(make, said):
    with pytest.raises(ConfigError, match=said):
        accepted(make())


@pytest.mark.parametrize(("dtype", "atol"), [(torch.float16, 2e-3), (torch.bfloat16, 2e-2), (torch.float64, 1e-6)])
def test_images_take_the_type_of_the_weights(dtype, atol):
    expected = record(Net(), [IMAGES], ["conv", "fc"])
    found = record(Net().to(dtype), [IMAGES], ["conv", "fc"])
    for layer, values in expected.items():
        assert found[layer].dtype == np.float32
        np.testing.assert_allclose(found[layer], values, atol=atol)


class Failing(nn.Module):
    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.conv, self.error = nn.Conv2d(3, 4, 7, 4), error

    def forward(self, x):
        self.conv(x)
        raise self.error


@pytest.mark.parametrize(
    "error",
    [AssertionError("expected 299"), AssertionError(), KeyError("task"), AttributeError("x"), ZeroDivisionError()],
)  # fmt: skip
def test_whatever_a_model_raises_is_one_sentence_that_names_the_size(error):
    with pytest.raises(DataError, match=r"of 32 x 32 pixels, 3 channels: \w+: .*`image_size` sets that"):
        record(Failing(error), [IMAGES], ["conv"])


def test_other_shapes_of_forward_and_of_images():
    class NeedsArgument(Net):
        def forward(self, x, task):
            return super().forward(x)

    one_channel = nn.Sequential(nn.Conv2d(1, 4, 7))
    wrong_size = nn.Sequential(nn.Flatten(), nn.Linear(3 * 64 * 64, 4))
    for model, layer in ((NeedsArgument(), "conv"), (one_channel, "0"), (wrong_size, "0")):
        with pytest.raises(DataError, match="The model failed on a batch of 2 images of 32 x 32 pixels"):
            record(model, [IMAGES], [layer])


Pair = collections.namedtuple("Pair", "logits hidden")


@dataclasses.dataclass
class Out:
    logits: torch.Tensor
    hidden: torch.Tensor


class Block(nn.Module):
    def __init__(self, shape) -> None:
        super().__init__()
        self.shape = shape

    def forward(self, x):
        return self.shape(x.mean((2, 3)), x)


@pytest.mark.parametrize(
    ("shape", "part", "first"),
    [
        (lambda a, b: (a, b), "[1]", "[0]"),
        (lambda a, b: {"logits": a, "hidden": b}, "[hidden]", "[logits]"),
        (Pair, "[hidden]", "[logits]"),
        (Pair, "[1]", "[logits]"),
        (Out, "[hidden]", "[logits]"),
        (lambda a, b: ({"h": b}, [a]), "[0][h]", "[0]"),
        (lambda a, b: {0: Pair(a, [b])}, "[0][hidden][0]", "[0]"),
    ],
    ids=["tuple", "dictionary", "named tuple", "by place", "dataclass", "nested", "deeper"],
)
def test_parts_of_nested_outputs_can_be_named_as_the_message_says(shape, part, first):
    model = nn.Sequential(nn.Conv2d(3, 4, 7, 4), Block(shape))
    with pytest.raises(ShapeError, match=rf"Name one part of it, '1{first}'".replace("[", r"\[").replace("]", r"\]")):
        record(model, [IMAGES], ["1"])
    found = record(model, [IMAGES], ["0", f"1{part}"])
    np.testing.assert_array_equal(found[f"1{part}"], found["0"])
    with pytest.raises(ConfigError, match="has no part 'nothing'"):
        probe(model, ["1[nothing]"], IMAGES)
