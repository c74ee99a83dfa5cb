import numpy as np
import pytest

from vvscale.brain import linear_predictivity

torch = pytest.importorskip("torch")

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine"),
]


@pytest.mark.parametrize("shape", [(135, 1000, 102), (315, 60, 40), (135, 400, 1)])
def test_a_gpu_gives_the_digits_of_the_cpu(shape):
    n, p, q = shape
    rng = np.random.default_rng(0)
    features = np.maximum(rng.standard_normal((n, p)), 0).astype(np.float32)
    responses = features[:, :20] @ rng.standard_normal((20, q)) + rng.standard_normal((n, q))
    strata = np.arange(n) % 2
    cpu, gpu = (linear_predictivity(features, responses, stratify=strata, device=device) for device in (None, "cuda"))
    np.testing.assert_allclose(gpu.r, cpu.r, rtol=0, atol=1e-6)
