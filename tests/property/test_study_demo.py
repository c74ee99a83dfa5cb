"""The demo's own study, smaller: killed, shared by two runs, and resumed, it gives the same table to the bit."""

from __future__ import annotations

import json
import random
import shutil
import signal
import subprocess
from pathlib import Path

import pandas as pd
import pytest

N_KILLS = 5


@pytest.mark.slow
def test_it_says_what_it_found(small_demo):
    for title in ("Laws of this study", "Plan", "Forecast, trained and compared"):
        assert title in small_demo.said
    page = (small_demo.out / "results" / "report.html").read_text()
    assert "SIMULATED, not recorded: simulated" in page
    assert "Laws of this study" in page
    assert "Forecast, trained and compared" in page
    assert json.loads((small_demo.out / "results" / "forecast.json").read_text())["observed"]
    assert (small_demo.out / "results" / "figures" / "accuracy.pdf").stat().st_size > 5000


def same_as(out: Path, small_demo) -> None:
    """The table, the forecast and the plans are those of the undisturbed run, to the bit."""
    table = pd.read_parquet(out / "results" / "scores.parquet")
    pd.testing.assert_frame_equal(table, small_demo.scores, check_exact=True)
    assert not table.duplicated(["model_id", "benchmark_id"]).any()
    for name in ("forecast.json", "fits/accuracy/plan.json"):
        assert (out / "results" / name).read_text() == (small_demo.out / "results" / name).read_text()


@pytest.mark.slow
def test_killed_at_random_moments_it_gives_the_same_to_the_bit(small_demo, tmp_path: Path):
    out, moments = tmp_path / "out", random.Random(3)
    for _ in range(N_KILLS):
        run = subprocess.Popen(
            small_demo.command(out), start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            run.wait(moments.uniform(2.0, 12.0))
        except subprocess.TimeoutExpired:
            run.send_signal(moments.choice([signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGINT]))
            run.wait()
    last = subprocess.run(small_demo.command(out), capture_output=True, text=True, check=False)
    assert last.returncode == 0, last.stderr
    same_as(out, small_demo)


@pytest.mark.slow
def test_damaged_and_deleted_files_are_made_again_and_nothing_else_changes(small_demo, tmp_path: Path):
    out, moments = tmp_path / "out", random.Random(4)
    shutil.copytree(small_demo.out, out, copy_function=shutil.copy2)
    files = sorted(path for path in out.glob("tasks/*/*/out/**/*") if path.is_file())
    damaged = moments.sample(files, 8)
    for path in damaged:
        content = bytearray(path.read_bytes())
        content[moments.randrange(len(content))] ^= 1
        path.write_bytes(content)
    lost = moments.sample(sorted(out.glob("tasks/*/*/done.json")), 3)
    for path in lost:
        path.unlink()
    again = subprocess.run(small_demo.command(out), capture_output=True, text=True, check=False)
    assert again.returncode == 0, again.stderr
    tasks = {path.relative_to(out).parts[:3] for path in damaged} - {path.relative_to(out).parts[:3] for path in lost}
    assert again.stderr.count("made again: ") == len(tasks) > 0
    same_as(out, small_demo)
