"""The verbs design and claims: what they print, write and refuse."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from vvscale.cli import main


def test_design_prints_runs_and_writes_a_study(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    out = tmp_path / "next.toml"
    command = ["design", "compute_chinchilla", "--budget", "3e15", "--runs", "4", "--reduce", "exponent"]
    assert main([*command, "--out", str(out), "--json"]) == 0
    made = json.loads(capsys.readouterr().out)
    assert sum(run["count"] for run in made["runs"]) == 4
    assert made["shrinkage"] < made["baseline"]
    assert main(["study", "plan", str(out)]) == 0
    # It is there to be edited; the same command again would take that back.
    capsys.readouterr()
    out.write_text(changed := out.read_text() + "# mine\n")
    assert main([*command, "--out", str(out)]) == 2
    assert f"There is a file '{out}' already." in capsys.readouterr().err
    assert out.read_text() == changed


def test_design_names_its_flags(capsys: pytest.CaptureFixture[str]):
    assert main(["design", "compute_chinchilla", "--budget", "3e15", "--reduce", "gamma"]) == 2
    assert "--reduce" in capsys.readouterr().err


def test_claims_of_an_own_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    table, claims = tmp_path / "mine.csv", tmp_path / "mine.toml"
    rows = "\n".join(f"{10**k},{0.3 + 0.5 * 10 ** (-0.3 * k) + 0.001 * (-1) ** k},l{k % 4}" for k in range(12))
    table.write_text("size,loss,lab\n" + rows + "\n")
    claims.write_text(
        'title = "Mine"\n[fits.mine]\nx = ["size"]\ny = "loss"\n[[claims]]\nname = "limit"\nsays = "it ends at .3"\n'
        'measure = "fit"\nfit = "mine"\nquantity = "E"\nvalue = 0.3\nrounding = 0.02\nby = ["lab"]\n'
    )
    assert main(["claims", str(claims), "--scores", str(table)]) == 0
    shown = capsys.readouterr().out
    assert "it ends at .3" in shown
    assert "holds" in shown
    assert main(["claims", "ccn2042"]) == 2
