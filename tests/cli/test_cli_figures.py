"""figure, report, cite and ls figures from the command line: output, exit code, and the text of each error."""

import json

import pytest

from vvscale.cli import main

ROWS = "model_id,region,benchmark_id,score,n_params,accuracy\n" + "".join(
    f"m{i},{region},mine.{region},{0.2 + 0.01 * i + 0.001 * j},{10 ** (6 + i / 4):.0f},{0.05 * i:.2f}\n"
    for i in range(12)
    for j, region in enumerate(("V1", "V2", "V4", "IT", "behavior"))
)


def run(capsys, *tokens):
    code = main([str(token) for token in tokens])
    printed = capsys.readouterr()
    return code, printed.out, printed.err


@pytest.fixture
def mine(tmp_path):
    path = tmp_path / "mine.csv"
    path.write_text(ROWS)
    return path


def test_ls_figures(capsys):
    code, out, _ = run(capsys, "ls", "figures")
    assert code == 0
    assert "icml-1b" in out
    assert "Who beats scale" in out
    code, out, _ = run(capsys, "ls", "figures", "ccn-*", "--json")
    assert json.loads(out)["n"] == 5


def test_figure_draws_what_it_can_and_says_what_it_cannot(mine, tmp_path, capsys):
    code, out, err = run(
        capsys, "figure", "icml-6c", "icml-6a", "icml-1b", "--scores", mine, "--out", tmp_path / "o", "--format", "csv",
        "--format", "svg", "--resamples", "0", "--workers", "1",
    )  # fmt: skip
    assert code == 3
    assert sorted(path.name for path in (tmp_path / "o").iterdir()) == [
        "icml-6a.csv", "icml-6a.svg", "icml-6c.csv", "icml-6c.svg",
    ]  # fmt: skip
    assert "12 models of 'mine.csv'" in out
    assert "1 of 3 figures could not be drawn" in err
    assert "no column 'train_flop'" in err
    assert err.splitlines()[-1].startswith("vvscale: ")


def test_figure_json(mine, tmp_path, capsys):
    code, out, _ = run(
        capsys, "figure", "icml-6b", "--scores", mine, "--out", tmp_path / "o", "--format", "json", "--resamples", "0",
        "--json",
    )  # fmt: skip
    document = json.loads(out)
    assert code == 0
    assert document["figures"][0]["name"] == "icml-6b"
    assert document["lacking"] == {}
    written = json.loads((tmp_path / "o" / "icml-6b.json").read_text())
    assert written["provenance"]["tables"].keys() == {"mine.csv"}
    assert any("taken as false" in note for note in document["figures"][0]["notes"])


def test_dry_runs_do_nothing(tmp_path, capsys):
    code, out, _ = run(capsys, "figure", "icml-7*", "--out", tmp_path / "o", "--dry-run")
    assert (code, "icml-7d" in out) == (0, True)
    code, out, _ = run(capsys, "report", tmp_path / "r.html", "--dry-run")
    assert code == 0
    assert not list(tmp_path.iterdir())


def test_report_of_a_small_table(mine, tmp_path, capsys):
    code, out, err = run(capsys, "report", tmp_path / "r.html", "--scores", mine, "--resamples", "0", "--workers", "1")
    assert code == 0
    assert "12 models" in out
    assert "allocation, contours (n_params, samples_seen, train_flop)" in out
    assert "Next: open it" in err
    page = (tmp_path / "r.html").read_text()
    assert page.startswith("<!doctype html>")
    assert "@@" not in page.split("<script>")[0]


def test_cite(mirror, tmp_path, capsys):
    code, out, _ = run(capsys, "cite")
    assert code == 0
    for key in ("gokce2025", "schrimpf2018", "freeman2013", "majaj2015", "rajalingham2018", "deng2009", "hoffmann2022"):
        assert f"{{{key}," in out
    code, out, _ = run(capsys, "cite", "icml-S5", "kaplan", "--json")
    assert json.loads(out)["keys"] == ["gokce2025", "chen2020simclr", "caron2021dino", "kaplan2020"]
    run(capsys, "reproduce", "compute_neuro", "--out", tmp_path / "f")
    code, out, _ = run(capsys, "cite", tmp_path / "f", "--out", tmp_path / "a.bib")
    assert (code, out) == (0, "")
    assert (tmp_path / "a.bib").read_text().count("@") == 2


@pytest.mark.parametrize(
    ("tokens", "expected", "words"),
    [
        (["figure"], 2, "Which figure?"),
        (["figure", "icml-9"], 2, "Unknown figure 'icml-9'"),
        (["figure", "icml-1b", "--format", "jpg"], 2, 'Did you mean "png"?'),
        (["figure", "icml-1b", "--scores", "nothing"], 2, "Unknown score set or file"),
        (["figure", "icml-1b", "--scores", "nothing.csv"], 3, "does not exist"),
        (["figure", "icml-6c", "--workers", "0"], 2, "`--workers` is 0"),
        (["report", "page.pdf"], 2, "ends in .html"),
        (["report", "/proc/none/r.html"], 2, "Cannot write"),
        (["cite", "nobody"], 2, "Unknown thing to cite 'nobody'"),
    ],
)
def test_wrong_requests(tokens, expected, words, mirror, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, out, err = run(capsys, *tokens)
    assert (code, out) == (expected, "")
    assert words in err
    assert err.count("\n") == 1
