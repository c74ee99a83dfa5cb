"""The verbs that show the table: what they print, their exit codes, and the text of each error."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from vvscale.cli import main
from vvscale.scores import REGIONS, ScoreStore

pytestmark = pytest.mark.usefixtures("mirror")


def test_fetch_says_where_and_what_next(run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("VVSCALE_CACHE", str(tmp_path))
    planned = run("fetch", "scores", "--dry-run")
    assert "would download" in planned.out
    assert not list(tmp_path.rglob("*.csv"))
    first = run("fetch", "scores")
    assert (first.code, first.err) == (0, "")
    path = tmp_path / "gokce2025" / "benchmark_scores.csv"
    assert f"downloaded from {Path(planned.out.split('from ')[1].split()[0])}" in first.out
    assert str(path) in first.out
    assert "Next: vvscale ls" in first.out
    assert path.is_file()
    assert "scores: cached" in run("fetch", "scores").out


def test_fetch_all_json(run):
    done = run("fetch", "all", "--json")
    assert [file["what"] for file in done.json["files"]] == [
        "scores",
        "checkpoints",
        "private",
        "checkpoint-list",
        "commitments",
    ]
    assert all(Path(file["path"]).is_file() for file in done.json["files"])


def test_cache_ls_verify_clear(run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("VVSCALE_CACHE", str(tmp_path))
    run("fetch", "private")
    states = {row["file"]: row["state"] for row in run("cache", "ls", "--json").json["files"]}
    assert states == {**dict.fromkeys(states, "absent"), "private": "cached"}
    assert run("cache", "verify").code == 0
    path = tmp_path / "gokce2025" / "benchmark_scores_brainscore.csv"
    path.write_text("edited")
    damaged = run("cache", "verify")
    assert damaged.code == 3
    assert "1 of 1 files" in damaged.err
    assert "Next: vvscale fetch private" in damaged.err
    assert run("cache", "clear", "--dry-run").code == 0
    assert path.exists()
    cleared = run("cache", "clear")
    assert "removed" in cleared.out
    assert not path.exists()


def test_ls_sets(run):
    done = run("ls")
    assert "gokce2025:checkpoints" in done.out
    assert "Next:" in done.out


def test_ls_models(run):
    done = run("ls", "models", "--json")
    assert done.json["n"] == 987
    assert "Not listed: 6 models with no score in V2: efficientnet_b1_imagenet_random_seed-0" in done.err
    scores = [row["score"] for row in done.json["rows"]]
    assert len(scores) == 987
    assert all(isinstance(score, float) for score in scores)
    found = run("ls", "models", "resnet18_*", "--where", "dataset=ecoset", "--where", "samples_per_class<=1", "--json")
    ids = [row["model_id"] for row in found.json["rows"]]
    assert len(ids) == 6
    assert all(name.startswith("resnet18_ecoset") for name in ids)


def test_models_of_an_own_table_with_some_of_the_regions(run, tmp_path):
    table = tmp_path / "own.csv"
    table.write_text("model_id,region,score,n_params\na,IT,.3,10\na,V4,.5,10\nb,IT,.4,20\nb,V4,.6,20\n")
    done = run("ls", "models", "--table", str(table))
    assert done.code == 0
    assert "Scores are means over V4, IT." in done.err
    assert [round(row["score"], 3) for row in run("ls", "models", "--table", str(table), "--json").json["rows"]] == [
        0.4,
        0.5,
    ]
    out = tmp_path / "models.csv"
    assert run("export", str(table), "--models", "--csv", str(out)).code == 0
    assert pd.read_csv(out)["score"].round(3).tolist() == [0.4, 0.5]


def test_ls_models_by_region_and_score(run):
    done = run("ls", "models", "--where", "region=V1", "--where", "score>=0.3", "--json")
    assert 0 < done.json["n"] < 993
    assert min(row["score"] for row in done.json["rows"]) >= 0.3


def test_ls_shows_a_screen_and_says_what_is_left(run):
    done = run("ls", "scores", "--where", "region=V1")
    assert "scores (993)" in done.out
    assert "953 more rows; --limit 0 shows all." in done.out
    assert "more rows" not in run("ls", "scores", "--where", "region=V1", "--limit", "0").out


@pytest.mark.parametrize("what", ["regions", "columns"])
def test_ls_words(run, what: str):
    done = run("ls", what, "--json")
    assert done.code == 0
    assert done.json["n"] == len(done.json["rows"]) > 5
    assert run("ls", "columns", "n_*", "--json").json["n"] == 3


def test_ls_of_own_tables(run, tmp_path: Path):
    frame = pd.DataFrame({"model_id": ["a", "b"], "region": "V1", "benchmark_id": "x", "score": [0.25, 0.5]})
    frame.to_csv(tmp_path / "t.csv", index=False)
    ScoreStore(tmp_path / "store").append(frame)
    for table in (tmp_path / "t.csv", tmp_path / "store"):
        rows = run("ls", "scores", "--table", table, "--json").json["rows"]
        assert [row["score"] for row in rows] == [0.25, 0.5]


def test_show(run):
    done = run("show", "dino_resnet50_imagenet_full_seed-0")
    assert done.code == 0
    for text in (
        "n_params          25,557,032 parameters",
        "behavior",
        "0.4637",
        "scores are those of epoch 300",
        "Next:",
    ):
        assert text in done.out
    facts = run("show", "alexnet_imagenet_pretrained", "--json").json
    assert len(facts["scores"]) == 5
    assert "pretrained_placeholders" in [note["name"] for note in facts["notes"]]
    assert "n_samples" not in [fact["column"] for fact in facts["facts"]]


def test_show_checkpoints_only_where_the_list_is_there(run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("VVSCALE_CACHE", str(tmp_path))
    assert "vvscale fetch checkpoint-list" in run("show", "resnet50_imagenet_full").out
    run("fetch", "checkpoint-list")
    assert "28 epochs, 1 to 100; latest: https://" in run("show", "resnet50_imagenet_full").out
    assert "none in the published list" in run("show", "alexnet_imagenet_pretrained").out


def test_what_is_advised_of_an_own_table_names_the_table(run, tmp_path: Path):
    table = tmp_path / "my table.csv"
    rows = [(name, arch, region, 0.25) for name, arch in (("net a", "one"), ("net b", "two")) for region in REGIONS]
    pd.DataFrame(rows, columns=["model_id", "arch", "region", "score"]).to_csv(table, index=False)
    for what in ("models", "scores"):
        advised = run("ls", what, "net b", "--table", table).out.partition("Next: vvscale ")[2]
        assert "net b" in run(*shlex.split(advised)).out
    for asked, names in (("net c", {"net a", "net b"}), ("onee", {"net a"})):
        advised = run("show", asked, "--table", table).err.partition("'vvscale ")[2].rpartition("' lists")[0]
        assert {row["model_id"] for row in run(*shlex.split(advised), "--json").json["rows"]} == names


def test_show_from_own_table_has_no_notes(run, tmp_path: Path):
    frame = pd.DataFrame({"model_id": ["a"], "score": [0.25], "n_params": [3]})
    frame.to_csv(tmp_path / "t.csv", index=False)
    done = run("show", "a", "--table", tmp_path / "t.csv")
    assert "0.2500" in done.out
    assert "Note" not in done.out


@pytest.mark.parametrize(
    ("argv", "code", "text"),
    [
        (
            ["show", "resnt18"],
            2,
            "Unknown model 'resnt18'. Did you mean 'resnet18'? 'vvscale ls models --where arch=resnet18'",
        ),
        (["show", "alexnet_ecoset_ful_seed-1"], 2, "Did you mean 'alexnet_ecoset_full_seed-1'?"),
        (["ls", "models", "--where", "famly=ResNet"], 2, "Unknown column 'famly'. Did you mean 'family'?"),
        (["ls", "models", "--where", "family=Resnet"], 2, "Unknown family 'Resnet'. Did you mean 'ResNet'?"),
        (["ls", "models", "--where", "family"], 2, "Cannot read the condition 'family'"),
        (["ls", "models", "--where", "n_params>=big"], 2, "'big' is not a number"),
        (["ls", "scores", "--where", "region=behaviour"], 2, "Did you mean 'behavior'?"),
        (["ls", "models", "nosuch*"], 2, "Unknown model 'nosuch*'"),
        (["ls", "columns", "--where", "family=ViT"], 2, "--where selects rows of scores or models"),
        (["ls", "scores", "--table", "gokce2026"], 2, "Did you mean 'gokce2025'?"),
        (["ls", "scores", "--table", "none.csv"], 3, "does not exist"),
        (["ls", "scores", "--table", "t.xlsx/x.xlsx"], 2, "expected one of .csv, .parquet"),
        (["ls", "models", "--table", "gokce2025:checkpoints"], 3, "they differ in epoch"),
        (["ls", "models", "--table", "gokce2025:private"], 3, "lacks a column 'region'"),
        (["ls", "nonsense"], 2, "vvscale ls --help"),
        (["fetch", "nonsense"], 2, "vvscale fetch --help"),
        (["fetch"], 2, "vvscale fetch --help"),
        (["cache", "nonsense"], 2, "vvscale cache --help"),
        (["show", "x", "--tabel", "y"], 2, "--tabel"),
    ],
)
def test_errors(run, argv: list[str], code: int, text: str):
    done = run(*argv)
    assert done.code == code
    assert text in done.err
    assert done.out == ""
    assert done.err.startswith("vvscale: ")
    assert done.err.count("\n") == 1, "one paragraph"


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"model_id,region\nm,V1\n", "no column 'score'"),
        (b"model_id,score\nm,0.1\nn,high\n", "holds 'high' in row 2"),
        (b"model_id,score\nm,0.1\nn,inf\n", "inf in row 2"),
        (b"model_id,score\nm,0.1\nn", "Line 3"),
        (b"model_id,score\n\xe4,0.1\n", "not UTF-8"),
        (b"", "0 bytes"),
    ],
)
def test_bad_tables(run, tmp_path: Path, content: bytes, text: str):
    (tmp_path / "bad.csv").write_bytes(content)
    done = run("ls", "scores", "--table", tmp_path / "bad.csv")
    assert done.code in {2, 3}
    assert text in done.err
    assert "bad.csv" in done.err


def test_a_wrong_hash(run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "gokce2025").mkdir()
    (tmp_path / "gokce2025" / "benchmark_scores.csv").write_text("cut")
    monkeypatch.setenv("VVSCALE_MIRROR", str(tmp_path))
    monkeypatch.setenv("VVSCALE_CACHE", str(tmp_path / "cache"))
    done = run("fetch", "scores")
    assert done.code == 3
    assert "is not the published benchmark_scores.csv" in done.err


def test_quiet_and_debug(run):
    done = run("ls", "models", "--quiet")
    assert (done.out, done.err) == ("", "")
    from vvscale.errors import UnknownNameError

    with pytest.raises(UnknownNameError):
        main(["show", "resnt18", "--debug"])


def shell(*argv: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "import sys; from vvscale.cli import main; sys.exit(main())", *argv]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_from_a_shell():
    done = shell("show", "resnet50_imagenet_full", "--json")
    assert done.returncode == 0
    assert done.stderr == ""
    assert json.loads(done.stdout)["model_id"] == "resnet50_imagenet_full"
    wrong = shell("show", "resnet50_imagenet_ful")
    assert wrong.returncode == 2
    assert wrong.stdout == ""
    assert "Traceback" not in wrong.stderr


def test_a_closed_pipe_is_no_error():
    code = "import sys; from vvscale.cli import main; sys.exit(main())"
    command = f"{sys.executable} -c '{code}' ls scores --json --limit 400 | head -n 3; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert done.stderr == ""
    assert done.stdout.splitlines()[-1] == "0"
