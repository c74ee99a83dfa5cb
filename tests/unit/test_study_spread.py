"""One task over several processes of this machine."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from vvscale.study.graph.graph import GraphBuilder
from vvscale.study.workers.folder import StudyFolder
from vvscale.study.workers.worker import WorkerOptions, work

pytest.importorskip("torch")


def begin(path: Path, **params) -> StudyFolder:
    builder = GraphBuilder({"ranks": "1"})
    builder.add("ranks", params)
    folder = StudyFolder(path)
    folder.write_plan({"name": "spread", "digest": "d"}, builder.build())
    return folder


def ranks_of(folder: StudyFolder) -> list[int]:
    """Processes that work on a task of this study."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            words = (entry / "cmdline").read_bytes().split(b"\0") if entry.name.isdigit() else []
        except OSError:
            continue
        if b"vvscale.study.workers.torchrun" in words and any(str(folder.path).encode() in word for word in words):
            found.append(int(entry.name))
    return found


@pytest.mark.slow
def test_the_ranks_find_each_other_and_one_result_counts(tmp_path: Path):
    folder = begin(tmp_path)
    graph = folder.graph()
    assert work(folder, graph, options=WorkerOptions(processes_per_node=2)).n_done == 1
    done = folder.task(graph.tasks[0].id).done()
    assert done is not None
    assert done["result"] == {"value": 3.0}
    assert list(done["outputs"]) == ["value.json"]


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_ranks_end_with_their_worker(tmp_path: Path, number: signal.Signals):
    folder = begin(tmp_path, seconds=300.0)
    command = [sys.executable, "-m", "vvscale", "worker", str(folder.path), "--processes-per-node", "2"]
    worker = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while len(ranks_of(folder)) < 3:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    os.kill(worker.pid, number)
    assert worker.wait(60) == (75 if number == signal.SIGTERM else -signal.SIGKILL)
    while ranks_of(folder):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    task = folder.task(folder.graph().tasks[0].id)
    assert task.done() is None
    assert task.error() is None
    assert json.loads((task.path / "claim.0").read_text())["pid"] == worker.pid
