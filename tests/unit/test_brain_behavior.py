import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize
from scipy.special import logsumexp, softmax

from vvscale.brain import Trials, behavioral_consistency, fit_readout, i2n, readout_probabilities
from vvscale.brain.behavior.i2n import sensitivities
from vvscale.brain.metrics.gram import Gram
from vvscale.errors import DataError, MissingDataError, ShapeError, UnknownNameError


def trials_table(n_images=12, n_objects=3, n_trials=3000, seed=0):
    rng = np.random.default_rng(seed)
    image = np.arange(n_trials) % n_images
    truth = image % n_objects
    distractor = (truth + rng.integers(1, n_objects, n_trials)) % n_objects
    ease = rng.normal(1, 0.7, (n_images, n_objects))
    is_right = rng.random(n_trials) < 1 / (1 + np.exp(-ease[image, distractor]))
    names = np.array(["cat", "dog", "elk", "fox"])[:n_objects]
    table = pd.DataFrame(
        {
            "stimulus_id": [f"image{index:02d}" for index in image],
            "sample_obj": names[truth],
            "dist_obj": names[distractor],
            "choice": names[np.where(is_right, truth, distractor)],
        }
    )
    weights = np.exp(np.where(np.arange(n_objects) == np.arange(n_images)[:, None] % n_objects, ease.max(), -ease))
    probabilities = pd.DataFrame(
        weights / weights.sum(1, keepdims=True),
        index=[f"image{index:02d}" for index in range(n_images)],
        columns=names,
    )
    return probabilities, table


def test_a_model_that_shares_the_observers_errors_scores_near_their_ceiling():
    result = i2n(*trials_table(n_trials=60000))
    assert result.ceiling > 0.9
    assert result.raw_score > 0.8
    assert result.r.shape == result.ceiling_r.shape == (2,)
    assert result.to_dict()["raw_score"] == result.raw_score


def test_order_of_images_and_objects_does_not_matter():
    probabilities, table = trials_table()
    turned = probabilities.iloc[::-1, [2, 0, 1]]
    np.testing.assert_allclose(i2n(turned, table).r, i2n(probabilities, table).r, atol=1e-14)


def test_coded_trials_give_the_same():
    probabilities, table = trials_table()
    np.testing.assert_array_equal(i2n(probabilities, Trials.from_table(table)).r, i2n(probabilities, table).r)


def test_rates_are_shares_of_the_trials_that_offered_the_object():
    table = pd.DataFrame(
        {
            "stimulus_id": ["b", "b", "b", "a"],
            "sample_obj": ["dog", "dog", "dog", "cat"],
            "dist_obj": ["cat", "cat", "elk", "dog"],
            "choice": ["cat", "dog", "elk", "cat"],
        }
    )
    trials = Trials.from_table(table)
    assert trials.stimulus_id.tolist() == ["a", "b"]
    assert trials.objects.tolist() == ["cat", "dog", "elk"]
    nan = np.nan
    np.testing.assert_array_equal(trials.rates(np.arange(4)), [[nan, 0.0, nan], [0.5, nan, 1.0]])


def test_sensitivities_of_a_known_matrix():
    from scipy.stats import norm

    nan = np.nan
    rates = np.array([[nan, 0.2], [nan, 0.4], [0.1, nan], [1.0, nan]])
    truth = np.array([0, 0, 1, 1])
    z = norm.ppf
    plain = np.array([z(0.8) - z(0.55), z(0.6) - z(0.55), z(0.9) - z(0.3), -5.0])
    np.testing.assert_allclose(sensitivities(rates, truth, "i1")[:, 0], plain, atol=1e-12)
    i2 = sensitivities(rates, truth, "i2")
    assert np.isnan(i2[[0, 1], [0, 0]]).all()
    means = np.array([plain[:2].mean()] * 2 + [plain[2:].mean()] * 2)
    i2n_matrix = sensitivities(rates, truth, "i2n")
    np.testing.assert_allclose(i2n_matrix[[0, 1, 2, 3], [1, 1, 0, 0]], plain - means, atol=1e-12)


@pytest.mark.parametrize("metric", ["i1", "i1n", "i2", "i2n"])
def test_a_model_is_its_own_perfect_match(metric):
    _, table = trials_table()
    trials = Trials.from_table(table)
    first, _ = trials.halves(1, 0)[0]
    rates = trials.rates(first)
    # Odds that give the observers' rates back in pairs.
    odds = np.nan_to_num(rates / (1 - rates), nan=1.0)
    probabilities = pd.DataFrame(odds / odds.sum(1, keepdims=True), index=trials.stimulus_id, columns=trials.objects)
    result = behavioral_consistency(probabilities, trials, metric=metric, n_repetitions=1)
    assert result.r[0] == pytest.approx(1, abs=1e-9)


def bad_inputs():
    probabilities, table = trials_table()
    negative = probabilities.copy()
    negative.iloc[3, 1] = -0.1
    zero = probabilities.copy()
    zero.iloc[4] = [0.0, 0.0, 1.0]
    holes = table.copy()
    holes.loc[5, "choice"] = None
    two = table.assign(truth=table["sample_obj"])
    two.loc[14, "truth"] = "cat"
    alone = pd.concat([table, table.iloc[:1].assign(stimulus_id="only")])
    with_alone = pd.concat([probabilities, probabilities.iloc[:1].rename(index={"image00": "only"})])
    return {
        "image": (probabilities.iloc[1:], table, MissingDataError, "lack 1 of the 12 images.*'image00'"),
        "object": (probabilities[["cat", "dog"]], table, MissingDataError, "lack 1 of the 3 objects.*'elk'"),
        "twice": (pd.concat([probabilities, probabilities.iloc[:1]]), table, ShapeError, "'image00' twice"),
        "negative": (negative, table, DataError, "'dog' for image 'image03' is -0.1"),
        "both zero": (zero, table, DataError, "image 'image04'"),
        "column": (
            probabilities,
            table.drop(columns="dist_obj"),
            MissingDataError,
            "lack the column 'dist_obj'",
        ),
        "hole": (probabilities, holes, MissingDataError, "'choice' of the trials is incomplete: row 5"),
        "empty": (probabilities, table.iloc[:0], MissingDataError, "no rows"),
        "two objects": (probabilities, two, DataError, "'image02' shows 'elk'.*'cat' in row 14"),
        "half": (with_alone, alone, MissingDataError, "'only' has no trial in one half"),
    }


@pytest.mark.parametrize("name", bad_inputs())
def test_errors_name_the_place(name):
    probabilities, table, kind, text = bad_inputs()[name]
    with pytest.raises(kind, match=text):
        i2n(probabilities, table)


def test_an_unknown_metric_is_refused_with_the_nearest():
    with pytest.raises(UnknownNameError, match="Did you mean 'i2n'"):
        behavioral_consistency(*trials_table(), metric="i2nn")


def test_readout_refuses_what_it_cannot_fit():
    features = np.random.default_rng(0).standard_normal((10, 4))
    with pytest.raises(DataError, match="at least two objects"):
        fit_readout(features, ["cat"] * 10)
    with pytest.raises(ShapeError, match="9 labels for 10 images"):
        readout_probabilities(Gram.from_features(features, standardize=True), ["cat"] * 9, range(10))
    readout = fit_readout(features, ["cat", "dog"] * 5)
    with pytest.raises(ShapeError, match="Got 3 features; the readout was fitted on 4"):
        readout.probabilities(features[:, :3], range(10))


@pytest.mark.parametrize("n_objects", [2, 3])
def test_each_object_has_weights_of_its_own_also_where_there_are_two(n_objects):
    rng = np.random.default_rng(0)
    features = rng.standard_normal((40, 3))
    codes = np.arange(40) % n_objects
    features[:, 0] += codes
    Z = (features - features.mean(0)) / features.std(0)

    def objective(flat):
        weights, intercept = flat[: 3 * n_objects].reshape(3, n_objects), flat[3 * n_objects :]
        logits = Z @ weights + intercept
        losses = logsumexp(logits, axis=1) - logits[np.arange(40), codes]
        return 1e-3 * losses.sum() + 0.5 * (weights**2).sum()

    best = minimize(objective, np.zeros(4 * n_objects), options={"gtol": 1e-10}).x
    expected = softmax(Z @ best[: 3 * n_objects].reshape(3, n_objects) + best[3 * n_objects :], axis=1)
    found = fit_readout(features, np.array(["a", "b", "c"])[codes]).probabilities(features, range(40))
    np.testing.assert_allclose(found, expected, atol=1e-5)
