"""Intervals from resamples, and what follows from the parameters."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from vvscale.errors import ShapeError
from vvscale.laws import Bootstrap, bootstrap, derive, fit_law

N = 48
RNG = np.random.default_rng(8)
X = np.geomspace(1.0, 1e5, N)
D = np.exp(RNG.uniform(0, 8, N))
NOISE = np.exp(RNG.normal(0, 0.05, N))
FRAME = pd.DataFrame(
    {
        "x": X,
        "d": D,
        "y": (0.4 + 0.5 * X**-0.4) * NOISE,
        "arch": [f"a{i % 12:02d}" for i in range(N)],
        "parent_family": ["ResNet", "ViT", "ConvNeXt", "AlexNet"] * 12,
    }
)
XY = {"x": "x", "y": "y"}


@pytest.fixture(scope="module")
def rows() -> Bootstrap:
    return bootstrap(fit_law(FRAME, **XY), 200, by="row")


def test_intervals_are_percentiles(rows: Bootstrap):
    for name in ("E", "A", "alpha"):
        values = rows.params[name]
        assert values.shape == (200,)
        np.testing.assert_allclose(rows.interval(name), np.percentile(values, [2.5, 97.5]))
        np.testing.assert_allclose(rows.interval(name, level=0.5), np.percentile(values, [25, 75]))
        assert rows.interval(name)[0] < rows.fit.params[name] < rows.interval(name)[1]
    np.testing.assert_allclose(rows.interval("S_inf"), np.percentile(1 - rows.params["E"], [2.5, 97.5]))
    gain = rows.params["A"] * 10 ** -rows.params["alpha"]
    np.testing.assert_allclose(rows.interval("gain"), np.percentile(gain, [2.5, 97.5]))
    np.testing.assert_allclose(rows.share_at_zero(), (rows.params["E"] == 0).mean())


def test_the_band_is_that_of_the_curves(rows: Bootstrap):
    at = np.array([1.0, 50.0, 1e7])
    curves = rows.params["E"] + rows.params["A"] * at[:, None] ** -rows.params["alpha"]
    low, high = rows.curve(at)
    np.testing.assert_allclose(low, np.percentile(curves, 2.5, axis=1), rtol=1e-9)
    np.testing.assert_allclose(high, np.percentile(curves, 97.5, axis=1), rtol=1e-9)
    assert (low < rows.fit.predict(at)).all()
    assert (rows.fit.predict(at) < high).all()


def test_every_resample_is_in_the_table(rows: Bootstrap):
    table = rows.table()
    assert table.columns.tolist() == ["resample", "loss", "n_distinct", "E", "A", "alpha"]
    assert table["resample"].tolist() == list(range(200))
    drawn = np.random.default_rng(42).integers(0, N, size=(200, N))
    assert table["n_distinct"].tolist() == [len(np.unique(row)) for row in drawn]
    weights = np.array([np.bincount(row, minlength=N) for row in drawn])
    predicted = table[["E"]].to_numpy() + table[["A"]].to_numpy() * X ** -table[["alpha"]].to_numpy()
    r = np.abs(np.log(predicted) - np.log(FRAME["y"].to_numpy()))
    huber = np.where(r < 1e-3, r**2 / 2, 1e-3 * (r - 5e-4))
    np.testing.assert_allclose(table["loss"], (weights * huber).sum(axis=1), rtol=1e-9)
    # Where the rows themselves are drawn, no parameters of the original do better.
    original = np.abs(rows.fit.residuals())
    huber = np.where(original < 1e-3, original**2 / 2, 1e-3 * (original - 5e-4))
    assert (rows.loss <= weights @ huber * (1 + 1e-12)).all()


def test_plain_values(rows: Bootstrap):
    plain = rows.to_dict()
    assert json.loads(json.dumps(plain, allow_nan=False)) == plain
    assert plain["n_resamples"] == 200
    assert plain["unit"] == "row"
    assert plain["ci"]["E"] == list(rows.interval("E"))
    assert set(plain["ci"]) == {"E", "A", "alpha", "S_inf", "gain"}
    summary = rows.summary().set_index("quantity")
    assert summary.loc["S_inf", "value"] == pytest.approx(1 - rows.fit.params["E"])
    assert tuple(summary.loc["alpha", ["low", "high"]]) == rows.interval("alpha")
    assert "200 resamples by row" in rows._repr_html_()


def test_seeds():
    fit = fit_law(FRAME, **XY)
    one, same, other = (bootstrap(fit, 20, by="row", seed=seed).loss for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert not np.isclose(one, other).all()


def test_architectures_are_the_default_and_wider_where_they_differ():
    shift = np.exp(np.random.default_rng(0).normal(0, 0.15, 12))[np.arange(N) % 12]
    fit = fit_law(FRAME.assign(y=FRAME["y"] * shift), **XY)
    arch, row = bootstrap(fit, 300), bootstrap(fit, 300, by="row")
    assert arch.resamples.unit == "arch"
    assert arch.resamples.n_units == 12
    width = {boot.resamples.unit: np.subtract(*boot.curve([1e3])[::-1])[0] for boot in (arch, row)}
    assert width["arch"] > 1.2 * width["row"]


def test_families_are_left_out_in_turn():
    fit = fit_law(FRAME, **XY)
    boot = bootstrap(fit, 1000, by="family")
    assert boot.table()["left_out"].tolist() == ["AlexNet", "ConvNeXt", "ResNet", "ViT"]
    for family, alpha in zip(boot.resamples.labels, boot.params["alpha"], strict=True):
        without = fit_law(FRAME[FRAME["parent_family"] != family], **XY)
        assert alpha == pytest.approx(without.params["alpha"], rel=1e-4)
    # Never the range of so few fits, which covers half of what it should.
    ratio = np.log(boot.params["alpha"] / fit.params["alpha"])
    reach = np.exp(stats.t.ppf(0.975, boot.jackknife.degrees("alpha")) * np.sqrt(3 / 4 * (ratio**2).sum()))
    assert boot.interval("alpha") == pytest.approx((fit.params["alpha"] / reach, fit.params["alpha"] * reach))
    assert boot.to_dict()["method"] == "CRV3-t"
    low, high = boot.curve([1.0, 1e3])
    assert (low <= high).all()


def test_resamples_that_interpolate_do_not_count():
    few = FRAME.iloc[::8]
    fit = fit_law(few, **XY)
    assert fit.problem.n_distinct == 6
    boot = bootstrap(fit, 80, by="row")
    drawn = np.random.default_rng(42).integers(0, 6, size=(80, 6))
    distinct = np.array([len(np.unique(row)) for row in drawn])
    np.testing.assert_array_equal(boot.n_distinct, distinct)
    np.testing.assert_array_equal(boot.usable, distinct > 3)
    assert boot.to_dict()["n_interpolating"] == (distinct <= 3).sum() > 0
    values = boot.params["alpha"][boot.usable]
    values = values[np.isfinite(values)]
    low, high = boot.interval("alpha")
    assert values.min() <= low <= high <= values.max()


@pytest.mark.parametrize(("n", "law", "refused"), [(4, "power", True), (5, "power", False), (5, "shifted", True)])
def test_too_few_points_are_refused(n: int, law: str, refused: bool):
    fit = fit_law(FRAME.iloc[np.linspace(0, N - 1, n).astype(int)], law=law, **XY)
    if refused:
        with pytest.raises(ShapeError, match=f"{n} distinct points for a law of {len(fit.params)} parameters"):
            bootstrap(fit, 20, by="row")
    else:
        assert bootstrap(fit, 20, by="row").loss.shape == (20,)


def test_copies_of_a_row_are_one_point():
    fit = fit_law(pd.concat([FRAME.iloc[::12]] * 5, ignore_index=True), **XY)
    with pytest.raises(ShapeError, match="4 distinct points"):
        bootstrap(fit, 20, by="row")


def test_infinite_exponents_have_infinite_ends():
    frame = FRAME.assign(y=(0.4 + 0.5 * np.exp(-X / 3e3)) * NOISE)
    boot = bootstrap(fit_law(frame, law="shifted", **XY), 60, by="row")
    assert np.isinf(boot.params["alpha"]).any()
    low, high = boot.interval("alpha")
    assert high == np.inf
    assert not np.isnan(low)
    plain = boot.to_dict()
    assert plain["ci"]["alpha"][1] is None
    json.dumps(plain, allow_nan=False)
    low, high = boot.curve([1e3, 1e4])
    assert np.isfinite(low).all()
    assert np.isfinite(high).all()


def test_e_of_zero_is_counted_only_where_zero_is_a_bound():
    falling = FRAME.assign(y=(0.8 - 0.05 * np.log(X)) * NOISE)
    assert bootstrap(fit_law(falling, **XY), 40, by="row").share_at_zero() > 0.9
    below = FRAME.assign(y=-0.2 + 0.9 * X**-0.05 + NOISE * 0.01)
    boot = bootstrap(fit_law(below, law="ccn", **XY), 40, by="row")
    assert (boot.params["E"] < 0).all()
    assert boot.share_at_zero() == 0.0
    assert bootstrap(fit_law(FRAME, law="log", **XY), 5, by="row").share_at_zero() == 0.0


def test_what_follows_from_the_parameters():
    one = {name: np.array([value]) for name, value in {"E": 0.4, "A": 0.5, "alpha": 0.3}.items()}
    made = derive(fit_law(FRAME, **XY).law, one)
    assert {name: float(value[0]) for name, value in made.items()} == pytest.approx(
        {"S_inf": 0.6, "gain": 0.5 * 10**-0.3}
    )
    joint = fit_law(FRAME.assign(y=(0.4 + 0.4 * X**-0.4 + 0.5 * D**-0.6) * NOISE), law="joint", x=["x", "d"], y="y")
    made = derive(joint.law, {name: np.array([value]) for name, value in joint.params.items()})
    alpha, beta = joint.params["alpha"], joint.params["beta"]
    assert made["n_exponent"][0] == pytest.approx(beta / (alpha + beta))
    assert made["d_exponent"][0] == pytest.approx(alpha / (alpha + beta))
    shifted = fit_law(FRAME.assign(y=0.4 + 9.0 * (X + 100) ** -0.6), law="shifted", **XY)
    made = shifted.derived()
    half = float(made["half_point"][0])
    # Half of the distance between the value at X = 0 and E is gone at the half point.
    start = 9.0 * 100**-0.6
    assert 9.0 * (half + 100) ** -0.6 == pytest.approx(start / 2, rel=1e-3)
    assert derive(fit_law(FRAME, law="constant", **XY).law, {"E": np.array([0.5])}) == {}


def test_half_point_of_an_exponential_is_finite():
    fit = fit_law(FRAME.assign(y=0.4 + 0.5 * np.exp(-X / X.mean())), law="shifted", **XY)
    assert fit.edges == ("alpha = inf",)
    assert float(fit.derived()["half_point"][0]) == pytest.approx(X.mean() * np.log(2), rel=1e-2)


def test_a_group_that_a_resample_lacks_has_no_ratio_there():
    kind = np.where(np.arange(len(X)) < 3, "rare", "common")
    frame = FRAME.assign(y=(0.4 + 0.5 * X**-0.4 * np.where(kind == "rare", 2.0, 1.0)) * NOISE, kind=kind)
    fit = fit_law(frame, offsets=["A"], offset_by="kind", **XY)
    made = bootstrap(fit, 60, by="row")
    absent = made.resamples.weights[:, :3].sum(axis=1) == 0
    ratio = made.params["A[rare]/A[common]"]
    assert 0 < absent.sum() < 60
    np.testing.assert_array_equal(np.isnan(ratio), absent)
    low, high = made.interval("A[rare]/A[common]")
    assert low <= np.median(ratio[~absent]) <= high
