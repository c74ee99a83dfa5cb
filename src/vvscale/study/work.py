"""Hand the tasks of a study to workers, note how each ends, and decide what follows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from vvscale.errors import DataError, shell_words
from vvscale.study.engine.engine import Engine
from vvscale.study.engine.worker import Answer, Request
from vvscale.study.graph.folder import StudyFolder
from vvscale.study.graph.graph import Graph, Task
from vvscale.study.graph.schedule import Schedule, State
from vvscale.study.prepare import Stop
from vvscale.study.status import StudyStatus, Watch
from vvscale.study.survey import Survey, some
from vvscale.study.tasks.registry import TASKS, may_lack

_LOOK_SECONDS = 0.1
# A task may take so long to save its state when it is told to stop.
GRACE_SECONDS = 25.0
# A task with which so many workers died is failed: it probably kills them. Whole jobs are also lost for other reasons.
_MOST_LOST = {"worker lost": 3, "job lost": 10}
# So often a task may need longer than a job lasts, without a state to save.
_MOST_STOPS = 3
_MOST_DAMAGES = 5
# So many tasks per worker are handed over, so that none waits for the next; at least some, for those of milliseconds.
_PER_WORKER, _FEWEST_HANDED_OVER = 3, 64

OnLook = Callable[[StudyStatus], None]


class Work:
    """One run: the schedule, what the workers have, and how often a task failed in which way."""

    def __init__(self, folder: StudyFolder, graph: Graph, workers: Engine, found: Survey, stop: Stop) -> None:
        self.folder, self.graph, self.workers, self.stop = folder, graph, workers, stop
        self._groups = [self._group_of(task) for task in graph.tasks]
        self.schedule = Schedule(graph, may_lack(), self._groups)
        for task_id in found.done:
            self.schedule.set(graph.index[task_id], State.DONE)
        self.watch = Watch(folder, self.schedule)
        self.n_done = 0
        self._study = folder.spec()
        # In the order in which they were handed over.
        self._running: dict[int, None] = {}
        # Position -> labels of inputs, near or far, that were not to be had.
        self._lacking: dict[int, list[str]] = {}
        self._counts: Counter[tuple[int, str]] = Counter()

    def work(self, on_look: OnLook, on_stop: Callable[[str], object]) -> None:
        """Let workers work until nothing is open."""
        try:
            # Also those whose tasks are done: one may be found damaged. On a cluster a group without work has no job.
            if self.stop.is_set():
                self._stop(on_stop)
            self.workers.start([name for name in self.workers.groups if name in set(self._groups)])
            while self.schedule.n_open:
                self._hand_over()
                for number, answer in self.workers.take(_LOOK_SECONDS):
                    self._take(number, answer)
                self.workers.look_after()
                words, n_workers = self.workers.words()
                on_look(self.watch.look(words=words, n_workers=n_workers))
                if self.stop.is_set():
                    self._stop(on_stop)
        finally:
            self.workers.stop(0.0)

    def _stop(self, on_stop: Callable[[str], object]) -> None:
        # Those handed over after as many as there are workers wait for one.
        _, n_workers = self.workers.words()
        at_work = [number for number in list(self._running)[:n_workers] if self._can_save(number)]
        labels = [self.graph.tasks[number].label for number in at_work]
        waits = f"; waiting up to {GRACE_SECONDS:.0f} s for {some(labels)} to save" if labels else ""
        # At once: to end the workers, and what they share, can take seconds.
        on_stop(f"Stopping with {self.watch.seen().words()}{waits}.")
        self.workers.stop(GRACE_SECONDS)
        for number, answer in self.workers.take(0.0):
            self._take(number, answer)
        saved = [self.graph.tasks[n].label for n in self._running if self._has_saved(n)]
        for number in list(self._running):
            self.schedule.set(number, State.WAITING)
        status = self.watch.look(is_last=True)
        more = f"; {len(saved)} more saved their state ({some(saved)})" if saved else ""
        raise self.stop.error(
            f"Stopped with {status.words()}{more}. `vvscale study resume {shell_words(self.folder.path)}` resumes."
        )

    def _hand_over(self) -> None:
        """Hand ready tasks to their group of workers, as many as keep it busy."""
        for name, group in self.workers.groups.items():
            most = max(_FEWEST_HANDED_OVER, _PER_WORKER * group.workers)
            n_free = most - sum(self._groups[number] == name for number in self._running)
            while n_free > 0 and (number := self.schedule.next(name)) is not None:
                n_free -= 1
                self.schedule.set(number, State.RUNNING)
                self._running[number] = None
                self.workers.submit(number, self._request(number, name), name, self.schedule.rank[number])

    def _request(self, number: int, group: str) -> Request:
        task = self.graph.tasks[number]
        lost = set(self.schedule.lacking(number))
        lacking = [self.graph[one].label for one in sorted(lost)]
        for one in task.needs:
            lacking += self._lacking.get(self.graph.index[one], [])
        self._lacking[number] = list(dict.fromkeys(lacking))
        inputs = {
            role: ids if isinstance(ids, str) else tuple(one for one in ids if one not in lost)
            for role, ids in task.inputs.items()
            if ids not in lost
        }
        of = self.workers.groups[group]
        return Request(
            folder=str(self.folder.path),
            task=replace(task, inputs=inputs),
            study={key: str(self._study[key]) for key in ("name", "digest")},
            datasets=dict(self._study.get("datasets", {})),
            lacking=tuple(self._lacking[number]),
            nodes=of.nodes_per_task,
            processes_per_node=max(1, of.gpus_per_task),
        )

    def _take(self, number: int, answer: Answer) -> None:
        """Note how a task ended, and what follows."""
        self._running.pop(number, None)
        task = self.graph.tasks[number]
        if answer.outcome == "done":
            self.schedule.set(number, State.DONE)
            self.n_done += 1
            self.watch.done(task)
            self.folder.publish([task])
        elif answer.outcome == "failed":
            is_told = self.folder.task(task.id).error() is not None
            self._fail(number, answer.message, "" if is_told else "RunError")
        elif answer.outcome == "storage":
            raise DataError(answer.message)
        elif answer.outcome == "damaged":
            self._heal(number, answer)
        elif answer.outcome in _MOST_LOST:
            self._lose(number, answer.outcome)
        elif self._often(number, "stopped", _MOST_STOPS) and not self._can_save(number):
            message = (
                f"It was stopped {_MOST_STOPS} times at the end of its job and has no state to save; it needs longer "
                "than a job lasts. Raise time_minutes of [engine], then `vvscale study resume`."
            )
            self._fail(number, message, "RunError")
        else:
            self.schedule.set(number, State.WAITING)

    def _lose(self, number: int, outcome: str) -> None:
        """A worker died, or its job was lost, with a task; often enough, and the task is failed by name."""
        most = _MOST_LOST[outcome]
        if not self._often(number, outcome, most):
            self.schedule.set(number, State.WAITING)
            return
        what = "workers" if outcome == "worker lost" else "jobs"
        message = (
            f"{most} {what} died while they ran this task. Most likely the memory did not suffice and the system "
            "killed them. Give workers more memory (mem_gb of [engine]) or use fewer, then `vvscale study resume`."
        )
        self._fail(number, message, "OutOfMemoryError")

    def _heal(self, number: int, answer: Answer) -> None:
        """An input was found damaged: it is made again, and the task waits for it."""
        needed, here = self.graph.index[answer.needed], self.folder.task(answer.needed)
        # Whoever needs it says so; what one of them had made again is not damaged any more.
        is_damaged = self.schedule.state(needed) is State.DONE and here.finished()[0] is None
        if self._often(number, "damaged", _MOST_DAMAGES):
            raise DataError(
                f"The result of '{self.graph.tasks[needed].label}' was found damaged {_MOST_DAMAGES} times, the last "
                f"time: {answer.message}. Most likely the disk fails or another program writes in '{self.folder.path}'."
            )
        if is_damaged:
            here.discard()
            self.schedule.set(needed, State.WAITING)
        self.schedule.set(number, State.WAITING)

    def _fail(self, number: int, message: str, error: str) -> None:
        """Note that a task failed, and record the type of its error where its worker did not."""
        task = self.graph.tasks[number]
        if error:
            self.folder.task(task.id).write_error(task, error, message)
        self.schedule.set(number, State.FAILED)
        self.watch.failed(task, message.splitlines()[0])

    def _often(self, number: int, what: str, most: int) -> bool:
        self._counts[number, what] += 1
        return self._counts[number, what] >= most

    def _can_save(self, number: int) -> bool:
        return bool(TASKS[self.graph.tasks[number].kind].scratch)

    def _has_saved(self, number: int) -> bool:
        task = self.graph.tasks[number]
        out = self.folder.task(task.id).out
        return any(True for pattern in TASKS[task.kind].scratch for _ in out.glob(pattern))

    def _group_of(self, task: Task) -> str:
        run = run_of(self.graph, task)
        return next(name for name, group in self.workers.groups.items() if group.takes(task.kind, run))


def run_of(graph: Graph, task: Task) -> dict[str, Any]:
    """Return axes -> values of the training run that a task is, or has as its input; empty if there is none."""
    params = task.params
    if "run" not in params and isinstance(task.inputs.get("train"), str):
        params = graph[str(task.inputs["train"])].params
    if "run" not in params:
        return {}
    run = {"arch" if key == "model" else key: value for key, value in params["run"].items()}
    return {**run, "dataset": params["dataset"]["name"], "recipe": params["recipe"].get("name")}
