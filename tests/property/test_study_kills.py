"""Workers and whole runs killed at random moments: what comes out is what an undisturbed run gives."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vvscale.study.graph.graph import Graph, GraphBuilder
from vvscale.study.tasks.registry import TASKS
from vvscale.study.workers.board import Board, Status
from vvscale.study.workers.folder import StudyFolder
from vvscale.study.workers.journal import Event, What

N_KILLS = 20
VERSIONS = {kind: TASKS[kind].version for kind in ("noop", "sleep", "collect")}


def graph(n: int, seconds: float) -> Graph:
    builder = GraphBuilder(VERSIONS)
    ends = []
    for number in range(n):
        first = builder.add("sleep", {"value": number, "seconds": seconds}, label=f"sleep {number}")
        ends.append(builder.add("noop", {"value": 1}, inputs={"of": first}, label=f"after {number}"))
    builder.add("collect", {}, inputs={"values": tuple(ends)}, label="table", publish={"values.json": "values.json"})
    return builder.build()


def worker(out: Path, shard: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "vvscale", "worker", str(out), "--shard", f"{shard}/3", "--max-deaths", "1000"]
    return subprocess.Popen([*command, "--quiet"])


def recorded_twice(out: Path) -> list[str]:
    """Tasks of which more than one worker recorded a result."""
    seen: dict[str, int] = {}
    for path in (out / "events").glob("*.jsonl"):
        for line in path.read_text().splitlines():
            _, what, task_id, _, seconds, _ = json.loads(line)
            if what == "done" and seconds:
                seen[task_id] = seen.get(task_id, 0) + 1
    return [task_id for task_id, times in seen.items() if times > 1]


@pytest.mark.slow
def test_workers_killed_at_random_moments(tmp_path: Path):
    made = graph(60, 0.08)
    folder = StudyFolder(tmp_path / "out")
    folder.write_plan({"name": "kills", "digest": "d"}, made)
    moments = random.Random(0)
    workers = [worker(folder.path, shard) for shard in range(3)]
    for _ in range(N_KILLS):
        time.sleep(moments.uniform(0.1, 0.5))
        victim = moments.randrange(3)
        workers[victim].send_signal(moments.choice([signal.SIGKILL, signal.SIGKILL, signal.SIGTERM]))
        workers[victim].wait()
        workers[victim] = worker(folder.path, victim)
    for one in workers:
        assert one.wait(60) == 0
    assert json.loads((folder.results / "values.json").read_text()) == [number + 1 for number in range(60)]
    assert len(list(folder.existing_tasks())) == len(made)
    assert recorded_twice(folder.path) == []
    assert any(folder.task(task.id).claims() > 0 for task in made.tasks), "no kill hit a running task"
    assert not list(folder.path.glob("tasks/*/*/out/.*.part"))


@pytest.mark.slow
def test_whole_runs_killed_at_random_moments(tmp_path: Path):
    spec, out = tmp_path / "kills.toml", tmp_path / "out"
    spec.write_text('name = "kills"\n[diagnostics]\nchains = 200\nseconds = 0.1\n')
    command = [sys.executable, "-m", "vvscale", "study", "run", str(spec), "--out", str(out), "--workers", "2"]
    moments = random.Random(1)
    n_cut = 0
    for _ in range(N_KILLS):
        run = subprocess.Popen(command, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            run.wait(moments.uniform(0.05, 1.5))
        except subprocess.TimeoutExpired:
            os.killpg(run.pid, signal.SIGKILL)
            n_cut += 1
            run.wait()
    assert n_cut == N_KILLS
    last = subprocess.run(command, capture_output=True, text=True, check=False)
    assert last.returncode == 0, last.stderr
    assert json.loads((out / "results" / "values.json").read_text()) == [number + 1 for number in range(200)]
    assert recorded_twice(out) == []
    deadline = time.monotonic() + 10
    while running := [pid for pid in pids(out) if Path(f"/proc/{pid}/cmdline").exists() and is_worker(pid, out)]:
        assert time.monotonic() < deadline, f"orphans: {running}"
        time.sleep(0.1)


def pids(out: Path) -> list[int]:
    return [json.loads(path.read_text())["pid"] for path in (out / "workers").glob("*.json")]


def is_worker(pid: int, out: Path) -> bool:
    try:
        return str(out).encode() in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


@given(st.data())
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_a_board_that_hears_everything_in_any_order_knows_the_truth(data: st.DataObject):
    """Histories of several tasks, shuffled: the state is that of the last event, and blocked what needs a failure."""
    made = graph(3, 0.0)
    last: dict[str, What] = {}
    events: list[Event] = []
    for number in (0, 2, 4):
        task_id = made.tasks[number].id
        for generation in range(data.draw(st.integers(0, 3))):
            end = data.draw(st.sampled_from([What.DONE, What.FAILED]))
            after = What.BROKEN if end is What.DONE else What.RETRY
            steps = [What.STARTED, end, after][: data.draw(st.integers(1, 3))]
            events += [Event(0.0, step.value, task_id, generation, worker="w") for step in steps]
            last[task_id] = steps[-1]
            if len(steps) < 3:
                break
    board = Board(made)
    board.apply(data.draw(st.permutations(events)))
    expected = {What.STARTED: Status.RUNNING, What.DONE: Status.DONE, What.FAILED: Status.FAILED}
    for number in (0, 2, 4):
        truth = expected.get(last.get(made.tasks[number].id, What.RETRY), Status.WAITING)
        assert board.status[number] is truth
        assert board.status[number + 1] is (Status.BLOCKED if truth is Status.FAILED else Status.WAITING)
    any_failed = Status.FAILED in [board.status[number] for number in (0, 2, 4)]
    assert board.status[6] is (Status.BLOCKED if any_failed else Status.WAITING)
    assert board.n_open == sum(status in (Status.WAITING, Status.RUNNING) for status in board.status)


@given(st.lists(st.integers(0, 3), min_size=1, max_size=12), st.data())
@settings(max_examples=60, deadline=None)
def test_a_changed_parameter_changes_exactly_what_depends_on_it(shape: list[int], data: st.DataObject):
    """Random graphs: each task needs some earlier ones; one parameter changes."""

    def build(values: list[int]) -> Graph:
        builder, ids = GraphBuilder(VERSIONS), []
        for number, (n_inputs, value) in enumerate(zip(shape, values, strict=True)):
            needed = tuple(ids[(number * 7 + step * 3) % number] for step in range(n_inputs)) if number else ()
            ids.append(builder.add("noop", {"number": number, "value": value}, inputs={"of": needed}))
        return builder.build()

    values = [0] * len(shape)
    changed = data.draw(st.integers(0, len(shape) - 1))
    before, after = build(values), build([*values[:changed], 1, *values[changed + 1 :]])
    reached = {changed}
    for number, task in enumerate(before.tasks):
        if any(before.index[needed] in reached for needed in task.needs):
            reached.add(number)
    differing = {n for n, (a, b) in enumerate(zip(before.tasks, after.tasks, strict=True)) if a.id != b.id}
    assert differing == reached
