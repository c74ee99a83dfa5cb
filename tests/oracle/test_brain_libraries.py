"""The metrics against scikit-learn and SciPy, called one split at a time."""

import numpy as np
import pytest
from scipy.stats import pearsonr, spearmanr
from sklearn.cross_decomposition import PLSRegression
from sklearn.linear_model import LogisticRegression, Ridge, RidgeCV
from sklearn.preprocessing import StandardScaler

from vvscale.brain import (
    Gram,
    fit_readout,
    linear_predictivity,
    readout_probabilities,
    representational_similarity,
    ridge_predictivity,
    stratified_splits,
)
from vvscale.brain.metrics.nipals import cross_validate
from vvscale.brain.metrics.ridge import ALPHAS


def layer(n, p, q, seed=0):
    rng = np.random.default_rng(seed)
    latents = rng.standard_normal((n, min(n, p))) * np.arange(1, min(n, p) + 1) ** -0.5
    features = np.maximum(latents @ rng.standard_normal((min(n, p), p)), 0)
    used = latents[:, :20]
    return features, used @ rng.standard_normal((used.shape[1], q)) + rng.standard_normal((n, q))


def steep(n, p, q):
    features, responses = layer(n, p, q)
    return features * 10.0 ** np.random.default_rng(1).uniform(-4, 4, p), responses


def offset(n, p, q):
    features, responses = layer(n, p, q)
    return features + 1e4, responses - 1e3


def itself(n, p, q):
    features, _ = layer(n, p, q)
    ramp = np.arange(n * p).reshape(n, p) + features
    return ramp, ramp


CASES = {
    "wide": (layer, 90, 200, 20, 25),
    "square": (layer, 90, 60, 20, 25),
    "narrow": (layer, 200, 40, 20, 25),
    "one neuroid": (layer, 90, 200, 1, 25),
    "one neuroid, narrow": (layer, 200, 40, 1, 10),
    "one component": (layer, 90, 200, 20, 1),
    "all components": (layer, 90, 30, 20, 30),
    "steep": (steep, 90, 200, 20, 25),
    "offset": (offset, 90, 200, 20, 25),
    "itself": (itself, 60, 25, 25, 25),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("device", [None, "cpu"])
def test_partial_least_squares_of_scikit_learn(case, device):
    make, n, p, q, k = CASES[case]
    features, responses = make(n, p, q)
    is_train = stratified_splits(["a", "b"] * (n // 2), n_splits=3)
    gram = Gram.from_features(features, device=device)
    held = responses
    if device:
        torch = pytest.importorskip("torch")
        held = torch.as_tensor(responses, device=device)
    predictions, n_iterations = cross_validate(gram, held, is_train, k)
    for train, predicted, counted in zip(is_train, predictions, n_iterations, strict=True):
        model = PLSRegression(k, scale=False).fit(features[train], responses[train])
        expected = model.predict(features[~train]).reshape(-1, q)
        np.testing.assert_allclose(np.asarray(predicted), expected, atol=1e-8 * np.abs(responses).max())
        assert counted.tolist() == model.n_iter_


@pytest.mark.parametrize("device", [None, "cpu"])
@pytest.mark.filterwarnings("ignore:Maximum number of iterations")
def test_iterations_end_at_the_same_maximum(device, monkeypatch):
    pytest.importorskip("torch")
    monkeypatch.setattr("vvscale.brain.metrics.nipals.MAX_ITERATIONS", 17)
    features, responses = layer(90, 200, 20)
    is_train = stratified_splits(90, n_splits=1)
    gram = Gram.from_features(features, device=device)
    held = responses if device is None else gram.matrix.new_tensor(responses)
    [predicted], [counted] = cross_validate(gram, held, is_train, 10)
    train = is_train[0]
    model = PLSRegression(10, scale=False, max_iter=17).fit(features[train], responses[train])
    assert max(model.n_iter_) == 17
    assert counted.tolist() == model.n_iter_
    np.testing.assert_allclose(np.asarray(predicted), model.predict(features[~train]), atol=1e-8)


def test_pearson_correlations_are_those_of_scipy():
    features, responses = layer(90, 200, 5)
    result = linear_predictivity(features, responses, stratify=["a", "b"] * 45)
    train = result.is_train[3]
    model = PLSRegression(25, scale=False).fit(features[train], responses[train])
    predicted = model.predict(features[~train])
    expected = [pearsonr(responses[~train, i], predicted[:, i]).statistic for i in range(5)]
    np.testing.assert_allclose(result.r[3], expected, atol=1e-10)


def test_a_start_column_that_gets_explained_changes_nothing():
    # The first response is a feature itself, so partial least squares all but removes it early.
    features, responses = layer(90, 26, 6)
    responses[:, 0] = features[:, 0] * 1e3
    is_train = stratified_splits(90, n_splits=2)
    predictions, _ = cross_validate(Gram.from_features(features), responses, is_train, 20)
    for train, predicted in zip(is_train, predictions, strict=True):
        expected = PLSRegression(20, scale=False).fit(features[train], responses[train]).predict(features[~train])
        np.testing.assert_allclose(predicted, expected, atol=1e-6)


@pytest.mark.parametrize("p", [40, 200])
@pytest.mark.parametrize("alpha", [10.0, ALPHAS])
def test_ridge_of_scikit_learn(p, alpha):
    features, responses = layer(90, p, 8)
    result = ridge_predictivity(features, responses, stratify=["a", "b"] * 45, alpha=alpha)
    model = Ridge(alpha) if isinstance(alpha, float) else RidgeCV(alpha)
    for train, predicted in zip(result.is_train, result.predictions, strict=True):
        expected = model.fit(features[train], responses[train]).predict(features[~train])
        np.testing.assert_allclose(predicted, expected, atol=1e-9)


@pytest.mark.parametrize("p", [30, 300])
@pytest.mark.parametrize("n_objects", [2, 5])
@pytest.mark.parametrize("twins", [False, True])
def test_readout_of_scikit_learn(p, n_objects, twins):
    features, _ = layer(120, p, 1)
    features[:, 3] = 1.7
    if twins:
        features[1] = features[0]
    labels = np.array([f"object{index % n_objects}" for index in range(120)])
    labels[1] = labels[0]
    scaled = StandardScaler().fit_transform(features)
    # The reference asks for multinomial weights; for two classes scikit-learn now fits their difference, whose
    # square is twice the sum of theirs.
    strength = 2e-3 if n_objects == 2 else 1e-3
    model = LogisticRegression(C=strength, solver="newton-cg", tol=1e-10, max_iter=1000).fit(scaled, labels)
    expected = model.predict_proba(scaled)
    names = [f"image{index}" for index in range(120)]
    direct = fit_readout(features, labels).probabilities(features, names)
    streamed = readout_probabilities(Gram.from_features(features, standardize=True), labels, names)
    np.testing.assert_allclose(direct.to_numpy(), expected, atol=1e-6)
    np.testing.assert_allclose(streamed.to_numpy(), expected, atol=1e-6)
    assert direct.columns.tolist() == streamed.columns.tolist() == model.classes_.tolist()


def test_similarity_is_the_rank_correlation_of_scipy():
    features, responses = layer(40, 60, 20)
    pairs = np.triu_indices(40, k=1)
    expected = spearmanr(1 - np.corrcoef(features)[pairs], 1 - np.corrcoef(responses)[pairs]).statistic
    assert representational_similarity(features, responses) == pytest.approx(expected, abs=1e-12)
