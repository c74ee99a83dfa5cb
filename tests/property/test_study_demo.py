"""The demo's own study, smaller: killed, shared by two runs, and resumed, it gives the same table to the bit."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from vvscale.study.workers import process_start

N_KILLS = 20
SMALL = (
    'axes.arch=["resnetflex-w3-d1-1-1","resnetflex-w4-d1-1-1","resnetflex-w6-d1-1-1"]',
    "axes.samples_per_class=[1,3,10]", "axes.seed=[0]",
    "forecast.level=0.7", "forecast.seed=[0]", "forecast.budget=6e9",
)  # fmt: skip


def command(out: Path) -> list[str]:
    changes = [token for change in SMALL for token in ("--set", change)]
    return [sys.executable, "-m", "vvscale", "study", "run", "demo", "--out", str(out), "--workers", "2", *changes]


def left_behind(out: Path) -> list[int]:
    """Workers of a study whose processes still run."""
    told = [json.loads(path.read_text()) for path in (out / "workers").glob("*.json")]
    return [one["pid"] for one in told if process_start(one["pid"]) == one["started"]]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("demo") / "whole"
    done = subprocess.run(command(out), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (out / "said.txt").write_text(done.stdout)
    return out


@pytest.mark.slow
def test_it_says_what_it_found(whole: Path):
    said = (whole / "said.txt").read_text()
    for title in ("Laws of this study", "Plan", "Forecast, trained and compared"):
        assert title in said
    page = (whole / "results" / "report.html").read_text()
    assert "SIMULATED, not recorded: simulated" in page
    assert "What this study found" in page
    assert "Forecast, trained and compared" in page
    assert json.loads((whole / "results" / "forecast.json").read_text())["observed"]
    assert (whole / "results" / "figures" / "accuracy.pdf").stat().st_size > 5000


@pytest.mark.slow
def test_killed_at_random_moments_and_finished_by_two_runs_at_once(whole: Path, tmp_path: Path):
    out, moments = tmp_path / "out", random.Random(3)
    for _ in range(N_KILLS):
        run = subprocess.Popen(
            command(out), start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            run.wait(moments.uniform(0.5, 2.5))
        except subprocess.TimeoutExpired:
            os.killpg(run.pid, signal.SIGKILL)
            run.wait()
    runs = [subprocess.Popen(command(out), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) for _ in "ab"]
    said = [run.communicate()[0] for run in runs]
    assert [run.returncode for run in runs] == [0, 0], said
    table, expected = (pd.read_parquet(path / "results" / "scores.parquet") for path in (out, whole))
    pd.testing.assert_frame_equal(table, expected, check_exact=True)
    assert not table.duplicated(["model_id", "benchmark_id"]).any()
    assert (out / "results" / "forecast.json").read_text() == (whole / "results" / "forecast.json").read_text()
    assert not list(out.glob("tasks/*/*/out/**/.*.part"))
    assert not left_behind(out)
