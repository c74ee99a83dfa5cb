"""``vvscale study`` as a person meets it: output, exit codes, what is left behind."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

SPEC = """
name = "cli"
[diagnostics]
chains = {chains}
seconds = {seconds}
"""


def vvscale(*words: object, check: int | None = 0, **more) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "vvscale", *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300, **more)
    assert check is None or done.returncode == check, done.stdout + done.stderr
    return done


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    return write(tmp_path)


def write(folder: Path, *, chains: int = 6, seconds: float = 0.0) -> Path:
    path = folder / "cli.toml"
    path.write_text(SPEC.format(chains=chains, seconds=seconds))
    return path


def values(out: Path) -> list[float]:
    return json.loads((out / "results" / "values.json").read_text())


def wait_for(what, seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.02)


def begin(spec: Path, out: Path, *more: str, **options) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "vvscale", "study", "run", str(spec), "--out", str(out), "--workers", "2", *more]
    # A process in the background of a shell ignores SIGINT, and so would the run.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        return subprocess.Popen(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **options)
    finally:
        signal.signal(signal.SIGINT, before)


def n_done(out: Path) -> int:
    return len(list(out.glob("tasks/*/*/done.json")))


def test_plan_run_again_status_report(spec: Path, tmp_path: Path):
    out = tmp_path / "out"
    planned = json.loads(vvscale("study", "plan", spec, "--out", out, "--workers", 3, "--json").stdout)
    assert [(stage["stage"], stage["n"]) for stage in planned["stages"]] == [("noop", 12), ("collect", 1)]
    assert planned["schedule"]["n_workers"] == 3
    assert "What breaks first" in vvscale("study", "plan", spec, "--out", out).stdout
    assert not out.exists()
    dry = vvscale("study", "run", spec, "--out", out, "--dry-run")
    assert "13 tasks" in dry.stdout
    assert not out.exists()
    first = vvscale("study", "run", spec, "--out", out, "--workers", 2)
    assert "13 tasks done, 0 were finished before" in first.stdout
    assert f"Next: `vvscale study report {out}`" in first.stderr
    again = vvscale("study", "run", spec, "--out", out, "--workers", 2)
    assert "0 tasks done, 13 were finished before" in again.stdout
    assert "noop: 12 finished before, skipped (noop 0, noop after 0, noop 1, ...)" in again.stderr
    assert json.loads(vvscale("study", "run", spec, "--out", out, "--json").stdout)["n_done"] == 0
    assert "13 of 13 tasks done" in vvscale("study", "status", out).stdout
    assert json.loads(vvscale("study", "status", spec, "--out", out, "--json").stdout)["n_done"] == 13
    assert vvscale("study", "report", out).stdout.split() == [str(out / "results" / "values.json")]
    assert values(out) == [number + 1 for number in range(6)]
    assert (out / "spec.toml").read_text() == spec.read_text()


def test_a_study_that_was_never_begun(spec: Path, tmp_path: Path):
    for verb in ("status", "resume", "report"):
        done = vvscale("study", verb, spec, "--out", tmp_path / "nowhere", check=3)
        assert "There is no study in" in done.stderr
        assert "Traceback" not in done.stderr
    assert "Did you mean 'demo'" in vvscale("study", "plan", "demoo", check=3).stderr


def test_wrong_requests(spec: Path, tmp_path: Path):
    assert "expected KEY=VALUE" in vvscale("study", "plan", spec, "--set", "workers", check=2).stderr
    assert "Did you mean 'workers'" in vvscale("study", "plan", spec, "--set", "engine.worker=2", check=2).stderr
    assert "Unknown device 'h1000'" in vvscale("study", "plan", spec, "--device", "h1000", check=2).stderr
    assert "has no queue" in vvscale("study", "run", spec, "--out", tmp_path / "out", "--submit", check=2).stderr
    assert not (tmp_path / "out").exists()


def test_a_second_run_says_who_has_the_first_and_how_to_watch(tmp_path: Path):
    spec, out = write(tmp_path, chains=16, seconds=1.5), tmp_path / "out"
    run = begin(spec, out)
    wait_for(lambda: (out / "status.json").exists())
    second = vvscale("study", "run", spec, "--out", out, check=2)
    assert f"is run by another process (process {run.pid} on" in second.stderr
    assert f"vvscale study status {out}" in second.stderr
    assert f"run by process {run.pid} on" in vvscale("study", "status", out).stdout
    run.communicate()
    assert run.returncode == 0
    assert values(out) == [number + 1 for number in range(16)]


def test_a_run_that_a_scheduler_stops_asks_to_be_started_again(tmp_path: Path):
    spec, out = write(tmp_path, chains=20, seconds=0.3), tmp_path / "out"
    run = begin(spec, out)
    wait_for(lambda: n_done(out) > 2)
    run.send_signal(signal.SIGUSR1)
    said = run.communicate(timeout=120)[0]
    assert run.returncode == 75
    assert "resumes." in said
    kept = n_done(out)
    assert 2 < kept < 41
    assert f"{kept} were finished before" in vvscale("study", "resume", out).stdout
    assert values(out) == [number + 1 for number in range(20)]


def test_status_while_it_runs(tmp_path: Path):
    spec, out = write(tmp_path, chains=12, seconds=0.5), tmp_path / "out"
    run = begin(spec, out)

    told: dict = {}

    # The run tells what it has seen, which on a busy machine is some tasks behind what lies in the folder.
    def is_under_way() -> bool:
        told.update(json.loads(vvscale("study", "status", out, "--json").stdout))
        return told["n_workers"] == 2 and told["n_done"] > 2

    wait_for(lambda: n_done(out) > 2)
    wait_for(is_under_way)
    assert told["n_done"] < 25
    assert 0 < sum(stage["running"] for stage in told["stages"]) <= 2
    run.communicate()


def test_init_writes_a_study_that_can_be_planned(tmp_path: Path):
    assert "Wrote mine.toml" in vvscale("study", "init", "mine", cwd=tmp_path).stdout
    planned = json.loads(vvscale("study", "plan", "mine.toml", "--json", cwd=tmp_path).stdout)
    assert [stage["stage"] for stage in planned["stages"]][:2] == ["train", "score"]
    for name in ("mine", "mine.toml"):  # of the study, or of its file
        assert "There is a file" in vvscale("study", "init", name, cwd=tmp_path, check=2).stderr
    assert "cannot name a file" in vvscale("study", "init", "../mine", cwd=tmp_path, check=2).stderr


def test_a_folder_with_blanks_and_quotes_in_its_name(spec: Path, tmp_path: Path):
    out = tmp_path / "John's first study"
    vvscale("study", "run", spec, "--out", out, "--workers", 1)
    assert values(out) == [number + 1 for number in range(6)]


def test_a_study_is_found_by_its_name_once_it_was_begun(tmp_path: Path):
    write(tmp_path, chains=2)
    vvscale("study", "run", "cli.toml", cwd=tmp_path)
    assert "5 of 5 tasks done" in vvscale("study", "status", "cli", cwd=tmp_path).stdout


def test_a_damaged_plan_is_written_anew(spec: Path, tmp_path: Path):
    out = tmp_path / "out"
    vvscale("study", "run", spec, "--out", out)
    (out / "spec.json").write_text("{")
    assert "is damaged" in vvscale("study", "status", out, check=3).stderr
    assert "13 were finished before" in vvscale("study", "run", spec, "--out", out).stdout
    graph = next((out / "graphs").iterdir())
    graph.write_text(graph.read_text()[:-20])
    assert "Remove it and run the same command again" in vvscale("study", "status", out, check=3).stderr
    assert "13 were finished before" in vvscale("study", "run", spec, "--out", out).stdout


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of four megabytes, where this user may have one."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(disk)], check=False)
    if mounted.returncode:
        pytest.skip("this user may not mount a small disk; the same errors are raised by hand in test_study_work")
    try:
        yield disk
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


def test_a_full_disk(small_disk: Path, tmp_path: Path):
    spec, out = write(tmp_path, chains=40), small_disk / "out"
    ballast = small_disk / "ballast"
    ballast.write_bytes(b"x" * 3_950_000)
    done = vvscale("study", "run", spec, "--out", out, "--workers", 2, check=3)
    assert "the disk is full" in done.stderr
    assert "Traceback" not in done.stderr
    ballast.unlink()
    vvscale("study", "run", spec, "--out", out, "--workers", 2)
    assert values(out) == [number + 1 for number in range(40)]
    assert not list(out.glob("tasks/*/*/error.json"))


def test_a_read_only_folder(small_disk: Path, tmp_path: Path):
    spec, out = write(tmp_path, chains=10), small_disk / "out"
    vvscale("study", "run", spec, "--out", out, "--workers", 2)
    victim = next(out.glob("tasks/*/*/out/value.json"))
    victim.unlink()
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    assert "21 of 21 tasks done" in vvscale("study", "status", out).stdout
    done = vvscale("study", "run", spec, "--out", out, "--workers", 2, check=None)
    assert done.returncode in (2, 3)
    assert "Read-only file system" in done.stderr
    assert "Traceback" not in done.stderr
    subprocess.run(["mount", "-o", "remount,rw", str(small_disk)], check=True)
    assert "made again" in vvscale("study", "run", spec, "--out", out, "--workers", 2).stderr
    assert victim.exists()
