"""Speed of the metrics beside the libraries that define them, on one input in one run.

Each group has two rows, and pytest-benchmark prints how many times slower than the other the slower one is.
"""

import numpy as np
import pytest
from sklearn.cross_decomposition import PLSRegression

from vvscale.brain import linear_predictivity, stratified_splits
from vvscale.brain.metrics.checks import pearson

SHAPES = {"135 x 1000 -> 102": (135, 1000, 102), "640 x 2000 -> 88": (640, 2000, 88)}


def layer(shape):
    n, p, q = SHAPES[shape]
    rng = np.random.default_rng(0)
    latents = rng.standard_normal((n, 100)) * np.arange(1, 101) ** -0.6
    features = np.maximum(latents @ rng.standard_normal((100, p)), 0).astype(np.float32)
    responses = latents[:, :50] @ rng.standard_normal((50, q)) + 1.5 * rng.standard_normal((n, q))
    return features, responses, np.arange(n) % 2


def with_scikit_learn(features, responses, strata):
    r = []
    for train in stratified_splits(strata):
        model = PLSRegression(25, scale=False).fit(features[train], responses[train])
        r.append(pearson(responses[~train], model.predict(features[~train])))
    return np.stack(r)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("by", ["vvscale", "scikit-learn"])
def test_linear_predictivity(benchmark, shape, by):
    benchmark.group = f"linear predictivity, {shape}, ten splits"
    features, responses, strata = layer(shape)
    if by == "vvscale":
        r = benchmark(lambda: linear_predictivity(features, responses, stratify=strata).r)
    else:
        r = benchmark.pedantic(with_scikit_learn, (features, responses, strata), rounds=2, iterations=1)
    assert r.shape == (10, SHAPES[shape][2])
