"""Products of a recorded layer and of what follows from it, in one walk: the same as layer by layer."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from vvscale.brain.activations.families import WIDE_CHANNEL, are_summed, family_products
from vvscale.brain.activations.products import EXACT_IMAGES, layer_blocks, layer_products
from vvscale.brain.activations.projection import Projection
from vvscale.brain.activations.record import Probe, probe, record
from vvscale.brain.activations.storage import HeldActivations, plan_holding
from vvscale.brain.metrics.metric import Needs
from vvscale.errors import DataError

PLAIN, SCALED = Needs(), Needs("standardized")
NONE = Projection()


def normalised(n_channels: int, *, affine: bool = True) -> nn.BatchNorm2d:
    """A normalisation that does something to every channel, one of them turned around."""
    made = nn.BatchNorm2d(n_channels, affine=affine)
    made.running_mean.copy_(torch.linspace(-1, 2, n_channels))
    made.running_var.copy_(torch.linspace(0.5, 3, n_channels))
    if affine:
        nn.init.normal_(made.weight, generator=torch.Generator().manual_seed(1))
        nn.init.normal_(made.bias, generator=torch.Generator().manual_seed(2))
    return made.eval()


def network(*, affine: bool = True, side: int = 32) -> tuple[nn.Module, list[str]]:
    """A convolution with what follows from it: a normalisation, one of that, and a ReLU."""
    torch.manual_seed(0)
    parts = [nn.Conv2d(3, 5, 3, padding=1), normalised(5, affine=affine), normalised(5), nn.ReLU()]
    return nn.Sequential(*parts).eval(), ["0", "1", "2", "3"]


def held_and_seen(module: nn.Module, names: list[str], images: np.ndarray) -> tuple[HeldActivations, Probe]:
    seen = probe(module, names, images[:2], device="cpu")
    recorded = seen.recorded()
    tables = record(module, [images], list(recorded))
    sizes = {name: layer.n_features for name, layer in recorded.items()}
    places = {name: int(np.prod(layer.shape[1:])) for name, layer in recorded.items()}
    held = HeldActivations(plan_holding(len(images), sizes, 10**10), sizes, None, places)
    for name, table in tables.items():
        held.put(name, 0, table)
    return held, seen


@pytest.mark.parametrize(
    ("n", "side"), [(EXACT_IMAGES + 8, 32), (EXACT_IMAGES + 8, 70), (EXACT_IMAGES + 8, 16), (40, 32)]
)
@pytest.mark.parametrize("affine", [True, False])
def test_one_walk_gives_what_each_layer_gives(n: int, side: int, affine: bool):
    module, names = network(affine=affine)
    images = np.random.default_rng(0).standard_normal((n, 3, side, side), dtype=np.float32)
    held, seen = held_and_seen(module, names, images)
    image_names = np.arange(n).astype(str)
    needs = {"0": [PLAIN, SCALED], "1": [PLAIN], "2": [PLAIN, SCALED], "3": [PLAIN]}
    assert seen.families() == {"0": names}
    assert (seen.layers["0"].n_features // 5 >= WIDE_CHANNEL) == (side > 16)
    found = family_products(held.blocks("0"), module, seen.layers, names, needs=needs, image_names=image_names)
    for name in names:
        one_by_one = layer_products(
            lambda name=name: layer_blocks(held, module, seen.layers, name),
            seen.layers[name],
            needs=needs[name],
            projection=NONE,
            image_names=image_names,
        )
        assert set(found[name]) == set(one_by_one)
        for need, expected in one_by_one.items():
            made = found[name][need]
            scale = np.abs(expected.dense()).max()
            tolerance = 1e-12 if n <= EXACT_IMAGES else 2e-6
            np.testing.assert_allclose(made.dense(), expected.dense(), atol=tolerance * scale, rtol=0)
            np.testing.assert_allclose(made.totals, expected.totals, atol=2e-5 * np.abs(expected.totals).max(), rtol=0)
            np.testing.assert_allclose(
                made.plain(), expected.plain(), atol=2e-6 * np.abs(expected.plain()).max(), rtol=0
            )
            assert (made.n_features, made.is_standardized) == (expected.n_features, expected.is_standardized)


@pytest.mark.parametrize("how", ["large", "infinite"])
def test_what_is_not_finite_or_overflows_has_a_reason_and_the_others_their_products(how: str):
    module, names = network()
    images = np.random.default_rng(0).standard_normal((EXACT_IMAGES + 8, 3, 32, 32), dtype=np.float32)
    module[1].weight.data[2] = 1e30 if how == "large" else float("inf")
    held, seen = held_and_seen(module, names, images)
    with np.errstate(all="ignore"):
        found = family_products(
            held.blocks("0"), module, seen.layers, names, needs={name: [PLAIN] for name in names},
            image_names=np.arange(len(images)).astype(str),
        )  # fmt: skip
    assert found["0"][PLAIN].trace() > 0
    assert isinstance(found["1"], DataError)
    assert ("overflow float32" if how == "large" else "Features hold nan") in str(found["1"])


def test_what_is_no_sum_goes_layer_by_layer():
    module, names = network()
    seen = probe(module, names, np.zeros((2, 3, 32, 32), np.float32), device="cpu")
    layer = seen.layers["0"]
    assert are_summed(layer, [PLAIN, SCALED], NONE, 640)
    assert not are_summed(layer, [Needs("features")], NONE, 640)
    assert not are_summed(layer, [PLAIN], NONE, 2 * layer.n_features)
