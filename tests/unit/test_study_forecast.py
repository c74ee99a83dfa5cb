"""A law put to the test: what is chosen, what is trained, what is said about it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from vvscale.errors import ConfigError, DataError, UnknownNameError, UsageError
from vvscale.laws import fit_law
from vvscale.laws.workflow.save import save_fits
from vvscale.scores.table import last_epochs
from vvscale.study.graph.kinds import TaskContext
from vvscale.study.prepare import prepare_study
from vvscale.study.spec.resolve import network_cost
from vvscale.study.spec.schema import LawSpec, load_spec
from vvscale.study.tasks.findings import findings, trend_rows
from vvscale.study.tasks.forecast import choose, run_forecast
from vvscale.study.tasks.rows import average_seeds, outcomes
from vvscale.train import load_recipe

SIZES = (3019, 5214, 8005, 11392, 19954)
LAW = {"E": 0.01, "A": 300.0, "alpha": 0.9, "B": 8.0, "beta": 0.6}
CANDIDATES = [
    {"arch": f"resnetflex-w{width}-d1-1-1", **network_cost(f"resnetflex-w{width}-d1-1-1", 8, 10)}
    for width in (2, 7, 14)
]


def error_of(n, d):
    return LAW["E"] + LAW["A"] * np.asarray(n, float) ** -LAW["alpha"] + LAW["B"] * np.asarray(d, float) ** -LAW["beta"]


def scores() -> pd.DataFrame:
    """Rows of networks that follow the law exactly; those of two seeds lie a little above and below."""
    rows = []
    for n in SIZES:
        for per_class in (1, 3, 10, 30, 100):
            for seed, off in ((0, 0.98), (1, 1.02)):
                d = 250 * per_class
                rows.append({
                    "model_id": f"net{n}_digits_{per_class}_seed-{seed}", "arch": f"net{n}", "family": "net",
                    "parent_family": "ResNet", "dataset": "digits", "seed": seed, "samples_per_class": per_class,
                    "n_params": n, "samples_seen": d, "n_samples": 10 * per_class, "train_flop": 60.0 * n * d,
                    "accuracy": 1 - off * float(error_of(n, d)), "is_pretrained": False, "is_random": False,
                    "is_ssl": False, "region": "V1", "benchmark_id": "simulated.V1-pls", "score": 0.5, "recipe": "tiny",
                })  # fmt: skip
    return pd.DataFrame(rows)


def law(**changes) -> dict:
    made = {"name": "accuracy", "law": "joint", "x": ("n_params", "samples_seen"), "y": "accuracy_error"}
    return {**LawSpec(**made, average_seeds=True).__dict__, **changes}


@pytest.fixture
def context(tmp_path: Path) -> TaskContext:
    (tmp_path / "table").mkdir()
    scores().to_parquet(tmp_path / "table" / "scores.parquet")
    (tmp_path / "out").mkdir()
    params = {
        "forecast": {"budget": 4e9, "seed": [5, 6], "level": 0.8, "by": "arch"},
        "law": law(),
        "candidates": CANDIDATES,
        "run": {"image_size": None, "subset_seed": None, "subset_rule": "uniform", "start": None},
        "dataset": {"name": "digits", "digest": "d"},
        "recipe": load_recipe("tiny", {"schedule.epochs": 2}).to_dict(),
    }
    return TaskContext(params=params, inputs={"table": tmp_path / "table"}, out=tmp_path / "out")


def test_seeds_are_averaged_and_nothing_else():
    rows = outcomes(scores(), law())
    assert len(rows) == 25
    np.testing.assert_allclose(rows["accuracy_error"], error_of(rows["n_params"], rows["samples_seen"]), rtol=1e-12)
    assert rows["model_id"].is_unique
    assert rows["model_id"].iloc[0] == "net3019_digits_1_seeds"
    assert len(outcomes(scores(), law(average_seeds=False))) == 50
    long = pd.concat([scores(), scores().assign(region="V2", benchmark_id="simulated.V2-pls", score=0.1)])
    assert average_seeds(long).groupby("region")["score"].agg(["size", "mean"]).to_dict() == {
        "size": {"V1": 25, "V2": 25}, "mean": {"V1": 0.5, "V2": pytest.approx(0.1)}
    }  # fmt: skip
    with pytest.raises(DataError, match="Cannot average over seeds: the table lacks samples_per_class"):
        average_seeds(scores().drop(columns="samples_per_class"))


def test_laws_are_about_runs_that_ended():
    early = scores().assign(epoch=1, accuracy=0.1, samples_seen=10)
    both = pd.concat([early, scores().assign(epoch=25)], ignore_index=True)
    assert outcomes(both, law())["accuracy_error"].to_list() == outcomes(scores(), law())["accuracy_error"].to_list()
    assert set(outcomes(both, law(where=("epoch=1",)))["epoch"]) == {1}
    untrained = scores().head(1).assign(model_id="none", epoch=None)
    assert "none" in set(last_epochs(pd.concat([both, untrained]))["model_id"])
    both["score"] = np.arange(len(both), dtype=float)
    (told,), (alone,) = trend_rows(both), trend_rows(both[both["epoch"] == 25])
    assert told == alone


def test_the_plan_is_the_law_s_and_the_network_the_nearest():
    fit = fit_law(outcomes(scores(), law()), law="joint", x=["n_params", "samples_seen"], y="accuracy_error")
    planned, arch, per_class = choose(fit, 4e9, CANDIDATES, samples_of_one=250, per_class=104)
    # On the budget line no other split does better.
    n = np.geomspace(500, 60_000, 4001)
    assert planned.n_params == pytest.approx(n[error_of(n, 4e9 / 60 / n).argmin()], rel=2e-3)
    assert arch["arch"] == "resnetflex-w7-d1-1-1"
    spent = 3 * arch["forward_flop"] * 250 * per_class
    assert abs(np.log(spent / 4e9)) < np.log((per_class + 0.5) / per_class) + 1e-9
    far = [
        {"arch": "far", "n_params": 1e6, "forward_flop": 1e9},
        {"arch": "farther", "n_params": 500, "forward_flop": 1},
    ]
    with pytest.raises(ConfigError, match="the nearest network, far, can spend"):
        choose(fit, 4e10, far, samples_of_one=250, per_class=104)
    # More than the largest network and all images can take is no plan.
    with pytest.raises(UsageError, match="No allocation of"):
        choose(fit, 1e14, CANDIDATES, samples_of_one=250, per_class=104)


def test_a_forecast_is_trained_and_compared(context: TaskContext):
    said = run_forecast(context)
    told = json.loads((context.out / "forecast.json").read_text())
    results = [json.loads((context.out / f"seed-{seed}" / "result.json").read_text()) for seed in (5, 6)]
    assert told["observed"] == [1 - result["accuracy"] for result in results]
    assert told["mean"] == pytest.approx(np.mean(told["observed"]))
    assert told["trained"]["n_params"] == results[0]["row"]["n_params"]
    assert told["trained"]["samples_seen"] == results[0]["samples_seen"]
    assert told["predicted"] == pytest.approx(
        error_of(told["trained"]["n_params"], told["trained"]["samples_seen"]), rel=1e-6
    )
    assert told["lower"] <= told["predicted"] <= told["upper"]
    # Two epochs are too few for what twenty-five would do.
    assert told["mean"] > told["upper"]
    assert (told["is_inside"], said["is_inside"]) == (False, False)
    table = findings({}, [context.out])["Forecast, trained and compared"]
    assert table.loc[0, "verdict"] == "OUTSIDE"
    assert table.loc[0, "network"] == told["trained"]["arch"]


def test_a_forecast_of_alignment_scores_what_it_trains(context: TaskContext):
    rows = scores()
    rows["score"] = 1 - error_of(rows["n_params"], rows["samples_seen"])
    rows.to_parquet(context.input("table") / "scores.parquet")
    more = {
        "law": law(y="misalignment", regions=("V1",)),
        "benchmarks": [{"id": "simulated.V1-pls"}],
        "layers": {"V1": "conv1"},
    }
    aligned = TaskContext(
        params={**context.params, **more, "options": {}, "forecast": {**context.params["forecast"], "seed": [5]}},
        inputs=context.inputs,
        out=context.out,
    )
    run_forecast(aligned)
    told = json.loads((context.out / "forecast.json").read_text())
    assert 0.5 < told["mean"] < 1
    assert told["y"] == "misalignment"


def test_a_fixed_number_of_steps_leaves_nothing_to_plan(tmp_path: Path):
    with pytest.raises(ConfigError, match="fixed number of steps"):
        prepare_study("demo", out=tmp_path, changes={"axes.recipe.schedule.steps": 5})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"forecast.law": "alignment"}, "goes by the law 'alignment'"),
        ({"forecast.law": "no such"}, "There is no law of that name"),
        ({"forecast.budget": 0.0}, "`budget` is 0; expected more than 0"),
        ({"forecast.level": 1.0}, r"a level in \(0, 1\)"),
        ({"forecast.arch": []}, "0 networks"),
        ({"forecast.archs": ["a"]}, "Unknown key 'archs'"),
    ],
)
def test_wrong_forecasts_are_refused(change: dict, message: str):
    with pytest.raises(ConfigError, match=message):
        load_spec("demo", changes=change)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"forecast.level": 0.99}, "7 architectures back at most 0.875"),
        ({"report.figures": ["acuracy"]}, "Unknown figure 'acuracy'. Did you mean 'accuracy'"),
        ({"score.options": {"batchsize": 8}}, "Unknown key 'batchsize' in [score] options. Did you mean 'batch_size'"),
        ({"score.layers": {"V1": "conv1"}}, "names none for IT, V2, V4, behavior"),
        ({"laws.1.y": "misalignmnt"}, "Unknown outcome 'misalignmnt'. Did you mean 'misalignment'? The law 'IT'"),
        ({"laws.1.x": ["train_flops"]}, "Did you mean 'train_flop'"),
        ({"laws.1.by": ["archs"]}, "Did you mean 'arch'"),
    ],
)
def test_what_would_fail_after_training_is_refused_before(change: dict, message: str, tmp_path: Path):
    with pytest.raises((ConfigError, UnknownNameError), match=re.escape(message)):
        prepare_study("demo", out=tmp_path, changes=change)


def test_findings_are_those_of_the_files(tmp_path: Path):
    from vvscale.laws.workflow.fit_tables import run_fits
    from vvscale.study.tasks.rows import fit_options

    (done,) = run_fits(outcomes(scores(), law()), fit_options(law(resamples=50)))
    unit = next(iter(done.resamples))
    save_fits(tmp_path / "a", [done.entry], {unit: {"joint": done.resamples[unit]}})
    table = findings({"accuracy": tmp_path / "a"}, [])["Laws of this study"]
    assert len(table) == 1
    assert "alpha 0.9 [" in table.loc[0, "parameters"]
    assert table.loc[0, "R2"] == "1.000"
    assert findings({}, []) == {}


def test_trends_are_told_with_their_size():
    log_c = np.log10(scores()["train_flop"])
    rows = pd.concat(
        scores().assign(region=region, benchmark_id=f"made-up.{region}", score=0.4 + slope * log_c)
        for region, slope in (("V1", 0.001), ("IT", 0.1), ("behavior", -0.1))
    )
    told = {row["region"]: row for row in trend_rows(rows)}
    assert {region: row["trend (flat: below 0.03)"] for region, row in told.items()} == {
        "V1": "flat",
        "IT": "rises",
        "behavior": "falls",
    }
    assert told["IT"]["n"] == "25"
    assert told["IT"]["rank correlation"].startswith("1.00 [")
    noise = rows[rows["region"] == "IT"].assign(score=np.random.default_rng(0).normal(size=len(rows) // 3))
    assert trend_rows(noise)[0]["trend (flat: below 0.03)"] == "unclear"
    assert trend_rows(rows.head(6)) == []
    # Two values can be ranked, one cannot.
    assert len(trend_rows(noise.assign(score=1.0 * (noise["n_params"] > 6000)))) == 1
    assert trend_rows(noise.assign(score=0.5)) == []
    assert trend_rows(rows.drop(columns="arch")) == []


def test_the_interval_of_a_trend_is_that_of_the_source():
    """Bonett & Wright (2000): rho = .4992 of 20 gives .4992 [.044, .783], worked out by hand."""
    ranks = [12, 4, 5, 0, 2, 13, 18, 3, 15, 1, 8, 10, 9, 6, 7, 11, 19, 14, 16, 17]
    rows = pd.DataFrame(
        {"benchmark_id": "b", "region": "IT", "arch": [f"a{k}" for k in range(20)], "dataset": "d", "recipe": "r",
         "samples_per_class": 0, "model_id": [f"m{k}" for k in range(20)], "epoch": 1,
         "train_flop": 1e15 * 2.0 ** np.arange(20), "score": np.array(ranks) / 20}
    )  # fmt: skip
    (told,) = trend_rows(rows)
    assert told["rank correlation"] == "0.50 [0.04, 0.78]"
    assert told["trend (flat: below 0.03)"] == "rises"
