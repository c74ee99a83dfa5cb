"""Comparing laws: likelihoods against closed forms, folds against scikit-learn, cross-validation against a loop."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from scipy import integrate, optimize, stats

from vvscale.errors import ConfigError, DataError, ShapeError, UnknownNameError, UsageError
from vvscale.laws import compare_laws, fit_law
from vvscale.laws.comparison.baselines import BASELINES
from vvscale.laws.comparison.candidates import CANDIDATES, contest
from vvscale.laws.comparison.compare import aicc, log_likelihood
from vvscale.laws.solve_law import natural
from vvscale.laws.uncertainty.folds import clustered_error, grouped_folds

FAMILIES = {"AlexNet": 1.0, "ResNet": 0.8, "ViT": 1.6}


def models(n_archs: int = 24, per_arch: int = 4, noise: float = 0.02, seed: int = 0) -> pd.DataFrame:
    """Models under a joint law with family amplitudes on D, a random effect per architecture, and noise."""
    rng = np.random.default_rng(seed)
    arch = np.repeat(np.arange(n_archs), per_arch)
    family = np.array(list(FAMILIES))[arch % 3]
    n_params = np.geomspace(1e6, 1e8, n_archs)[rng.permutation(n_archs)][arch]
    samples = 10 ** rng.uniform(5, 8.5, len(arch))
    factor = np.array([FAMILIES[name] for name in family])
    y = 0.3 + 0.2 * (n_params / 1e5) ** -0.4 + factor * 0.5 * (samples / 1e4) ** -0.3
    y *= np.exp(noise * rng.standard_normal(n_archs)[arch] + noise / 2 * rng.standard_normal(len(arch)))
    return pd.DataFrame(
        {
            "model_id": [f"m{i:03d}" for i in range(len(arch))],
            "arch": [f"a{k}" for k in arch],
            "parent_family": family,
            "n_params": n_params,
            "samples_seen": samples,
            "train_flop": 6.0 * n_params * samples,
            "misalignment": y,
        }
    )


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    return models()


# --- likelihood and AICc ---


def test_likelihood_is_laplace_for_a_tiny_delta():
    r = np.random.default_rng(0).laplace(scale=0.1, size=200)
    delta = 1e-9
    huber = (delta * (np.abs(r) - delta / 2)).sum()
    assert log_likelihood(huber, 200, delta) == pytest.approx(
        stats.laplace.logpdf(r, scale=np.abs(r).mean()).sum(), abs=1e-4
    )


def test_likelihood_is_gaussian_without_delta():
    r = np.random.default_rng(0).standard_normal(50)
    expected = stats.norm.logpdf(r, scale=np.sqrt((r**2).mean())).sum()
    assert log_likelihood(float((r**2).sum() / 2), 50, None) == pytest.approx(expected, rel=1e-12)
    assert log_likelihood(float((r**2).sum() / 2), 50, 1e3) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("delta", [0.02, 0.1, 0.5])
def test_likelihood_between_is_that_of_a_proper_density(delta: float):
    r = np.random.default_rng(1).laplace(scale=0.15, size=80)

    def rho(v: np.ndarray | float) -> np.ndarray:
        return np.where(np.abs(v) < delta, np.square(v) / 2, delta * (np.abs(v) - delta / 2))

    def brute(log_tau: float) -> float:
        tau = np.exp(log_tau)
        z = 2 * integrate.quad(lambda v: np.exp(-rho(v) / tau), 0, 40, points=[delta, 1.0], limit=200)[0]
        return float((rho(r) / tau).sum() + len(r) * np.log(z))

    # A wide search: the bracket that the implementation relies on is part of what is tested.
    lowest = optimize.minimize_scalar(brute, bounds=(-12, 0), method="bounded", options={"xatol": 1e-8}).fun
    assert log_likelihood(float(rho(r).sum()), len(r), delta) == pytest.approx(-lowest, abs=1e-5)


def test_a_perfect_fit_has_infinite_likelihood():
    assert log_likelihood(0.0, 10, 1e-3) == np.inf


def test_aicc_by_hand():
    assert aicc(-5.0, 3, 10) == pytest.approx(10 + 6 + 24 / 6)
    assert aicc(-5.0, 4, 40, effect=4.0) == pytest.approx(10 / 4 + 8 + 40 / 35)
    assert aicc(-5.0, 3, 4) == np.inf


def test_aicc_of_a_constant_by_hand():
    y = np.array([0.2, 0.3, 0.5, 0.9, 0.95])
    table = pd.DataFrame({"train_flop": [1.0, 2, 3, 4, 5], "misalignment": y})
    row = compare_laws(table, laws=["constant"], delta=1e-9, n_folds=5).table().iloc[0]
    mad = np.abs(np.log(y / 0.5)).mean()
    assert row["mad"] == pytest.approx(mad, rel=1e-6)
    assert row["k"] == 2
    assert row["aicc"] == pytest.approx(2 * 5 * (np.log(2 * mad) + 1) + 4 + 12 / 2, rel=1e-6)
    # Each left-out value against the median of the other four, in logs: the mean of the middle two, or either.
    assert 0 < row["cv"] < 2 * mad


def test_copies_of_rows_are_not_evidence(table: pd.DataFrame):
    # Each row four times, in a cluster of its own: the design effect is 4, and deflation undoes the copying of the
    # likelihood; the effect counts as a parameter.
    copied = pd.concat([table.assign(model_id=table["model_id"] + f"-{i}") for i in range(4)])
    copied["origin"] = copied["model_id"].str[:4]
    laws = ["constant", "power", "joint"]
    once = compare_laws(table, laws=laws, by="row").table().set_index("law")
    four = compare_laws(copied, laws=laws, by="origin")
    assert four.effect == pytest.approx(4.0)
    rows = four.table().set_index("law").loc[once.index]
    n = len(table)
    for law, row in once.iterrows():
        ll = row["k"] + row["k"] * (row["k"] + 1) / (n - row["k"] - 1) - row["aicc"] / 2
        assert rows.loc[law, "aicc_deflated"] == pytest.approx(aicc(ll, row["k"] + 1, 4 * n), rel=1e-6)
    assert (rows["d_aicc"].drop("joint") > 3 * once["d_aicc"].drop("joint")).all()


def test_a_law_of_scores_stands_beside_laws_of_logs():
    # Outcomes nearly equal: a log is then a straight line, and both laws are one.
    rng = np.random.default_rng(0)
    x = np.geomspace(1, 1e4, 200)
    y = 0.5 + 0.02 * x**-0.4 + 0.001 * rng.laplace(size=200)
    table = pd.DataFrame({"train_flop": x, "misalignment": y})
    rows = compare_laws(table, laws=["power", "ccn"], delta=1e-6).table().set_index("law")
    assert abs(rows.loc["power", "aicc"] - rows.loc["ccn", "aicc"]) < 1.0


# --- folds ---


@pytest.mark.parametrize(("k", "n_folds"), [(10, 3), (25, 10), (7, 7)])
def test_folds_are_those_of_scikit_learn(k: int, n_folds: int):
    selection = pytest.importorskip("sklearn.model_selection")
    rng = np.random.default_rng(k)
    group = rng.choice(k, 300, p=rng.dirichlet(np.full(k, 0.7)))
    group = np.unique(group, return_inverse=True)[1]
    n_folds = min(n_folds, group.max() + 1)
    theirs = np.empty(300, dtype=int)
    for place, (_, held) in enumerate(selection.GroupKFold(n_folds).split(group, groups=group)):
        theirs[held] = place
    ours = grouped_folds(group, n_folds, seed=3)
    assert sorted(np.bincount(ours)) == sorted(np.bincount(theirs))
    for g in range(group.max() + 1):
        assert len(set(ours[group == g])) == 1


def test_folds_are_seeded():
    group = np.repeat(np.arange(20), 2)
    same = [grouped_folds(group, 5, seed=1) for _ in range(2)]
    np.testing.assert_array_equal(*same)
    assert (grouped_folds(group, 5, seed=2) != same[0]).any()
    assert grouped_folds(np.array([0, 1, 1]), 10).max() == 1


def test_folds_refuse():
    with pytest.raises(UsageError, match="at least 2 folds, got 1"):
        grouped_folds(np.arange(5), 1)
    with pytest.raises(ShapeError, match="all 5 rows belong to one group"):
        grouped_folds(np.zeros(5, dtype=int), 3)


def test_clustered_error_without_clusters_is_the_usual_one():
    values = np.random.default_rng(0).standard_normal(40)
    assert clustered_error(values, np.arange(40)) == pytest.approx(stats.sem(values))
    # Copies within a cluster carry no information.
    assert clustered_error(np.repeat(values, 3), np.repeat(np.arange(40), 3)) == pytest.approx(stats.sem(values))


# --- comparison ---


def test_cross_validation_is_that_of_a_loop(table: pd.DataFrame):
    found = compare_laws(table, laws=["power", "joint"], n_folds=4, seed=5).table().set_index("law")["cv"]
    group = pd.factorize(table["arch"], sort=True)[0]
    fold = grouped_folds(group, 4, seed=5)
    columns = {"power": ["train_flop"], "joint": ["n_params", "samples_seen"]}
    for law, x in columns.items():
        error = np.empty(len(table))
        for k in range(4):
            fit = fit_law(table[fold != k], law=law, x=x)
            held = table[fold == k]
            error[fold == k] = np.log(fit.predict(*(held[c] for c in x))) - np.log(held["misalignment"])
        assert found[law] == pytest.approx(np.abs(error).mean(), rel=1e-5)


def test_the_true_law_wins(table: pd.DataFrame):
    result = compare_laws(table, laws=[law for law in CANDIDATES if law != "logistic"], n_folds=5)
    rows = result.table().set_index("law")
    assert result.best == "joint+B"
    assert rows["aicc"].idxmin() == rows["aicc_deflated"].idxmin() == "joint+B"
    assert rows.loc["joint+B", ["d_aicc", "d_aicc_deflated", "cv_gap", "cv_gap_se"]].eq(0).all()
    assert rows.loc["constant", "cv_gap"] > 5 * rows.loc["constant", "cv_gap_se"]
    # Scale included: two plateaus' worth of parameters and two further families.
    assert rows.loc["joint+B", "k"] == 5 + 2 + 1
    assert rows.loc["pure-power", "k"] == 3
    assert (rows["aicc_deflated"] >= -2000).all()
    # The global model's, that of the law with most parameters.
    assert result.effect == rows.loc["joint+B", "design_effect"]
    assert "joint+B predicts an unseen arch best; it is clearly ahead of all others" in result.verdict
    assert result.left_out == {}


def test_a_result_is_plain_values(table: pd.DataFrame):
    result = compare_laws(table, laws=["constant", "power"])
    stored = json.loads(json.dumps(result.to_dict(), allow_nan=False))
    assert {row["law"] for row in stored["laws"]} == {"constant", "power"}
    assert "<table" in result._repr_html_()
    table = result.table()
    table["cv"] = -1
    assert (result.table()["cv"] > 0).all()


def test_a_fit_brings_its_rows_and_its_loss(table: pd.DataFrame):
    fit = fit_law(table[table["parent_family"] != "ViT"], delta=0.1)
    result = compare_laws(fit, laws=["power", "constant"])
    assert result.n == fit.n
    assert result.fits["power"].loss == pytest.approx(fit.loss, rel=1e-9)
    squares = compare_laws(fit, laws=["power"], delta=None)
    assert squares.fits["power"].delta is None


def test_an_unseen_group_is_the_average_group(table: pd.DataFrame):
    lined_up = contest(table, laws=["power+A"])
    frame = lined_up.frame
    train = (frame["parent_family"] != "ViT").to_numpy()
    run = lined_up.refit("power+A", train[None].astype(float))
    f = run.log_curves()[0]
    alone = fit_law(frame[train], offsets=["A"], offset_by="parent_family")
    x = frame["train_flop"].to_numpy()
    known = [np.log(alone.predict(x, group=name)) for name in ("AlexNet", "ResNet")]
    np.testing.assert_allclose(f[~train], np.mean(known, axis=0)[~train], rtol=1e-4)
    resnet = (frame["parent_family"] == "ResNet").to_numpy()
    np.testing.assert_allclose(f[resnet], known[1][resnet], rtol=1e-4)


def test_exponents_do_not_turn_negative(table: pd.DataFrame):
    # More parameters are worse here; a joint law must call them useless, not harmful, in every refit.
    rising = table.assign(misalignment=table["misalignment"] * (table["n_params"] / 1e7) ** 0.05)
    lined_up = contest(rising, laws=["joint", "pure-power"], x="n_params")
    weights = np.random.default_rng(0).integers(0, 3, (40, len(table))).astype(float)
    run = lined_up.refit("joint", weights)
    found = natural(run.fit.law, run.fit.problem, run.optima, ())
    assert (found["alpha"] >= 0).all()
    assert (found["alpha"] < 1e-9).mean() > 0.9
    assert run.optima.gradient.max() < 1e-5
    assert (found["beta"] > 0.05).all()
    assert run.fit.gradient < 1e-5
    assert contest(rising, laws=["pure-power"], x="n_params").refit("pure-power", weights).fit.params["alpha"] == 0.0


def test_laws_that_do_not_apply_are_named(table: pd.DataFrame):
    bare = table.loc[::2, ["train_flop", "misalignment", "arch"]]
    result = compare_laws(bare, n_folds=2)
    assert set(result.left_out) == {"joint", "product", "kaplan", "joint+B", "power+A", *BASELINES}
    assert result.left_out["joint"] == "the table has no column 'n_params'"
    one_family = contest(table.assign(parent_family="ViT"))
    assert one_family.left_out["power+A"] == "all rows have the same parent_family"


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ({"laws": ["powr"]}, UnknownNameError, "Did you mean 'power'"),
        ({"laws": ["log+A"]}, ConfigError, "cannot have group offsets"),
        ({"laws": ["joint"], "sizes": ("n_params", "smples_seen")}, UnknownNameError, "samples_seen"),
        ({"y": "misalignmnt"}, UnknownNameError, "misalignment"),
        ({"by": "species"}, UnknownNameError, "species"),
        ({"effect": 0.5}, UsageError, "at least 1"),
        ({"n_folds": 1}, UsageError, "at least 2 folds"),
    ],
)
def test_bad_requests_explain_themselves(table: pd.DataFrame, arguments: dict, error: type, text: str):
    with pytest.raises(error, match=text):
        compare_laws(table, **arguments)


def test_bad_rows_explain_themselves(table: pd.DataFrame):
    with pytest.raises(DataError, match="greater than 0"):
        compare_laws(table.assign(misalignment=-0.1), laws=["power"])
    with pytest.raises(DataError, match="None of the laws can be fitted"):
        compare_laws(table[["arch", "misalignment"]])
    with pytest.raises(ShapeError, match="belong to one group"):
        compare_laws(table.assign(arch="one"), laws=["power"], by="arch")


def test_rows_that_lack_a_value_are_left_out_of_all_laws(table: pd.DataFrame):
    table = table.copy()
    table.loc[3, "samples_seen"] = np.nan
    result = compare_laws(table, laws=["power", "joint"])
    assert result.n == len(table) - 1
    assert result.excluded == {"samples_seen is missing": ["m003"]}
