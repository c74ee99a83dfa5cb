"""Ridge regression against scikit-learn, similarities against rsatoolbox and closed forms."""

import json
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.distance import squareform
from scipy.stats import pearsonr
from sklearn.linear_model import RidgeCV as TheirRidgeCV

from vvscale.brain import (
    CKA,
    PLS,
    RSA,
    BiasedCKA,
    Gram,
    Predicted,
    RidgeCV,
    Target,
    centred_kernel_alignment,
    rdm_noise_ceiling,
    representational_similarity,
)
from vvscale.brain.metrics.gram import GramAccumulator
from vvscale.brain.metrics.rsa import gram_dissimilarity, upper

RSATOOLBOX = json.loads((Path(__file__).parent / "data" / "rsa.json").read_text())
ALPHAS = tuple(np.logspace(-2, 5, 15).tolist())


def recordings(n, p, q, seed=0):
    rng = np.random.default_rng(seed + n + 7 * p + 31 * q)
    latents = rng.standard_normal((n, min(n, p, 12)))
    features = latents @ rng.standard_normal((latents.shape[1], p)) + 0.5 * rng.standard_normal((n, p)) + 3
    return features, latents @ rng.standard_normal((latents.shape[1], q)) + rng.standard_normal((n, q))


# n images, p features, q neuroids: wide, square and narrow, one of each, one neuroid.
SHAPES = [
    (20, 5, 3), (20, 19, 3), (20, 20, 3), (20, 21, 3), (20, 200, 3), (60, 10, 1), (60, 30, 1), (60, 400, 1),
    (60, 29, 7),
    (60, 31, 7), (60, 59, 7), (60, 61, 7), (90, 1, 4), (90, 2, 4), (90, 44, 20), (90, 45, 20), (90, 46, 20),
    (90, 89, 20), (90, 500, 50), (150, 75, 5),
]  # fmt: skip


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("per_target", [False, True])
def test_ridge_chooses_and_predicts_as_scikit_learn(shape, per_target):
    features, responses = recordings(*shape)
    features[:, 0] = 1.5 if shape[1] > 2 else features[:, 0]  # a constant column
    is_train = np.random.default_rng(1).random((2, shape[0])) < 0.8
    target = Target(responses, is_train, np.arange(shape[0]))
    found = RidgeCV(ALPHAS, per_target).measure(Gram.from_features(features), target)
    for train, predicted in zip(is_train, found.predictions, strict=True):
        model = TheirRidgeCV(ALPHAS, alpha_per_target=per_target).fit(features[train], responses[train])
        expected = model.predict(features[~train]).reshape(predicted.shape)
        np.testing.assert_allclose(predicted, expected, atol=1e-8 * np.abs(responses).max())


def test_a_penalty_at_the_end_of_the_grid_is_said():
    features, responses = recordings(60, 30, 5)
    target = Target(responses, np.random.default_rng(1).random((3, 60)) < 0.8, np.arange(60))
    gram = Gram.from_features(features)
    assert RidgeCV((1e-3, 1e1, 1e5)).measure(gram, target).note == ""
    note = RidgeCV((1e4, 1e5)).measure(gram, target).note
    assert note == "3 of 3 penalties are the smallest of the grid, 10000"
    note = RidgeCV((1e-8, 1e-7), per_target=True).measure(gram, target).note
    assert note == "15 of 15 penalties are the largest of the grid, 1e-07"


def tables():
    rng = np.random.default_rng(11)
    shared = rng.standard_normal((20, 6))
    sizes = (30, 12, 15, 9, 21)
    return [np.round((shared @ rng.standard_normal((6, n)) + rng.standard_normal((20, n))) * 64) / 64 for n in sizes]


@pytest.mark.parametrize("comparison", ["spearman", "pearson", "kendall", "cosine"])
def test_dissimilarities_and_their_similarity_are_those_of_rsatoolbox(comparison):
    model, *subjects = tables()
    np.testing.assert_allclose(upper(gram_dissimilarity(Gram.from_features(model))), RSATOOLBOX["rdm"], atol=1e-12)
    expected = RSATOOLBOX[comparison]
    ours = [representational_similarity(model, one, comparison=comparison) for one in subjects]
    np.testing.assert_allclose(ours, expected["similarity"], atol=1e-10)
    rdms = np.stack([1 - np.corrcoef(one) for one in subjects])
    target = Target(np.zeros((20, 0)), np.zeros((1, 20), bool), np.arange(20), rdms=rdms)
    outcome = RSA(comparison).measure(Gram.from_features(model), target)
    np.testing.assert_allclose(outcome.by_subject, expected["similarity"], atol=1e-10)
    np.testing.assert_allclose(rdm_noise_ceiling(rdms, comparison=comparison), expected["noise_ceiling"], atol=1e-10)


@pytest.mark.parametrize("p", [3, 200])
@pytest.mark.parametrize("part", [slice(None), slice(0, 40, 3)])
def test_dissimilarities_come_out_of_centred_products(p, part):
    features = np.random.default_rng(0).standard_normal((40, p)) * np.arange(1, p + 1) + 5
    rows = np.arange(40)[part]
    ours = gram_dissimilarity(Gram.from_features(features).take(rows))
    np.testing.assert_allclose(ours, 1 - np.corrcoef(features[rows]), atol=1e-10)
    total = GramAccumulator(40)
    for first in range(0, p, 7):
        total.add(features[:, first : first + 7])
    np.testing.assert_allclose(gram_dissimilarity(total.gram().take(rows)), ours, atol=1e-10)
    np.testing.assert_allclose(total.gram().plain(), features @ features.T, rtol=1e-10)


def biased(X, Y):
    H = np.eye(len(X)) - 1 / len(X)
    K, L = H @ X @ X.T @ H, H @ Y @ Y.T @ H
    return (K * L).sum() / np.sqrt((K * K).sum() * (L * L).sum())


def unbiased(X, Y):
    """Song et al. 2007, eq. 5, written with its traces."""
    n, one = len(X), np.ones(len(X))

    def hsic(K, L):
        ends = (one @ K @ one) * (one @ L @ one) / ((n - 1) * (n - 2))
        return (np.trace(K @ L) + ends - 2 / (n - 2) * one @ K @ L @ one) / (n * (n - 3))

    K, L = (table @ table.T * (1 - np.eye(n)) for table in (X, Y))
    return hsic(K, L) / np.sqrt(hsic(K, K) * hsic(L, L))


@pytest.mark.parametrize(("n", "p", "q"), [(4, 3, 2), (20, 3, 50), (60, 300, 7)])
def test_alignment_is_the_closed_form(n, p, q):
    rng = np.random.default_rng(n)
    shared = rng.standard_normal((n, 2))
    X, Y = (shared @ rng.standard_normal((2, k)) + rng.standard_normal((n, k)) for k in (p, q))
    assert centred_kernel_alignment(X + 7, Y, unbiased=False) == pytest.approx(biased(X, Y), abs=1e-10)
    assert centred_kernel_alignment(X + 7, Y) == pytest.approx(unbiased(X, Y), abs=1e-10)
    target = Target(Y, np.zeros((1, n), bool), np.arange(n))
    gram = Gram.from_features(X + 7)
    assert CKA().measure(gram, target).raw_score == pytest.approx(unbiased(X, Y), abs=1e-10)
    assert BiasedCKA().measure(gram, target).raw_score == pytest.approx(biased(X, Y), abs=1e-10)


@pytest.mark.parametrize("metric", [CKA(), BiasedCKA(), RSA(), RSA("pearson"), RSA("cosine"), RSA("kendall")])
def test_images_that_are_drawn_once_each_give_the_value_itself(metric):
    model, subject, *_ = tables()
    target = Target(subject, np.zeros((1, 20), bool), np.arange(20))
    outcome = metric.measure(Gram.from_features(model), target)
    [drawn] = outcome.draws(np.ones((3, 20)))
    np.testing.assert_allclose(drawn[:, 0], outcome.raw_score, atol=1e-12)


@pytest.mark.parametrize("comparison", ["pearson", "cosine"])
def test_a_draw_compares_pairs_of_different_images_as_often_as_they_are_drawn(comparison):
    model, subject, *_ = tables()
    rows = np.random.default_rng(0).integers(0, 20, 20)
    target = Target(subject, np.zeros((1, 20), bool), np.arange(20))
    [drawn] = RSA(comparison).measure(Gram.from_features(model), target).draws(np.bincount(rows, minlength=20)[None])
    a, b = (squareform(upper(1 - np.corrcoef(table)))[rows][:, rows] for table in (model, subject))
    kept = np.triu(rows[:, None] != rows[None], 1)
    expected = pearsonr(a[kept], b[kept])[0] if comparison == "pearson" else (
        a[kept] @ b[kept] / np.sqrt((a[kept] @ a[kept]) * (b[kept] @ b[kept])))  # fmt: skip
    assert drawn.item() == pytest.approx(expected, abs=1e-10)


def test_predictions_are_judged_over_the_test_images():
    features, responses = recordings(60, 30, 8)
    is_train = np.arange(60)[None] < 40
    target, gram = Target(responses, is_train, np.arange(60)), Gram.from_features(features)
    outcome = Predicted(PLS(5), "cka-biased").measure(gram, target)
    predicted = PLS(5).measure(gram, target).predictions[0]
    assert outcome.raw_score == pytest.approx(biased(predicted, responses[40:]), abs=1e-10)
