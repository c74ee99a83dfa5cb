"""Numbers of the reference implementation, frozen: brainscore_vision 2.4.2, brainscore_core 2.5.0,
scikit-learn 1.5.2.

`make bench-reference` computes them anew and `benchmarks/reference/freeze.py` writes them.
"""

import importlib.util
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from vvscale.brain import behavioral_consistency, internal_consistency, linear_predictivity

spec = importlib.util.spec_from_file_location("brain_cases", Path(__file__).parent / "brain_cases.py")
brain_cases = importlib.util.module_from_spec(spec)
spec.loader.exec_module(brain_cases)
reference, load_frozen = brain_cases.load_cases(), brain_cases.load_frozen

SMALL_PLS = [
    "constant_features",
    "constant_responses",
    "duplicate_features",
    "itself",
    "narrow",
    "one_neuroid",
    "v1_135x1000",
    "v1_315x1000",
]


def predictivity(name, **options):
    features, responses, strata = reference.CASES[name].make()
    return linear_predictivity(features, responses, stratify=strata, **options)


@pytest.mark.parametrize("name", [*SMALL_PLS, "it_2560x1000", pytest.param("it_2560x25088", marks=pytest.mark.slow)])
def test_predictivity_has_the_digits_of_the_reference(name):
    frozen, ours = load_frozen(name), predictivity(name)
    np.testing.assert_allclose(ours.r, frozen["r"], rtol=0, atol=1e-6)
    assert ours.raw_score == pytest.approx(frozen["raw_score"], abs=1e-8)
    assert ours.error == pytest.approx(frozen["error"], abs=1e-8)


@pytest.mark.parametrize("name", SMALL_PLS)
def test_the_torch_path_has_the_digits_of_the_cpu(name):
    pytest.importorskip("torch")
    np.testing.assert_allclose(predictivity(name, device="cpu").r, predictivity(name).r, rtol=0, atol=1e-6)


def test_constant_responses_have_no_correlation():
    ours = predictivity("constant_responses")
    assert np.isnan(ours.r[:, [0, 7, 39]]).all()
    assert np.isnan(ours.r).sum() == 30
    assert np.isfinite(ours.raw_score)


# The reference averages and correlates float32 responses in float32.
@pytest.mark.parametrize(
    ("name", "bound"),
    [("ceiling_small", 1e-9), ("ceiling_v1", 1e-9), ("ceiling_it", 1e-9), ("ceiling_it_float32", 1e-6)],
)
def test_ceiling_has_the_digits_of_the_reference(name, bound):
    frozen = load_frozen(name)
    responses, image, repetition = reference.CASES[name].make()
    ours = internal_consistency(responses, stimulus_id=image, repetition=repetition)
    np.testing.assert_allclose(ours.r, frozen["r"], rtol=0, atol=bound)
    assert ours.ceiling == pytest.approx(frozen["ceiling"], abs=bound / 10)
    assert ours.error == pytest.approx(frozen["error"], abs=bound)


def behavior(name, metric):
    values, names, objects, trials = reference.CASES[name].make()
    probabilities = pd.DataFrame(values, index=names, columns=objects)
    return behavioral_consistency(probabilities, pd.DataFrame(trials), metric=metric)


@pytest.mark.parametrize("metric", reference.METRICS)
def test_behavior_has_the_digits_of_the_reference(metric):
    frozen, ours = load_frozen("behavior_small"), behavior("behavior_small", metric)
    np.testing.assert_allclose(ours.r, frozen[f"{metric}.r"], rtol=0, atol=1e-9)
    np.testing.assert_allclose(ours.ceiling_r, frozen[f"{metric}.ceiling_r"], rtol=0, atol=1e-9)
    summary = [ours.raw_score, ours.error, ours.ceiling]
    np.testing.assert_allclose(summary, frozen[f"{metric}.summary"], rtol=0, atol=1e-9)


def test_behavior_at_public_size():
    frozen, ours = load_frozen("behavior_public"), behavior("behavior_public", "i2n")
    np.testing.assert_allclose(ours.r, frozen["i2n.r"], rtol=0, atol=1e-9)
    np.testing.assert_allclose(ours.ceiling_r, frozen["i2n.ceiling_r"], rtol=0, atol=1e-9)
