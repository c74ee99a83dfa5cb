"""All layers scored on a GPU as on the CPU."""

import numpy as np
import pytest
import torch
import torchvision

from vvscale.brain.inputs.preprocess import Preprocessing
from vvscale.brain.scoring.session import score_layers
from vvscale.brain.simulated.stream import simulate

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
]


def test_a_gpu_gives_the_scores_of_the_cpu():
    stream = simulate(n_neuroids=20)
    benchmarks = [stream.benchmark(region) for region in ("V1", "IT", "behavior")]
    torch.manual_seed(0)
    model = torchvision.models.resnet18()
    settings = {"benchmarks": benchmarks, "preprocessing": Preprocessing(image_size=64), "resamples": 10}
    on_gpu = score_layers(model, device="cuda", **settings).table()
    on_cpu = score_layers(model.cpu(), **settings).table()
    assert on_gpu["layer"].tolist() == on_cpu["layer"].tolist()
    # Convolutions round differently; correlations over 32 test images show it in the fourth digit at most.
    np.testing.assert_allclose(on_gpu["raw_score"], on_cpu["raw_score"], atol=1e-4)
