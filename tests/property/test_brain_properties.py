"""What must not change a score."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from vvscale.brain import internal_consistency, linear_predictivity, representational_similarity

seeds = st.integers(0, 2**32 - 1)
STRATA = ["a", "b"] * 20


def layer(rng, n=40, p=60, q=5):
    features = rng.standard_normal((n, p))
    return features, features[:, :8] @ rng.standard_normal((8, q)) + rng.standard_normal((n, q))


@settings(max_examples=25, deadline=None)
@given(seed=seeds, scale=st.floats(1e-3, 1e3), shift=st.floats(-100, 100))
def test_predictivity_does_not_depend_on_the_basis_unit_or_offset_of_the_features(seed, scale, shift):
    rng = np.random.default_rng(seed)
    features, responses = layer(rng)
    rotation, _ = np.linalg.qr(rng.standard_normal((60, 60)))
    changed = scale * (features @ rotation) + shift
    once, again = (
        linear_predictivity(table, responses, stratify=STRATA, n_components=4, n_splits=2)
        for table in (features, changed)
    )
    np.testing.assert_allclose(again.r, once.r, atol=1e-6)


@settings(max_examples=25, deadline=None)
@given(seed=seeds, scale=st.floats(1e-3, 1e3), shift=st.floats(-100, 100))
def test_predictivity_does_not_depend_on_the_unit_or_offset_of_the_responses(seed, scale, shift):
    features, responses = layer(np.random.default_rng(seed))
    once, again = (
        linear_predictivity(features, table, stratify=STRATA, n_components=4, n_splits=2)
        for table in (responses, scale * responses + shift)
    )
    np.testing.assert_allclose(again.r, once.r, atol=1e-6)


@settings(max_examples=25, deadline=None)
@given(seed=seeds)
def test_neuroids_after_the_first_may_come_in_any_order(seed):
    rng = np.random.default_rng(seed)
    features, responses = layer(rng)
    order = np.concatenate(([0], 1 + rng.permutation(4)))
    once, again = (
        linear_predictivity(features, table, stratify=STRATA, n_components=4, n_splits=2)
        for table in (responses, responses[:, order])
    )
    np.testing.assert_allclose(again.r, once.r[:, order], atol=1e-6)
    assert abs(again.raw_score - once.raw_score) < 1e-6


@settings(max_examples=25, deadline=None)
@given(seed=seeds)
def test_presentations_may_come_in_any_order(seed):
    rng = np.random.default_rng(seed)
    responses = rng.standard_normal((60, 3))
    image, repetition = np.tile(np.arange(10), 6), np.repeat(np.arange(6), 10)
    order = rng.permutation(60)
    once = internal_consistency(responses, stimulus_id=image, repetition=repetition)
    again = internal_consistency(responses[order], stimulus_id=image[order], repetition=repetition[order])
    # The correction 2r / (1 + r) is steep near r = -1.
    np.testing.assert_allclose(again.r, once.r, rtol=1e-6, atol=1e-9)


@settings(max_examples=25, deadline=None)
@given(seed=seeds)
def test_similarity_is_symmetric_and_ignores_the_order_of_images(seed):
    rng = np.random.default_rng(seed)
    a, b = rng.standard_normal((2, 12, 9))
    order = rng.permutation(12)
    expected = representational_similarity(a, b)
    assert abs(representational_similarity(b, a) - expected) < 1e-12
    assert abs(representational_similarity(a[order], b[order]) - expected) < 1e-12
