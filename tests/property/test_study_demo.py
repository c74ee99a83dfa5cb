"""The demo's own study, smaller: killed, shared by two runs, and resumed, it gives the same table to the bit."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
from pathlib import Path

import pandas as pd
import pytest
from vvscale.study.workers.liveness import process_start

N_KILLS = 20


def left_behind(out: Path) -> list[int]:
    """Workers of a study whose processes still run."""
    told = [json.loads(path.read_text()) for path in (out / "workers").glob("*.json")]
    return [one["pid"] for one in told if process_start(one["pid"]) == one["started"]]


@pytest.mark.slow
def test_it_says_what_it_found(small_demo):
    for title in ("Laws of this study", "Plan", "Forecast, trained and compared"):
        assert title in small_demo.said
    page = (small_demo.out / "results" / "report.html").read_text()
    assert "SIMULATED, not recorded: simulated" in page
    assert "What this study found" in page
    assert "Forecast, trained and compared" in page
    assert json.loads((small_demo.out / "results" / "forecast.json").read_text())["observed"]
    assert (small_demo.out / "results" / "figures" / "accuracy.pdf").stat().st_size > 5000


@pytest.mark.slow
def test_killed_at_random_moments_and_finished_by_two_runs_at_once(small_demo, tmp_path: Path):
    out, moments = tmp_path / "out", random.Random(3)
    for _ in range(N_KILLS):
        run = subprocess.Popen(
            small_demo.command(out), start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            run.wait(moments.uniform(0.5, 2.5))
        except subprocess.TimeoutExpired:
            os.killpg(run.pid, signal.SIGKILL)
            run.wait()
    runs = [
        subprocess.Popen(small_demo.command(out), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        for _ in "ab"
    ]
    said = [run.communicate()[0] for run in runs]
    assert [run.returncode for run in runs] == [0, 0], said
    table = pd.read_parquet(out / "results" / "scores.parquet")
    pd.testing.assert_frame_equal(table, small_demo.scores, check_exact=True)
    assert not table.duplicated(["model_id", "benchmark_id"]).any()
    assert (out / "results" / "forecast.json").read_text() == (small_demo.out / "results" / "forecast.json").read_text()
    assert not list(out.glob("tasks/*/*/out/**/.*.part"))
    assert not left_behind(out)
