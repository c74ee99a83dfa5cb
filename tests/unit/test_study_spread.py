"""One task over several processes of this machine."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from vvscale.study.engine.worker import Answer, Request, run_task
from vvscale.study.graph.folder import StudyFolder
from vvscale.study.graph.graph import Graph, Task

pytest.importorskip("torch")


def begin(path: Path, **params) -> StudyFolder:
    builder = Graph({"ranks": "1"})
    builder.add("ranks", params)
    folder = StudyFolder(path)
    folder.write_plan({"name": "spread", "digest": "d"}, builder)
    return folder


def task_of(folder: StudyFolder) -> Task:
    return folder.graph().tasks[0]


def request(folder: StudyFolder) -> Request:
    return Request(str(folder.path), task_of(folder), {}, {}, processes_per_node=2)


def ranks_of(folder: StudyFolder) -> list[psutil.Process]:
    """Processes that work on a task of this study: torchrun and its ranks."""
    found = []
    for process in psutil.process_iter():
        try:
            words = process.cmdline()
        except (psutil.NoSuchProcess, psutil.ZombieProcess):
            continue
        if "vvscale.study.engine.torchrun" in words and any(str(folder.path) in word for word in words):
            found.append(process)
    return found


@pytest.mark.slow
def test_the_ranks_find_each_other_and_one_result_counts(tmp_path: Path):
    folder = begin(tmp_path)
    assert run_task(request(folder)).outcome == "done"
    done = folder.task(folder.graph().tasks[0].id).done()
    assert done is not None
    assert done["result"] == {"value": 3.0}
    assert list(done["outputs"]) == ["value.json"]


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_ranks_end_with_their_worker(tmp_path: Path, number: signal.Signals):
    folder = begin(tmp_path, seconds=300.0)
    code = (
        "from vvscale.study.engine.worker import *\nfrom vvscale.study.graph.graph import Task\n"
        f"print(run_task({request(folder)!r}).outcome)"
    )
    worker = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    while len(ranks_of(folder)) < 3:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    os.kill(worker.pid, number)
    said, _ = worker.communicate(timeout=120)
    deadline = time.monotonic() + 120
    assert said.strip() == ("stopped" if number == signal.SIGTERM else "")
    while ranks_of(folder):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    here = folder.task(task_of(folder).id)
    assert here.done() is None
    assert here.error() is None
    # The next worker is not kept out by what the dead one held.
    assert isinstance(
        run_task(replace(request(folder), task=replace(task_of(folder), params={"seconds": 0.0}))), Answer
    )
