"""Workers as processes of this machine: one thread each on CPU, or several small trainings per GPU."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from dataclasses import dataclass, field

from vvscale.core.files import make_folder
from vvscale.errors import DataError, RunError, UsageError, VvscaleError
from vvscale.study.engines.base import EngineState
from vvscale.study.graph.kinds import RUN_AGAIN
from vvscale.study.workers.folder import StudyFolder
from vvscale.study.workers.process import GRACE_SECONDS
from vvscale.study.workers.worker import WorkerOptions

THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
_KEPT_LINES = 30
# A worker that dies this soon, this often, dies of its start and not of a task.
_SHORT_LIFE_SECONDS, _MOST_SHORT_LIVES = 5.0, 3


def available_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@dataclass
class _Child:
    """One worker process.

    Attributes
    ----------
    shard
        Its share.
    process, began
        The process and when it was started.
    last_lines
        The end of what it printed.
    """

    shard: int
    process: subprocess.Popen[str]
    began: float
    last_lines: deque[str] = field(default_factory=lambda: deque(maxlen=_KEPT_LINES))
    reader: threading.Thread | None = None


@dataclass
class LocalEngine:
    """Worker processes on this machine.

    Attributes
    ----------
    n_workers
        Processes; 0 for one per core, or ``per_gpu`` per GPU.
    gpus
        Their indices or ids, as CUDA_VISIBLE_DEVICES takes them.
    per_gpu
        Workers that share one GPU.
    gpus_per_task
        GPUs of one worker, for tasks that spread themselves.
    options
        How each worker works.
    """

    n_workers: int = 0
    gpus: tuple[str, ...] = ()
    per_gpu: int = 1
    gpus_per_task: int = 1
    options: WorkerOptions = field(default_factory=WorkerOptions)
    _children: list[_Child] = field(default_factory=list)
    _short_lives: int = 0

    def __post_init__(self) -> None:
        if self.n_workers < 0 or self.per_gpu < 1 or self.gpus_per_task < 1:
            raise UsageError(
                f"Got n_workers={self.n_workers}, per_gpu={self.per_gpu}, gpus_per_task={self.gpus_per_task}; expected "
                "at least 0, 1 and 1."
            )
        if self.gpus and len(self.gpus) < self.gpus_per_task:
            raise UsageError(
                f"A task is to have {self.gpus_per_task} GPUs and there are {len(self.gpus)}. Lower gpus_per_task."
            )

    @property
    def slots(self) -> list[str]:
        """What each worker sees as CUDA_VISIBLE_DEVICES; an empty text for none."""
        if not self.gpus:
            return [""] * (self.n_workers or available_cores())
        size = self.gpus_per_task
        groups = [",".join(self.gpus[at : at + size]) for at in range(0, len(self.gpus) - size + 1, size)]
        slots = [group for _ in range(self.per_gpu if size == 1 else 1) for group in groups]
        return slots[: self.n_workers] if self.n_workers else slots

    def start(self, folder: StudyFolder, n_tasks: int) -> None:
        """Start the workers; they import what they need once and run many tasks."""
        self._folder = folder
        make_folder(folder.logs)
        self._slots = self.slots[: max(1, n_tasks)]
        self._children = [self._launch(shard) for shard in range(len(self._slots))]

    def poll(self) -> EngineState:
        """Replace workers that were killed; give up if they cannot start or cannot write."""
        for place, child in enumerate(self._children):
            code = child.process.poll()
            if code is None or code == 0:
                continue
            if code > 0 and code != RUN_AGAIN:
                raise _why(child, code)
            if time.monotonic() - child.began < _SHORT_LIFE_SECONDS:
                self._short_lives += 1
            if self._short_lives > _MOST_SHORT_LIVES * len(self._slots):
                raise _why(child, code)
            self._children[place] = self._launch(child.shard)
        n_alive = sum(child.process.poll() is None for child in self._children)
        return EngineState(n_alive, f"{n_alive} worker{'s' if n_alive != 1 else ''} on this machine")

    def stop(self) -> None:
        """Ask all workers to stop, wait as long as a task may take to save its state, then end them."""
        for child in self._children:
            if child.process.poll() is None:
                child.process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + GRACE_SECONDS + 5
        for child in self._children:
            try:
                child.process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                child.process.kill()
                child.process.wait()
        for child in self._children:
            self._close(child)

    def _launch(self, shard: int) -> _Child:
        slot = self._slots[shard]
        options = self.options
        command = [
            sys.executable, "-m", "vvscale", "worker", str(self._folder.path), "--lifeline",
            "--shard", f"{shard}/{len(self._slots)}",
            "--device", "cuda" if slot else "cpu",
            "--processes-per-node", str(self.gpus_per_task if slot else 1),
            "--heartbeat", str(options.heartbeat), "--expire-after", str(options.expire_after),
            "--max-deaths", str(options.max_deaths),
        ]  # fmt: skip
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            # One thread each: they share the cores already, and results do not depend on their number.
            # A job's name belongs to the job and not to each of its workers.
            env={**os.environ, **dict.fromkeys(THREAD_VARIABLES, "1"), "CUDA_VISIBLE_DEVICES": slot, "VVSCALE_JOB": ""},
            # A group of its own, so that it can take along all that its tasks started.
            start_new_session=True,
        )
        child = _Child(shard, process, time.monotonic())
        child.reader = threading.Thread(target=self._keep_output, args=(child,), daemon=True)
        child.reader.start()
        return child

    def _keep_output(self, child: _Child) -> None:
        """Write what a worker prints to its log, and remember the end of it should the disk be full."""
        assert child.process.stdout is not None
        path = self._folder.logs / f"worker-{child.shard}.log"
        for line in child.process.stdout:
            child.last_lines.append(line)
            try:
                with path.open("a") as log:
                    log.write(line)
            except OSError:
                continue

    def _close(self, child: _Child) -> None:
        if child.reader is not None:
            child.reader.join(5)
        for stream in (child.process.stdin, child.process.stdout):
            if stream is not None:
                stream.close()


def _why(child: _Child, code: int) -> VvscaleError:
    """Return the error that a worker ended with."""
    if child.reader is not None:
        child.reader.join(5)
    said = "".join(child.last_lines).strip()
    last = said.splitlines()[-1].removeprefix("vvscale: ") if said else ""
    if code == DataError.exit_code:
        return DataError(last)
    if code == UsageError.exit_code:
        return UsageError(last)
    ended = f"ended with code {code}" if code > 0 else f"was killed by {signal.Signals(-code).name}"
    return RunError(
        f"Worker {child.shard} {ended}. Expected it to run until nothing is left. It said last: {last or 'nothing'}. "
        f"All it said is in logs/worker-{child.shard}.log; mend the cause, then `vvscale study resume`."
    )
