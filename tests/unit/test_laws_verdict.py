"""Verdicts on data where the answer is known, and on columns that are not what a law expects."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from vvscale.errors import DataError
from vvscale.laws import fit_law
from vvscale.laws.comparison.assess import alternatives, assess
from vvscale.laws.direction import Direction, direction_of
from vvscale.laws.status import Edge, Status
from vvscale.laws.uncertainty.jackknife import jackknife
from vvscale.laws.verdict import Known
from vvscale.laws.workflow.fit_tables import run_fits

N = 60
X = np.geomspace(1e10, 1e18, N)


def table(y: np.ndarray, noise: float = 0.01, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    arch = np.arange(N) % 12
    away = rng.normal(0, noise, N) + rng.normal(0, noise, 12)[arch]
    return pd.DataFrame(
        {"train_flop": X, "arch": [f"a{i:02d}" for i in arch], "misalignment": y * np.exp(away),
         "model_id": [f"m{i:03d}" for i in range(N)]}
    )  # fmt: skip


CLEAR = 0.4 + 0.5 * (X / 1e10) ** -0.25


def test_a_clear_plateau_is_identified_by_architectures():
    fit = fit_law(table(CLEAR))
    told = assess(fit)
    assert told.plateau is Known.IDENTIFIED
    assert told.direction is Direction.FALLS
    assert told.exponents == {"alpha": Known.IDENTIFIED}
    assert (told.by, told.n_groups) == ("arch", 12)
    assert told.interval == jackknife(fit, by="arch").interval("E")
    assert told.interval[0] < 0.4 < told.interval[1]
    assert told.words.startswith("plateau identified: score 0.")
    assert told.reasons == ()
    json.dumps(told.to_dict(), allow_nan=False)


def test_other_forms_count_where_the_rows_allow_them_and_nowhere_else():
    """A shift of 0 is the power law: both fit its rows. One of a hundred times the smallest input is no power law."""
    assert alternatives(fit_law(table(CLEAR)), "arch").keys() == {"Huber 0.1", "least squares", "shifted"}
    bent = 0.4 + 0.5 * (1 + X / 1e13) ** -0.4
    assert "power" not in alternatives(fit_law(table(bent, noise=0.002), law="shifted"), "arch")


def test_a_line_in_logs_has_no_plateau():
    told = assess(fit_law(table(0.9 * (X / 1e10) ** -0.05)))
    assert told.plateau in {Known.AT_BOUNDARY, Known.NOT_IDENTIFIED}
    assert not told.is_identified


def test_without_intervals_nothing_is_assessed():
    told = assess(fit_law(table(CLEAR)), by=())
    assert told.plateau is Known.NOT_ASSESSED
    assert told.interval is None
    assert told.exponents == {"alpha": Known.NOT_ASSESSED}


def test_rows_are_no_honest_unit_where_architectures_are_known():
    fit = fit_law(table(CLEAR))
    told = assess(fit, by=("row",))
    assert told.plateau is Known.NOT_ASSESSED
    assert "dependent" in told.reasons[0]
    assert assess(fit, by=("row", "arch")) == assess(fit)
    # Without architectures rows are all that there is.
    assert assess(fit_law(table(CLEAR).drop(columns="arch")), by=("row",)).by == "row"
    alone = assess(fit_law(table(CLEAR).assign(arch="one")))
    assert alone.plateau is Known.NOT_ASSESSED
    assert "one architecture" in alone.reasons[0]


def test_a_plateau_that_another_loss_moves_is_not_identified():
    # A tenth of the rows, at the end, far below: absolute residuals do not see them, squares do.
    y = CLEAR.copy()
    y[-6::2] *= 0.35
    told = assess(fit_law(table(y, noise=0.003)))
    assert told.plateau is Known.NOT_IDENTIFIED
    assert any("another form or loss" in reason for reason in told.reasons)
    assert told.alternatives["least squares"] < told.limit


@pytest.mark.parametrize("seed", range(2))
def test_directions(seed: int):
    u = np.log(X / X[0]) / np.log(X[-1] / X[0])
    cases = {
        Direction.FALLS: CLEAR, Direction.RISES: 0.3 + 0.4 * u, Direction.FLAT: np.full(N, 0.5),
        Direction.TURNS: 0.7 - 0.8 * u + 0.8 * u**2,
    }  # fmt: skip
    for direction, y in cases.items():
        assert direction_of(fit_law(table(y, noise=0.02, seed=seed))) is direction


def test_an_outcome_that_rises_or_turns_gets_one_line_that_says_what_to_do():
    u = np.log(X / X[0]) / np.log(X[-1] / X[0])
    rising = assess(fit_law(table(0.3 + 0.4 * u)))
    assert not rising.is_identified
    assert [note for note in rising.notes if "rises with train_flop" in note and "`y=1-" in note]
    score = table(0.3 + 0.4 * u).rename(columns={"misalignment": "top1"})
    assert "`y=1-top1`" in " ".join(assess(fit_law(score, y="top1")).notes)
    assert assess(fit_law(score, y="1-top1")).direction is Direction.FALLS
    turning = assess(fit_law(table(0.7 - 0.8 * u + 0.8 * u**2)))
    assert not turning.is_identified
    assert [note for note in turning.notes if "falls and rises again" in note and "`where`" in note]


def test_a_saturating_outcome_does_not_turn():
    for seed in range(2):
        assert direction_of(fit_law(table(0.5 + 0.4 * (X / 1e10) ** -1.0, noise=0.03, seed=seed))) in {
            Direction.FALLS,
            Direction.FLAT,
        }


def test_a_column_that_is_a_logarithm_already():
    logs = table(CLEAR).assign(train_flop=np.log10(X) + 5)
    told = assess(fit_law(logs))
    assert [note for note in told.notes if "looks like a logarithm already" in note and "raw values" in note]
    assert not assess(fit_law(table(CLEAR))).notes


def test_scores_in_percent_are_refused_in_one_line_with_the_remedy():
    percent = table(CLEAR).drop(columns="misalignment").assign(score=100 * (1 - CLEAR))
    with pytest.raises(DataError, match="look like percent: divide") as refused:
        run_fits(percent)
    assert "ccn" not in str(refused.value)


def test_a_signed_law_ends_at_its_logarithmic_edge_without_a_number():
    y = 0.9 - 0.03 * np.log(X / X[0])
    fit = fit_law(table(y, noise=0.002), "ccn")
    if fit.params["E"] > -1e3:
        # Noise may bend it a little; without any it is a logarithm.
        fit = fit_law(table(y, noise=1e-9), "ccn")
    assert fit.edges == (Edge.LOGARITHMIC,)
    assert fit.status is Status.AT_BOUNDARY
    assert fit.params["E"] == -np.inf
    assert fit.to_dict()["params"]["E"] is None
    np.testing.assert_allclose(fit.predict(X[::15]), y[::15], rtol=1e-3)
    told = assess(fit)
    assert told.plateau is Known.AT_BOUNDARY
    assert "logarithmic" in told.words


def test_inputs_that_cannot_be_told_apart_leave_exponents_open():
    rng = np.random.default_rng(0)
    n = np.geomspace(1e5, 1e9, 60)
    rows = pd.DataFrame({"n_params": n, "samples_seen": 20 * n})
    rows["misalignment"] = (0.4 + 20 * n**-0.4 + 20 * (20 * n) ** -0.3) * np.exp(rng.normal(0, 0.01, 60))
    fit = fit_law(rows, "joint")
    assert fit.status in {Status.UNIDENTIFIED, Status.AT_BOUNDARY, Status.NOT_CONVERGED}


def test_fit_says_the_verdict_and_puts_it_into_the_file():
    (result,) = run_fits(table(CLEAR), resamples=40, by=("row", "arch"))
    assert result.entry["verdict"] == assess(result.fit).to_dict()
    assert result.entry["jackknife"]["by"] == "arch"
    assert any(line.startswith("Plateau identified") for line in result.words())
    (silent,) = run_fits(table(CLEAR))
    assert silent.entry["verdict"]["plateau"] == "not assessed"
