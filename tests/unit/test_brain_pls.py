import numpy as np
import pytest

from vvscale.brain import Gram, GramAccumulator, Predictivity, linear_predictivity, stratified_splits
from vvscale.brain.metrics.centring import exact_float32
from vvscale.errors import ConfigError, DataError, ShapeError


def layer(n=60, p=80, q=6, seed=0):
    rng = np.random.default_rng(seed)
    features = rng.standard_normal((n, p))
    return features, features[:, :10] @ rng.standard_normal((10, q)) + rng.standard_normal((n, q))


STRATA = ["a", "b", "c"] * 20


def test_the_score_is_the_mean_over_splits_of_the_median_over_neuroids():
    result = linear_predictivity(*layer(), stratify=STRATA)
    medians = np.median(result.r, axis=1)
    assert result.r.shape == (10, 6)
    assert result.raw_score == pytest.approx(medians.mean(), abs=1e-15)
    assert result.error == pytest.approx(medians.std(ddof=0) / np.sqrt(10), abs=1e-15)


def test_features_without_information_score_at_zero():
    rng = np.random.default_rng(0)
    result = linear_predictivity(
        rng.standard_normal((300, 40)), rng.standard_normal((300, 50)), stratify=None, n_components=5
    )
    assert abs(result.raw_score) < 0.05


def test_one_gram_serves_several_sets_of_responses():
    features, responses = layer()
    gram = Gram.from_features(features)
    for columns in (slice(0, 3), slice(3, 6)):
        alone = linear_predictivity(features, responses[:, columns], stratify=STRATA)
        shared = linear_predictivity(gram, responses[:, columns], stratify=STRATA)
        np.testing.assert_array_equal(alone.r, shared.r)


@pytest.mark.parametrize("device", [None, "cpu"])
def test_features_may_come_in_blocks(device):
    features, responses = layer()
    total = GramAccumulator(60, device=device)
    for start in range(0, 80, 17):
        total.add(features[:, start : start + 17])
    blocks = linear_predictivity(total.gram(), responses, stratify=STRATA)
    np.testing.assert_allclose(blocks.r, linear_predictivity(features, responses, stratify=STRATA).r, atol=1e-10)


def test_products_summed_elsewhere_are_centred():
    features, _ = layer()
    shifted = features + 5.0
    taken = Gram.from_products(shifted @ shifted.T, 80)
    np.testing.assert_allclose(taken.matrix, Gram.from_features(features).matrix, atol=1e-9)
    with pytest.raises(DataError, match="None of the 3 features"):
        Gram.from_products(np.zeros((5, 5)), 3)


def test_narrow_features_are_kept_instead_of_their_matrix():
    features, _ = layer(p=30)
    gram = Gram.from_features(features)
    assert gram.matrix is None
    total = GramAccumulator(60)
    total.add(features)
    np.testing.assert_allclose(gram.dense(), total.gram().matrix, atol=1e-12)
    np.testing.assert_allclose(gram.dot(np.eye(60)), gram.dense(), atol=1e-12)
    assert gram.trace() == pytest.approx(gram.dense().trace())


def test_standardised_features_leave_constant_ones_at_zero():
    features = np.random.default_rng(0).standard_normal((60, 5))
    features[:, 2] = 0.1
    gram = Gram.from_features(features, standardize=True)
    assert gram.trace() == pytest.approx(60 * 4)


def test_float32_products_move_the_score_little():
    features, responses = layer(n=120, p=500)
    exact, quick = (
        linear_predictivity(features, responses, stratify=STRATA * 2, precision=precision)
        for precision in ("float64", "float32")
    )
    assert 0 < np.abs(exact.r - quick.r).max() < 1e-4


def test_tf32_is_off_for_products_and_restored_after():
    torch = pytest.importorskip("torch")
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    try:
        with exact_float32("cpu"):
            assert torch.get_float32_matmul_precision() == "highest"
        total = GramAccumulator(60, precision="float32", device="cpu")
        features = layer(p=3000)[0]
        total.add(features)
        assert torch.get_float32_matmul_precision() == "medium"
        exact = Gram.from_features(features).matrix
        assert np.abs(total.gram().matrix.numpy() - exact).max() < 1e-6 * exact.max()
    finally:
        torch.set_float32_matmul_precision(before)


def test_components_stop_at_the_rank():
    rng = np.random.default_rng(0)
    features = rng.standard_normal((60, 4)) @ rng.standard_normal((4, 80))
    responses = features[:, :3] + rng.standard_normal((60, 3))
    four, many = (linear_predictivity(features, responses, stratify=STRATA, n_components=k) for k in (4, 25))
    np.testing.assert_allclose(many.r, four.r, atol=1e-9)


@pytest.mark.parametrize("what", ["features", "responses"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_numbers_that_are_none_are_named_with_their_place(what, value):
    features, responses = layer(p=5000)
    {"features": features, "responses": responses}[what][7, 5] = value
    if what == "features":
        features[7, 5], features[9, 4500] = 1.0, value
    with pytest.raises(DataError, match=r"image 9, feature 4500" if what == "features" else "row 7, column 5"):
        linear_predictivity(features, responses, stratify=STRATA)


def bad_calls():
    features, responses = layer()
    return {
        "rows": (features, responses[:-1], {}, ShapeError, "59 rows and the features 60"),
        "labels": (features, responses, {"stratify": STRATA[:-1]}, ShapeError, "59 labels for 60 images"),
        "one image": (features, responses, {"stratify": ["x", *STRATA[1:]]}, ShapeError, "'x' has only one"),
        "strata": (features, responses, {"stratify": list(range(30)) * 2}, ShapeError, "30 strata"),
        "components": (features, responses, {"n_components": 81}, ShapeError, "got 80"),
        "no component": (features, responses, {"n_components": 0}, ConfigError, "at least 1"),
        "dead": (np.full((60, 80), 0.1), responses, {}, DataError, "dead"),
        "dead, narrow": (np.full((60, 26), 0.7), responses, {}, DataError, "dead"),
        "flat": (features, np.ones((60, 2)), {}, DataError, "nothing to predict"),
        "volume": (features[:, :, None], responses, {}, ShapeError, "Flatten"),
        "precision": (features, responses, {"precision": "half"}, ConfigError, "half"),
        "train_size": (features, responses, {"train_size": 1.5, "stratify": None}, ShapeError, "train_size"),
    }


@pytest.mark.parametrize("name", bad_calls())
def test_errors_say_what_and_where(name):
    features, responses, options, kind, text = bad_calls()[name]
    with pytest.raises(kind, match=text) as caught:
        linear_predictivity(features, responses, **{"stratify": STRATA, **options})
    assert caught.value.exit_code in {2, 3}


def test_a_block_of_another_length_is_refused():
    with pytest.raises(ShapeError, match=r"\(3, 2\); expected \(4, n_features\)"):
        GramAccumulator(4).add(np.ones((3, 2)))


def test_the_table_has_one_row_per_neuroid():
    r = np.array([[0.1, np.nan], [0.3, 0.5]])
    result = Predictivity(r, np.ones((2, 4), dtype=bool), (), np.zeros((4, 2)))
    table = result.table()
    assert table["r"].tolist() == [0.2, 0.5]
    assert table["n_splits"].tolist() == [2, 1]
    assert result.to_dict()["r"] == [[0.1, None], [0.3, 0.5]]
    assert result.raw_score == pytest.approx((0.1 + 0.4) / 2)


def test_splits_keep_the_shares_of_the_strata():
    labels = np.array(["a"] * 40 + ["b"] * 20)
    is_train = stratified_splits(labels, n_splits=5)
    assert is_train.shape == (5, 60)
    assert (is_train[:, labels == "a"].sum(1) == 36).all()
    assert len({row.tobytes() for row in is_train}) == 5
    np.testing.assert_array_equal(is_train, stratified_splits(labels, n_splits=5))
