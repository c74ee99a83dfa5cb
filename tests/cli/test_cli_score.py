"""``vvscale score``: what it prints and stores, exit codes, and the text of its errors."""

import json
from pathlib import Path

import pandas as pd
import pytest

from vvscale.cli import main
from vvscale.scores import ScoreStore

MODEL = """
import torch
from torch import nn

torch.manual_seed(0)
net = nn.Sequential(nn.Conv2d(3, 6, 5, stride=4), nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(6 * 49, 30))


def other():
    torch.manual_seed(1)
    return nn.Sequential(nn.Conv2d(3, 6, 5, stride=4), nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(6 * 49, 30))


def dead():
    model = other()
    nn.init.zeros_(model[3].weight)
    return model


number = 3
"""
FAST = ["--image-size", "32", "--resamples", "20"]


class Ran:
    """What one command did."""

    def __init__(self, capsys, *argv):
        self.code = main([str(token) for token in argv])
        self.out, self.err = capsys.readouterr()

    @property
    def json(self):
        return json.loads(self.out)


@pytest.fixture
def run(capsys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "mine.py").write_text(MODEL)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VVSCALE_CACHE", str(tmp_path / "cache"))
    return lambda *argv: Ran(capsys, *argv)


def test_scores_are_printed_stored_and_continued(run):
    first = run("score", "mine.py:net", "--layers", "all", *FAST, "--commit", "layers.toml")
    assert first.code == 0, first.err
    for text in (
        "simulated.V1-pls",
        "320 images through the model, 0 scores from the cache",
        "Stored 20 rows in scores",
    ):
        assert text in first.out
    assert "Next: vvscale score mine.py:net --layers layers.toml" in first.out
    assert "Simulated benchmarks" in first.err
    again = run("score", "mine.py:net", "--layers", "layers.toml", *FAST, "--json")
    [document] = again.json["models"]
    assert document["usage"]["n_forward"] == 0
    assert document["usage"]["n_cached"] == 5
    assert len(document["rows"]) == 5
    stored = ScoreStore("scores").read()
    assert len(stored) == 20, "the same rows are read once"
    shown = run("show", "net", "--table", "scores")
    assert "r^2/c = 0." in shown.out
    assert "r/sqrt(c) = " in shown.out
    assert "95% interval" in shown.out
    listed = run("cache", "ls")
    assert "score: 20 entries of 4 layers" in listed.out
    assert "20 entries" in run("cache", "clear", "--scores", "--dry-run").out
    assert run("cache", "clear", "--scores", "--json").json["n"] == 20
    assert run("cache", "ls", "--json").json["scores"] == []


def test_one_row_per_region_is_shown_and_all_layers_go_to_a_file(run):
    done = run("score", "mine.py:net", "--layers", "all", *FAST, "--layers-table", "layers.csv")
    assert done.code == 0, done.err
    shown = [line.split()[0] for line in done.out.splitlines() if line.split()]
    assert [word for word in shown if word in {"V1", "V2", "V4", "IT", "behavior"}] == [
        "V1", "V2", "V4", "IT", "behavior",
    ]  # fmt: skip
    assert "Images of 32 x 32 pixels, preprocessing 'brainscore'." in done.out
    table = pd.read_csv("layers.csv")
    assert len(table) == 20
    assert table["layer"].nunique() == 4
    drawn = run("figure", "layers", "--scores", "layers.csv", "--out", "o", "--format", "csv", "--workers", "1")
    assert drawn.code == 0, drawn.err
    best = pd.read_csv("o/layers.csv").query("mark == 'mean'").set_index("series")["label"]
    expected = table.sort_values("score").groupby("region").tail(1).set_index("region")["layer"]
    assert best.to_dict() == expected.to_dict()


def test_regions_models_and_names_are_chosen(run):
    done = run(
        "score", "mine.py:net", "--on", "simulated.V1-pls", "simulated.IT-pls", "--layers", "0", "3",
        "--name", "my net", "--formula", "(r/c)^2", "--out", "kept", *FAST, "--json",
    )  # fmt: skip
    rows = done.json["models"][0]["rows"]
    assert {(row["region"], row["layer"]) for row in rows} == {("V1", "0"), ("V1", "3"), ("IT", "0"), ("IT", "3")}
    assert {row["score_formula"] for row in rows} == {"(r/c)^2"}
    assert {row["model_id"] for row in rows} == {"my net"}
    assert all(row["score"] == pytest.approx((row["raw_score"] / row["ceiling"]) ** 2) for row in rows)


def test_the_stream_of_digits_has_a_name(run):
    done = run("score", "mine.py:net", "--on", "simulated-digits", "--layers", "0", *FAST, "--json")
    [document] = done.json["models"]
    assert document["usage"]["n_forward"] == 400
    assert [row["region"] for row in document["rows"]] == ["V1", "V2", "V4", "IT", "behavior"]
    assert all(row["benchmark_id"].startswith("simulated-digits.") for row in document["rows"])
    assert all(row["is_simulated"] for row in document["rows"])
    assert "Simulated benchmarks" in done.err


def test_drift_is_exit_code_4_and_stores_nothing(run):
    options = ["--on", "simulated.V1-pls", "--layers", "0", "--name", "m", *FAST]
    assert run("score", "mine.py:net", *options).code == 0
    same = run("score", "mine.py:net", *options, "--expect", "scores")
    assert same.code == 0
    assert "1 rows equal those of scores within 1e-06" in same.out
    other = run("score", "mine.py:other", *options, "--expect", "scores")
    assert other.code == 4
    assert "Scores drifted: 1 of 1 expected rows" in other.err
    assert "m / simulated.V1-pls / 0: score" in other.err
    assert len(ScoreStore("scores").read()) == 1
    assert run("score", "mine.py:net", *options, "--expect", "absent.csv").code == 3


def test_a_dry_run_says_what_it_would_take_and_stores_nothing(run):
    planned = run("score", "mine.py:net", "--layers", "all", *FAST, "--dry-run", "--json")
    [plan] = planned.json["plan"]
    assert {name: plan[name] for name in ("stimuli", "n_images", "n_forward", "n_layers", "n_scores")} == {
        "stimuli": "simulated", "n_images": 320, "n_forward": 320, "n_layers": 4, "n_scores": 20,
    }  # fmt: skip
    assert plan["scratch"] == 0
    assert plan["memory"] > 10**8
    assert plan["seconds"] > 0
    assert not Path("scores").exists()
    assert "would score" in run("score", "mine.py:net", "--layers", "all", *FAST, "--dry-run").out


def test_a_layer_asked_for_by_name_that_fails_is_exit_code_3(run):
    options = ["--on", "simulated.V1-pls", *FAST]
    named = run("score", "mine.py:dead", "--layers", "0", "3", *options)
    assert named.code == 3
    assert "1 of the layers asked for have no score; the other rows are stored in 'scores'. Layer '3'" in named.err
    assert ScoreStore("scores").read()["layer"].tolist() == ["0"]
    of_all = run("score", "mine.py:dead", "--layers", "all", *options)
    assert of_all.code == 0
    assert "No score: Layer '3'" in of_all.err


@pytest.mark.parametrize(
    ("argv", "code", "text"),
    [
        ((), 2, "No model was named"),
        (("mine.py:nett",), 2, "Unknown network of mine.py 'nett'. Did you mean 'net'"),
        (("mine.py:number",), 2, "'number' in 'mine.py' is a int"),
        (("absent.py:net",), 3, "Cannot read the model file 'absent.py'"),
        (("mine.py:net",), 3, "no architecture name"),
        (("mine.py:net", "--layers", "9"), 2, "Unknown layer of mine.py:net '9'"),
        (("mine.py:net", "--layers", "committed", "0"), 2, "`--layers committed` stands alone"),
        (("mine.py:net", "--layers", "all", "--on", "v1"), 2, "Unknown benchmark 'v1'. Did you mean"),
        (("mine.py:net", "--layers", "all", "--memory", "50MB"), 4, "does not fit into a memory of 0.05 GB"),
        (("mine.py:net", "--layers", "all", "--projection", "pca-10"), 2, "none were given"),
        (("mine.py:net", "mine.py:other", "--layers", "all", "--name", "x"), 2, "`--name` is of one model"),
        (("mine.py:net", "--layers", "all", "--preprocessing", "other"), 2, "Next: `vvscale score --help`"),
    ],
)
def test_errors_name_what_to_do(run, argv, code, text):
    done = run("score", *argv, "--image-size", "32")
    assert done.code == code, done.err
    assert text in done.err


def test_features_that_were_computed_elsewhere_need_no_model(run):
    import numpy as np

    from vvscale.brain import load_benchmark

    stimuli = load_benchmark("simulated.V1-pls").stimuli
    np.save("clip.npy", stimuli.pixels.reshape(len(stimuli), -1)[:, ::7])
    Path("file_names.txt").write_text("".join(f"/images/{one}.png\n" for one in stimuli.stimulus_id))
    done = run("score", "--features", "clip.npy", "--stimulus-ids", "file_names.txt", "--on", "V1sim", "--json")
    assert done.code == 2
    arguments = ["--features", "clip.npy", "--stimulus-ids", "file_names.txt", "--on", "simulated.V1-pls"]
    done = run("score", *arguments, "--resamples", "20")
    assert done.code == 0, done.err
    assert "simulated.V1-pls" in done.out
    assert "0 images through the model" in done.out
    assert "Next: vvscale show clip --table scores" in done.out
    assert ScoreStore("scores").read()["layer"].tolist() == ["clip"]
    assert run("score", "mine.py:net", *arguments).code == 2
    assert "--stimulus-ids" in run("score", "--features", "clip.npy", "--on", "simulated.V1-pls").err
    assert run("score", "mine.py:net", "--stimulus-ids", "file_names.txt").code == 2
