"""Speed of the study engine itself: tasks that do nothing, and questions about many of them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from vvscale.study.build import diagnostic_graph
from vvscale.study.estimate import simulate
from vvscale.study.graph.folder import StudyFolder
from vvscale.study.graph.schedule import Schedule, State
from vvscale.study.spec.schema import DiagnosticsSpec
from vvscale.study.status import Watch, study_status

N_TASKS = 10_001


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> StudyFolder:
    """A study of ten thousand tasks whose run wrote that all are done."""
    folder = StudyFolder(tmp_path_factory.mktemp("finished"))
    graph = diagnostic_graph(DiagnosticsSpec(chains=N_TASKS // 2))
    folder.write_plan({"name": "finished", "digest": "d"}, graph)
    schedule = Schedule(graph)
    for number in range(len(graph)):
        schedule.set(number, State.DONE)
    Watch(folder, schedule).look(is_last=True)
    return folder


def test_ten_thousand_tasks(benchmark, tmp_path: Path):
    """From the command to the last result, two workers, planning and start of Python included."""
    command = [
        sys.executable,
        "-m",
        "vvscale",
        "study",
        "run",
        "noop",
        "--out",
        str(tmp_path / "out"),
        "--workers",
        "2",
    ]

    def run() -> int:
        done = subprocess.run([*command, "--json"], capture_output=True, text=True, check=True)
        return json.loads(done.stdout)["n_done"]

    assert benchmark.pedantic(run, rounds=1) == N_TASKS
    assert benchmark.stats.stats.max < 60


def test_status_command(benchmark, finished: StudyFolder):
    """Start of Python included."""
    command = [sys.executable, "-m", "vvscale", "study", "status", str(finished.path)]
    benchmark.pedantic(subprocess.run, (command,), {"check": True, "stdout": subprocess.DEVNULL}, rounds=5)


def test_status(benchmark, finished: StudyFolder):
    assert benchmark(study_status, finished).is_complete


def test_simulation(benchmark, finished: StudyFolder):
    graph = finished.graph()
    assert benchmark(simulate, graph, 64).seconds > 0
