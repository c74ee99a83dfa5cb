"""An engine that runs tasks in this process, for tests of all that is around it."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from pathlib import Path
from typing import Any

from vvscale.errors import RunError
from vvscale.study.engine.engine import Engine
from vvscale.study.engine.worker import Answer, Request, run_task
from vvscale.study.graph.folder import StudyFolder
from vvscale.study.graph.graph import Graph, Task
from vvscale.study.graph.kinds import Kind, TaskContext
from vvscale.study.prepare import Prepared
from vvscale.study.run import StudyResult, run_study
from vvscale.study.spec.workers import EngineSpec
from vvscale.study.tasks.diagnostics import run_noop
from vvscale.study.tasks.registry import TASKS


def run_fail(context: TaskContext) -> dict[str, Any]:
    """Fail while the file ``params["while_exists"]`` exists; else as ``noop``."""
    if Path(context.params["while_exists"]).exists():
        raise RunError(f"Asked to fail while '{context.params['while_exists']}' exists. Remove it, then resume.")
    return run_noop(context)


# The collector of examples in docstrings imports this file under another name.
if "fail" not in TASKS:
    TASKS.add("fail", Kind(run_fail, "failing"))
Act = Callable[[Task], Answer | None]


class InProcess(Engine):
    """One worker after another's task; ``act`` may end a task in a way of its own."""

    def __init__(self, spec: EngineSpec | None = None, act: Act = lambda task: None) -> None:
        self.groups = {group.name: group for group in (spec or EngineSpec(workers=1)).all_groups}
        self.ran: list[Task] = []
        self.group_of: dict[str, str] = {}
        self.stopped_with: float | None = None
        self._act = act
        self._queue: list[tuple[int, int, Request]] = []

    def start(self, names: list[str]) -> None:
        self.started = names

    def submit(self, key: int, request: Request, group: str, priority: int) -> None:
        assert group in self.started
        self.group_of[request.task.label] = group
        heapq.heappush(self._queue, (priority, key, request))

    def take(self, seconds: float) -> list[tuple[int, Answer]]:
        if not self._queue:
            return []
        _, key, request = heapq.heappop(self._queue)
        self.ran.append(request.task)
        return [(key, self._act(request.task) or run_task(request))]

    def look_after(self) -> None: ...

    def words(self) -> tuple[str, int]:
        return "in this process", 1

    def stop(self, seconds: float) -> None:
        self.stopped_with = self.stopped_with or seconds


LOST, LOST_JOB = Answer("worker lost"), Answer("job lost")


def begin(path: Path, graph: Graph) -> StudyFolder:
    """Write the plan of a study."""
    folder = StudyFolder(path)
    folder.write_plan({"name": "test", "digest": "d" * 64, "datasets": {"digits": "digits"}}, graph)
    return folder


def work(folder: StudyFolder, graph: Graph, engine: InProcess | None = None, **more) -> StudyResult:
    """Run a study to its end in this process."""
    return run_study(Prepared(folder, graph, EngineSpec(), None), engine=engine or InProcess(), **more)
