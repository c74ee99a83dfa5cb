"""How far a study is, from its journals alone: quick, from any terminal, without a lock."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from vvscale.study.tasks.registry import TASKS
from vvscale.study.workers.board import Board, Status
from vvscale.study.workers.journal import Event, JournalReader, What
from vvscale.study.workers.liveness import Liveness

if TYPE_CHECKING:
    import pandas as pd

    from vvscale.study.graph.graph import Graph
    from vvscale.study.workers.folder import StudyFolder

# Rates are those of the last minutes; the mean of all would lag behind a machine that was added.
_WINDOW_SECONDS = 300.0
_MOST_FAILURES = 20


@dataclass(frozen=True)
class StageStatus:
    """One kind of task.

    Attributes
    ----------
    kind, title
        Its name, and what the stage does.
    n, done, running, failed, blocked, waiting
        Numbers of tasks; blocked ones need one that failed.
    per_second
        Tasks finished per second of late; None if none was.
    seconds_left
        At that rate; None if unknown.
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
    """A task that failed.

    Attributes
    ----------
    task_id, kind, label
        Which.
    message
        The error in one line; all of it is in ``path``.
    path
        Its ``error.json``.
    """

    task_id: str
    kind: str
    label: str
    message: str
    path: str


@dataclass(frozen=True)
class StudyStatus:
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
    """

    name: str
    path: str
    stages: tuple[StageStatus, ...]
    failures: tuple[Failure, ...]
    n_workers: int

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


@dataclass
class Watch:
    """Follows a study.

    Attributes
    ----------
    folder, graph
        Which.
    board
        What is known of every task.
    """

    folder: StudyFolder
    graph: Graph
    board: Board = field(init=False)

    def __post_init__(self) -> None:
        self.board = Board(self.graph)
        self._reader = JournalReader(self.folder.events)
        self._liveness = Liveness(self.folder.workers)
        self._recent: dict[str, deque[float]] = {kind: deque(maxlen=1000) for kind in self.graph.kinds}
        self._messages: dict[str, str] = {}
        self._name = self.folder.path.name

    def look(self) -> StudyStatus:
        """Read what is new and return how far the study is."""
        events = list(self._reader.poll())
        self.board.apply(events)
        for event in events:
            self._note(event)
        counts = self.board.count()
        alive = {one for one in set(self.board.running.values()) if self._liveness.state(one, time.time()) == "alive"}
        return StudyStatus(
            name=self._name,
            path=str(self.folder.path),
            stages=tuple(self._stage(kind, counts[kind], alive) for kind in self.graph.kinds),
            failures=tuple(self._failure(number) for number in self.board.numbers(Status.FAILED)[:_MOST_FAILURES]),
            n_workers=len(alive),
        )

    def _note(self, event: Event) -> None:
        number = self.graph.index.get(event.task_id)
        if number is None:
            return
        if event.what == What.DONE and event.seconds:
            self._recent[self.graph.tasks[number].kind].append(event.at)
        elif event.what == What.FAILED:
            self._messages[event.task_id] = event.text

    def _stage(self, kind: str, counts: dict[Status, int], alive: set[str]) -> StageStatus:
        # A dead worker's task is not running, whatever the journal says.
        lost = sum(self.graph.tasks[n].kind == kind for n, owner in self.board.running.items() if owner not in alive)
        running, waiting = counts[Status.RUNNING] - lost, counts[Status.WAITING] + lost
        rate = self._rate(kind)
        left = running + waiting
        return StageStatus(
            kind=kind,
            title=TASKS[kind].title,
            n=sum(counts.values()),
            done=counts[Status.DONE],
            running=running,
            failed=counts[Status.FAILED],
            blocked=counts[Status.BLOCKED],
            waiting=waiting,
            per_second=rate,
            seconds_left=left / rate if rate else (0.0 if not left else None),
        )

    def _rate(self, kind: str) -> float | None:
        now = time.time()
        recent = [at for at in self._recent[kind] if now - at < _WINDOW_SECONDS]
        return len(recent) / max(now - recent[0], 1.0) if len(recent) > 1 else None

    def _failure(self, number: int) -> Failure:
        task = self.graph.tasks[number]
        path = self.folder.task(task.id).path / "error.json"
        return Failure(task.id, task.kind, task.label, self._messages.get(task.id, ""), str(path))


def study_status(folder: StudyFolder) -> StudyStatus:
    """Return how far the study in a folder is.

    Raises
    ------
    MissingDataError
        The folder holds no study.
    """
    return Watch(folder, folder.graph()).look()


def status_lines(status: StudyStatus) -> list[str]:
    """Return one aligned line per stage for people; no table library is loaded, so that the answer is quick."""
    names = ("tasks", "done", "running", "waiting", "failed", "blocked")
    width = max([len("stage"), *(len(stage.kind) for stage in status.stages)])
    lines = ["stage".ljust(width) + "".join(name.rjust(9) for name in names)]
    for stage in status.stages:
        numbers = (stage.n, stage.done, stage.running, stage.waiting, stage.failed, stage.blocked)
        lines.append(stage.kind.ljust(width) + "".join(f"{number:9d}" for number in numbers))
    return lines
