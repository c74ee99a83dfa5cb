from dataclasses import replace

import numpy as np
import pytest
from torch import nn

from vvscale.brain import (
    KFold,
    Predictivity,
    behavioral_score,
    ceiled_score,
    i2n,
    internal_consistency,
    linear_predictivity,
    neural_score,
    representational_similarity,
    resolve_benchmarks,
    ridge_predictivity,
    score_model,
)
from vvscale.brain.ceilings.ceiling import Ceiling
from vvscale.brain.metrics.checks import pearson
from vvscale.brain.metrics.outcome import weighted_pearson
from vvscale.errors import ConfigError, DataError, MissingDataError, ShapeError, UnknownNameError, UsageError


def recordings(n_images=80, n_repetitions=20, q=30, noise=1.0, seed=0):
    rng = np.random.default_rng(seed)
    features = rng.standard_normal((n_images, 12))
    signal = features @ rng.standard_normal((12, q)) / np.sqrt(12)
    presentations = np.tile(signal, (n_repetitions, 1))
    presentations = presentations + noise * rng.standard_normal(presentations.shape)
    image, repetition = (
        np.tile(np.arange(n_images), n_repetitions),
        np.repeat(np.arange(n_repetitions), n_images),
    )
    ceiling = internal_consistency(presentations, stimulus_id=image, repetition=repetition)
    mean = presentations.reshape(n_repetitions, n_images, q).mean(0)
    return features, mean, ceiling


@pytest.mark.parametrize("noise", [0.5, 2.0, 6.0])
def test_the_ceiling_is_the_reliability_that_theory_gives(noise):
    _, _, ceiling = recordings(n_images=2000, noise=noise)
    signal = 1.0  # variance of a sum of 12 unit variances over 12, on average over neuroids
    expected = signal / (signal + noise**2 / 20)
    assert ceiling.ceiling == pytest.approx(expected, abs=0.03)


def test_features_that_made_the_responses_score_at_the_ceiling():
    features, mean, ceiling = recordings(n_images=400)
    result = linear_predictivity(features, mean, stratify=None, n_components=12)
    score = neural_score(result, ceiling, formula="r^2/c")
    assert score.low < 1 < score.high
    assert score.score == pytest.approx(1, abs=0.03)
    shuffled = np.random.default_rng(1).permutation(features)
    null = linear_predictivity(shuffled, mean, stratify=None, n_components=12)
    assert abs(null.raw_score) < 0.1


def test_formulas():
    assert ceiled_score(0.6, 0.8, "r^2/c") == pytest.approx(0.36 / 0.8)
    assert ceiled_score(0.6, 0.8, "(r/c)^2") == pytest.approx(0.5625)
    assert ceiled_score(0.6, 0.64, "r/sqrt(c)") == pytest.approx(0.75)
    assert ceiled_score(0.6, 0.8, "r^2/c") == pytest.approx(0.8 * ceiled_score(0.6, 0.8, "(r/c)^2"))
    with pytest.raises(UnknownNameError, match="formula 'r2/c'"):
        ceiled_score(0.6, 0.8, "r2/c")
    with pytest.raises(DataError, match="ceiling is 0"):
        ceiled_score(0.6, 0.0)


def test_a_score_names_its_formula_and_shows_its_numbers():
    features, mean, ceiling = recordings()
    result = linear_predictivity(features, mean, stratify=None, n_components=5)
    for formula in ("r^2/c", "(r/c)^2"):
        score = neural_score(result, ceiling, formula=formula, resamples=50)
        assert score.score == pytest.approx(ceiled_score(result.raw_score, ceiling.ceiling, formula))
        assert score.to_dict()["formula"] == formula
        assert score.misalignment == 1 - score.score
        assert str(score).startswith(f"{formula} = ")
        assert f"{score.raw_score:.4f}" in str(score)
        assert f"{score.ceiling:.4f}" in str(score)
        assert score.low < score.score < score.high
        assert score.raw_low < score.raw_score < score.raw_high


def test_a_seed_fixes_the_interval_and_a_higher_level_widens_it():
    features, mean, ceiling = recordings()
    result = linear_predictivity(features, mean, stratify=None, n_components=5)
    once, again = (neural_score(result, ceiling, resamples=200) for _ in range(2))
    assert once == again
    assert neural_score(result, ceiling, resamples=200, seed=1) != once
    wide = neural_score(result, ceiling, resamples=200, level=0.99)
    assert wide.low < once.low < once.high < wide.high


@pytest.mark.parametrize("seed", range(40, 44))
def test_draws_without_a_correlation_leave_the_interval_finite(seed):
    features, mean, ceiling = recordings()
    result = linear_predictivity(features, mean, stratify=None, n_components=5)
    score = neural_score(result, ceiling, resamples=200, level=0.99, seed=seed)
    assert np.isfinite([score.low, score.high, score.raw_low, score.raw_high]).all()


def test_weighted_correlation_is_that_of_the_drawn_images():
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((2, 30, 4))
    draws = rng.integers(0, 30, (5, 30))
    weights = np.stack([np.bincount(draw, minlength=30) for draw in draws]).astype(float)
    expected = [[np.corrcoef(a[draw, column], b[draw, column])[0, 1] for column in range(4)] for draw in draws]
    np.testing.assert_allclose(weighted_pearson(a, b, weights), expected, atol=1e-12)


@pytest.mark.parametrize(("n_images", "n_test", "n_splits"), [(60, 60, 1), (135, 14, 10)])
def test_the_interval_covers_the_score_of_new_images_and_neuroids(n_images, n_test, n_splits):
    # Predictions of known correlation: the interval must hold it about as often as it says.
    true_r, q, hits = 0.6, 40, 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        responses = rng.standard_normal((n_images, q))
        predicted = true_r * responses + np.sqrt(1 - true_r**2) * rng.standard_normal((n_images, q))
        is_train = np.ones((n_splits, n_images), dtype=bool)
        for row in is_train:
            row[rng.permutation(n_images)[:n_test]] = False
        r = np.stack([pearson(responses[~train], predicted[~train]) for train in is_train])
        parts = tuple(predicted[~train] for train in is_train)
        result = Predictivity(r, is_train, parts, responses)
        score = neural_score(result, 1.0, resamples=300, level=0.9, seed=seed)
        hits += score.raw_low < true_r < score.raw_high
    assert hits >= 50


def test_constant_neuroids_have_no_weighted_correlation():
    # The mean of equal numbers can be off by rounding, and correlations with that would be noise.
    rng = np.random.default_rng(0)
    predicted, weights = rng.standard_normal((7, 200)), rng.integers(0, 4, (50, 7)).astype(float)
    measured = np.tile(rng.standard_normal(200), (7, 1))
    assert np.isnan(weighted_pearson(predicted, measured, weights)).all()
    assert np.isnan(weighted_pearson(measured, predicted, weights)).all()


def test_a_ceiling_of_other_neuroids_is_refused():
    features, mean, _ = recordings()
    result = linear_predictivity(features, mean, stratify=None, n_components=5)
    with pytest.raises(ShapeError, match="2 neuroids and the score of 30"):
        neural_score(result, Ceiling(np.ones((10, 2))))
    with pytest.raises(UsageError, match=r"level=1\.5"):
        neural_score(result, 0.9, level=1.5)


def test_behavioral_score_relates_each_halving_to_its_own_ceiling():
    from importlib.util import module_from_spec, spec_from_file_location
    from pathlib import Path

    spec = spec_from_file_location("behavior_inputs", Path(__file__).parent / "test_brain_behavior.py")
    inputs = module_from_spec(spec)
    spec.loader.exec_module(inputs)
    result = i2n(*inputs.trials_table(n_images=60))
    score = behavioral_score(result, resamples=200)
    assert score.score == pytest.approx(np.mean(result.r / np.sqrt(result.ceiling_r)))
    assert score.formula == "r/sqrt(c)"
    assert score.raw_low < result.raw_score < score.raw_high


def test_ceiling_errors_name_what_is_wrong():
    responses = np.random.default_rng(0).standard_normal((12, 2))
    image, repetition = np.tile(np.arange(4), 3), np.repeat(np.arange(3), 4)
    with pytest.raises(ShapeError, match="'repetition' has 11 labels"):
        internal_consistency(responses, stimulus_id=image, repetition=repetition[:-1])
    with pytest.raises(ShapeError, match="at least two repetitions"):
        internal_consistency(responses, stimulus_id=image, repetition=np.zeros(12))
    with pytest.raises(MissingDataError, match="Image '3' was never shown in one half"):
        internal_consistency(responses[:-4], stimulus_id=[*image[:-5], 0], repetition=repetition[:-4])
    responses[3, 1] = np.inf
    with pytest.raises(DataError, match="row 3, column 1"):
        internal_consistency(responses, stimulus_id=image, repetition=repetition)


def test_ceiling_knows_constant_neuroids():
    features, _, _ = recordings()
    responses = np.tile(features[:, :3], (4, 1))
    responses[:, 1] = 0.1
    ceiling = internal_consistency(
        responses, stimulus_id=np.tile(np.arange(80), 4), repetition=np.repeat(np.arange(4), 80)
    )
    assert np.isnan(ceiling.r[:, 1]).all()
    assert ceiling.ceiling == pytest.approx(1)
    assert ceiling.to_dict()["r"][0][1] is None
    assert len(ceiling.table()) == 3


def test_ridge_and_similarity_refuse_what_they_cannot_use():
    features, mean, _ = recordings()
    with pytest.raises(ConfigError, match="alpha=-1"):
        ridge_predictivity(features, mean, stratify=None, alpha=-1.0)
    with pytest.raises(ShapeError, match="79 rows"):
        ridge_predictivity(features, mean[1:], stratify=None)
    flat = features.copy()
    flat[5] = 2.0
    with pytest.raises(DataError, match="Image 5"):
        representational_similarity(flat, mean)


def test_in_python_too_a_named_benchmark_takes_the_metrics_and_the_design_asked_for():
    network = nn.Sequential(nn.Conv2d(3, 4, 5, stride=4), nn.ReLU())
    settings = {"layers": "all", "image_size": 32, "resamples": 5, "cache": "none"}
    found = score_model(network, "simulated.V1-pls", metric=("cka", "ridge"), design="k-fold", **settings).table()
    assert set(found["benchmark_id"]) == {"simulated.V1-cka-k-fold", "simulated.V1-ridge-k-fold"}
    [made] = resolve_benchmarks("simulated.V1-pls")
    by_hand = replace(made, metric="ridge", design=KFold())
    expected = score_model(network, by_hand, **settings).table().set_index("layer")["raw_score"]
    of_ridge = found[found["benchmark_id"] == "simulated.V1-ridge-k-fold"].set_index("layer")["raw_score"]
    assert of_ridge.to_dict() == expected.to_dict()
    assert made.benchmark_id in set(score_model(network, made, design="splits", **settings).table()["benchmark_id"])
