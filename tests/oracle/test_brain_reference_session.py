"""Metrics, ceilings and designs on real recordings: brainscore_vision 2.4.2 on session 210325, frozen.

`benchmarks/reference/freeze_session.py` writes the numbers, from features that are made here again.
"""

import importlib.util
import json
import os
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from vvscale.brain import Assembly, NeuralBenchmark, RidgeCV, StimulusSet, TrainTest

ROOT = Path(__file__).parents[2]
FROZEN = json.loads((Path(__file__).parent / "data" / "session.json").read_text())
RESPONSES = Path(os.environ.get("VVSCALE_MIRROR", "/nowhere")) / "cowley2023" / "responses_210325.npy"

pytestmark = pytest.mark.skipif(
    not RESPONSES.is_file(), reason="the real session is not at hand: VVSCALE_MIRROR names no folder that holds it"
)


@pytest.fixture(scope="module")
def session():
    path = ROOT / "benchmarks" / "reference" / "session.py"
    spec = importlib.util.spec_from_file_location("reference_session", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules["reference_session"] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def made(session):
    counts, images, strata = session.read(RESPONSES)
    table = pd.DataFrame({"object_name": strata}, index=images)
    stimuli = StimulusSet("s", table, 8.0, np.zeros((len(images), 2, 2, 3), np.uint8))
    assembly = Assembly.from_cube("210325", "V4", counts, images, [f"n{number:03d}" for number in range(50)])
    test_ids = tuple(np.array(images)[session.is_test(len(images))].tolist())

    def make(metric, *, is_split=False):
        design = TrainTest(test_ids=test_ids) if is_split else "splits"
        return NeuralBenchmark("Made.V4", 1, stimuli, assembly, "object_name", metric=metric, design=design)

    return make, session.features(counts)


METRICS = {"pls": "pls", "ridge": "ridge", "rdm": "rsa", "cka": "cka", "cka_biased": "cka-biased"}


@pytest.mark.parametrize("theirs", METRICS)
def test_each_metric_is_that_of_the_reference(made, theirs):
    make, features = made
    [outcome] = make(METRICS[theirs]).measure(features)
    assert outcome.raw_score == pytest.approx(FROZEN[theirs], abs=1e-8)


@pytest.mark.parametrize("theirs", ["pls_split", "ridge_split", "ridgecv_split", "dual_ridgecv_split"])
def test_each_metric_with_fixed_images_is_that_of_the_reference(made, session, theirs):
    make, features = made
    metric = RidgeCV(session.GRID) if "ridgecv" in theirs else theirs.removesuffix("_split")
    [outcome] = make(metric, is_split=True).measure(features)
    assert outcome.raw_score == pytest.approx(FROZEN[theirs], abs=1e-8)
    assert outcome.is_test.sum() == session.N_TEST


def test_the_ceiling_is_of_the_images_that_are_tested(made):
    make, _ = made
    assert make("pls").noise_ceiling == pytest.approx(FROZEN["ceiling"], abs=1e-12)
    assert make("pls", is_split=True).noise_ceiling == pytest.approx(FROZEN["ceiling_test"], abs=1e-12)
