"""Claims of the papers on the published table, each number recomputed here by other means."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from vvscale.errors import ConfigError, MissingDataError, UnknownNameError
from vvscale.laws import fit_law
from vvscale.laws.claims.check import Checked, ClaimsReport, Ruling, check_claims, rule
from vvscale.laws.claims.claim import Claim, read_claims
from vvscale.laws.claims.measures import Estimate, Evidence
from vvscale.laws.claims.tables import claims_table
from vvscale.laws.gokce2025.experiments import EXPERIMENTS


@pytest.fixture(scope="module")
def ccn(_scores: pd.DataFrame) -> dict[str, Checked]:
    return by_name(check_claims("ccn2024", _scores))


@pytest.fixture(scope="module")
def icml(_scores: pd.DataFrame) -> dict[str, Checked]:
    return by_name(check_claims("icml2025", _scores))


def by_name(report: ClaimsReport) -> dict[str, Checked]:
    return {one.claim.name: one for one in report.checked}


def estimate(one: Checked) -> Estimate:
    assert one.first is not None
    return one.first


def test_the_joint_law_of_the_first_paper(ccn: dict[str, Checked]):
    assert estimate(ccn["limit"]).value == pytest.approx(0.5305, abs=5e-5)
    assert estimate(ccn["data exponent"]).value == pytest.approx(0.752, abs=5e-4)
    assert estimate(ccn["parameter exponent"]).value == pytest.approx(0.248, abs=5e-4)
    assert estimate(ccn["data per tenfold"]).value == pytest.approx(5.66, abs=0.01)
    assert estimate(ccn["parameters per tenfold"]).value == pytest.approx(1.77, abs=0.005)
    assert [ccn[name].ruling for name in ("limit", "data exponent", "parameter exponent", "data per tenfold")] == [
        Ruling.HOLDS_WITHIN, Ruling.HOLDS_WITHIN, Ruling.HOLDS_WITHIN, Ruling.HOLDS,
    ]  # fmt: skip


def test_the_limit_is_not_a_quarter_above_the_best_model(ccn: dict[str, Checked], gokce2025: pd.DataFrame):
    rows, _ = EXPERIMENTS["ccn_joint"].rows(gokce2025)
    best = rows["score"].max()
    assert best == pytest.approx(0.4458, abs=5e-5)
    assert estimate(ccn["headroom"]).value == pytest.approx(0.51 / best - 1)
    assert ccn["headroom"].ruling is Ruling.CONTRADICTED
    assert ccn["headroom"].why == "it is 0.144, not 0.25."


def test_scores_are_logarithmic_in_images_per_class(ccn: dict[str, Checked], gokce2025: pd.DataFrame):
    rows, _ = EXPERIMENTS["ccn_compute"].rows(gokce2025)
    rows = rows[rows["samples_per_class"].between(1, 300)]
    u = np.log10(rows["samples_per_class"])
    assert estimate(ccn["logarithmic in images"]).value == pytest.approx(np.polyfit(u, rows["score"], 2)[0], rel=1e-9)
    assert ccn["logarithmic in images"].ruling is Ruling.HOLDS


def test_higher_areas_gain_more(ccn: dict[str, Checked], gokce2025: pd.DataFrame):
    made = ccn["higher areas gain more"].estimates["arch"]
    wide = gokce2025.pivot_table(index="model_id", columns="region", values="score")
    rows, _ = EXPERIMENTS["ccn_compute"].rows(gokce2025)
    wide = wide.loc[rows["model_id"]]
    u = np.log10(rows.set_index("model_id")["train_flop"])
    for one in made[:5]:
        assert one.value == pytest.approx(np.polyfit(u, wide[one.name], 1)[0], rel=1e-6)
    assert [round(one.value, 3) for one in made[:5]] == [0.015, 0.047, 0.076, 0.096, 0.103]
    # Only behaviour over IT is no more than likely.
    assert ccn["higher areas gain more"].ruling is Ruling.HOLDS_WITHIN
    assert "behavior - IT" in ccn["higher areas gain more"].why


def test_the_knee_lies_far_below_1e8_parameters(ccn: dict[str, Checked]):
    made = estimate(ccn["knee"])
    assert made.value == pytest.approx(6.95, abs=0.03)
    assert ccn["knee"].ruling is Ruling.CONTRADICTED


def test_data_over_parameters_holds_by_architecture_and_is_not_established_by_family(
    icml: dict[str, Checked], gokce2025: pd.DataFrame
):
    one = icml["data over parameters"]
    rows, _ = EXPERIMENTS["compute_chinchilla"].rows(gokce2025)
    options = {"law": "joint", "x": ["n_params", "samples_seen"], "negative": True}

    def exponent(frame: pd.DataFrame) -> float:
        params = fit_law(frame, **options).params
        return params["beta"] / (params["alpha"] + params["beta"])

    whole = exponent(rows)
    left = np.array([exponent(rows[rows["parent_family"] != family]) for family in sorted(set(rows["parent_family"]))])
    reach = stats.t.ppf(0.975, len(left) - 1) * np.sqrt((len(left) - 1) / len(left) * ((left - whole) ** 2).sum())
    family = one.estimates["family"][0]
    assert family.interval is not None
    # Families of unequal size count for fewer degrees of freedom than their number, never for more.
    assert family.interval[1] >= whole + reach * (1 - 1e-5) > 0.5 > family.interval[0]
    arch = one.estimates["arch"][0]
    assert arch.interval is not None
    assert arch.interval[1] < 0.5
    assert one.ruling is Ruling.NOT_ESTABLISHED
    assert one.why.startswith("by family: the interval lies on both sides of 0.5 (by arch it holds)")


def test_neither_limit_in_compute_is_identified(icml: dict[str, Checked]):
    assert icml["neural limit"].ruling is Ruling.HOLDS
    assert icml["neural limit is known"].ruling is Ruling.NOT_ESTABLISHED
    assert icml["behaviour reaches 1"].ruling is Ruling.NOT_ESTABLISHED
    assert estimate(icml["neural saturates"]).value == pytest.approx(-0.002, abs=0.001)
    assert estimate(icml["behaviour scales on"]).value == pytest.approx(0.04, abs=0.005)


def test_reports_are_plain_values_and_tables(ccn: dict[str, Checked], gokce2025: pd.DataFrame):
    report = ClaimsReport("title", "source", tuple(ccn.values()))
    assert len(json.loads(json.dumps(report.to_dict(), allow_nan=False))["claims"]) == len(ccn)
    shown = claims_table(report)
    assert shown["ours"].iloc[0].startswith("0.531 [")
    assert set(report.table()["ruling"]) <= {str(ruling) for ruling in Ruling}


# --- rulings ---


def claim(**changes: object) -> Claim:
    return Claim(**{"name": "c", "says": "s", "measure": "fit", "fit": "f", "value": 1.0, "rounding": 0.05, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("told", "value", "interval", "ruling"),
    [
        (claim(), 1.04, (0.9, 1.2), "holds"),
        (claim(), 1.2, (0.9, 1.5), "holds within"),
        (claim(), 1.2, (1.1, 1.5), "contradicted"),
        (claim(), 1.2, None, "not established"),
        (claim(relation="above"), 1.2, (1.1, 1.5), "holds"),
        (claim(relation="above"), 1.2, (0.9, 1.5), "not established"),
        (claim(relation="above"), 0.5, (0.2, 0.9), "contradicted"),
        (claim(relation="below"), 0.5, (0.2, 0.9), "holds"),
        (claim(relation="below"), 1.2, (1.1, 1.5), "contradicted"),
    ],
)
def test_rulings(told: Claim, value: float, interval: tuple[float, float] | None, ruling: str):
    evidence = Evidence(pd.DataFrame(), {})
    assert rule(told, [Estimate("q", value, interval, "arch")], evidence)[0] == ruling


# --- one's own claims ---

OWN = """
title = "Mine"
[fits.mine]
law = "power"
x = ["size"]
y = "loss"
[[claims]]
name = "limit"
says = "the loss ends at .3"
measure = "fit"
fit = "mine"
quantity = "E"
value = 0.3
rounding = 0.02
by = ["lab"]
"""


def own_table() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    x = np.geomspace(1, 1e5, 80)
    y = (0.3 + 0.6 * x**-0.4) * np.exp(rng.normal(0, 0.01, 80))
    return pd.DataFrame({"size": x, "loss": y, "lab": np.arange(80) % 8})


def test_own_claims_on_an_own_table(tmp_path: Path):
    path = tmp_path / "mine.toml"
    path.write_text(OWN)
    (one,) = check_claims(path, own_table()).checked
    assert one.ruling is Ruling.HOLDS
    assert list(one.estimates) == ["lab"]


@pytest.mark.parametrize(
    ("old", "new", "error", "text"),
    [
        ('fit = "mine"', 'fit = "other"', UnknownNameError, "other"),
        ('quantity = "E"', 'quantity = "F"', UnknownNameError, "Unknown quantity 'F'"),
        ('measure = "fit"', 'measure = "fits"', ConfigError, "Unknown measure 'fits'"),
        ("value = 0.3", 'value = "x"', ConfigError, "value"),
        ("rounding", "roundig", ConfigError, "roundig"),
    ],
)
def test_claims_that_cannot_be_read_are_refused(tmp_path: Path, old: str, new: str, error: type[Exception], text: str):
    path = tmp_path / "mine.toml"
    path.write_text(OWN.replace(old, new))
    with pytest.raises(error, match=text):
        check_claims(path, own_table())


def test_unknown_sources_are_refused():
    with pytest.raises(UnknownNameError, match="ccn2024"):
        read_claims("ccn2042")
    with pytest.raises(MissingDataError, match="no file"):
        read_claims("no/such.toml")
