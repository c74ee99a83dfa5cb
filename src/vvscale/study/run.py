"""Run a planned study to its end: look at what is there, start workers, watch them, hand over the results."""

from __future__ import annotations

import os
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from vvscale.core.files import make_folder
from vvscale.errors import MissingDataError, RunError, StoppedError
from vvscale.study.engines.base import Engine
from vvscale.study.graph.graph import Graph, Task
from vvscale.study.status import Failure, StudyStatus, Watch
from vvscale.study.workers.board import Status
from vvscale.study.workers.claims import finished
from vvscale.study.workers.folder import StudyFolder
from vvscale.study.workers.journal import Journal, What
from vvscale.study.workers.worker import storage_error

_LOOK_SECONDS = 0.2

OnLook = Callable[[StudyStatus, str], None]


@dataclass(frozen=True)
class Survey:
    """What a study's folder holds already.

    Attributes
    ----------
    finished
        Labels of tasks that are done and sound, by kind; they are skipped.
    damaged
        Label -> what is wrong with the result; they are made again.
    retried
        Labels of tasks that failed before and are tried again.
    """

    finished: dict[str, list[str]]
    damaged: dict[str, str]
    retried: list[str]

    @property
    def n_finished(self) -> int:
        """Number of tasks that are skipped."""
        return sum(map(len, self.finished.values()))

    def words(self) -> list[str]:
        """Return sentences for people."""
        said = []
        for kind, labels in self.finished.items():
            said.append(f"{kind}: {len(labels)} finished before, skipped ({_some(labels)})")
        said += [f"made again: {label}, {what}" for label, what in self.damaged.items()]
        if self.retried:
            said.append(f"tried again: {len(self.retried)} that failed ({_some(self.retried)})")
        return said


@dataclass(frozen=True)
class StudyResult:
    """How a run of a study ended.

    Attributes
    ----------
    path
        The study's folder; what people look at is in ``results``.
    n_tasks, n_finished_before, n_done
        Tasks in all, done before this run, and done now.
    failures
        Tasks that failed; the first of them.
    n_failed, n_blocked
        How many failed, and how many need one of those.
    results
        Files in ``results``.
    seconds
        Of this run.
    """

    path: Path
    n_tasks: int
    n_finished_before: int
    n_done: int
    failures: tuple[Failure, ...]
    n_failed: int
    n_blocked: int
    results: tuple[Path, ...]
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return {**asdict(self), "path": str(self.path), "results": [str(path) for path in self.results]}

    def words(self) -> str:
        """Return all in one line."""
        said = f"{self.n_done} tasks done, {self.n_finished_before} were finished before"
        return said + (f", {self.n_failed} failed, {self.n_blocked} blocked by them" if self.n_failed else "")

    def error(self) -> RunError | None:
        """Return the error that says which tasks failed, or None."""
        if not self.failures:
            return None
        first = self.failures[0]
        blocked = f", and {self.n_blocked} that need them could not start" if self.n_blocked else ""
        return RunError(
            f"{self.n_failed} of {self.n_tasks} tasks failed{blocked}. The first: {first.label}: {first.message} "
            f"Its traceback is in '{first.path}'. Mend the cause, then `vvscale study resume {self.path}`; what is "
            "finished is kept."
        )


def survey(folder: StudyFolder, graph: Graph, *, rehash: bool = False) -> Survey:
    """Look into every task's folder; announce what must be made or tried again.

    Parameters
    ----------
    folder, graph
        The study.
    rehash
        Whether every output is read and compared with its digest, and not only those whose time or size changed.
    """
    watch = Watch(folder, graph)
    watch.look()
    board, found = watch.board, Survey({}, {}, [])
    journal = Journal(folder.events, f"survey-{os.getpid()}-{uuid.uuid4().hex[:8]}")
    existing = set(folder.existing_tasks())
    for number, task in enumerate(graph.tasks):
        if task.id not in existing:
            if board.status[number] is Status.DONE:
                _announce_damage(journal, task, board.generation(number), "its folder is gone", found)
            continue
        here = folder.task(task.id)
        claim = here.claims()
        done, damage = finished(here, claim)
        if done is not None and rehash and (damage := here.problem(done, rehash=True)):
            # The size and time of the file deceive; without this it would be taken as sound again.
            (here.path / "done.json").unlink(missing_ok=True)
            done = None
        error = here.error()
        if done is not None:
            found.finished.setdefault(task.kind, []).append(task.label)
            if board.status[number] is not Status.DONE:
                journal.add(What.DONE, task.id, claim)
        elif damage or board.status[number] is Status.DONE:
            generation = max(claim, board.generation(number))
            _announce_damage(journal, task, generation, damage or "its result is gone", found)
        elif error is not None and error["claim"] == claim:
            journal.add(What.RETRY, task.id, claim)
            found.retried.append(task.label)
    journal.close()
    return found


def finished_tasks(folder: StudyFolder, graph: Graph) -> list[str]:
    """Return the ids of finished tasks, as the journals tell; empty for a study that was never begun."""
    if not folder.events.exists():
        return []
    watch = Watch(folder, graph)
    watch.look()
    return [graph.tasks[number].id for number in watch.board.numbers(Status.DONE)]


def hand_over(folder: StudyFolder) -> list[Path]:
    """Copy what is finished to the study's ``results`` and return all files there.

    Raises
    ------
    MissingDataError
        Nothing that people look at is finished.
    """
    graph = folder.graph()
    for task_id in finished_tasks(folder, graph):
        folder.publish(graph[task_id])
    results = _results(folder)
    if not results:
        raise MissingDataError(
            f"The study in '{folder.path}' has no result yet. Expected at least the score table. `vvscale study status "
            f"{folder.path}` says how far it is, `vvscale study resume {folder.path}` goes on."
        )
    return results


def run_study(
    folder: StudyFolder,
    graph: Graph,
    engine: Engine,
    *,
    on_survey: Callable[[Survey], object] = lambda survey: None,
    on_look: OnLook = lambda status, words: None,
    stop: threading.Event | None = None,
    rehash: bool = False,
) -> StudyResult:
    """Run or resume a study; several runs at once on one folder share the work.

    Parameters
    ----------
    folder, graph
        A planned study.
    engine
        What starts workers.
    on_survey, on_look
        Called with what is there already, and regularly with how far the study is.
    stop
        Stops the workers in order when set.
    rehash
        See ``survey``.

    Raises
    ------
    StoppedError
        It was stopped; the same command goes on.
    VvscaleError
        The workers cannot work; a failed task is no error but a field of the result.
    """
    began = time.monotonic()
    stop = stop or threading.Event()
    try:
        make_folder(folder.results)
        found = survey(folder, graph, rehash=rehash)
        folder.retract(graph, finished_tasks(folder, graph))
    except OSError as error:
        raise storage_error(folder.path, error) from error
    on_survey(found)
    watch = Watch(folder, graph)
    status = watch.look()
    if watch.board.n_open:
        status = _work(watch, engine, on_look, stop)
    for task, state in zip(graph.tasks, watch.board.status, strict=True):
        if state is Status.DONE:
            folder.publish(task)
    return StudyResult(
        path=folder.path,
        n_tasks=len(graph),
        n_finished_before=found.n_finished,
        n_done=status.n_done - found.n_finished,
        failures=status.failures,
        n_failed=status.n_failed,
        n_blocked=status.n_blocked,
        results=tuple(_results(folder)),
        seconds=time.monotonic() - began,
    )


def _work(watch: Watch, engine: Engine, on_look: OnLook, stop: threading.Event) -> StudyStatus:
    """Let workers work until nothing is open."""
    try:
        engine.start(watch.folder, watch.board.n_open)
        while True:
            state = engine.poll()
            status = watch.look()
            on_look(status, state.words)
            if not watch.board.n_open:
                # They leave by themselves once they have seen the end.
                _wait_for_leave(engine)
                return watch.look()
            if not state.n_alive:
                raise RunError(
                    f"All workers have left and {watch.board.n_open} of {status.n} tasks are open. Most likely the "
                    "scheduler ended them, or another run has them. `vvscale study resume` goes on."
                )
            if stop.wait(_LOOK_SECONDS):
                raise StoppedError(f"Stopped with {status.words()}; the same command goes on from here.")
    finally:
        engine.stop()


def _wait_for_leave(engine: Engine) -> None:
    deadline = time.monotonic() + 5.0
    while engine.poll().n_alive and time.monotonic() < deadline:
        time.sleep(0.02)


def _announce_damage(journal: Journal, task: Task, generation: int, what: str, found: Survey) -> None:
    journal.add(What.BROKEN, task.id, generation, text=what)
    found.damaged[task.label] = what


def _results(folder: StudyFolder) -> list[Path]:
    return sorted(path for path in folder.results.rglob("*") if path.is_file())


def _some(labels: list[str]) -> str:
    return ", ".join(labels[:3]) + (", ..." if len(labels) > 3 else "")
