"""Speed of the metrics beside the libraries that define them, on one input in one run.

Rows of a group do the same; pytest-benchmark prints how many times slower than the fastest each is.
"""

import numpy as np
import pytest
from sklearn.cross_decomposition import PLSRegression
from threadpoolctl import threadpool_limits

from vvscale.brain import linear_predictivity, simulate, stratified_splits
from vvscale.brain.benchmarks.benchmark import score_together
from vvscale.brain.mapping.benchmark import with_subsets
from vvscale.brain.mapping.subset import subsets
from vvscale.brain.metrics.checks import pearson
from vvscale.brain.metrics.gram import Gram

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


@pytest.mark.parametrize("how", ["full score", "curve, seeds together", "curve, one seed after another"])
def test_mapping_curve(benchmark, how):
    """Seven sizes of five seeds of one layer: what grouping the seeds saves, and what a curve costs beside a score."""
    benchmark.group = "mapping curve of a layer, 640 images, 48 neuroids"
    whole = simulate(images_per_object=80, n_neuroids=48, n_repetitions=4).benchmark("IT")
    gram = Gram.from_features(np.random.default_rng(0).standard_normal((len(whole.stimuli), 4000)))
    sizes = ["5%", "10%", "20%", "30%", "40%", "60%", "80%"]
    groups = {}
    for part in with_subsets([whole], subsets(sizes, seeds=5)):
        groups.setdefault(part.group, []).append(part)

    def run():
        if how == "full score":
            return [whole.score(gram)]
        if how.endswith("together"):
            return [one for group in groups.values() for one in score_together(group, gram)]
        return [part.score(gram) for group in groups.values() for part in group]

    with threadpool_limits(1):
        assert len(benchmark.pedantic(run, rounds=3, warmup_rounds=1)) in (1, 35)
