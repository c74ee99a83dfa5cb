"""Tasks: odd one out by brute force, error consistency of the reference, the readout on images it did not learn."""

import importlib.util
import itertools
import json
import sys
import types
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from vvscale.brain import BehavioralBenchmark, Gram, StimulusSet, Trials, readout_probabilities
from vvscale.brain.behavior.decisions import Decisions, chosen_categories
from vvscale.brain.behavior.triplets import Triplets
from vvscale.brain.benchmarks.tasks import DecisionBenchmark, TripletBenchmark
from vvscale.errors import DataError, MissingDataError, ShapeError, UsageError

ROOT = Path(__file__).parents[2]
FROZEN = json.loads((Path(__file__).parent / "data" / "decisions.json").read_text())


def load_cases(monkeypatch):
    """Load the seeded decisions without the reference's package, which only its own environment has."""
    for name in ("", ".supported_data_standards", ".supported_data_standards.brainio"):
        monkeypatch.setitem(sys.modules, f"brainscore_core{name}", types.ModuleType(f"brainscore_core{name}"))
    places = {
        "brainscore_core.supported_data_standards.brainio.assemblies": "BehavioralAssembly",
        "brainscore_vision.metrics.accuracy.metric": "Accuracy",
        "brainscore_vision.metrics.error_consistency.metric": "ErrorConsistency",
    }
    for place, name in places.items():
        module = types.ModuleType(place)
        setattr(module, name, None)
        monkeypatch.setitem(sys.modules, place, module)
    path = ROOT / "benchmarks" / "reference" / "freeze_decisions.py"
    spec = importlib.util.spec_from_file_location("freeze_decisions", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def stimuli(names):
    return StimulusSet("s", pd.DataFrame(index=list(names)), 8.0, np.zeros((len(names), 2, 2, 3), np.uint8))


@pytest.fixture
def decided(monkeypatch):
    cases = load_cases(monkeypatch)
    truth, condition, model, observers = cases.decisions()
    names = [f"im{number:03d}" for number in range(cases.N)]
    rows = [
        {"stimulus_id": name, "subject": f"s{s}", "choice": cases.CATEGORIES[observers[s, i]],
         "truth": cases.CATEGORIES[truth[i]], "condition": condition[i]}
        for s, (i, name) in itertools.product(range(cases.S), enumerate(names))
    ]  # fmt: skip
    # Eight outputs, two for each category; the first of a pair wins where the model chose it.
    logits = np.random.default_rng(0).normal(0, 0.1, (cases.N, 8))
    logits[np.arange(cases.N), 2 * model] += 5
    outputs = {name: (2 * number, 2 * number + 1) for number, name in enumerate(cases.CATEGORIES)}
    return Decisions.from_table(pd.DataFrame(rows).sample(frac=1, random_state=0)), stimuli(names), logits, outputs


def test_error_consistency_and_accuracy_are_those_of_the_reference(decided):
    decisions, shown, logits, outputs = decided
    made = DecisionBenchmark("Made-ec", 1, shown, decisions, outputs)
    result = made.score(logits, resamples=50)
    assert result.score.raw_score == pytest.approx(FROZEN["consistency"], abs=1e-12)
    assert made.noise_ceiling == pytest.approx(FROZEN["ceiling"], abs=1e-12)
    assert result.score.score == pytest.approx(FROZEN["consistency"] / FROZEN["ceiling"], abs=1e-12)
    assert result.score.low < result.score.score < result.score.high
    right = DecisionBenchmark("Made-top1", 1, shown, decisions, outputs, metric="accuracy").score(logits).score
    assert right.raw_score == pytest.approx(FROZEN["accuracy"], abs=1e-12)
    assert right.ceiling == pytest.approx(np.mean(decisions.choices == decisions.truth))
    with pytest.raises(UsageError, match="needs the features themselves"):
        made.score(Gram.from_features(logits))


def test_an_observer_who_did_not_see_an_image_is_compared_on_the_others(decided):
    decisions, _, _, _ = decided
    table = pd.DataFrame({"stimulus_id": ["a", "b", "a"], "subject": ["x", "x", "y"], "choice": ["p", "q", "q"],
                          "truth": ["p", "p", "p"]})  # fmt: skip
    assert Decisions.from_table(table).choices.tolist() == [[0, 1], [1, -1]]
    assert Decisions.from_table(table).accuracy == pytest.approx(0.25)
    assert len(decisions.digest()) == 64


def test_what_a_classifier_cannot_choose_is_named():
    with pytest.raises(MissingDataError, match="category 'dog'"):
        chosen_categories(np.zeros((1, 3)), ["cat", "dog"], {"cat": [0]})
    with pytest.raises(ShapeError, match="has 3 outputs, and the categories name output 3"):
        chosen_categories(np.zeros((1, 3)), ["cat"], {"cat": [3]})


@pytest.mark.parametrize("similarity", ["cosine", "dot"])
def test_the_odd_one_out_is_that_of_brute_force(similarity):
    rng = np.random.default_rng(0)
    names = np.array([f"im{number:02d}" for number in range(15)])
    features = rng.standard_normal((15, 40)) + 1
    unit = features / np.linalg.norm(features, axis=1, keepdims=True) if similarity == "cosine" else features
    kept, rows = [], []
    for _ in range(300):
        three = rng.permutation(15)[:3]
        odd = three[rng.integers(3)]
        rows.append([*names[three], names[odd]])
        pairs = {frozenset(pair): unit[pair[0]] @ unit[pair[1]] for pair in itertools.combinations(three, 2)}
        kept.append(odd not in max(pairs, key=pairs.get))
    table = pd.DataFrame(rows, columns=["image1", "image2", "image3", "odd"])
    made = TripletBenchmark("Made-ooo", 1, stimuli(names), Triplets.from_table(table), similarity, ceiling=0.7)
    score = made.score(features).score
    assert score.raw_score == pytest.approx(np.mean(kept), abs=1e-12)
    assert score.score == pytest.approx((np.mean(kept) - 1 / 3) / (0.7 - 1 / 3))


def test_triplets_shown_several_times_have_a_ceiling():
    columns = ["image1", "image2", "image3", "odd"]
    rows = [["a", "b", "c", "c"], ["c", "a", "b", "c"], ["b", "a", "c", "a"], ["a", "b", "d", "d"]]
    assert Triplets.from_table(pd.DataFrame(rows, columns=columns)).ceiling == pytest.approx(2 / 3)
    once = TripletBenchmark("Made", 1, stimuli("abd"), Triplets.from_table(pd.DataFrame(rows[3:], columns=columns)))
    with pytest.raises(DataError, match="Give `ceiling`"):
        once.refuse_unscorable()
    for bad in (["a", "b", "c", "d"], ["a", "a", "c", "c"]):
        with pytest.raises(DataError, match=r"Row 0 .* expected three different images"):
            Triplets.from_table(pd.DataFrame([bad], columns=columns))


def test_a_readout_is_judged_on_images_that_it_did_not_learn():
    rng = np.random.default_rng(0)
    n_fitted, n_shown = 60, 30
    labels = np.array([f"object{number % 3}" for number in range(n_fitted + n_shown)])
    names = np.array([f"im{number:03d}" for number in range(n_fitted + n_shown)])
    features = rng.standard_normal((len(names), 120)) + 2 * (labels == "object1")[:, None] * rng.random(120)
    scaler = StandardScaler().fit(features[:n_fitted])
    model = LogisticRegression(C=1e-3, solver="newton-cg", tol=1e-10, max_iter=1000)
    model.fit(scaler.transform(features[:n_fitted]), labels[:n_fitted])
    expected = model.predict_proba(scaler.transform(features[n_fitted:]))
    is_fitted = np.arange(len(names)) < n_fitted
    gram = Gram.from_features(features, standardize=True, scaled_by=is_fitted)
    ours = readout_probabilities(gram, labels, names, n_fitted=n_fitted)
    np.testing.assert_allclose(ours.to_numpy(), expected, atol=1e-6)
    assert ours.index.tolist() == names[n_fitted:].tolist()
    # The benchmark does the same, whatever the order of the stimuli.
    image = np.repeat(np.arange(n_fitted, len(names)), 40)
    others = np.array([f"object{(int(labels[one][-1]) + 1 + k % 2) % 3}" for k, one in enumerate(image)])
    right = rng.random(len(image)) < rng.uniform(0.5, 1, (len(names), 2))[image, np.arange(len(image)) % 2]
    table = pd.DataFrame({"stimulus_id": names[image], "sample_obj": labels[image], "dist_obj": others,
                          "choice": np.where(right, labels[image], others)})  # fmt: skip
    order = rng.permutation(len(names))
    shown = StimulusSet("s", pd.DataFrame({"label": labels[order]}, index=names[order]), 8.0,
                        np.zeros((len(names), 2, 2, 3), np.uint8))  # fmt: skip
    made = BehavioralBenchmark("Made-i2n", 1, shown, Trials.from_table(table), "label", fitted_on="others")
    direct = made.score_probabilities(pd.DataFrame(expected, names[n_fitted:], model.classes_), resamples=2)
    scored = made.score(features[order], resamples=2)
    assert scored.score.raw_score == pytest.approx(direct.score.raw_score, abs=1e-5)
    assert set(made.needs.scaled_by) == set(names[:n_fitted])
