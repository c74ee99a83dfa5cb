"""Recordings and features that could give a wrong number without a word: each is scored right, or refused by name."""

import tracemalloc

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import RidgeCV as TheirRidgeCV

from vvscale.brain import (
    CKA,
    PLS,
    RSA,
    Assembly,
    DecisionBenchmark,
    Decisions,
    Gram,
    NeuralBenchmark,
    RidgeCV,
    StimulusSet,
    Target,
    TripletBenchmark,
    Triplets,
    stratified_splits,
)
from vvscale.brain.ceilings.ceiling import Ceiling
from vvscale.brain.metrics.gram import GramAccumulator
from vvscale.brain.metrics.outcome import Predictivity, weighted_pearson
from vvscale.brain.metrics.rsa import gram_dissimilarity
from vvscale.errors import DataError, MissingDataError

IDS = [f"image{number:02d}" for number in range(20)]
RNG = np.random.default_rng(0)
FEATURES = RNG.standard_normal((20, 40))


def stimuli(**labels):
    table = pd.DataFrame(labels, index=pd.Index(IDS, name="stimulus_id"))
    return StimulusSet("odd", table, 8.0, np.zeros((20, 4, 4, 3), np.uint8))


def recorded(cube):
    return Assembly.from_cube("odd", "IT", cube, IDS, [f"neuroid{number}" for number in range(cube.shape[2])])


@pytest.mark.parametrize("made", [lambda table: table[None], lambda table: table])
def test_one_label_for_two_images_is_refused(made):
    cube = made(RNG.random((3, 2)))
    make = Assembly.from_cube if cube.ndim == 3 else Assembly.from_means
    with pytest.raises(DataError, match="has the stimulus_id 'b' more than once"):
        make("odd", "IT", cube, ["a", "b", "b"], ["one", "two"])


def test_an_image_that_neither_trains_nor_tests_is_refused():
    labels = ["train"] * 10 + ["test"] * 9 + [None]
    given = NeuralBenchmark("odd", 1, stimuli(split=labels), recorded(RNG.random((4, 20, 3))), design="train-test")
    with pytest.raises(MissingDataError, match="The image 'image19' has no label 'split'"):
        given.refuse_unscorable()


@pytest.mark.parametrize(("n", "precision"), [(100, "float64"), (640, "float32")])
@pytest.mark.parametrize("value", [0.0, 2.5])
def test_an_image_without_a_pattern_has_no_dissimilarity(n, precision, value):
    features = np.maximum(np.random.default_rng(1).standard_normal((n, 5000)), 0).astype(np.float32) + np.float32(0.5)
    gram = Gram.from_features(features, precision=precision)
    np.testing.assert_allclose(gram_dissimilarity(gram), 1 - np.corrcoef(features.astype(float)), atol=1e-6)
    features[3] = value
    with pytest.raises(DataError, match=r"Image 3 .* has the same value in all 5000 features"):
        gram_dissimilarity(Gram.from_features(features, precision=precision))


def test_an_image_without_features_is_like_nothing():
    features = FEATURES + 3
    features[4] = 0.0
    assert (Gram.from_features(features).plain()[4] == 0).all()
    triplets = Triplets(np.array(IDS), np.array([[0, 1, 2], [3, 4, 5]]))
    given = TripletBenchmark("odd", 1, stimuli(), triplets, ceiling=0.9)
    with pytest.raises(DataError, match=r"Image 4 \(counted from 0\) has no feature that is not 0"):
        given.score(features, resamples=5)


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e4])
def test_the_penalty_follows_the_unit_of_the_features(scale):
    rng = np.random.default_rng(2)
    latents = rng.standard_normal((200, 30)) * np.arange(1, 31) ** -0.6
    features = np.maximum(latents @ rng.standard_normal((30, 400)), 0)
    responses = latents[:, :10] @ rng.standard_normal((10, 4)) + 1.5 * rng.standard_normal((200, 4))
    target = Target(responses, stratified_splits(200, n_splits=2), np.arange(200))
    alphas = tuple((np.logspace(-2, 6, 40) * scale**2).tolist())
    chosen = RidgeCV(alphas).measure(Gram.from_features(scale * features), target)
    for train, predicted in zip(target.is_train, chosen.predictions, strict=True):
        model = TheirRidgeCV(alphas).fit(scale * features[train], responses[train])
        np.testing.assert_allclose(predicted, model.predict(scale * features[~train]), atol=1e-8)
    # Far below the smallest eigenvalue nothing may cancel: the errors of such penalties are all but equal, and larger.
    tiny = tuple((np.array([1e-12, 1e-10, 1e-8, 1e3]) * scale**2).tolist())
    assert (
        RidgeCV(tiny)
        .measure(Gram.from_features(scale * features), target)
        .note.startswith("2 of 2 penalties are the largest")
    )


def test_a_split_without_a_correlation_is_left_out_as_in_the_reference():
    r = np.array([[0.2, 0.4], [np.nan, np.nan], [0.6, np.nan]])
    found = Predictivity(r, np.zeros((3, 5), bool), (), np.zeros((5, 2)))
    assert found.raw_score == pytest.approx(0.45)
    assert found.error == pytest.approx(0.15 / np.sqrt(3))
    assert (Ceiling(r).ceiling, Ceiling(r).error) == (pytest.approx(0.45), pytest.approx(0.15 / np.sqrt(3)))


def test_responses_that_never_vary_over_test_images_have_no_score():
    cube = np.zeros((4, 20, 1))
    cube[:, [0, 5]] = 1.0
    labels = ["train"] * 10 + ["test"] * 10
    given = NeuralBenchmark(
        "odd", 1, stimuli(split=labels), recorded(cube), metric=PLS(2), design="train-test", ceiling=0.5
    )
    with pytest.raises(DataError, match="nothing can be correlated"):
        given.score(FEATURES, resamples=5)


def test_a_draw_of_one_image_has_no_correlation():
    table = np.random.default_rng(3).standard_normal((7, 3))
    weights = np.eye(7) * 7
    assert np.isnan(weighted_pearson(table, table[::-1], weights)).all()


def test_more_blocks_after_a_look_at_the_products():
    features = FEATURES + 2
    total = GramAccumulator(20)
    total.add(features[:, :25])
    total.gram()
    total.add(features[:, 25:])
    whole = Gram.from_features(features)
    np.testing.assert_allclose(total.gram().matrix, whole.matrix, atol=1e-12)
    np.testing.assert_allclose(total.gram().plain(), features @ features.T, rtol=1e-12)


def test_judged_images_in_another_order_are_compared_with_their_own_features():
    order = np.random.default_rng(5).permutation(20)
    none = np.zeros((1, 20), dtype=bool)
    plain, shuffled = (Target(FEATURES[:, :6], none, rows) for rows in (np.arange(20), order))
    for metric in (RSA(), CKA()):
        values = [metric.measure(Gram.from_features(FEATURES), one).raw_score for one in (plain, shuffled)]
        assert values[1] == pytest.approx(values[0], abs=1e-12)


def test_observers_without_images_in_common_leave_the_others_a_ceiling():
    rows = [(one, who, choice, "cat") for who, ids, choice in (
        ("a", IDS[:12], "cat"), ("b", IDS[6:], "dog"), ("c", IDS[14:], "cat")) for one in ids]  # fmt: skip
    rows[0] = (IDS[0], "a", "dog", "cat")
    rows[7] = (IDS[7], "a", "dog", "cat")
    found = Decisions.from_table(pd.DataFrame(rows, columns=["stimulus_id", "subject", "choice", "truth"]))
    assert np.isfinite(found.consistency)


def test_the_ceiling_of_many_triplets_takes_little_memory():
    rng = np.random.default_rng(0)
    three = rng.integers(0, 1500, (40_000, 3))
    three = three[(np.diff(np.sort(three, 1), axis=1) > 0).all(1)]
    given = Triplets(np.array([f"image{number}" for number in range(1500)]), np.concatenate((three, three[:500])))
    tracemalloc.start()
    ceiling = given.ceiling
    assert tracemalloc.get_traced_memory()[1] < 50e6
    tracemalloc.stop()
    assert ceiling == 1.0


@pytest.mark.parametrize("metric", ["error-consistency", "accuracy"])
def test_a_task_without_resamples_has_no_interval(metric):
    triplets = Triplets(np.array(IDS), np.array([[0, 1, 2], [3, 4, 5]]))
    found = TripletBenchmark("odd", 1, stimuli(), triplets, ceiling=0.9).score(FEATURES, resamples=0).score
    assert np.isnan([found.low, found.high, found.raw_error]).all()
    rows = [(one, who, "cat" if number % 3 else "dog", "cat") for who in "ab" for number, one in enumerate(IDS)]
    choices = Decisions.from_table(pd.DataFrame(rows, columns=["stimulus_id", "subject", "choice", "truth"]))
    given = DecisionBenchmark("odd", 1, stimuli(), choices, {"cat": [0], "dog": [1]}, metric=metric)
    found = given.score(FEATURES, resamples=0).score
    assert np.isfinite(found.score)
    assert np.isnan([found.low, found.high]).all()


def test_a_classifier_that_can_be_compared_with_nobody_has_no_score():
    rows = [(one, who, "cat", "cat") for who in "ab" for one in IDS]
    choices = Decisions.from_table(pd.DataFrame(rows, columns=["stimulus_id", "subject", "choice", "truth"]))
    given = DecisionBenchmark("odd", 1, stimuli(), choices, {"cat": [0, 1]}, ceiling=0.5)
    with pytest.raises(DataError, match="compared with no observer of 'odd'"):
        given.score(FEATURES, resamples=5)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda rows: rows.drop(columns="choice"), "lack the column 'choice'"),
        (lambda rows: rows.assign(choice=["cat", None, "cat"]), "Row 1 of the decisions .* has an empty cell"),
        (lambda rows: rows.assign(stimulus_id="one", subject=list("abc")), "image 'one' .* two values of 'truth'"),
        (lambda rows: rows.assign(stimulus_id="one", truth="cat"), "observer 'a' has two choices for the image 'one'"),
    ],
)
def test_wrong_decisions_are_named(change, match):
    rows = pd.DataFrame(
        {"stimulus_id": IDS[:3], "subject": "a", "choice": ["cat", "dog", "cat"], "truth": ["cat", "cat", "dog"]}
    )
    with pytest.raises(DataError, match=match):
        Decisions.from_table(change(rows))
