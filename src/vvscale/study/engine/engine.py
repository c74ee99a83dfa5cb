"""The workers of a study: groups that take tasks, and answers that come back, whatever breaks in between."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from queue import Empty
from typing import TYPE_CHECKING, Any

from vvscale.errors import MissingDataError, RunError
from vvscale.study.engine.worker import Answer, Request, run_task
from vvscale.study.graph.folder import StudyFolder
from vvscale.study.spec.workers import EngineSpec, refuse_odd_path

if TYPE_CHECKING:
    from vvscale.study.engine.session import Session

# Starts in a row after which no task ended.
_MOST_STARTS = 4
_LOOK_SECONDS = 2.0
# If no worker is at any task for so long, it hangs; a pool may take that long to start on a machine with other work.
_STALLED_SECONDS = 30.0


class Engine:
    """Workers in groups, through Parsl.

    When Parsl's exchange dies, or its workers hang, all of it is started again with the tasks that it had.

    Parameters
    ----------
    run
        What a worker does with a request; a function that it can import.
    """

    def __init__(self, spec: EngineSpec, folder: StudyFolder, run: Callable[[Request], Answer] = run_task) -> None:
        self.groups = {group.name: group for group in spec.all_groups}
        self._spec, self._folder, self._run = spec, folder, run
        self._names: list[str] = []
        self._tasks: dict[int, tuple[Request, str, int]] = {}
        self._session: Session | None = None
        # Starts since a task last ended.
        self._starts = 0
        self._looked, self._n_idle_looks = -math.inf, 0

    def start(self, names: list[str]) -> None:
        """Start the workers of the groups that have something to do, and return at once.

        Raises
        ------
        MissingDataError
            Parsl is not installed.
        """
        try:
            from vvscale.study.engine.session import Session
        except ImportError as error:
            raise MissingDataError(
                "Studies run on the package parsl, which is not installed. `pip install 'vvscale[study]'`."
            ) from error
        refuse_odd_path(self._spec, self._folder.logs)
        self._names = names
        self._starts += 1
        self._n_idle_looks = 0
        groups = [self.groups[name] for name in names]
        self._session = Session(self._spec, groups, self._folder, self._run)
        for key, task in self._tasks.items():
            self._session.submit(key, *task)

    def submit(self, key: int, request: Request, group: str, priority: int) -> None:
        """Hand over a task; lower priorities run first."""
        self._tasks[key] = (request, group, priority)
        self._running.submit(key, request, group, priority)

    def take(self, seconds: float) -> list[tuple[int, Answer]]:
        """Return the tasks that ended, each as it was submitted and how, waiting so long for the first."""
        found: list[tuple[int, Answer]] = []
        while self._session is not None:
            try:
                key, future = self._session.ended.get(timeout=0.0 if found else seconds)
            except Empty:
                break
            answer = _answer(future)
            # None: Parsl has given up with all tasks, and `look_after` says why.
            if answer is not None:
                found.append((key, answer))
                del self._tasks[key]
                self._starts = self._n_idle_looks = 0
        return found

    def look_after(self) -> None:
        """Start everything again if the exchange died or the workers hang; the tasks they had are handed over again.

        Raises
        ------
        RunError
            Workers cannot be started, or the engine keeps breaking.
        """
        session = self._running
        if session.error is not None:
            raise session.error
        if session.is_dead or self._is_stalled():
            if self._starts >= _MOST_STARTS:
                raise RunError(
                    f"The engine broke {self._starts} times and no task ended. What it said is in "
                    f"'{self._folder.logs}'. Mend the cause, then `vvscale study resume`."
                )
            session.end(0.0)
            self.start(self._names)

    def words(self) -> tuple[str, int]:
        """Return how the workers are in one line, and how many there are."""
        return ("no workers", 0) if self._session is None else self._session.words

    def stop(self, seconds: float) -> None:
        """Let tasks save their state so long, end all workers, and return when they are gone or the scheduler knows."""
        if self._session is not None:
            self._session.end(seconds)

    @property
    def _running(self) -> Session:
        assert self._session is not None, "start comes first"
        return self._session

    def _is_stalled(self) -> bool:
        """Whether there are tasks, and for long no worker of this machine was at one.

        A worker that is killed while it waits for a task, or hands over a result, takes with it a lock that all of its
        pool need; Parsl does not notice.
        """
        if self._spec.kind != "local" or time.monotonic() - self._looked < _LOOK_SECONDS:
            return False
        self._looked = time.monotonic()
        # Where files have no locks nobody can tell.
        if not self._tasks or self._folder.runner() is None or self._is_any_at_work():
            self._n_idle_looks = 0
            return False
        # Looks are counted, for a machine that slept is no sign; more each time, for one may be that slow.
        self._n_idle_looks += 1
        return self._n_idle_looks * _LOOK_SECONDS > _STALLED_SECONDS * max(1, self._starts)

    def _is_any_at_work(self) -> bool:
        return any(self._folder.task(request.task.id).is_held() for request, _, _ in self._tasks.values())


def _answer(future: Any) -> Answer | None:
    from parsl.executors.errors import BadStateException
    from parsl.executors.high_throughput.errors import ManagerLost, WorkerLost

    error = future.exception()
    if error is None:
        return future.result()
    if isinstance(error, BadStateException):
        return None
    if isinstance(error, WorkerLost):
        return Answer("worker lost")
    if isinstance(error, ManagerLost):
        return Answer("job lost")
    return Answer("failed", message=f"{type(error).__name__}: {error}")
