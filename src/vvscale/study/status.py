"""How far a study is: written by its run once a second, read from any terminal without a lock."""

from __future__ import annotations

import dataclasses
import math
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from vvscale.core.config import from_table
from vvscale.core.jsonable import Result
from vvscale.study.graph.schedule import Schedule, State
from vvscale.study.tasks.registry import TASKS, may_lack

if TYPE_CHECKING:
    import pandas as pd

    from vvscale.study.graph.folder import StudyFolder
    from vvscale.study.graph.graph import Graph, Task

# Rates are those of the last minutes; the mean of all would lag behind a machine that was added.
_WINDOW_SECONDS = 300.0
_WRITE_SECONDS = 1.0
_MOST_FAILURES = 20


@dataclass(frozen=True)
class StageStatus:
    """Numbers of tasks of one kind; blocked ones need one that failed.

    ``per_second``: finished of late, None if none was; ``seconds_left``: at that rate.
    """

    kind: str
    title: str
    n: int
    done: int
    running: int
    failed: int
    blocked: int
    waiting: int
    per_second: float | None
    seconds_left: float | None


@dataclass(frozen=True)
class Failure:
    """A task that failed, with its error in one line; all of it is in ``path``, its ``error.json``."""

    task_id: str
    kind: str
    label: str
    message: str
    path: str


@dataclass(frozen=True)
class StudyStatus(Result):
    """A study at one moment.

    Attributes
    ----------
    name, path
        Which study, and its folder.
    stages
        In their order.
    failures
        The first of them; ``n_failed`` counts all.
    n_workers
        Workers alive.
    engine
        How they are, in words.
    updated
        When this was so, seconds since 1970.
    runner
        Who runs the study now, in words, if anybody does.
    """

    name: str
    path: str
    stages: tuple[StageStatus, ...]
    failures: tuple[Failure, ...]
    n_workers: int
    engine: str = ""
    updated: float = 0.0
    runner: str | None = None

    @property
    def n(self) -> int:
        """Number of tasks."""
        return sum(stage.n for stage in self.stages)

    @property
    def n_done(self) -> int:
        """Number of finished tasks."""
        return sum(stage.done for stage in self.stages)

    @property
    def n_failed(self) -> int:
        """Number of tasks that failed."""
        return sum(stage.failed for stage in self.stages)

    @property
    def n_blocked(self) -> int:
        """Number of tasks that wait for one that failed."""
        return sum(stage.blocked for stage in self.stages)

    @property
    def is_complete(self) -> bool:
        """Whether all is done."""
        return self.n_done == self.n

    def table(self) -> pd.DataFrame:
        """Return one row per stage."""
        import pandas as pd

        return pd.DataFrame([asdict(stage) for stage in self.stages])

    def to_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return {**asdict(self), "n": self.n, "n_done": self.n_done, "n_failed": self.n_failed}

    def words(self) -> str:
        """Return all in one line."""
        parts = [f"{self.n_done} of {self.n} tasks done"]
        parts += [f"{self.n_failed} failed"] if self.n_failed else []
        parts += [f"{self.n_blocked} blocked by them"] if self.n_blocked else []
        return ", ".join(parts)


class Watch:
    """Follows a run, and writes what it sees where ``study_status`` finds it."""

    def __init__(self, folder: StudyFolder, schedule: Schedule) -> None:
        self._folder = folder
        self._schedule = schedule
        self._ends: dict[str, deque[float]] = {kind: deque(maxlen=1000) for kind in schedule.graph.kinds}
        self._failures: dict[str, Failure] = {}
        self._written = -math.inf
        self._digest = schedule.graph.digest

    def done(self, task: Task) -> None:
        """Take note of a task that was finished now."""
        self._ends[task.kind].append(time.time())

    def failed(self, task: Task, message: str) -> None:
        """Take note of a task that failed."""
        path = str(self._folder.task(task.id).path / "error.json")
        self._failures[task.id] = Failure(task.id, task.kind, task.label, message, path)

    def look(self, *, words: str = "", n_workers: int = 0, is_last: bool = False) -> StudyStatus:
        """Return how far the run is; written down once a second, and at its end."""
        status = self.seen(words, n_workers)
        if is_last or time.monotonic() - self._written > _WRITE_SECONDS:
            self._written = time.monotonic()
            self._folder.write_status({"graph": self._digest, **asdict(status)})
        return status

    def seen(self, words: str = "", n_workers: int = 0) -> StudyStatus:
        """Return how far the study is; nothing is written."""
        # Handed over are some more tasks than there are workers, so that none waits; these do not run yet.
        n_over = max(0, sum(one[State.RUNNING] for one in self._schedule.counts.values()) - n_workers)
        stages = []
        for kind, counts in self._schedule.counts.items():
            n_queued = min(n_over, counts[State.RUNNING])
            n_over -= n_queued
            stages.append(_stage(kind, counts, n_queued, _rate(self._ends[kind])))
        return StudyStatus(
            name=self._folder.path.name,
            path=str(self._folder.path),
            stages=tuple(stages),
            failures=tuple(self._failures.values())[:_MOST_FAILURES],
            n_workers=n_workers,
            engine=words,
            updated=time.time(),
        )


def study_status(folder: StudyFolder) -> StudyStatus:
    """Return how far the study in a folder is, as its run wrote it last, or as its tasks' folders tell.

    Raises
    ------
    MissingDataError
        The folder holds no study.
    """
    graph, told = folder.graph(), folder.status()
    if told is None or told["graph"] != graph.digest:
        return _counted(folder, graph)
    known = {field.name: told[field.name] for field in dataclasses.fields(StudyStatus)}
    now = from_table(StudyStatus, {**known, "path": str(folder.path), "runner": folder.runner()}, "the status")
    if now.runner is None:
        # Nobody is at work, whatever was so when the run ended.
        now = dataclasses.replace(now, stages=tuple(map(_idle, now.stages)), n_workers=0, engine="")
    return now


def _counted(folder: StudyFolder, graph: Graph) -> StudyStatus:
    schedule = Schedule(graph, may_lack())
    watch = Watch(folder, schedule)
    for task, state, why in folder.look(graph):
        schedule.set(graph.index[task.id], State.FAILED if state == "failed" else State.DONE)
        if state == "failed":
            watch.failed(task, why)
    return dataclasses.replace(watch.seen(), runner=folder.runner())


def _stage(kind: str, counts: Mapping[State, int], n_queued: int, rate: float | None) -> StageStatus:
    numbers = {state.value: n for state, n in counts.items()}
    numbers["running"] -= n_queued
    numbers["waiting"] += n_queued
    n_left = numbers["running"] + numbers["waiting"]
    seconds_left = n_left / rate if rate else (0.0 if not n_left else None)
    return StageStatus(
        kind, TASKS[kind].title, sum(counts.values()), per_second=rate, seconds_left=seconds_left, **numbers
    )


def _idle(stage: StageStatus) -> StageStatus:
    waiting = stage.waiting + stage.running
    return dataclasses.replace(stage, running=0, waiting=waiting, per_second=None, seconds_left=None)


def _rate(ends: deque[float]) -> float | None:
    now = time.time()
    recent = [at for at in ends if now - at < _WINDOW_SECONDS]
    return len(recent) / max(now - recent[0], 1.0) if len(recent) > 1 else None
