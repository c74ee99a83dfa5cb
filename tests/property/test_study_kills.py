"""Whole runs, workers and the engine killed at random moments: what comes out is what an undisturbed run gives."""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from pathlib import Path

import psutil
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
from storm import Run

N_KILLS = 8


def start(spec: Path, out: Path) -> Run:
    return Run(spec, out, "--workers", "2")


def end(run: Run, code: int = 0) -> str:
    """Wait for the end of a run, and for all others to be gone."""
    assert run.end() == code, run.said
    assert not run.orphans()
    return run.said


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    path = tmp_path / "kills.toml"
    path.write_text('name = "kills"\n[diagnostics]\nchains = 100\nseconds = 0.1\n')
    return path


def values(out: Path) -> list[float]:
    return json.loads((out / "results" / "values.json").read_text())


def n_done(out: Path) -> int:
    return len(list(out.glob("tasks/*/*/done.json")))


def is_asleep(task: Path) -> bool:
    """Whether a task that sleeps was begun and has not ended; it sleeps for seconds."""
    return json.loads(task.read_text())["kind"] == "sleep" and not (task.parent / "done.json").exists()


def wait_for(what, seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.05)


@pytest.mark.slow
def test_whole_runs_killed_at_random_moments(tmp_path: Path, spec: Path):
    # Enough work that most kills find the study under way, on a fast machine too.
    spec.write_text(spec.read_text().replace("chains = 100", "chains = 400"))
    out, moments, n_caught = tmp_path / "out", random.Random(1), 0
    for _ in range(N_KILLS):
        run = start(spec, out)
        deadline = time.monotonic() + moments.uniform(0.2, 6.0)
        while time.monotonic() < deadline:
            run.others()
            time.sleep(0.05)
        # The run alone: all others must end by themselves. On a fast machine the study may have ended before.
        n_caught += run.main.poll() is None
        run.main.kill()
        run.end()
        if moments.random() < 0.5:
            assert not run.orphans()
    assert n_caught >= N_KILLS / 2
    end(start(spec, out))
    assert values(out) == [number + 1 for number in range(400)]
    assert not list(out.glob("tasks/*/*/out/.*.part"))


@pytest.mark.slow
def test_workers_and_the_engine_killed_while_the_run_goes_on(tmp_path: Path, spec: Path):
    out, moments = tmp_path / "out", random.Random(0)
    run = start(spec, out)
    for number in range(6):
        # Each time until work goes on again: who kills all workers before they have begun has no study.
        before = n_done(out)
        wait_for(lambda: n_done(out) > before + 3 or run.main.poll() is not None, 120)  # noqa: B023
        time.sleep(moments.uniform(0.0, 0.5))
        if number == 2:
            [exchange] = run.named("interchange")
            exchange.kill()
        elif workers := run.workers():
            moments.choice(workers).kill()
    end(run)
    assert values(out) == [number + 1 for number in range(100)]


def files_of(process: psutil.Process) -> list[str]:
    try:
        return [one.path for one in process.open_files()]
    except (psutil.NoSuchProcess, psutil.ZombieProcess):
        return []


@pytest.mark.slow
def test_a_worker_killed_while_it_waits_for_a_task_does_not_stop_the_others(tmp_path: Path, spec: Path):
    out = tmp_path / "out"
    # The third task finds one of the two workers waiting, with what all workers share in its hands.
    spec.write_text(spec.read_text().replace("chains = 100", "chains = 3").replace("seconds = 0.1", "seconds = 4.0"))
    run = start(spec, out)
    wait_for(lambda: n_done(out) >= 4)
    wait_for(lambda: any("/tasks/" in path for one in run.workers() for path in files_of(one)))
    waiting = [
        one
        for one in run.workers()
        if "worker" in {Path(path).name.partition("_")[0] for path in files_of(one)}
        and not any("/tasks/" in path for path in files_of(one))
    ]
    assert len(waiting) == 1
    waiting[0].kill()
    end(run)
    assert values(out) == [1.0, 2.0, 3.0]


@pytest.mark.slow
def test_a_run_that_sleeps_longer_than_every_timeout_goes_on(tmp_path: Path, spec: Path):
    out = tmp_path / "out"
    run = start(spec, out)
    wait_for(lambda: n_done(out) > 5)
    asleep = [psutil.Process(run.main.pid), *run.others()]
    for one in asleep:
        one.suspend()
    time.sleep(25)
    for one in asleep:
        one.resume()
    end(run)
    assert values(out) == [number + 1 for number in range(100)]


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stopped_run_says_so_within_two_seconds_and_leaves_nobody(tmp_path: Path, spec: Path, number: signal.Signals):
    out = tmp_path / "out"
    spec.write_text(spec.read_text().replace("seconds = 0.1", "seconds = 2.0"))
    run = start(spec, out)
    wait_for(lambda: n_done(out) > 5 and any(is_asleep(path) for path in out.glob("tasks/*/*/task.json")))
    run.others()
    os.kill(run.main.pid, number)
    said = end(run, 130 if number == signal.SIGINT else 75)
    assert "more saved their state (sleep" in said
    assert f"`vvscale study resume {out}` resumes." in said
    assert list(out.glob("tasks/*/*/out/slept.json")), "what was slept is kept"
