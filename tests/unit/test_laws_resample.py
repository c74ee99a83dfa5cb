"""What is drawn, and how much dependence within clusters costs."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from vvscale.errors import DataError, ShapeError, UnknownNameError, UsageError
from vvscale.laws import design_effect, resamples
from vvscale.laws.uncertainty.resample import clusters, default_unit

N = 60
FRAME = pd.DataFrame(
    {
        "model_id": [f"m{i:02d}" for i in range(N)],
        "arch": [f"arch_{i % 12:02d}" for i in range(N)],
        "parent_family": ["ResNet", "ViT", "ConvNeXt"] * 20,
        "dataset": ["imagenet", "ecoset"] * 30,
        "samples_per_class": [0, 0, 1, 1, 10, 10] * 10,
        "n_epochs": 100,
        "seed": np.arange(N) % 3,
    }
)


@pytest.mark.parametrize("seed", [42, 7])
@pytest.mark.parametrize("n", [1, 5, 60])
def test_row_resamples_are_the_studys_own(n: int, seed: int):
    made = resamples(FRAME[:n], "row", 30, seed=seed)
    drawn = np.random.default_rng(seed).integers(0, n, size=(30, n))
    np.testing.assert_array_equal(made.weights, [np.bincount(row, minlength=n) for row in drawn])
    assert made.n_units == n
    assert not made.leaves_one_out


def test_a_few_row_resamples_are_the_first_of_many():
    np.testing.assert_array_equal(resamples(FRAME, "row", 3).weights, resamples(FRAME, "row", 9).weights[:3])


def test_clusters_are_drawn_whole():
    made = resamples(FRAME, "arch", 200)
    assert made.n_units == 12
    by_arch = pd.DataFrame(made.weights.T).groupby(FRAME["arch"])
    assert (by_arch.nunique() == 1).all(axis=None)
    drawn = np.random.default_rng(42).integers(0, 12, size=(200, 12))
    np.testing.assert_array_equal(by_arch.first().T, [np.bincount(row, minlength=12) for row in drawn])
    assert (made.weights.sum(axis=1) == N).all()


def test_a_cell_is_all_but_the_seed():
    code, names = clusters(FRAME, "cell")
    key = ["arch", "dataset", "samples_per_class", "n_epochs"]
    assert len(names) == len(FRAME[key].drop_duplicates())
    pairs = pd.DataFrame({"code": code, "key": FRAME[key].astype(str).agg("-".join, axis=1)}).drop_duplicates()
    assert pairs["code"].is_unique
    assert pairs["key"].is_unique


def test_any_column_can_be_a_unit():
    code, names = clusters(FRAME, "samples_per_class")
    assert names == ("0", "1", "10")
    assert [names[i] for i in code] == FRAME["samples_per_class"].astype(str).tolist()
    assert clusters(FRAME.rename(columns={"parent_family": "family"}), "family")[1] == ("ConvNeXt", "ResNet", "ViT")


@pytest.mark.parametrize("k", [2, 3, 9])
def test_few_clusters_are_left_out_one_by_one(k: int):
    frame = FRAME.assign(lab=[f"lab{i % k}" for i in range(N)])
    made = resamples(frame, "lab", 1000)
    assert made.leaves_one_out
    assert made.labels == tuple(f"lab{i}" for i in range(k))
    for label, weights in zip(made.labels, made.weights, strict=True):
        np.testing.assert_array_equal(weights, (frame["lab"] != label).astype(float))


def test_ten_clusters_are_drawn():
    assert not resamples(FRAME.assign(lab=np.arange(N) % 10), "lab", 5).leaves_one_out


def test_default_unit():
    assert default_unit(FRAME) == "arch"
    assert default_unit(FRAME.assign(arch="one")) == "row"
    assert default_unit(FRAME.drop(columns="arch")) == "row"


def test_refusals():
    for n in (0, -3):
        with pytest.raises(UsageError, match=f"at least 1, got {n}"):
            resamples(FRAME, "row", n)
    with pytest.raises(UnknownNameError, match=r"'dataste'.*Did you mean 'dataset'"):
        resamples(FRAME, "dataste", 5)
    with pytest.raises(UsageError, match=r"by=.row"):
        resamples(FRAME[["model_id"]], "family", 5)
    with pytest.raises(ShapeError, match="all 60 rows belong to one, 100"):
        resamples(FRAME, "n_epochs", 5)


@pytest.mark.parametrize("unit", ["arch", "cell"])
def test_a_row_without_a_cluster_is_refused_and_named(unit: str):
    frame = FRAME.copy()
    frame.loc[[7, 9], "arch"] = None
    with pytest.raises(DataError, match=r"column 'arch' is missing for model 'm07' \(2 rows"):
        resamples(frame, unit, 5)
    with pytest.raises(DataError, match="model 'm07'"):
        design_effect(frame, np.zeros(N), unit)
    assert resamples(frame, "row", 5).weights.shape == (5, N)


@pytest.mark.parametrize("spread", [0.0, 0.5, 2.0])
def test_design_effect_is_kish_s_with_the_correlation_of_the_analysis_of_variance(spread: float):
    rng = np.random.default_rng(1)
    # Clusters of unequal size.
    code = np.repeat(np.arange(15), rng.integers(1, 12, 15))
    frame = pd.DataFrame({"arch": [f"a{i:02d}" for i in code]})
    residuals = rng.normal(0, spread, 15)[code] + rng.normal(0, 1, len(code))
    made = design_effect(frame, residuals, "arch")
    groups = [residuals[code == k] for k in range(15)]
    n, k = len(code), 15
    grand = residuals.mean()
    between = sum(len(g) * (g.mean() - grand) ** 2 for g in groups) / (k - 1)
    within = sum(((g - g.mean()) ** 2).sum() for g in groups) / (n - k)
    typical = (n - sum(len(g) ** 2 for g in groups) / n) / (k - 1)
    component = (between - within) / typical
    intraclass = component / (component + within)
    np.testing.assert_allclose(made.intraclass, intraclass, rtol=1e-12)
    kish = sum(len(g) ** 2 for g in groups) / n
    np.testing.assert_allclose(made.effect, max(1.0, 1 + (kish - 1) * intraclass), rtol=1e-12)
    np.testing.assert_allclose(made.n_effective, n / made.effect, rtol=1e-12)


def test_the_design_effect_is_how_much_the_variance_of_a_mean_grows():
    rng = np.random.default_rng(3)
    code = np.repeat(np.arange(12), [1, 1, 1, 1, 2, 2, 3, 4, 30, 30, 30, 30])
    correlation = 0.6
    draws = np.sqrt(correlation) * rng.normal(size=(20_000, 12))[:, code]
    draws += np.sqrt(1 - correlation) * rng.normal(size=(20_000, len(code)))
    kish = 1 + ((np.bincount(code) ** 2).sum() / len(code) - 1) * correlation
    assert draws.mean(axis=1).var() * len(code) == pytest.approx(kish, rel=0.05)
    frame = pd.DataFrame({"arch": code})
    found = [design_effect(frame, row, "arch") for row in draws[:200]]
    assert np.median([each.effect for each in found]) == pytest.approx(kish, rel=0.15)


def test_one_network_under_two_names_is_one_architecture():
    frame = pd.DataFrame({"arch": ["resnet18", "resnetflexfilters-d-2-2-2-2", "resnet34", "vgg"]})
    code, names = clusters(frame, "arch")
    assert code.tolist() == [0, 0, 1, 2]
    assert names == ("resnet18", "resnet34", "vgg")


def test_design_effect_at_its_ends():
    code = np.repeat(np.arange(10), 6)
    frame = pd.DataFrame({"arch": code})
    same = design_effect(frame, np.arange(10.0)[code], "arch")
    assert (same.intraclass, same.effect, same.n_effective) == (1.0, 6.0, 10.0)
    for unit, data in (("row", frame), ("arch", frame.assign(arch=1)), ("arch", frame.assign(arch=np.arange(60)))):
        alone = design_effect(data, np.arange(60.0), unit)
        assert (alone.intraclass, alone.effect, alone.n_effective) == (0.0, 1.0, 60.0)
    assert design_effect(frame, np.zeros(60), "arch").effect == 1.0
    # Means that are closer than chance would have them do not add rows.
    assert design_effect(frame, np.tile(np.arange(6.0), 10), "arch").effect == 1.0
