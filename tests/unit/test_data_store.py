"""Stores, the embedded digits and balanced subsets."""

# ruff: noqa: NPY002 - the global generator is what is tested
from __future__ import annotations

import numpy as np
import pytest
from sklearn import datasets

from vvscale.data import ImageStore, balanced_subset, load_dataset
from vvscale.errors import ConfigError, DataError, MissingDataError, ShapeError, UnknownNameError


def test_digits_are_scikit_learns():
    digits = load_dataset("digits")
    assert (digits.train.n_images, digits.val.n_images, digits.train.n_classes) == (1097, 700, 10)
    assert np.bincount(digits.val.labels).tolist() == [70] * 10
    pixels, labels = datasets.load_digits(return_X_y=True)
    expected = {(tuple(row), label) for row, label in zip(pixels, labels, strict=True)}
    found = [
        (tuple(np.rint(store.image(i)[..., channel].ravel() / 255 * 16)), store.labels[i])
        for store in (digits.train, digits.val)
        for i in range(store.n_images)
        for channel in (0, 2)
    ]
    assert set(found) == expected


def test_the_split_never_changes():
    digits = load_dataset("digits")
    assert digits.train.digest == "7037af6ba085af7b036efc17731491fb4c47422c573083567e1bb1e7aa37fe9e"
    assert digits.val.digest == "6f97156590cab342c5255006d17bc2364b8f73a3e27ee8f86f411c595f016a74"


@pytest.mark.parametrize("side", [16, 32])
def test_larger_digits_hold_the_same_images(side):
    small, large = load_dataset("digits").val, load_dataset(f"digits:{side}").val
    assert large.name == f"digits:{side}/val"
    for i in range(0, 700, 97):
        np.testing.assert_array_equal(large.image(i)[:: side // 8, :: side // 8], small.image(i))
        np.testing.assert_array_equal(large.image(i)[side // 8 - 1 :: side // 8, :: side // 8], small.image(i))


@pytest.mark.parametrize("name", ["digits:12", "digits:0", "digits:512"])
def test_digits_of_an_impossible_side(name):
    with pytest.raises(ConfigError, match=r"Expected a multiple of 8"):
        load_dataset(name)


def test_unknown_names():
    with pytest.raises(MissingDataError, match=r"No data set 'digts'.*Did you mean 'digits'"):
        load_dataset("digts")


def test_a_store_gives_back_its_images():
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 256, (h, 7, 3), dtype=np.uint8) for h in (3, 9, 1)]
    store = ImageStore.from_arrays(images, [1, 0, 1])
    assert (store.n_images, store.n_classes, len(store)) == (3, 2, 3)
    for i, image in enumerate(images):
        np.testing.assert_array_equal(store.image(i), image)


@pytest.mark.parametrize(
    ("images", "labels", "error", "text"),
    [
        ([np.zeros((4, 4), np.uint8)], [0], ShapeError, r"Image 0 of 'images' is uint8 of shape \(4, 4\)"),
        ([np.zeros((4, 4, 3))], [0], ShapeError, r"float64"),
        ([np.zeros((4, 4, 3), np.uint8)], [-1], DataError, r"label -1 at position 0"),
        ([np.zeros((4, 4, 3), np.uint8)], [0, 0], ShapeError, r"2 labels, offsets"),
    ],
)
def test_bad_stores(images, labels, error, text):
    with pytest.raises(error, match=text):
        ImageStore.from_arrays(images, labels)


def test_labels_beyond_the_classes_and_short_buffers():
    image = np.zeros((4, 4, 3), np.uint8)
    with pytest.raises(DataError, match=r"label 2 at position 1 \(1 such labels in all\); expected 0\.\.1"):
        ImageStore.from_arrays([image, image], [0, 2], class_names=["a", "b"])
    store = ImageStore.from_arrays([image, image], [0, 1])
    with pytest.raises(ShapeError, match=r"not multiples of 3"):
        ImageStore(store.buffer, store.offsets + np.array([0, -1]), store.sizes, store.labels, store.class_names)
    with pytest.raises(ShapeError, match=r"holds 50 bytes, but its index reaches byte 96"):
        ImageStore(store.buffer[:50], store.offsets, store.sizes, store.labels, store.class_names)


def test_the_digest_sees_everything():
    image = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    base = ImageStore.from_arrays([image, image], [0, 1])
    others = [
        ImageStore.from_arrays([image, image[::-1]], [0, 1]),
        ImageStore.from_arrays([image, image], [1, 0]),
        ImageStore.from_arrays([image, image.reshape(2, 8, 3)], [0, 1]),
        ImageStore.from_arrays([image, image], [0, 1], class_names=["a", "b"]),
    ]
    assert len({base.digest, *(other.digest for other in others)}) == 5
    assert base.digest == ImageStore.from_arrays([image, image], [0, 1], name="other").digest


# --- subsets ----------------------------------------------------------------------------------------------------

LABELS = np.random.default_rng(0).permutation(np.repeat(np.arange(6), [40, 50, 30, 45, 33, 61]))


def test_the_published_rule_is_numpys_global_generator():
    names = np.random.get_state()[1].tolist()
    subset = balanced_subset(LABELS, samples_per_class=10, seed=3, rule="published")
    assert np.random.get_state()[1].tolist() == names
    np.random.seed(3)
    expected = np.concatenate([np.random.choice(np.flatnonzero(k == LABELS), 10, replace=False) for k in range(6)])
    np.testing.assert_array_equal(subset.index, np.sort(expected))


def test_published_subsets_are_not_nested_and_nested_ones_are():
    def chosen(rule, n):
        return set(balanced_subset(LABELS, samples_per_class=n, seed=0, rule=rule).index.tolist())

    assert chosen("nested", 3) < chosen("nested", 10) < chosen("nested", 30)
    assert not chosen("uniform", 3) < chosen("uniform", 10)


def test_every_image_is_as_likely():
    n_draws, n = 600, 5
    counts = np.zeros(len(LABELS))
    for seed in range(n_draws):
        counts[balanced_subset(LABELS, samples_per_class=n, seed=seed).index] += 1
    for k in range(6):
        own = counts[k == LABELS]
        share = n / len(own)
        # Chi-square of draws without replacement, against its mean and spread.
        statistic = ((own - n_draws * share) ** 2 / (n_draws * share * (1 - share))).sum() * (len(own) - 1) / len(own)
        assert abs(statistic - (len(own) - 1)) < 4.5 * np.sqrt(2 * len(own))


def test_zero_takes_all_and_needs_no_seed():
    subset = balanced_subset(LABELS, samples_per_class=0, seed=1)
    np.testing.assert_array_equal(subset.index, np.arange(len(LABELS)))
    assert subset.digest == balanced_subset(LABELS, samples_per_class=0, seed=2).digest
    assert len(subset) == len(LABELS)


def test_a_small_class_is_named():
    store = ImageStore.from_arrays(np.zeros((5, 2, 2, 3), np.uint8), [0, 0, 1, 1, 1], class_names=["cat", "dog"])
    with pytest.raises(DataError, match=r"1 of 2 classes have fewer: 'cat' \(2\)\. Ask for at most 2 per class"):
        balanced_subset(store, samples_per_class=3, seed=0)


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"samples_per_class": -1}, ConfigError, r"samples_per_class -1"),
        ({"seed": -1}, ConfigError, r"seed -1"),
        ({"rule": "random"}, UnknownNameError, r"Unknown rule of subsets 'random'"),
    ],
)
def test_bad_requests(options, error, text):
    with pytest.raises(error, match=text):
        balanced_subset(LABELS, **{"samples_per_class": 1, "seed": 0, **options})


@pytest.mark.parametrize("labels", [np.zeros((2, 2), int), np.zeros(3), np.zeros(0, int)])
def test_labels_that_are_none(labels):
    with pytest.raises(DataError, match=r"Cannot draw from labels"):
        balanced_subset(labels, samples_per_class=1, seed=0)


def test_a_class_draws_alike_whatever_others_there_are():
    subset = balanced_subset(LABELS, samples_per_class=4, seed=0)
    kept = np.flatnonzero(LABELS != 5)
    fewer = balanced_subset(LABELS[kept], samples_per_class=4, seed=0)
    np.testing.assert_array_equal(kept[fewer.index], subset.index[LABELS[subset.index] != 5])


@pytest.mark.parametrize(
    ("rule", "two", "four"),
    [
        ("uniform", [6, 7, 8, 9, 17, 18], [0, 1, 5, 7, 8, 11, 13, 14, 16, 17, 18, 22]),
        ("nested", [0, 7, 8, 11, 19, 20], [0, 3, 4, 7, 8, 9, 11, 13, 17, 19, 20, 22]),
        ("published", [2, 7, 9, 13, 18, 22], [1, 2, 4, 7, 9, 10, 12, 13, 18, 19, 22, 23]),
    ],
)
def test_subsets_never_change(rule, two, four):
    """Frozen: a study that goes on with another draw would mix two data sets under one name."""
    labels = np.repeat(np.arange(3), 8)
    for n, expected in ((2, two), (4, four)):
        assert balanced_subset(labels, samples_per_class=n, seed=5, rule=rule).index.tolist() == expected
    if rule != "published":
        assert (set(two) <= set(four)) is (rule == "nested")
