"""One worker: take a task, run it, record it, until nothing is left.

Any number of these work on one study folder at once, started by whatever starts processes. This module must not know
who started it; signals and parents belong to :mod:`vvscale.study.workers.process`.
"""

from __future__ import annotations

import errno
import os
import threading
import time
import traceback
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vvscale import __version__
from vvscale.core.files import make_folder
from vvscale.errors import DataError, OutOfMemoryError, StoppedError, UsageError, VvscaleError
from vvscale.study.graph.graph import Graph, Task
from vvscale.study.graph.kinds import TaskContext
from vvscale.study.tasks.registry import TASKS
from vvscale.study.workers.board import Board, Status
from vvscale.study.workers.claims import MAX_DEATHS, Attempt, Outcome, finished, try_claim
from vvscale.study.workers.folder import StudyFolder, TaskFolder
from vvscale.study.workers.journal import Event, Journal, JournalReader, What
from vvscale.study.workers.liveness import EXPIRE_SECONDS, HEARTBEAT_SECONDS, RECORDING, Liveness, Worker
from vvscale.study.workers.torchrun import run_spread

# Errors of the place where results go; no task is to blame for them.
_STORAGE_ERRORS = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.ESTALE}
_FIRST_WAIT, _LONGEST_WAIT = 0.02, 1.0
# How often tasks that others have are looked at in their folders, should an event have been lost.
_LOOK_AGAIN_SECONDS = 10.0
_WORTH_A_FLUSH_SECONDS = 0.5


@dataclass(frozen=True)
class WorkerOptions:
    """How a worker works.

    Attributes
    ----------
    shard, n_shards
        Which share of the tasks it begins with, from 0; the rest follows when that is done.
    device
        ``"cpu"`` or ``"cuda"``.
    nodes, processes_per_node
        Over how many processes one task may spread itself.
    idle_seconds
        Leave after this long without work, while somebody else is at work; None to stay to the end.
    heartbeat, expire_after
        Seconds between signs of life, and after which silence is death.
    max_deaths
        How many workers in a row may die with a task before it is failed.
    """

    shard: int = 0
    n_shards: int = 1
    device: str = "cpu"
    nodes: int = 1
    processes_per_node: int = 1
    idle_seconds: float | None = None
    heartbeat: float = HEARTBEAT_SECONDS
    expire_after: float = EXPIRE_SECONDS
    max_deaths: int = MAX_DEATHS


@dataclass
class WorkSummary:
    """What one worker did.

    Attributes
    ----------
    n_done, n_failed
        Tasks that it finished, and that failed in its hands.
    was_stopped
        Whether it left work because it was told to.
    is_complete
        Whether nothing in the study can be worked on any more.
    """

    n_done: int = 0
    n_failed: int = 0
    was_stopped: bool = False
    is_complete: bool = False


def parse_shard(text: str) -> tuple[int, int]:
    """Return share and number of shares of ``"i/n"``.

    Examples
    --------
    >>> parse_shard("2/8")
    (2, 8)
    """
    number, _, n_shards = text.partition("/")
    if number.isdigit() and n_shards.isdigit() and int(number) < int(n_shards):
        return int(number), int(n_shards)
    raise UsageError(f"Got --shard '{text}'; expected i/n with i from 0 to n - 1, such as 0/8.")


def resolve_device(device: str) -> str:
    """Return ``"cpu"`` or ``"cuda"``; ``"auto"`` is cuda where this process may see a GPU. Loads nothing."""
    if device != "auto":
        return device
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    return "cuda" if (Path("/dev/nvidia0").exists() if visible is None else visible.strip()) else "cpu"


def work(
    folder: StudyFolder, graph: Graph, *, options: WorkerOptions | None = None, stop: threading.Event | None = None
) -> WorkSummary:
    """Work on a study until nothing is left to do or ``stop`` is set.

    Raises
    ------
    DataError, UsageError
        The folder cannot be written to; the task at hand is not blamed and is free for others.
    """
    options = options or WorkerOptions()
    with Worker(folder.workers, heartbeat=options.heartbeat) as worker:
        loop = _Loop(folder, graph, options, stop or threading.Event(), worker)
        try:
            return loop.run()
        except OSError as error:
            raise storage_error(folder.path, error) from error
        finally:
            loop.journal.close()


def storage_error(path: Path, error: BaseException) -> DataError:
    """Return the error that says that results cannot be kept."""
    cause = next((one for one in _causes(error) if isinstance(one, OSError)), None)
    reason = "the disk is full" if cause and cause.errno in {errno.ENOSPC, errno.EDQUOT} else str(cause or error)
    return DataError(
        f"Cannot go on in '{path}': {reason}. Expected a folder with free space that this user may write to. What was "
        "finished is kept and nothing is half written; free some space or mend the folder, then `vvscale study resume`."
    )


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _is_storage_error(error: BaseException) -> bool:
    return any(isinstance(one, OSError) and one.errno in _STORAGE_ERRORS for one in _causes(error))


@dataclass
class _Loop:
    folder: StudyFolder
    graph: Graph
    options: WorkerOptions
    stop: threading.Event
    worker: Worker
    board: Board = field(init=False)
    journal: Journal = field(init=False)
    summary: WorkSummary = field(init=False, default_factory=WorkSummary)

    def __post_init__(self) -> None:
        self.board = Board(self.graph, self.options.shard, self.options.n_shards)
        self.journal = Journal(self.folder.events, self.worker.id)
        self.reader = JournalReader(self.folder.events)
        self.liveness = Liveness(self.folder.workers, expire_after=self.options.expire_after)
        spec = self.folder.spec()
        self.study = {key: str(spec[key]) for key in ("name", "digest")}
        self.datasets = dict(spec.get("datasets", {}))
        self.sound: set[str] = set()
        self.looked = time.monotonic()

    def run(self) -> WorkSummary:
        """Work until the end."""
        self.board.apply(self.reader.poll())
        idle_since, wait = None, _FIRST_WAIT
        while not self.stop.is_set():
            number = self.board.next(mine_only=True)
            if number is None:
                self.board.apply(self.reader.poll())
                self._free_what_the_dead_have()
                number = self.board.next()
            if number is not None:
                self._try(number)
                idle_since, wait = None, _FIRST_WAIT
                continue
            if not self.board.n_open:
                self.summary.is_complete = True
                return self.summary
            idle_since = idle_since or time.monotonic()
            idle = time.monotonic() - idle_since
            if self.options.idle_seconds is not None and idle > self.options.idle_seconds and self.board.running:
                return self.summary
            self.stop.wait(wait)
            wait = min(1.5 * wait, max(_LONGEST_WAIT, 0.01 * self.options.n_shards))
        self.summary.was_stopped = True
        return self.summary

    def _free_what_the_dead_have(self) -> None:
        look_again = time.monotonic() - self.looked > _LOOK_AGAIN_SECONDS
        if look_again:
            self.looked = time.monotonic()
        for number, owner in list(self.board.running.items()):
            if look_again or self.liveness.state(owner, self.worker.now()) != "alive":
                self.board.set(number, Status.WAITING)

    def _try(self, number: int) -> None:
        """Take a task if it is to be had, and run it."""
        task = self.graph.tasks[number]
        if not self._inputs_are_sound(task):
            return
        folder = self.folder.task(task.id)
        may_retry = self.board.retries.get(number, -1)
        floor = self.board.floor(number)
        attempt = try_claim(folder, self.worker, self.liveness, may_retry=may_retry, floor=floor)
        if attempt.outcome is Outcome.BUSY:
            self.board.set(number, Status.RUNNING)
            self.board.running[number] = attempt.owner
        elif attempt.outcome is Outcome.DONE:
            self.journal.add(What.DONE, task.id, attempt.generation)
            self.board.set(number, Status.DONE)
        elif attempt.outcome is Outcome.FAILED:
            self.journal.add(What.FAILED, task.id, attempt.generation, text=(attempt.record or {}).get("message", ""))
            self.board.set(number, Status.FAILED)
        else:
            self._run(number, task, folder, attempt)

    def _inputs_are_sound(self, task: Task) -> bool:
        """Check the outputs that a task will read; what is damaged is announced and made again."""
        for needed in task.needs:
            if needed in self.sound:
                continue
            folder = self.folder.task(needed)
            done, damage = finished(folder, folder.claims())
            if done is None:
                number = self.graph.index[needed]
                generation = max(folder.claims(), self.board.generation(number))
                text = damage or "its result is missing"
                self.journal.add(What.BROKEN, needed, generation, text=text)
                self.board.apply([Event(time.time(), What.BROKEN.value, needed, generation, text=text)])
                return False
            self.sound.add(needed)
        return True

    def _run(self, number: int, task: Task, folder: TaskFolder, attempt: Attempt) -> None:
        self.journal.add(What.STARTED, task.id, attempt.generation, text=attempt.damage)
        self.board.set(number, Status.RUNNING)
        began = time.time()
        try:
            if attempt.deaths >= self.options.max_deaths:
                raise OutOfMemoryError(
                    f"{attempt.deaths} workers in a row died while they ran this task, without a word. Most likely the "
                    "memory did not suffice and the system killed them. Give workers more memory or use fewer of them, "
                    "then `vvscale study resume`."
                )
            result = self._compute(task, folder)
            kept = self._record(task, folder, attempt, began, result)
        except StoppedError:
            self.summary.was_stopped = True
            self.stop.set()
            return
        except (Exception, SystemExit) as error:  # noqa: BLE001
            self._handle(error, task, folder, attempt, began)
            self.board.set(number, Status.FAILED)
            return
        self.board.set(number, Status.DONE if kept else Status.WAITING)

    def _compute(self, task: Task, folder: TaskFolder) -> Mapping[str, Any]:
        folder.write(
            "task",
            {
                "id": task.id,
                "kind": task.kind,
                "label": task.label,
                "params": dict(task.params),
                "inputs": dict(task.inputs),
                "study": self.study,
                "code_version": __version__,
            },
            durable=False,
        )
        make_folder(folder.out)
        inputs = {
            role: tuple(self._out(one) for one in ids) if not isinstance(ids, str) else self._out(ids)
            for role, ids in task.inputs.items()
        }
        context = TaskContext(
            params=task.params,
            inputs=inputs,
            out=folder.out,
            stop=self.stop.is_set,
            task_id=task.id,
            study=self.study,
            datasets=self.datasets,
            device=self.options.device,
            nodes=self.options.nodes,
            processes_per_node=self.options.processes_per_node,
        )
        kind = TASKS[task.kind]
        if kind.can_spread and context.nodes * context.processes_per_node > 1:
            return run_spread(context, task.kind)
        return kind.run(context) or {}

    def _record(
        self, task: Task, folder: TaskFolder, attempt: Attempt, began: float, result: Mapping[str, Any]
    ) -> bool:
        """Write that a task is finished; False if it was taken over meanwhile."""
        folder.remove_scratch(TASKS[task.kind].scratch)
        seconds = time.time() - began
        outputs = folder.digests()
        content = {
            "id": task.id,
            "kind": task.kind,
            "claim": attempt.generation,
            "worker": self.worker.id,
            "began": began,
            "seconds": seconds,
            "study": self.study,
            "code_version": __version__,
            "result": dict(result),
            "outputs": outputs,
        }
        with RECORDING:
            if folder.claims() != attempt.generation:
                # This worker was silent for so long that another took over; that one's result counts.
                return False
            # A flush takes longer than a short task, and what a power cut takes is noticed and made again.
            folder.write("done", content, durable=seconds > _WORTH_A_FLUSH_SECONDS)
            self.journal.add(What.DONE, task.id, attempt.generation, seconds=seconds)
        (folder.path / "error.json").unlink(missing_ok=True)
        self.sound.add(task.id)
        self.folder.publish(task)
        self.summary.n_done += 1
        return True

    def _handle(self, error: BaseException, task: Task, folder: TaskFolder, attempt: Attempt, began: float) -> None:
        """Record a failure; what the storage or a stop caused is no failure of the task."""
        if _is_storage_error(error):
            raise storage_error(folder.path, error) from error
        if self.stop.is_set():
            # Whatever breaks while everything is taken down will be tried again.
            self.summary.was_stopped = True
            return
        message = str(error) or repr(error)
        folder.write(
            "error",
            {
                "id": task.id,
                "kind": task.kind,
                "claim": attempt.generation,
                "worker": self.worker.id,
                "seconds": time.time() - began,
                "type": type(error).__name__,
                "exit_code": error.exit_code if isinstance(error, VvscaleError) else 1,
                "message": message,
                "traceback": "".join(traceback.format_exception(error)),
            },
        )
        first_line = f"{type(error).__name__}: {message}".splitlines()[0][:500]
        self.journal.add(What.FAILED, task.id, attempt.generation, seconds=time.time() - began, text=first_line)
        self.summary.n_failed += 1

    def _out(self, task_id: str) -> Path:
        return self.folder.task(task_id).out
