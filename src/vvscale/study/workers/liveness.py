"""Who works on a study: one small file per worker, its heartbeat, and whether it still lives.

A worker on this machine is judged by its process, at once: the process id together with the moment that process
began, since ids are used again. A worker elsewhere is judged by its heartbeat, the modification time of its file,
against a clock of the same file system. A worker that ends in order says so, and one that the scheduler starts again
under the same job says so for its predecessor.
"""

from __future__ import annotations

import json
import os
import socket
import threading
import time
import uuid
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from vvscale.core.files import make_folder, write_json

HEARTBEAT_SECONDS = 15.0
# Attributes on network file systems may be a minute old, and a busy machine may miss some beats.
EXPIRE_SECONDS = 180.0

State = Literal["alive", "ended", "dead"]


@dataclass(frozen=True)
class WorkerInfo:
    """Who a worker is.

    Attributes
    ----------
    id
        Never used twice.
    machine
        Host, boot and process namespace: where its process id means something.
    pid, started
        Its process and that process's start in clock ticks since boot; -1 where that is unknown.
    job
        The scheduler's name of the job, empty without one. A job runs once at a time.
    began
        Seconds since 1970.
    """

    id: str
    machine: str
    pid: int
    started: int
    job: str
    began: float


def this_machine() -> str:
    """Return a name that two processes share exactly if they can see each other's process id."""
    parts = [socket.gethostname()]
    for path in ("/proc/sys/kernel/random/boot_id", "/proc/self/ns/pid"):
        try:
            parts.append(os.readlink(path) if path.endswith("/pid") else Path(path).read_text().strip())
        except OSError:
            parts.append("?")
    return " ".join(parts)


def process_start(pid: int) -> int | None:
    """Return when a process began, in clock ticks since boot; None if there is none, -1 where it cannot be told."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        if Path("/proc/self/stat").exists():
            return None
    except OSError:
        return None
    else:
        # The name in parentheses may hold blanks and parentheses itself.
        state, *rest = stat.rpartition(")")[2].split()
        return None if state in "ZX" else int(rest[18])
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except PermissionError:
        pass
    return -1


def scheduler_job() -> str:
    """Return the scheduler's name of this job from VVSCALE_JOB, or an empty text.

    Whoever sets it promises that a job of one name runs once at a time.
    """
    return os.environ.get("VVSCALE_JOB", "")


class Worker:
    """A worker of a study, in this process: a context manager that registers, beats and says when it ends.

    Parameters
    ----------
    folder
        Folder of all workers' files.
    heartbeat
        Seconds between beats.
    """

    def __init__(self, folder: Path, *, heartbeat: float = HEARTBEAT_SECONDS) -> None:
        self._folder = make_folder(folder)
        pid = os.getpid()
        host = socket.gethostname().split(".")[0]
        self.info = WorkerInfo(
            id=f"{host}-{pid}-{uuid.uuid4().hex[:8]}",
            machine=this_machine(),
            pid=pid,
            started=process_start(pid) or -1,
            job=scheduler_job(),
            began=time.time(),
        )
        self.path = folder / f"{self.info.id}.json"
        self._heartbeat = heartbeat
        self._over = threading.Event()
        self._clock = (0.0, 0.0)
        _own.append(self)

    @property
    def id(self) -> str:
        """Its name."""
        return self.info.id

    def __enter__(self) -> Worker:
        if self.info.job:
            self._end_predecessors()
        write_json(self.path, asdict(self.info))
        self.beat()
        threading.Thread(target=self._beat_on, daemon=True, name="heartbeat").start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.end()

    def beat(self) -> None:
        """Show that this worker lives, and read the file system's clock."""
        os.utime(self.path)
        self._clock = (self.path.stat().st_mtime, time.monotonic())

    def now(self) -> float:
        """Return the time by the clock that stamps heartbeats, which need not be this machine's."""
        stamped, at = self._clock
        return stamped + time.monotonic() - at

    def end(self) -> None:
        """Say that this worker is over; its unfinished claims are free from here on."""
        self._over.set()
        mark_ended(self.path)

    def _beat_on(self) -> None:
        while not self._over.wait(self._heartbeat):
            try:
                self.beat()
            except OSError:
                continue  # the file system may come back; if not, the claims expire as they should

    def _end_predecessors(self) -> None:
        for path in self._folder.glob("*.json"):
            info = read_worker(path)
            if info is not None and info.job == self.info.job:
                mark_ended(path)


_own: list[Worker] = []
RECORDING = threading.Lock()
"""Held while a result is recorded, so that a worker is not said to be over in the middle of it."""


def mark_own_ended() -> None:
    """Say of all workers of this process that they are over: it must end without recording anything more."""
    # Never released: others may take the tasks from here on. A disk that hangs is not waited for.
    RECORDING.acquire(timeout=2.0)
    for worker in _own:
        worker.end()


def mark_ended(path: Path) -> None:
    """Say of a worker that it is over."""
    try:
        path.with_suffix(".ended").touch()
    except OSError:
        return  # a full disk; the process's end or the missing heartbeat says the same, only later


def read_worker(path: Path) -> WorkerInfo | None:
    """Return who a worker is; None while its file cannot be read."""
    try:
        return WorkerInfo(**json.loads(path.read_bytes()))
    except (OSError, ValueError, TypeError):
        return None


class Liveness:
    """Judges workers, remembering each judgement for a moment.

    Parameters
    ----------
    folder
        Folder of all workers' files.
    expire_after
        Seconds without a heartbeat after which a worker on another machine is dead.
    """

    def __init__(self, folder: Path, *, expire_after: float = EXPIRE_SECONDS, remember: float = 1.0) -> None:
        self._folder = folder
        self._expire_after = expire_after
        self._remember = remember
        self._machine = this_machine()
        self._known: dict[str, tuple[float, State]] = {}
        self._infos: dict[str, WorkerInfo | None] = {}

    def state(self, worker_id: str, now: float) -> State:
        """Return how a worker is.

        Parameters
        ----------
        worker_id
            Its name.
        now
            ``Worker.now()``, or ``time.time()`` for a mere look.
        """
        at, state = self._known.get(worker_id, (-1e9, "dead"))
        if state == "ended" or time.monotonic() - at < self._remember:
            return state
        state = self._judge(worker_id, now)
        self._known[worker_id] = (time.monotonic(), state)
        return state

    def info(self, worker_id: str) -> WorkerInfo | None:
        """Return who a worker is."""
        if self._infos.get(worker_id) is None:
            self._infos[worker_id] = read_worker(self._folder / f"{worker_id}.json")
        return self._infos[worker_id]

    def _judge(self, worker_id: str, now: float) -> State:
        path = self._folder / f"{worker_id}.json"
        if path.with_suffix(".ended").exists():
            return "ended"
        info = self.info(worker_id)
        if info is not None and info.machine == self._machine:
            started = process_start(info.pid)
            if started is None or (started != info.started and -1 not in (started, info.started)):
                return "dead"
        try:
            # Opening the file makes a network file system ask its server for the time of the last beat.
            with path.open("rb") as file:
                beaten = os.fstat(file.fileno()).st_mtime
        except OSError:
            return "dead"
        return "alive" if now - beaten < self._expire_after else "dead"
