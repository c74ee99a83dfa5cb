"""fit, plan and reproduce from the command line: output, exit code, and the text of each error."""

import json
import os
import random
import signal
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest

from vvscale.cli import main

GOOD = "model_id,x,y\na,1,.5\nb,2,.4\nc,4,.33\nd,8,.29\ne,16,.27\nf,32,.25\ng,64,.24\n"


def write(folder, text, name="table.csv"):
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return str(path)


def run(capsys, *tokens):
    code = main([str(token) for token in tokens])
    printed = capsys.readouterr()
    return code, printed.out, printed.err


def test_fit_prints_parameters_status_and_next_step(tmp_path, capsys):
    code, out, err = run(capsys, "fit", write(tmp_path, GOOD), "--x", "x", "--y", "y")
    assert code == 0
    for word in ("E + A X^-alpha", "n = 7", "alpha", "converged"):
        assert word in out
    assert "--resamples 1000" in err


@pytest.mark.parametrize(("y", "is_shown"), [("misalignment", True), ("error", False)])
def test_the_score_at_infinity_is_shown_for_a_misalignment_alone(tmp_path, capsys, y: str, is_shown: bool):
    path = write(tmp_path, GOOD.replace("y", y, 1))
    code, out, _ = run(capsys, "fit", path, "--x", "x", "--y", y)
    assert code == 0
    assert ("S_inf" in out, "gain" in out) == (is_shown, is_shown)


def test_fit_json_is_one_document(tmp_path, capsys):
    code, out, _ = run(
        capsys, "fit", write(tmp_path, GOOD), "--x", "x", "--y", "y", "--json", "--resamples", 50, "--by", "row"
    )
    (entry,) = json.loads(out)
    assert code == 0
    assert entry["n"] == 7
    low, high = entry["intervals"]["row"]["ci"]["alpha"]
    assert low <= entry["params"]["alpha"] <= high


def test_fit_by_group_writes_all_and_plan_reads_it(tmp_path, capsys):
    rng = np.random.default_rng(0)
    n = 80
    frame = pd.DataFrame({"n_params": 10 ** rng.uniform(5, 8, n), "samples_seen": 10 ** rng.uniform(5, 9, n)})
    frame["misalignment"] = 0.4 + 20 * frame["n_params"] ** -0.4 + 3 * frame["samples_seen"] ** -0.25
    frame["train_flop"] = 6 * frame["n_params"] * frame["samples_seen"]
    frame["kind"] = np.where(np.arange(n) % 2, "odd", "even")
    source = tmp_path / "table.parquet"
    frame.to_parquet(source)
    code, out, err = run(
        capsys,
        "fit",
        source,
        "--law",
        "joint",
        "--each",
        "kind",
        "--resamples",
        20,
        "--by",
        "row",
        "--out",
        tmp_path / "o",
    )
    assert code == 0
    assert "odd" in out
    assert "even" in out
    assert "vvscale plan" in err
    entries = json.loads((tmp_path / "o" / "fits.json").read_text())
    assert [entry["name"] for entry in entries] == ["even", "odd"]
    assert entries[0]["cost"]["p"] == pytest.approx(1.0)
    draws = pd.read_parquet(tmp_path / "o" / "bootstrap.parquet")
    assert list(draws.columns[:8]) == ["experiment", "resample", "loss", "E", "A", "alpha", "B", "beta"]
    assert draws.groupby("experiment").size().to_dict() == {"even": 20, "odd": 20}
    code, out, _ = run(
        capsys,
        "plan",
        tmp_path / "o",
        "--name",
        "odd",
        "--budget",
        "1e18",
        "--target",
        ".5",
        "--out",
        tmp_path / "p.json",
    )
    assert code == 0
    assert "N ~ C^" in out
    assert json.loads((tmp_path / "p.json").read_text())["plans"][0]["budget"] == 1e18


def test_fit_predicts_new_models_and_draws_what_was_asked(mirror, capsys):
    core = ["dataset=imagenet", "parent_family=ResNet", "samples_per_class=0,100,300"]
    flags = [f"is_{flag}=false" for flag in ("pretrained", "random", "ssl", "adv", "ablation")]
    where = [token for condition in core + flags for token in ("--where", condition)]
    code, out, _ = run(
        capsys,
        "fit",
        "gokce2025",
        "--regions",
        "neural",
        *where,
        "--at",
        "1e18",
        "--at",
        "1e20",
        "--profile",
        "--hold-out",
    )
    assert code == 0
    for words in (
        "prediction interval (conformal) for a new arch",
        "1e+18",
        "1e+20",
        "profile of E",
        "predicting high compute",
    ):
        assert words in out
    code, _, err = run(
        capsys, "fit", "gokce2025", "--law", "joint", *where, "--at", "1e7", "--at", "1e9", "--at", "1e7"
    )
    assert code == 2
    assert "`--at` needs 2 value(s) per model (n_params, samples_seen), got 3" in err


BAD_TABLES = {
    "missing column": (
        GOOD,
        ["--x", "z", "--y", "y"],
        2,
        "Unknown column 'z'. Name the input with `--x` and the outcome with `--y`; columns of numbers: x, y.",
    ),
    "unknown column in a query": (GOOD, ["--x", "x", "--y", "y", "--where", "foo=1"], 2, "Unknown column 'foo'"),
    "NaN": (GOOD.replace("b,2", "b,"), ["--x", "x", "--y", "y"], 3, "x is missing (NaN) at b"),
    "inf": (GOOD.replace("b,2", "b,inf"), ["--x", "x", "--y", "y"], 3, "Column 'x' has inf at model 'b'"),
    "x = 0": (GOOD.replace("b,2", "b,0"), ["--x", "x", "--y", "y"], 3, "Column 'x' has 0 at model 'b'"),
    "misalignment <= 0": (
        GOOD.replace(",.4\n", ",-.4\n"),
        ["--x", "x", "--y", "y"],
        3,
        "Column 'y' has -0.4 at model 'b'",
    ),
    "too few": ("model_id,x,y\na,1,.5\nb,2,.4\n", ["--x", "x", "--y", "y"], 3, "3 parameters, but only 2 rows"),
    "one x": ("x,y\n3,.5\n3,.4\n3,.3\n3,.2\n", ["--x", "x", "--y", "y"], 3, "Column 'x' has one distinct value, 3"),
    "text": (GOOD.replace("b,2", "b,two"), ["--x", "x", "--y", "y"], 3, "'two'"),
    "truncated": (GOOD[:-8], ["--x", "x", "--y", "y"], 3, "cut off"),
    "not UTF-8": (b"model_id,x,y\na\xff,1,.5\n", ["--x", "x", "--y", "y"], 3, "not UTF-8"),
    "negative resamples": (GOOD, ["--x", "x", "--y", "y", "--resamples", "-1"], 2, "`--resamples` is -1"),
    "unknown law": (GOOD, ["--x", "x", "--y", "y", "--law", "powr"], 2, "Did you mean 'power'?"),
    "negative delta": (GOOD, ["--x", "x", "--y", "y", "--delta", "-1"], 2, "`--delta` is -1; expected more than 0"),
    "unknown unit": (GOOD, ["--x", "x", "--y", "y", "--resamples", "5", "--by", "archs"], 2, "archs"),
    "joint law with one x": (GOOD, ["--x", "x", "--y", "y", "--law", "joint"], 2, "takes 2 input column(s)"),
    "offsets without a term": (GOOD, ["--x", "x", "--y", "y", "--law", "log", "--offsets", "A"], 2, "group offsets"),
    "text score": ("model_id,x,score\na,1,.5\nb,2,n/a!\n", ["--x", "x"], 3, "row 2 has 'n/a!'"),
    "negative seed": (
        GOOD,
        ["--x", "x", "--y", "y", "--resamples", "5", "--by", "row", "--seed", "-1"],
        2,
        "`--seed` is -1",
    ),
    "region of a plain table": (GOOD, ["--x", "x", "--y", "y", "--regions", "V1"], 2, "nothing to average"),
    "too few in a group": (GOOD, ["--x", "x", "--y", "y", "--each", "model_id"], 3, "Group 'a' of `--each model_id`"),
    "unknown group": (GOOD, ["--x", "x", "--y", "y", "--each", "colour"], 2, "Unknown column 'colour'"),
}


@pytest.mark.parametrize("case", BAD_TABLES)
def test_bad_input_is_one_paragraph_that_names_the_place(case, tmp_path, capsys):
    text, options, expected, words = BAD_TABLES[case]
    code, out, err = run(capsys, "fit", write(tmp_path, text), *options)
    assert (code, out) == (expected, "")
    assert words in err
    assert err.startswith("vvscale: ")
    assert err.count("\n") == 1, "one paragraph"


@pytest.mark.parametrize(
    ("tokens", "expected", "words"),
    [
        (["reproduce", "compute_nero"], 2, "Did you mean 'compute_neuro'?"),
        (["reproduce", "compute_neuro", "--resamples", "-1"], 2, "`--resamples` is -1"),
        (["reproduce", "compute_neuro", "--out", "/proc/none"], 2, "Cannot write '/proc/none'"),
        (["reproduce", "--resample", "9"], 2, "Did you mean --resamples?"),
        (
            ["reproduce", "compute_neuro", "--resamples", "5", "--workers", "0"],
            2,
            "`--workers` is 0",
        ),
        (["reproduce", "compute_neuro", "--resamples", "5", "--workers", "1", "--seed", "-1"], 2, "`--seed` is -1"),
        (["plan", "compute_chinchilla", "--budget", "1e20", "--name", "a"], 2, "is an experiment"),
        (["plan", "--worst", "-1"], 2, "`--worst` is -1; expected at least 0"),
        (["plan"], 2, "--budget 1e20"),
        (["plan", "compute_neuro", "--budget", "1e20"], 2, "a plan needs a joint law"),
        (["plan", "compute_chinchila", "--budget", "1e20"], 2, "Did you mean 'compute_chinchilla'?"),
        (["plan", "--budget", "-1", "--resamples", "5"], 2, "`--budget` is -1; expected more than 0"),
        (["plan", "--target", "1.5", "--resamples", "5"], 2, "`--target` is 1.5; expected at most 1"),
        (["plan", "--budget", "1e20", "--family", "Resnet", "--resamples", "5"], 2, "Families here"),
        (["plan", "/none/fits.json", "--budget", "1e20"], 3, "No fit at"),
    ],
)
def test_wrong_requests(tokens, expected, words, mirror, capsys):
    code, out, err = run(capsys, *tokens)
    assert (code, out) == (expected, "")
    assert words in err
    assert err.count("\n") == 1


def test_what_is_asked_beside_a_fit_is_in_the_json_too(tmp_path, capsys):
    code, out, _ = run(capsys, "fit", write(tmp_path, GOOD), "--x", "x", "--y", "y", "--profile", "--json")
    (entry,) = json.loads(out)
    assert code == 0
    assert len(entry["tables"]["profile of E"]) == 11
    assert "profile likelihood" in entry["sentences"][0]


@pytest.fixture
def widths(tmp_path):
    """Nine networks in two versions each, scores in percent that rise with size; one is missing."""
    rng = np.random.default_rng(3)
    size = np.geomspace(1e5, 1e8, 18)
    score = 60 * (1 - (size / 1e5) ** -0.3) + rng.normal(0, 0.3, 18)
    score[7] = np.nan
    names = [f"net-{number // 2}" for number in range(18)]
    frame = pd.DataFrame({"net": names, "kind": ["a", "b"] * 9, "size": size, "n_params": size, "score_pct": score})
    frame.assign(brain=frame["score_pct"] / 100).to_csv(tmp_path / "own.csv", index=False)
    return tmp_path / "own.csv"


def test_units_of_the_inputs_stand_beside_the_formula(widths, capsys):
    options = ["--y", "1-brain", "--missing", "drop"]
    assert "X = n_params / 1e+05" in run(capsys, "fit", widths, "--x", "n_params", *options)[1]
    assert "X = " not in run(capsys, "fit", widths, "--x", "size", *options)[1]


def test_rows_taken_as_independent_are_said_to_be(widths, capsys):
    options = ["--x", "size", "--y", "1-brain", "--missing", "drop", "--resamples", 20]
    code, out, _ = run(capsys, "fit", widths, *options)
    assert code == 0
    assert "Rows were taken as independent." in out
    assert "--by net" in out
    assert "each block of rows left out" in out
    assert "Rows were taken as independent" not in run(capsys, "fit", widths, *options, "--by", "net")[1]


def test_what_is_asked_beside_a_fit_is_by_the_unit_that_was_named(widths, capsys):
    options = ["--x", "size", "--y", "1-brain", "--missing", "drop", "--by", "net", "--at", "1e9"]
    out = run(capsys, "fit", widths, *options)[1]
    assert "90% prediction interval (conformal) for a new net" in out
    assert "for a new row" in run(capsys, "fit", widths, *options[:6], *options[8:])[1]


def test_percent_has_one_advice(widths, capsys):
    code, out, _ = run(capsys, "fit", widths, "--x", "size", "--y", "score_pct", "--missing", "drop")
    assert code == 0
    first = "divide the column by 100 in the file"
    assert first in out
    assert out.index(first) < out.index("unidentified" if "unidentified" in out else "at_boundary")
    code, _, err = run(capsys, "fit", widths, "--x", "size", "--y", "1-score_pct", "--missing", "drop")
    assert code == 3
    assert "`score_pct` from" in err
    assert first in err


def test_a_row_is_the_same_row_in_every_message(widths, capsys):
    options = ["fit", widths, "--x", "size", "--y", "1-brain"]
    for more in ([], ["--each", "kind"], ["--where", "kind=b"]):
        assert "at row 8" in run(capsys, *options, *more)[2]


def test_an_input_that_nobody_named_is_not_called_unknown(widths, capsys):
    code, _, err = run(capsys, "fit", widths, "--y", "1-brain")
    assert code == 2
    assert "No input was given, and the table has no 'train_flop', which is the default." in err
    assert "Name the input with `--x`" in err


def test_rows_without_a_group_are_left_out_by_name(tmp_path, capsys):
    text = GOOD.replace("y\n", "y,kind\n", 1).replace(",.5\n", ",.5,\n")
    text = "\n".join(line + (",k" if i > 1 and line else "") for i, line in enumerate(text.split("\n")))
    code, out, _ = run(capsys, "fit", write(tmp_path, text), "--x", "x", "--y", "y", "--each", "kind")
    assert code == 0
    assert "n = 6" in out
    assert "left out, kind is missing: 1 (a)" in out


def test_names_in_brackets_are_printed_and_few_groups_are_left_out_in_turn(tmp_path, capsys):
    rng = np.random.default_rng(0)
    x = np.geomspace(1, 1e4, 40)
    kind = np.where(np.arange(40) % 2, "/x", "y")
    frame = pd.DataFrame({"x": x, "kind": kind, "y": (0.3 + 0.5 * x**-0.4) * np.exp(rng.normal(0, 0.01, 40))})
    frame.to_csv(tmp_path / "t.csv", index=False)
    options = ["--x", "x", "--y", "y", "--offsets", "A", "--offset-by", "kind", "--resamples", 9, "--by", "kind"]
    code, out, _ = run(capsys, "fit", tmp_path / "t.csv", *options)
    assert code == 0
    assert "A[y]/A[/x]" in out
    assert "95 % t, each kind left out" in out
    assert "plateau not assessed" in out.lower()


def test_reproduce_writes_fits_and_resamples(mirror, tmp_path, capsys):
    code, out, err = run(
        capsys,
        "reproduce",
        "simclr_neuro",
        "sample_places365_scaling",
        "--resamples",
        30,
        "--out",
        tmp_path,
        "--workers",
        1,
    )
    assert code == 0
    assert "plateau" in out
    assert "refused" in out
    assert f"Wrote {tmp_path / 'fits.json'}" in err
    entries = {entry["name"]: entry for entry in json.loads((tmp_path / "fits.json").read_text())}
    assert set(entries) == {"simclr_neuro", "sample_places365_scaling"}
    entry = entries["simclr_neuro"]
    assert {"form", "n", "params", "loss", "status", "ci", "published", "excluded"} <= set(entry)
    assert entry["ci"]["E"][0] <= entry["params"]["E"] <= entry["ci"]["E"][1]
    assert entries["sample_places365_scaling"]["ci"] is None
    rows = pd.read_parquet(tmp_path / "bootstrap.parquet")
    assert rows["experiment"].unique().tolist() == ["simclr_neuro"]
    assert rows["resample"].tolist() == list(range(30))
    assert (tmp_path / "bootstrap_arch.parquet").exists()


def start(tmp_path, mirror):
    command = [sys.executable, "-m", "vvscale", "reproduce", "simclr_*", "--resamples", "60", "--out", str(tmp_path)]
    return subprocess.Popen(command, start_new_session=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def workers_of(group):
    listed = subprocess.run(["ps", "-eo", "pgid="], capture_output=True, text=True, check=True).stdout
    return sum(line.strip() == str(group) for line in listed.splitlines())


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGKILL])
def test_interruption_leaves_whole_files_or_none_and_no_orphans(sent, mirror, tmp_path):
    moments = random.Random(int(sent))
    for trial in range(3):
        folder = tmp_path / str(trial)
        process = start(folder, mirror)
        time.sleep(moments.uniform(0.3, 5.0))
        os.kill(process.pid, sent)
        process.communicate(timeout=120)
        assert process.returncode in {0, 130, -sent}
        deadline = time.monotonic() + 30
        while workers_of(process.pid) and time.monotonic() < deadline:
            time.sleep(0.1)
        assert workers_of(process.pid) == 0, "orphans"
        for path in folder.glob("[!.]*") if folder.exists() else ():
            if path.suffix == ".json":
                assert len(json.loads(path.read_text())) == 7
            else:
                # SimCLR has five architectures: each is left out once, instead of drawing 60 times.
                each = 5 if path.stem.endswith("_arch") else 60
                assert len(pd.read_parquet(path)) == 7 * each
