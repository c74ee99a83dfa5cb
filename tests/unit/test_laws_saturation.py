"""A broken line in log X: against plain least squares, a sandwich by loops, and curves whose ends are known."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import t as student

from vvscale.errors import ShapeError, UsageError
from vvscale.laws import fit_law
from vvscale.laws.comparison.saturation import Ends, saturation
from vvscale.laws.uncertainty.resample import resamples
from vvscale.laws.workflow.fit_tables import run_fits


def rows(before: float, after: float, *, knee: float = 3.0, noise: float = 0.004, n_archs: int = 14) -> pd.DataFrame:
    """Scores of fourteen architectures at twelve sizes of one thousandth to a billion."""
    rng = np.random.default_rng(0)
    u = np.tile(np.linspace(-3, 9, 12), n_archs)
    arch = np.repeat(np.arange(n_archs), 12)
    score = 0.2 + before * np.minimum(u - knee, 0) + after * np.maximum(u - knee, 0)
    score += 0.02 * rng.normal(size=n_archs)[arch] + noise * rng.normal(size=len(u))
    return pd.DataFrame({"size": 10.0**u, "misalignment": 1.0 - score, "arch": [f"a{k}" for k in arch]})


def broken_line(u: np.ndarray, score: np.ndarray) -> tuple[float, float, float]:
    """Knee, slope before and change of slope: least squares by LAPACK at each knee of the inner range."""
    low, high = np.quantile(np.unique(u), [0.15, 0.85])
    found = []
    for knee in np.linspace(low, high, 181):
        design = np.stack([np.ones_like(u), u, np.clip(u - knee, 0, None)], axis=1)
        solved, _, rank, _ = np.linalg.lstsq(design, score, rcond=None)
        if rank == 3:
            found.append((float(((score - design @ solved) ** 2).sum()), knee, solved[1], solved[2]))
    return min(found)[1:]


def test_it_is_the_least_squares_line_of_the_rows_and_of_each_resample():
    table = rows(0.03, 0.01)
    made = saturation(fit_law(table, x="size"), n=40)
    u, score = np.log10(table["size"].to_numpy()), 1 - table["misalignment"].to_numpy()
    weights = resamples(table, "arch", 40).weights
    every = [(made.values, slice(None)), *(({k: v[b] for k, v in made.draws.items()}, b) for b in range(40))]
    for values, draw in every:
        taken = np.arange(len(u)) if draw == slice(None) else np.repeat(np.arange(len(u)), weights[draw].astype(int))
        knee, before, bend = broken_line(u[taken], score[taken])
        assert values["knee"] == pytest.approx(knee, abs=1e-9)
        assert values["slope_before"] == pytest.approx(before, rel=1e-6)
        assert values["bend"] == pytest.approx(bend, rel=1e-6)
        assert values["slope_after"] == pytest.approx(before + bend, rel=1e-6)
    low, high = np.quantile(made.draws["knee"], [0.025, 0.975])
    np.testing.assert_allclose(made.intervals["knee"], (min(low, made.values["knee"]), max(high, made.values["knee"])))
    assert (made.by, made.n_units) == ("arch", 14)


@pytest.mark.parametrize("n_archs", [5, 14])
def test_intervals_of_the_slopes_are_a_clustered_sandwich(n_archs: int):
    table = rows(0.03, 0.01, n_archs=n_archs)
    made = saturation(fit_law(table, x="size"), n=40)
    u, score = np.log10(table["size"].to_numpy()), 1 - table["misalignment"].to_numpy()
    knee, before, bend = (made.values[name] for name in ("knee", "slope_before", "bend"))
    shape = before * (u - knee) + bend * np.clip(u - knee, 0, None)
    residual = score - shape - (score - shape).mean()
    gradient = np.stack([np.ones_like(u), u - knee, np.clip(u - knee, 0, None), -before - bend * (u > knee)], axis=1)
    inverse = np.linalg.inv(gradient.T @ gradient)
    middle = np.zeros((4, 4))
    for arch in table["arch"].unique():
        own = gradient[table["arch"] == arch].T @ residual[table["arch"] == arch]
        middle += np.outer(own, own)
    covariance = inverse @ middle @ inverse * n_archs / (n_archs - 1)
    # Groups of one size are worth their number, less one.
    reach = student.ppf(0.975, n_archs - 1)
    for name, contrast in (("slope_before", [0, 1, 0, 0]), ("slope_after", [0, 1, 1, 0]), ("bend", [0, 0, 1, 0])):
        error = float(np.sqrt(np.array(contrast) @ covariance @ contrast))
        np.testing.assert_allclose(made.intervals[name], made.values[name] + reach * error * np.array([-1, 1]))
    if n_archs < 10:  # too few to resample: the knee has the same kind of interval
        error = float(np.sqrt(covariance[3, 3]))
        np.testing.assert_allclose(made.intervals["knee"], knee + reach * error * np.array([-1, 1]))


@pytest.mark.parametrize(
    ("before", "after", "ends", "said"),
    [
        (0.04, 0.0, Ends.SATURATES, "The score flattens at size = "),
        (0.04, -0.01, Ends.SATURATES, "The score flattens at size = "),
        (0.04, 0.015, Ends.RISES_ON, "The score rises on, more slowly, at size = "),
        (0.02, 0.02, Ends.STRAIGHT, "No knee is established; the likeliest one is at size = "),
        (0.01, 0.03, Ends.STRAIGHT, "No knee is established; the likeliest one is at size = "),
    ],
)
def test_what_a_score_does_beyond_the_knee(before: float, after: float, ends: Ends, said: str):
    made = saturation(fit_law(rows(before, after), x="size"), n=40)
    assert made.ends is ends
    assert made.sentence.startswith(said)
    assert f"before {made.values['slope_before']:.3f} (14 arch)." in made.sentence
    if ends is not Ends.STRAIGHT:
        assert made.values["knee"] == pytest.approx(3.0, abs=0.5)
        assert made.values["slope_before"] == pytest.approx(before, abs=0.003)
        assert made.values["slope_after"] == pytest.approx(after, abs=0.003)


def test_a_slope_that_may_be_more_than_half_of_that_before_is_unclear():
    made = saturation(fit_law(rows(0.02, 0.003, noise=0.03, knee=5.0, n_archs=6), x="size"), n=40)
    low, high = made.intervals["slope_after"]
    assert made.intervals["bend"][1] < 0
    assert low <= 0
    assert high > made.values["slope_before"] / 2
    assert made.ends is Ends.UNCLEAR
    assert made.sentence.startswith("Whether the score flattens is not established; the line bends at size = ")
    assert made.to_dict()["sentence"] == made.sentence
    assert list(made.table()["quantity"]) == ["knee", "slope_before", "slope_after", "bend"]


def test_a_larger_unit_of_the_input_moves_the_knee_alone():
    table = rows(0.04, 0.0)
    here, there = (
        saturation(fit_law(table.assign(size=table["size"] * factor), x="size"), n=20) for factor in (1.0, 1e3)
    )
    assert there.values["knee"] == pytest.approx(here.values["knee"] + 3)
    assert there.values["slope_before"] == pytest.approx(here.values["slope_before"])


def test_the_unit_that_a_law_is_fitted_in_moves_nothing():
    table = rows(0.04, 0.0)
    plain = saturation(fit_law(table, x="size"), n=20)
    for unit in (1e-3, 1e5):
        made = saturation(fit_law(table, x="size", units={"size": unit}), n=20)
        assert made.values == pytest.approx(plain.values)
        assert made.intervals["knee"] == pytest.approx(plain.intervals["knee"])


def test_what_has_no_broken_line_is_refused():
    table = rows(0.04, 0.0)
    with pytest.raises(ShapeError, match=r"needs 5 distinct values of size, got 4"):
        saturation(fit_law(table[table["size"].rank(method="dense") <= 4], x="size"))
    assert saturation(fit_law(table[table["size"].rank(method="dense") <= 5], x="size"), n=5).n_units == 14
    two = table.assign(n_params=table["size"], samples_seen=table["size"].to_numpy()[::-1])
    with pytest.raises(UsageError, match=r"needs one input, and this law has n_params, samples_seen"):
        saturation(fit_law(two, law="joint", x=["n_params", "samples_seen"]))


@pytest.mark.parametrize("resamples", [0, 20])
def test_a_fit_that_is_asked_for_it_says_it_with_and_without_resamples(resamples: int):
    (done,) = run_fits(rows(0.04, 0.0), x=("size",), saturation=True, resamples=resamples)
    made = done.tables["where the score flattens: a broken line"].set_index("quantity")
    assert made.loc["knee", "low"] <= made.loc["knee", "value"] <= made.loc["knee", "high"]
    assert any(one.startswith("The score flattens at size = ") for one in done.sentences)
