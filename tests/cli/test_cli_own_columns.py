"""A table with columns of one's own, from fit to report: what is asked for, and what is made."""

import json
import shlex

import numpy as np
import pandas as pd
import pytest

from vvscale.cli import main


@pytest.fixture
def runs(tmp_path, monkeypatch):
    """32 runs of two kinds, in a lab's own words, in the current folder."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(3)
    weights = np.tile(np.repeat(np.geomspace(2e5, 4e7, 4), 4), 2)
    pictures = np.tile([1e3, 8e3, 6.4e4, 5e5], 8)
    top1 = (0.22 + 25 * weights**-0.38 + 3.1 * pictures**-0.3) * rng.lognormal(0, 0.02, 32)
    kind = ["conv"] * 16 + ["attention"] * 16
    pd.DataFrame({"kind": kind, "weights": weights, "pictures": pictures, "top1_err": top1}).to_csv(
        "runs.csv", index=False
    )
    return tmp_path


def run(capsys, *tokens):
    code = main(list(tokens))
    printed = capsys.readouterr()
    # As a terminal's lines may break anywhere.
    return code, " ".join(printed.out.split()), " ".join(printed.err.split())


OWN = ("--law", "joint", "--x", "weights", "pictures", "--y", "top1_err")


@pytest.mark.parametrize("tokens", [("fit", "runs.csv"), ("design", "runs.csv", "--budget", "1e9")])
def test_a_column_that_is_not_there_is_answered_with_those_that_are(runs, capsys, tokens):
    code, _, err = run(capsys, *tokens)
    assert code == 2
    assert (
        "Name the input with `--x` and the outcome with `--y`; columns of numbers: pictures, top1_err, weights." in err
    )


def test_a_fit_of_each_kind_is_drawn_kept_and_planned(runs, capsys):
    code, _, err = run(
        capsys, "fit", "runs.csv", *OWN, "--each", "kind", "--resamples", "20", "--out", "joint", "--plot", "law.png"
    )
    assert code == 0
    assert (runs / "law.png").stat().st_size > 10_000
    assert "Next: `vvscale plan joint --name attention --budget 1.2e+15 --cost 6 1`" in err
    code, out, _ = run(capsys, "plan", "joint", "--name", "conv", "--budget", "1e12", "--cost", "6", "1", "--anyway")
    assert code == 0
    assert "1 - top1_err" in out


def test_a_plan_asks_for_a_fit_and_for_a_cost(runs, capsys):
    code, _, err = run(capsys, "plan", "runs.csv", "--budget", "1e12")
    assert code == 3
    assert "'runs.csv' is a table, and a plan needs a fit. Fit one with `vvscale fit runs.csv --law joint" in err
    assert run(capsys, "fit", "runs.csv", *OWN, "--resamples", "20", "--out", "joint")[0] == 0
    code, _, err = run(capsys, "plan", "joint", "--budget", "1e12")
    assert code == 2
    assert "`--cost 6 1` where each weight is used once per sample" in err


def test_without_intervals_the_next_step_is_no_plan_yet(runs, capsys):
    _, _, err = run(capsys, "fit", "runs.csv", *OWN)
    assert "Next: add --resamples 1000 for intervals, --out joint to keep the fit; then `vvscale plan`" in err


def test_a_design_of_own_columns(runs, capsys):
    asked = ("design", "runs.csv", "--x", "weights", "pictures", "--y", "top1_err", "--budget", "1e14", "--runs", "3")
    code, _, err = run(capsys, *asked)
    assert code == 2
    assert "Give `--cost`, m and n of C = m (N D)^n: `--cost 6 1`" in err
    code, out, _ = run(capsys, *asked, "--cost", "6", "1", "--json")
    assert code == 0
    design = json.loads(out)
    assert sum(row["count"] for row in design["runs"]) == 3


def test_a_report_of_own_columns(runs, capsys):
    code, out, _ = run(
        capsys, "report", "page.html", "--scores", "runs.csv", "--x", "weights", "pictures", "--y", "top1_err",
        "--resamples", "20", "--workers", "1", "--json",
    )  # fmt: skip
    assert code == 0
    made = json.loads(out)
    assert {"parameters", "samples", "plateau"} <= set(made["figures"])
    assert "compute" not in {*made["figures"], *made["lacking"]}
    assert "Read weights as n_params, pictures as samples_seen." in (runs / "page.html").read_text()


def test_with_a_cost_column_the_report_of_an_error_has_a_plan(runs, capsys):
    table = pd.read_csv("runs.csv")
    table.assign(train_flop=6 * table["weights"] * table["pictures"]).to_csv("costed.csv", index=False)
    code, out, _ = run(
        capsys, "report", "page.html", "--scores", "costed.csv", "--x", "weights", "pictures", "--y", "top1_err",
        "--resamples", "20", "--workers", "1", "--json",
    )  # fmt: skip
    assert code == 0
    assert {"compute", "allocation", "contours"} <= set(json.loads(out)["figures"])
    page = (runs / "page.html").read_text()
    data = json.loads(page.partition('<script type="application/json" id="data">')[2].partition("</script>")[0])
    assert data["plan"]["is_score"] is False
    assert 0.2 < data["plan"]["law"]["E"] < 0.25
    # What to run next costs together no more than the largest run, within the table's own range.
    assert "Runs that would tell most about the law" in page
    command = page.partition("As a study: <code>")[2].partition("</code>")[0]
    assert command.startswith("vvscale design costed.csv --x weights pictures --y top1_err --budget 1.2e+14 --runs 5")
    code, _, _ = run(capsys, *shlex.split(command)[1:])
    assert code == 0
    assert (runs / "next.toml").exists()


def test_all_figures_draw_no_picture_twice_and_say_in_one_line_what_is_lacking(runs, capsys):
    asked = ("figure", "--all", "--scores", "runs.csv", "--y", "top1_err", "--resamples", "0", "--format", "csv")
    code, out, err = run(capsys, *asked, "--x", "weights", "--workers", "1")
    assert code == 0
    assert out.count("top1_err against weights") == 1
    assert "allocation, contours (n_params, samples_seen, train_flop)" in out
    assert "`vvscale report report.html --scores runs.csv --x weights --y top1_err`" in err


def test_a_table_of_two_regions_is_told_which_it_has(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows = [
        {"model_id": f"m{i}", "region": region, "n_params": 1e5 * 2**i, "samples_seen": 1e4 * 3 ** (i % 4), "score": s}
        for i in range(12)
        for region, s in (("V1", 0.3 + 0.01 * i), ("IT", 0.2 + 0.02 * i))
    ]
    pd.DataFrame(rows).to_csv("two.csv", index=False)
    code, _, err = run(capsys, "fit", "two.csv", "--law", "joint")
    assert code == 3
    assert "It has scores in IT of 12, V1 of 12 of 12 models. Ask for some: `--regions IT V1`." in err
    assert run(capsys, "fit", "two.csv", "--x", "n_params", "--regions", "IT", "V1")[0] == 0


def test_a_table_of_several_layers_is_told_how_to_choose_one(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows = [
        {
            "model_id": f"m{i}",
            "region": "IT",
            "benchmark_id": "b",
            "layer": layer,
            "n_params": 10.0**i,
            "score": 0.1 * i,
        }
        for i in range(1, 6)
        for layer in ("early", "late")
    ]
    pd.DataFrame(rows).to_csv("layers.csv", index=False)
    code, _, err = run(capsys, "fit", "layers.csv", "--x", "n_params", "--regions", "IT")
    assert code == 3
    assert "Choose one: `--where layer=late`." in err
