"""Parsl from its start to its end: exchange, pools of workers, and the one thread that talks to them.

Parsl's objects are not made for several threads, and a command to an exchange that has died never comes back. So one
thread makes every call to Parsl; the run gives it tasks and takes answers through queues, and so never waits for it.
What Parsl does not know is added: workers of this machine and the exchange end with this process, however that comes,
because a pipe that they read breaks.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import sys
import tempfile
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

import psutil

from vvscale.core.files import make_folder
from vvscale.errors import RunError, VvscaleError
from vvscale.study.engine.lifeline import FOLDER_PREFIX, lifeline_command
from vvscale.study.engine.providers import make_provider
from vvscale.study.engine.worker import Answer, Request
from vvscale.study.graph.folder import StudyFolder
from vvscale.study.spec.workers import EngineSpec, Group

# Of the silence after which a job is lost; workers are looked after as often as it sends a sign of life.
_BEATS_PER_SILENCE = 5
# How often Parsl is asked whether more or fewer jobs are needed, and how its workers are.
_STRATEGY_SECONDS = {True: 0.2, False: 3.0}
_WORDS_SECONDS = 2.0
_IDLE_POLL_MILLISECONDS = 100
# A job without work leaves its node to others.
_IDLE_SECONDS = 120.0
# Jobs that fail one after another: at once if none ever worked, else only if that lasts.
_MOST_FAILED_JOBS, _FAILING_SECONDS = 3, 600.0
_LAST_LINES = 5
# An exchange that lives answers within it; how often its life is looked at.
_LONGEST_GOODBYE_SECONDS, _LOOK_SECONDS = 5.0, 0.05


class Session:
    """One start of Parsl, for :class:`vvscale.study.engine.engine.Engine`.

    Attributes
    ----------
    ended
        Key and future of each task that left a worker, or was lost with it.
    words
        How the workers are in one line, and how many there are.
    error
        What makes it impossible to go on; None so far.
    """

    def __init__(
        self, spec: EngineSpec, groups: list[Group], folder: StudyFolder, run: Callable[[Request], Answer]
    ) -> None:
        self.ended: SimpleQueue[tuple[int, Any]] = SimpleQueue()
        self.words = ("starting workers", 0)
        self.error: Exception | None = None
        self._spec, self._groups, self._folder, self._run = spec, groups, folder, run
        self._is_local = spec.kind == "local"
        self._asked: SimpleQueue[tuple[int, Request, str, int]] = SimpleQueue()
        self._executors: dict[str, Any] = {}
        # Process of each pool that was started here; its time of birth tells it from a later one of the same number.
        self._pools: dict[str, psutil.Process] = {}
        self._failing_since: dict[str, float] = {}
        self._complaint = ""
        self._is_over = threading.Event()
        self._open_lifeline()
        self._thread = threading.Thread(target=self._live, daemon=True, name="parsl")
        self._thread.start()

    def submit(self, key: int, request: Request, group: str, priority: int) -> None:
        """Hand over a task; lower priorities run first."""
        self._asked.put((key, request, group, priority))

    @property
    def is_dead(self) -> bool:
        """Whether its exchange has ended."""
        processes = [one.interchange_proc for one in list(self._executors.values())]
        return any(process is not None and process.poll() is not None for process in processes)

    def end(self, seconds: float) -> None:
        """As :meth:`vvscale.study.engine.engine.Engine.stop`."""
        if self._pipe < 0:
            return
        self._is_over.set()
        self._end_pools(seconds)
        deadline = time.monotonic() + _LONGEST_GOODBYE_SECONDS
        # A thread that asked a dead exchange waits for ever; one that ends with the workers may die meanwhile.
        while self._thread.is_alive() and not self.is_dead and time.monotonic() < deadline:
            self._thread.join(_LOOK_SECONDS)
        for executor in list(self._executors.values()):
            jobs = [] if self._is_local else _open_jobs(executor)
            if jobs:
                executor.provider.cancel(jobs)
            if executor.interchange_proc is not None:
                executor.interchange_proc.kill()
                executor.interchange_proc.wait()
        # Whatever was started meanwhile ends with it.
        os.close(self._pipe)
        self._pipe = -1
        shutil.rmtree(self._lifeline.parent, ignore_errors=True)

    def _live(self) -> None:
        """Start Parsl, hand over tasks, look after workers; the only thread that calls Parsl."""
        try:
            strategy = self._start()
            looked = told = 0.0
            while not self._is_over.is_set():
                with contextlib.suppress(Empty):
                    # Waits for the first task; the others are there.
                    self._hand_over(self._asked.get(timeout=_STRATEGY_SECONDS[self._is_local]))
                    while True:
                        self._hand_over(self._asked.get_nowait())
                now = time.monotonic()
                if now - looked > _STRATEGY_SECONDS[self._is_local]:
                    looked = now
                    self._look(strategy)
                if now - told > _WORDS_SECONDS:
                    told = now
                    self.words = self._told()
                    self._keep_fresh()
        except VvscaleError as error:
            self.error = error
        except Exception as error:  # noqa: BLE001 - Parsl and schedulers may fail in any way
            # Whoever asks an exchange that died is not to blame.
            if not self.is_dead:
                self.error = RunError(
                    f"The engine broke: {type(error).__name__}: {error}. What it said is in '{self._folder.logs}'. "
                    "`vvscale study resume` starts it again."
                )
        finally:
            for executor in self._executors.values():
                # What an exchange that died leaves open ends with this process.
                with contextlib.suppress(Exception):
                    executor.shutdown()

    def _start(self) -> Any:
        from parsl.dataflow.rundirs import make_rundir
        from parsl.jobs.strategy import Strategy

        logs = make_folder(self._folder.logs / "engine")
        if self._is_local:
            # Parsl writes paths into shell scripts as they are; this one has no blank, whatever the study's has.
            link = self._lifeline.parent / "logs"
            link.symlink_to(logs.absolute())
            logs = link
        folder, run_id = make_rundir(str(logs)), str(uuid.uuid4())
        for group in self._groups:
            executor = self._executor(group)
            executor.run_dir, executor.run_id, executor.log_config = folder, run_id, None
            executor.provider.script_dir = str(make_folder(Path(folder) / "submit_scripts"))
            self._executors[group.name] = executor
            executor.start()
        strategy = Strategy(strategy="htex_auto_scale", max_idletime=_IDLE_SECONDS)
        strategy.add_executors(list(self._executors.values()))
        return strategy

    def _hand_over(self, asked: tuple[int, Request, str, int]) -> None:
        key, request, group, priority = asked
        future = self._executors[group].submit(self._run, {"priority": priority}, request)
        future.add_done_callback(lambda ended: self.ended.put((key, ended)))

    def _look(self, strategy: Any) -> None:
        """Let Parsl ask how its jobs are, and start or end some."""
        try:
            for executor in self._executors.values():
                executor.poll_facade()
            strategy.strategize(list(self._executors.values()))
            self._complaint = ""
        except Exception as error:  # noqa: BLE001 - Parsl and schedulers may fail in any way
            # A scheduler that does not answer is asked again.
            self._complaint = f", which does not answer: {error}"
        for executor in self._executors.values():
            self._judge(executor)
        if self._is_local:
            for executor in self._executors.values():
                for job in executor.blocks_to_job_id.values():
                    if job not in self._pools:
                        with contextlib.suppress(psutil.NoSuchProcess):
                            self._pools[job] = psutil.Process(int(job))

    def _judge(self, executor: Any) -> None:
        """Give up when jobs keep failing, or Parsl has given up."""
        from parsl.jobs.states import JobState

        if executor.bad_state_is_set:
            raise RunError(self._why(executor.label, str(executor.executor_exception)))
        status = executor.status_facade
        ordered = [status[block] for block in sorted(status, key=int)]
        bad = (JobState.FAILED, JobState.MISSING)
        n_failed = next((n for n, one in enumerate(reversed(ordered)) if one.state not in bad), len(ordered))
        if not n_failed:
            self._failing_since.pop(executor.label, None)
            return
        since = self._failing_since.setdefault(executor.label, time.monotonic())
        lasted = time.monotonic() - since > _FAILING_SECONDS
        if n_failed >= _MOST_FAILED_JOBS and (lasted or not executor.connected_blocks()):
            last = ordered[-1]
            said = [last.message or "", last.stderr_summary or "", last.stdout_summary or ""]
            raise RunError(self._why(executor.label, "\n".join(filter(None, said))))

    def _why(self, name: str, said: str) -> str:
        lines = [line.strip() for line in said.splitlines() if line.strip()][-_LAST_LINES:]
        return (
            f"Workers of the group '{name}' cannot be started by {self._spec.kind}. They said last: "
            f"{' / '.join(lines) or 'nothing'}. All they said is in '{self._folder.logs}'. Check [engine] (partition, "
            "account, time_minutes, setup), then `vvscale study resume`."
        )

    def _told(self) -> tuple[str, int]:
        told, n_workers = [], 0
        for name, executor in self._executors.items():
            n_here = sum(one["worker_count"] for one in executor.connected_managers())
            n_workers += n_here
            states = Counter(one.status_name.lower() for one in executor.status_facade.values() if not one.terminal)
            jobs = ", ".join(f"{n} {state}" for state, n in sorted(states.items())) or "none"
            told.append(f"{name}: {n_here} workers" + ("" if self._is_local else f", jobs {jobs}"))
        where = "on this machine" if self._is_local else f"through {self._spec.kind}"
        return f"{'; '.join(told)}, {where}{self._complaint}", n_workers

    def _executor(self, group: Group) -> Any:
        from parsl.executors import HighThroughputExecutor
        from parsl.executors.high_throughput.executor import DEFAULT_LAUNCH_CMD

        silence = self._spec.silence
        # A dead worker of this machine is noticed within a second.
        beat = 1 if self._is_local else max(1, silence // _BEATS_PER_SILENCE)
        limit, grace = 60 * group.time_minutes, group.grace_seconds or 0
        lifeline = self._lifeline if self._is_local else None
        python = shlex.quote(sys.executable)
        # By this interpreter, whatever the PATH is; it ends with this process, and Ctrl-C in the terminal is for that.
        watch = f"{lifeline_command(self._lifeline)} $$ < /dev/null &"
        exchange = f"trap '' INT; {watch} exec {python} -m parsl.executors.high_throughput.interchange"
        pool = f"{python} -m parsl.executors.high_throughput.process_worker_pool"
        return HighThroughputExecutor(
            label=group.name,
            provider=make_provider(self._spec, group, study=self._folder.path, lifeline=lifeline),
            max_workers_per_node=group.per_job,
            # Only the number of workers counts; cores are the scheduler's to give.
            cores_per_worker=1e-6,
            address="127.0.0.1" if self._is_local else self._spec.address,
            # Messages wake whoever waits; this is only how often nothing is looked at.
            poll_period=_IDLE_POLL_MILLISECONDS,
            heartbeat_period=beat,
            heartbeat_threshold=silence,
            # Near its end a job takes no more tasks; those it has save their state `grace` seconds before it.
            drain_period=None if self._is_local else max(limit - 2 * grace, limit // 2),
            interchange_launch_cmd=["/bin/bash", "-c", exchange],
            launch_cmd=DEFAULT_LAUNCH_CMD.replace("process_worker_pool.py", pool, 1),
            block_error_handler=False,
        )

    def _open_lifeline(self) -> None:
        """Make a pipe that only this process holds open for writing; its readers end when this process does."""
        self._lifeline = Path(tempfile.mkdtemp(prefix=FOLDER_PREFIX)) / "lifeline"
        os.mkfifo(self._lifeline, 0o600)
        # For reading too, or opening would wait for a reader.
        self._pipe = os.open(self._lifeline, os.O_RDWR)

    def _keep_fresh(self) -> None:
        """Let nobody who tidies up old temporary files think that these are."""
        with contextlib.suppress(OSError):
            for path in (*self._lifeline.parent.iterdir(), self._lifeline.parent):
                os.utime(path, follow_symlinks=False)

    def _end_pools(self, seconds: float) -> None:
        """Ask the workers of this machine to stop, and wait until they are gone."""
        pools = [pool for pool in list(self._pools.values()) if pool.is_running()]
        members = [one for pool in pools for one in _members(pool)]
        for one in members:
            with contextlib.suppress(psutil.Error):
                one.terminate()
        deadline = time.monotonic() + seconds
        while any(map(_lives, members)) and time.monotonic() < deadline:
            time.sleep(0.02)
        for one in members:
            with contextlib.suppress(psutil.Error):
                one.kill()


def _open_jobs(executor: Any) -> list[str]:
    """Return the jobs of a scheduler that have not ended, as far as is known."""
    status, jobs = executor.status_facade, executor.blocks_to_job_id.copy()
    return [job for block, job in jobs.items() if block not in status or not status[block].terminal]


def _members(pool: psutil.Process) -> list[psutil.Process]:
    """Return the processes of a pool; not what has left its process group, such as the one that reads the pipe."""
    found = []
    with contextlib.suppress(psutil.Error, ProcessLookupError):
        group = os.getpgid(pool.pid)
        for one in (pool, *pool.children(recursive=True)):
            with contextlib.suppress(ProcessLookupError):
                found += [one] if os.getpgid(one.pid) == group else []
    return found


def _lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False
