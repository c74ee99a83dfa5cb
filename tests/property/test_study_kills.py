"""Whole runs, workers and the engine killed at random moments: what comes out is what an undisturbed run gives."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

N_KILLS = 8


class Run:
    """A run, and every process that was seen to belong to it."""

    def __init__(self, spec: Path, out: Path) -> None:
        command = [sys.executable, "-m", "vvscale", "study", "run", str(spec), "--out", str(out), "--workers", "2"]
        more = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        self.main = subprocess.Popen(command, start_new_session=True, text=True, **more)
        self.out = out
        self._seen: set[psutil.Process] = set()

    def others(self) -> list[psutil.Process]:
        """All but the run itself: the engine's own process, workers, and what watches them."""
        with contextlib.suppress(psutil.NoSuchProcess):
            self._seen |= set(psutil.Process(self.main.pid).children(recursive=True))
        for process in psutil.process_iter():
            try:
                if process.environ().get("VVSCALE_RUN") == str(self.out):
                    self._seen.add(process)
            except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
                continue
        return [one for one in self._seen if one.is_running() and status_of(one) != psutil.STATUS_ZOMBIE]

    def workers(self) -> list[psutil.Process]:
        """The processes that run tasks, and the one that holds what they share."""
        return [one for one in self.others() if "spawn_main" in words_of(one)]

    def end(self, code: int = 0) -> str:
        """Wait for the end, and for all others to be gone."""
        said = self.main.communicate(timeout=300)[0]
        assert self.main.returncode == code, said
        self.wait_until_all_are_gone()
        return said

    def wait_until_all_are_gone(self, seconds: float = 30) -> None:
        deadline = time.monotonic() + seconds
        while left := self.others():
            assert time.monotonic() < deadline, f"orphans: {left}"
            time.sleep(0.05)


def status_of(process: psutil.Process) -> str:
    try:
        return process.status()
    except psutil.NoSuchProcess:
        return psutil.STATUS_ZOMBIE


def words_of(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except (psutil.NoSuchProcess, psutil.ZombieProcess):
        return ""


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    path = tmp_path / "kills.toml"
    path.write_text('name = "kills"\n[diagnostics]\nchains = 100\nseconds = 0.1\n')
    return path


def values(out: Path) -> list[float]:
    return json.loads((out / "results" / "values.json").read_text())


def n_done(out: Path) -> int:
    return len(list(out.glob("tasks/*/*/done.json")))


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
        run = Run(spec, out)
        deadline = time.monotonic() + moments.uniform(0.2, 6.0)
        while time.monotonic() < deadline:
            run.others()
            time.sleep(0.05)
        # The run alone: all others must end by themselves. On a fast machine the study may have ended before.
        n_caught += run.main.poll() is None
        run.main.kill()
        run.main.communicate()
        if moments.random() < 0.5:
            run.wait_until_all_are_gone()
    assert n_caught >= N_KILLS / 2
    Run(spec, out).end()
    assert values(out) == [number + 1 for number in range(400)]
    assert not list(out.glob("tasks/*/*/out/.*.part"))


@pytest.mark.slow
def test_workers_and_the_engine_killed_while_the_run_goes_on(tmp_path: Path, spec: Path):
    out, moments = tmp_path / "out", random.Random(0)
    run = Run(spec, out)
    for number in range(6):
        # Each time until work goes on again: who kills all workers before they have begun has no study.
        before = n_done(out)
        wait_for(lambda: n_done(out) > before + 3 or run.main.poll() is not None, 120)  # noqa: B023
        time.sleep(moments.uniform(0.0, 0.5))
        engine = [one for one in run.others() if "interchange" in words_of(one) and "-S" not in words_of(one)]
        victims = engine if number == 2 else run.workers()
        if victims:
            moments.choice(victims).kill()
    run.end()
    assert values(out) == [number + 1 for number in range(100)]


@pytest.mark.slow
def test_a_run_that_sleeps_longer_than_every_timeout_goes_on(tmp_path: Path, spec: Path):
    out = tmp_path / "out"
    run = Run(spec, out)
    wait_for(lambda: n_done(out) > 5)
    asleep = [psutil.Process(run.main.pid), *run.others()]
    for one in asleep:
        one.suspend()
    time.sleep(25)
    for one in asleep:
        one.resume()
    run.end()
    assert values(out) == [number + 1 for number in range(100)]


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stopped_run_says_so_within_two_seconds_and_leaves_nobody(tmp_path: Path, spec: Path, number: signal.Signals):
    out = tmp_path / "out"
    spec.write_text(spec.read_text().replace("seconds = 0.1", "seconds = 2.0"))
    run = Run(spec, out)
    wait_for(lambda: n_done(out) > 5)
    time.sleep(0.5)
    run.others()
    os.kill(run.main.pid, number)
    said = run.end(130 if number == signal.SIGINT else 75)
    assert "more saved their state (sleep" in said
    assert f"`vvscale study resume {out}` resumes." in said
    assert list(out.glob("tasks/*/*/out/slept.json")), "what was slept is kept"
