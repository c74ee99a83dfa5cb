"""Estimates of groups against numpy and scipy."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from vvscale.figures.base import statistics


@pytest.fixture
def frame():
    rng = np.random.default_rng(0)
    x = rng.normal(size=60)
    y = 0.5 * x + rng.normal(size=60)
    return pd.DataFrame({"x": x, "y": y, "arch": [f"a{i % 12}" for i in range(60)]})


def test_values_are_numpys(frame):
    assert statistics.mean(frame, "y").value == pytest.approx(frame["y"].mean())
    assert statistics.correlation(frame, "x", "y").value == pytest.approx(stats.pearsonr(frame["x"], frame["y"])[0])
    grid = np.array([-1.0, 0.0, 2.0])
    value, low, high = statistics.line(frame, "x", "y", grid)
    fitted = stats.linregress(frame["x"], frame["y"])
    np.testing.assert_allclose(value, fitted.intercept + fitted.slope * grid)
    assert (low < value).all()
    assert (value < high).all()


def test_row_intervals_agree_with_scipys_bootstrap(frame):
    rows = frame.drop(columns="arch")
    ours = statistics.mean(rows, "y", n_resamples=4000)
    rng = np.random.default_rng(1)
    theirs = stats.bootstrap((rows["y"].to_numpy(),), np.mean, n_resamples=4000, method="percentile", rng=rng)
    assert (ours.low, ours.high) == pytest.approx(tuple(theirs.confidence_interval), abs=0.03)
    r = statistics.correlation(rows, "x", "y", n_resamples=4000)
    theirs = stats.bootstrap(
        (rows["x"], rows["y"]), lambda a, b: np.corrcoef(a, b)[0, 1], paired=True, vectorized=False,
        n_resamples=2000, method="percentile", rng=rng,
    )  # fmt: skip
    assert (r.low, r.high) == pytest.approx(tuple(theirs.confidence_interval), abs=0.03)


def test_dependent_rows_are_drawn_together():
    rng = np.random.default_rng(0)
    level = np.repeat(rng.normal(size=20), 30)
    frame = pd.DataFrame({"y": level, "arch": np.repeat([f"a{i}" for i in range(20)], 30)})
    by_arch = statistics.mean(frame, "y")
    by_row = statistics.mean(frame.drop(columns="arch"), "y")
    assert (by_arch.high - by_arch.low) > 3 * (by_row.high - by_row.low)


def test_few_architectures_give_a_t_interval_from_leaving_each_out():
    frame = pd.DataFrame({"y": [1.0, 2.0, 6.0], "arch": ["a", "b", "c"]})
    made = statistics.mean(frame, "y")
    # The jackknife of a mean is its textbook interval.
    low, high = stats.t.interval(0.95, 2, 3.0, stats.sem([1.0, 2.0, 6.0]))
    assert (made.low, made.value, made.high) == pytest.approx((low, 3.0, high))


@pytest.mark.parametrize(
    "frame", [pd.DataFrame({"y": [1.0]}), pd.DataFrame({"y": [1.0, 3.0], "arch": ["a", None]}).iloc[:1]]
)
def test_one_row_has_no_interval(frame):
    made = statistics.mean(frame, "y")
    assert made.value == 1.0
    assert np.isnan([made.low, made.high]).all()


def test_missing_values_are_left_out_and_not_counted():
    made = statistics.mean(pd.DataFrame({"y": [1.0, np.nan, 3.0]}), "y")
    assert (made.value, made.n) == (2.0, 2)
