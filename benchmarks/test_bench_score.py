"""What recording all layers costs beside running the model, and what one layer costs after that.

``python benchmarks/score_layers.py`` measures the whole at the public sizes.
"""

import numpy as np
import pytest
import torch
import torchvision

from vvscale.brain.activations.derived import derive
from vvscale.brain.activations.hooks import evaluating, find_module
from vvscale.brain.activations.record import Recorder, probe
from vvscale.brain.activations.storage import HeldActivations, plan_holding
from vvscale.brain.metrics.gram import GramAccumulator
from vvscale.brain.scoring.layers import default_layers

IMAGES = np.random.default_rng(0).standard_normal((16, 3, 224, 224)).astype(np.float32)


@pytest.fixture(scope="module")
def resnet():
    torch.manual_seed(0)
    return torchvision.models.resnet18().eval()


@pytest.mark.parametrize("how", ["the model alone", "60 layers to memory", "60 layers to disk"])
def test_recording(benchmark, resnet, how, tmp_path):
    benchmark.group = "16 images of 224 pixels through a ResNet-18"
    seen = probe(resnet, default_layers(resnet), IMAGES[:2])
    kept = {name: layer.n_features for name, layer in seen.recorded().items()}
    holding = plan_holding(len(IMAGES), kept, 0 if how.endswith("disk") else 10**10)

    def record():
        with (
            HeldActivations(holding, kept, tmp_path) as held,
            Recorder(resnet, seen.recorded(), lambda name, at, rows: held.put(name, at, rows.numpy())) as recorder,
        ):
            recorder.run(IMAGES)
        return recorder.n_forward

    def alone():
        with evaluating(resnet):
            return len(resnet(torch.from_numpy(IMAGES)))

    assert benchmark.pedantic(alone if how.startswith("the model") else record, rounds=3, warmup_rounds=1) == 16


@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_products_of_one_block(benchmark, precision):
    benchmark.group = "inner products of 1600 images, 4096 features"
    block = np.random.default_rng(0).standard_normal((1600, 4096)).astype(np.float32)
    total = GramAccumulator(1600, precision=precision)
    benchmark.pedantic(total.add, (block,), rounds=3, warmup_rounds=1)


@pytest.mark.parametrize("what", ["derived", "copied"])
def test_a_derived_block(benchmark, resnet, what):
    benchmark.group = "a normalisation of 1600 images, 4096 features"
    block = np.random.default_rng(0).standard_normal((1600, 4096)).astype(np.float32)
    module = find_module(resnet, "bn1")[0]
    benchmark(lambda: derive(module, block, 4096, (64, 112, 112)) if what == "derived" else block.copy())
