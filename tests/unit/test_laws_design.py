"""Designs: better than any single move, within the budget, and what they promise is what refits show."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pandas as pd
import pytest

from vvscale.errors import FitError, UsageError
from vvscale.laws import fit_law
from vvscale.laws.fit import Fit
from vvscale.laws.planning.cost import Cost
from vvscale.laws.planning.design import design_runs

COST = Cost(6.0, 1.0, 1.0, "given")


def outcome(flop: np.ndarray, arch: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    noise = 0.05 * rng.normal(size=arch.max() + 1)[arch] + 0.03 * rng.normal(size=len(flop))
    return (0.3 + 0.6 * (flop / 1e13) ** -0.3) * np.exp(noise)


def power(flop: np.ndarray, y: np.ndarray, arch: np.ndarray, delta: float | None = None) -> Fit:
    return fit_law(pd.DataFrame({"train_flop": flop, "misalignment": y, "arch": arch}), delta=delta)


@pytest.fixture(scope="module")
def joint() -> Fit:
    rng = np.random.default_rng(2)
    arch = np.arange(120) % 12
    n, d = 10 ** rng.uniform(5, 8, 12)[arch], 10 ** rng.uniform(5, 9, 120)
    y = 0.4 + 0.2 * (n / 1e5) ** -0.5 + 0.5 * (d / 1e4) ** -0.25
    y *= np.exp(0.03 * rng.normal(size=12)[arch] + 0.02 * rng.normal(size=120))
    table = pd.DataFrame({"n_params": n, "samples_seen": d, "misalignment": y, "arch": arch})
    return fit_law(table, law="joint", x=["n_params", "samples_seen"])


def test_the_promised_shrinkage_is_what_refits_show():
    """New tables of the same design, with and without the runs: the scatter of E, by simulation."""
    arch = np.arange(112) % 14
    flop = 10 ** np.random.default_rng(0).uniform(13, 16.5, 112)
    drawn = [power(flop, outcome(flop, arch, np.random.default_rng(seed)), arch) for seed in range(900, 906)]
    promised = [design_runs(fit, 1e20, 8, reduce="E", d_bounds=(1e13, 2e19)) for fit in drawn]
    made = promised[0]
    new = np.repeat(made.runs["train_flop"].to_numpy(), made.runs["count"])
    own = 14 + np.arange(len(new))
    without, along = [], []
    for seed in range(80):
        rng = np.random.default_rng(seed)
        y = np.concatenate([outcome(flop, arch, rng), outcome(new, own - 14, rng)])
        without.append(power(flop, y[:112], arch).params["E"])
        along.append(power(np.concatenate([flop, new]), y, np.concatenate([arch, own])).params["E"])
    seen = np.std(along) / np.std(without)
    # The standard error of the ratio of two such standard deviations is about .07.
    assert seen < 0.7
    assert np.median([one.shrinkage for one in promised]) == pytest.approx(seen, abs=0.12)


@pytest.mark.parametrize("reduce", ["E", "alpha", "beta", "exponent", "all"])
def test_designs_keep_the_budget_and_beat_the_middle(joint: Fit, reduce: str):
    made = design_runs(joint, 1e16, 6, reduce=reduce, cost=COST)
    assert made.runs["count"].sum() == 6
    assert made.spent <= 1e16
    assert (made.runs["train_flop"] * made.runs["count"]).sum() == pytest.approx(made.spent)
    assert made.runs["train_flop"].to_numpy() == pytest.approx(
        6.0 * made.runs["n_params"].to_numpy() * made.runs["samples_seen"].to_numpy()
    )
    assert made.shrinkage < min(made.baseline, 1.0)
    low, high = made.interval
    assert made.expected[1] - made.expected[0] == pytest.approx(made.shrinkage * (high - low))


def test_more_runs_and_more_budget_never_tell_less(joint: Fit):
    few = design_runs(joint, 1e16, 3, reduce="E", cost=COST)
    more = design_runs(joint, 1e16, 6, reduce="E", cost=COST)
    rich = design_runs(joint, 1e17, 6, reduce="E", cost=COST)
    assert more.shrinkage < few.shrinkage
    assert rich.shrinkage <= more.shrinkage + 0.01


def test_the_runs_for_a_score_lie_near_it(joint: Fit):
    made = design_runs(joint, 1e16, 1, reduce="score-at", at=(1e6, 1e7), cost=COST)
    assert made.value == pytest.approx(1 - joint.predict(1e6, 1e7)[0])
    assert made.interval[0] < made.value < made.interval[1]


def test_what_cannot_be_designed_is_refused(joint: Fit):
    with pytest.raises(UsageError, match="cost at least"):
        design_runs(joint, 1e12, 1000, cost=COST)
    with pytest.raises(UsageError, match="Unknown quantity to `reduce`: 'gamma'"):
        design_runs(joint, 1e16, 3, reduce="gamma", cost=COST)
    with pytest.raises(UsageError, match="needs 2 value"):
        design_runs(joint, 1e16, 3, reduce="score-at", at=(1e6,), cost=COST)
    with pytest.raises(UsageError, match="`budget` must be"):
        design_runs(joint, -1.0, 3, cost=COST)
    frame = joint.problem.frame
    with pytest.raises(UsageError, match="needs the joint law"):
        design_runs(fit_law(frame, law="power", x="n_params"), 1e16, 3)
    flat = frame.assign(misalignment=0.4 + 0.5 * (frame["samples_seen"] / 1e4) ** -0.25)
    with pytest.raises(FitError, match="absent, flat or rising"):
        design_runs(fit_law(flat, law="joint", x=["n_params", "samples_seen"]), 1e16, 3, cost=COST)


@pytest.mark.parametrize("shrinkage", [1.2, float("inf"), float("nan")])
def test_a_design_that_narrows_nothing_says_so(joint: Fit, shrinkage: float):
    """A page once said "narrow the interval by -inf%"."""
    made = dataclasses.replace(design_runs(joint, 1e16, 3, reduce="E", cost=COST), shrinkage=shrinkage)
    assert not made.narrows
    assert "not expected to narrow" in made.sentence
    assert "%" not in made.sentence
    assert json.loads(json.dumps(made.to_dict(), allow_nan=False))["narrows"] is False


def test_a_design_is_a_plain_value(joint: Fit):
    made = design_runs(joint, 1e16, 3, reduce="E", cost=COST)
    assert json.loads(json.dumps(made.to_dict(), allow_nan=False))["reduce"] == "E"
    assert "3 runs for" in made.sentence
    assert list(made.table()) == ["n_params", "samples_seen", "train_flop", "count"]
