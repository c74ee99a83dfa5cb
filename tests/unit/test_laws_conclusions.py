"""Does the conclusion change: on data where the answer is known."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from vvscale.errors import UsageError
from vvscale.laws import conclusions, fit_law
from vvscale.laws.comparison.sensitivity import limits, verdict


def table(plateau: float, bend: float = 0.0, n: int = 120) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    x = np.geomspace(1, 1e6, n)
    y = (plateau + (1 - plateau) * 0.9 * (x + bend) ** -0.3 * (1 + bend) ** 0.3) * np.exp(
        0.005 * rng.standard_normal(n)
    )
    return pd.DataFrame({"x": x, "misalignment": y, "arch": [f"a{i}" for i in rng.integers(0, 20, n)], "family": "one"})


def test_a_clear_limit_stands_under_all_choices():
    result = conclusions(fit_law(table(0.4, n=80), x="x"), deltas=[None], n_resamples=10)
    rows = result.table()
    # One family only: nothing to resample there.
    assert len(rows) == 2 * 2 * 2
    assert set(rows["unit"]) == {"row", "arch"}
    assert (rows["s_inf"] - 0.6).abs().max() < 0.02
    assert (rows["share_at_zero"] == 0).all()
    assert rows["verdict"].str.startswith("limit identified near 0.6").all()
    assert result.sentence.startswith("No: it does not change.")
    assert result.base == ("power", "Huber 0.001", "arch")


def test_no_limit_is_said_as_that():
    result = conclusions(fit_law(table(0.0), x="x"), laws=["power"], deltas=[1e-3], units=["row"], n_resamples=20)
    row = result.table().iloc[0]
    assert row["s_inf"] > 0.95


def test_extrapolation_is_that_of_the_fit():
    data = table(0.4)
    fit = fit_law(data, x="x")
    row = conclusions(fit, laws=["power"], deltas=[], units=["row"], n_resamples=20).table().iloc[0]
    np.testing.assert_allclose(
        row[["score_x100", "score_x1000", "score_x10000"]].astype(float), 1 - fit.predict([1e8, 1e9, 1e10]), rtol=1e-9
    )
    assert row["score_x10000_low"] < row["score_x10000"] < row["score_x10000_high"]


def test_two_inputs_grow_by_the_root():
    rng = np.random.default_rng(1)
    data = pd.DataFrame({"n_params": 10 ** rng.uniform(5, 8, 80), "samples_seen": 10 ** rng.uniform(4, 8, 80)})
    data["misalignment"] = 0.3 + 0.2 * (data["n_params"] / 1e5) ** -0.4 + 0.4 * (data["samples_seen"] / 1e4) ** -0.3
    fit = fit_law(data, law="joint", x=["n_params", "samples_seen"])
    row = conclusions(fit, laws=[], deltas=[], units=["row"], n_resamples=5).table().iloc[0]
    far = (data["n_params"].max() * 100, data["samples_seen"].max() * 100)
    assert row["score_x10000"] == pytest.approx(1 - fit.predict(*far)[0], rel=1e-6)


def test_a_term_that_never_falls_is_part_of_the_limit():
    one = np.array([1.0, 0.0])
    np.testing.assert_allclose(limits({"E": np.array([0.1, 0.1]), "A": np.array([0.3, 0.3]), "alpha": one}), [0.1, 0.4])
    joint = {"E": np.zeros(2), "A": np.full(2, 0.2), "alpha": one, "B": np.full(2, 0.5), "beta": one[::-1]}
    np.testing.assert_allclose(limits(joint), [0.5, 0.2])
    product = {"E": np.zeros(2), "A": np.full(2, 0.2), "alpha": one - one, "beta": one}
    np.testing.assert_allclose(limits(product), [0.0, 0.2])


def test_verdicts():
    assert verdict(0.5, 0.46, 0.55, 0.0) == "limit identified near 0.50"
    assert verdict(0.5, 0.46, 0.55, 0.2) == "limit not identified: 0.46 to 0.55"
    assert verdict(0.5, 0.40, 0.80, 0.0) == "limit not identified: 0.40 to 0.80"
    assert verdict(1.0, 1.0, 1.0, 1.0) == "no limit below 1"
    assert verdict(1.0, 0.6, 1.0, 0.7) == "limit not identified: 0.60 to 1.00"
    assert verdict(0.5, np.nan, np.nan, np.nan) == "too few points in the resamples"


def test_a_steep_logistic_reaches_its_plateau():
    x = np.geomspace(1, 1e6, 60)
    y = 0.4 + 0.5 / (1 + (x / 1e3) ** 8) + 0.001 * np.random.default_rng(0).standard_normal(60)
    fit = fit_law(pd.DataFrame({"x": x, "misalignment": y}), x="x", law="logistic")
    row = conclusions(fit, laws=[], deltas=[], units=["row"], n_resamples=5).table().iloc[0]
    assert row["score_x10000"] == pytest.approx(row["s_inf"], abs=1e-6)
    assert np.isfinite(row["score_x10000_high"])


def test_bad_requests_explain_themselves():
    fit = fit_law(table(0.4), x="x")
    with pytest.raises(UsageError, match="The law 'log' has no limit"):
        conclusions(fit, laws=["log"], deltas=[], n_resamples=2)
    with pytest.raises(UsageError, match="No resampling unit"):
        conclusions(fit, units=[])
    with pytest.raises(UsageError, match="at least 1, got 0"):
        conclusions(fit, n_resamples=0)


def test_a_result_is_plain_values():
    result = conclusions(fit_law(table(0.4), x="x"), laws=[], deltas=[None], units=["row"], n_resamples=5)
    stored = json.loads(json.dumps(result.to_dict(), allow_nan=False))
    assert [row["loss"] for row in stored["rows"]] == ["Huber 0.001", "least squares"]
    assert stored["base"] == {"law": "power", "loss": "Huber 0.001", "unit": "row"}
    assert "<table" in result._repr_html_()
