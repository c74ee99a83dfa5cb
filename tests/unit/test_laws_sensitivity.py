"""Does the conclusion change: on data where the answer is known."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from vvscale.errors import UsageError
from vvscale.laws import fit_law, sensitivity
from vvscale.laws.comparison.sensitivity import Choice, limit_known, limits


def table(plateau: float, bend: float = 0.0, n: int = 120) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    x = np.geomspace(1, 1e6, n)
    y = (plateau + (1 - plateau) * 0.9 * (x + bend) ** -0.3 * (1 + bend) ** 0.3) * np.exp(
        0.005 * rng.standard_normal(n)
    )
    return pd.DataFrame({"x": x, "misalignment": y, "arch": [f"a{i}" for i in rng.integers(0, 20, n)], "family": "one"})


def test_a_clear_limit_stands_under_all_choices():
    result = sensitivity(fit_law(table(0.4, n=80), x="x"), deltas=[None], n=10)
    rows = result.table()
    # One family only: nothing to resample there.
    assert len(rows) == 2 * 2 * 2
    assert set(rows["by"]) == {"row", "arch"}
    assert (rows["s_inf"] - 0.6).abs().max() < 0.02
    assert (rows["share_at_zero"] == 0).all()
    assert (rows["plateau"] == "identified").all()
    assert result.changes == ()
    assert result.sentence.startswith("No: it does not change.")
    assert result.base == Choice("power", "Huber 0.001", "arch")


def test_no_limit_is_said_as_that():
    result = sensitivity(fit_law(table(0.0), x="x"), laws=["power"], deltas=[1e-3], by=["row"], n=20)
    row = result.table().iloc[0]
    assert row["s_inf"] > 0.95


def test_extrapolation_is_that_of_the_fit():
    data = table(0.4)
    fit = fit_law(data, x="x")
    row = sensitivity(fit, laws=["power"], deltas=[], by=["row"], n=20).table().iloc[0]
    np.testing.assert_allclose(
        row[["score_x100", "score_x1000", "score_x10000"]].astype(float), 1 - fit.predict([1e8, 1e9, 1e10]), rtol=1e-9
    )
    assert row["score_x10000_low"] < row["score_x10000"] < row["score_x10000_high"]


def test_two_inputs_grow_by_the_root():
    rng = np.random.default_rng(1)
    data = pd.DataFrame({"n_params": 10 ** rng.uniform(5, 8, 80), "samples_seen": 10 ** rng.uniform(4, 8, 80)})
    data["misalignment"] = 0.3 + 0.2 * (data["n_params"] / 1e5) ** -0.4 + 0.4 * (data["samples_seen"] / 1e4) ** -0.3
    fit = fit_law(data, law="joint", x=["n_params", "samples_seen"])
    row = sensitivity(fit, laws=[], deltas=[], by=["row"], n=5).table().iloc[0]
    far = (data["n_params"].max() * 100, data["samples_seen"].max() * 100)
    assert row["score_x10000"] == pytest.approx(1 - fit.predict(*far)[0], rel=1e-6)


def test_a_term_that_never_falls_is_part_of_the_limit():
    one = np.array([1.0, 0.0])
    np.testing.assert_allclose(limits({"E": np.array([0.1, 0.1]), "A": np.array([0.3, 0.3]), "alpha": one}), [0.1, 0.4])
    joint = {"E": np.zeros(2), "A": np.full(2, 0.2), "alpha": one, "B": np.full(2, 0.5), "beta": one[::-1]}
    np.testing.assert_allclose(limits(joint), [0.5, 0.2])
    product = {"E": np.zeros(2), "A": np.full(2, 0.2), "alpha": one - one, "beta": one}
    np.testing.assert_allclose(limits(product), [0.0, 0.2])


def test_how_well_one_choice_knows_the_limit():
    assert limit_known(0.5, 0.46, 0.55, 0.0, 0.1) == "identified"
    assert limit_known(0.5, 0.46, 0.55, 0.2, 0.1) == "not identified"
    assert limit_known(0.5, 0.40, 0.80, 0.0, 0.1) == "not identified"
    assert limit_known(0.5, 0.40, 0.80, 0.0, 0.5) == "identified"
    assert limit_known(1.0, 1.0, 1.0, 1.0, 0.1) == "at the boundary"
    assert limit_known(1.0, 0.6, 1.0, 0.7, 0.1) == "not identified"
    assert limit_known(0.5, np.nan, np.nan, np.nan, 0.1) == "not assessed"


def test_the_choice_of_rows_is_one_of_the_choices():
    data = table(0.4)
    low = data["x"] < 1e3
    # Below 1e3 another plateau: fitted to these rows alone the limit is another one.
    data.loc[low, "misalignment"] += 0.25
    result = sensitivity(fit_law(data[~low], x="x"), laws=[], deltas=[], by=["row"], rows={"all rows": data}, n=5)
    rows = result.table().set_index("rows")
    assert rows["n"].to_dict() == {"as fitted": int((~low).sum()), "all rows": len(data)}
    assert rows.loc["all rows", "s_inf"] == pytest.approx(1 - fit_law(data, x="x").params["E"], abs=1e-6)
    assert result.changes == ("rows",)
    assert "the choice of rows (as fitted (60 rows): limit of the score 0.6" in result.sentence


def test_a_steep_logistic_reaches_its_plateau():
    x = np.geomspace(1, 1e6, 60)
    y = 0.4 + 0.5 / (1 + (x / 1e3) ** 8) + 0.001 * np.random.default_rng(0).standard_normal(60)
    fit = fit_law(pd.DataFrame({"x": x, "misalignment": y}), x="x", law="logistic")
    row = sensitivity(fit, laws=[], deltas=[], by=["row"], n=5).table().iloc[0]
    assert row["score_x10000"] == pytest.approx(row["s_inf"], abs=1e-6)
    assert np.isfinite(row["score_x10000_high"])


def test_bad_requests_explain_themselves():
    fit = fit_law(table(0.4), x="x")
    with pytest.raises(UsageError, match="The law 'log' has no limit"):
        sensitivity(fit, laws=["log"], deltas=[], n=2)
    with pytest.raises(UsageError, match="No resampling unit"):
        sensitivity(fit, by=[])
    with pytest.raises(UsageError, match="at least 1, got 0"):
        sensitivity(fit, n=0)


def test_a_result_is_plain_values():
    result = sensitivity(fit_law(table(0.4), x="x"), laws=[], deltas=[None], by=["row"], n=5)
    stored = json.loads(json.dumps(result.to_dict(), allow_nan=False))
    assert [row["loss"] for row in stored["rows"]] == ["Huber 0.001", "least squares"]
    assert stored["base"] == {"law": "power", "loss": "Huber 0.001", "by": "row", "rows": "as fitted"}
    assert "<table" in result._repr_html_()
