"""The adapter to Parsl: groups of workers that take tasks, and answers that come back.

Parsl starts the workers through a provider, replaces those that die, and asks the scheduler for more or fewer jobs as
there is work. What it does not know is added here: workers of this machine and the engine's own process end with this
one, however that comes (a pipe that they read breaks); and when the engine's own process dies, it is started again.
"""

from __future__ import annotations

import atexit
import math
import os
import shlex
import shutil
import signal
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

from vvscale.core.files import make_folder
from vvscale.errors import MissingDataError, RunError, UsageError
from vvscale.study.engine.interface import Ended
from vvscale.study.engine.lifeline import FOLDER_PREFIX
from vvscale.study.engine.processes import count_pool, exchange_command, group_of, launch_command, signal_group
from vvscale.study.engine.worker import Answer, Request
from vvscale.study.spec.workers import EngineSpec, Group

# Of the silence after which a job is lost; workers are looked after as often as it sends a sign of life.
_BEATS_PER_SILENCE = 5
_STRATEGY_SECONDS = {True: 0.2, False: 3.0}
# A job without work leaves its node to others.
_IDLE_SECONDS = 120.0
_MOST_RESTARTS = 3
# Jobs that fail one after another: at once if none ever worked, else only if that lasts.
_MOST_FAILED_JOBS, _FAILING_SECONDS = 3, 600.0
_LAST_LINES = 5
_LOOK_SECONDS = 2.0
# A dead worker is replaced within two seconds.
_SHORT_OF_WORKERS_SECONDS = 10.0
# A pool may take so long to start all its processes, on a machine with other work.
_START_SECONDS = 20.0
# Most tasks save their state at once, and nothing needs to be said about it.
_A_MOMENT_SECONDS = 1.0


class Engine:
    """Workers in groups, through Parsl.

    Parameters
    ----------
    spec
        Where, and with what resources.
    study, logs
        The study's folder, and one for what workers and the engine print.
    run
        What a worker does with a request; a function that it can import.
    """

    def __init__(self, spec: EngineSpec, study: Path, logs: Path, run: Callable[[Request], Answer]) -> None:
        self.groups = {group.name: group for group in spec.all_groups}
        self._spec = spec
        self._study, self._logs = study, logs
        self._run = run
        self._is_local = spec.kind == "local"
        self._ended: SimpleQueue[tuple[int, int, Any]] = SimpleQueue()
        self._tasks: dict[int, tuple[Request, str, int]] = {}
        self._dfk: Any = None
        self._lifeline: Path | None = None
        self._pipe = -1
        self._starts = 0
        self._failing_since: dict[str, float] = {}
        # Job of this machine -> when all its processes were last seen.
        self._full_since: dict[int, float] = {}
        self._counted = -math.inf
        self._words = ("starting workers", 0)
        self._asking: threading.Thread | None = None
        self._asked = -math.inf

    def start(self, names: list[str]) -> None:
        """Start the workers of the groups that have something to do.

        Raises
        ------
        MissingDataError
            Parsl is not installed.
        """
        try:
            from parsl.config import Config
            from parsl.dataflow.dflow import DataFlowKernel
        except ImportError as error:
            raise MissingDataError(
                "Studies run on the package parsl, which is not installed. `pip install 'vvscale[study]'`."
            ) from error
        self._names = names
        self._starts += 1
        logs = make_folder(self._logs / "engine")
        self._open_lifeline()
        assert self._lifeline is not None
        if self._is_local:
            # Parsl writes paths into shell scripts as they are; this one has no blank, whatever the study's has.
            link = self._lifeline.parent / "logs"
            link.symlink_to(logs.absolute())
            logs = link
        elif shlex.quote(str(logs)) != str(logs):
            self._cut_lifeline()
            raise UsageError(
                f"The path '{logs}' has characters that job scripts cannot hold. Choose a folder without blanks and "
                "quotes for `out`."
            )
        config = Config(
            executors=[self._executor(self.groups[name]) for name in names],
            strategy="htex_auto_scale",
            strategy_period=_STRATEGY_SECONDS[self._is_local],
            max_idletime=_IDLE_SECONDS,
            run_dir=str(logs),
            initialize_logging=False,
            retries=0,
        )
        try:
            self._dfk = DataFlowKernel(config)
        except BaseException:
            self._cut_lifeline()
            raise

    def submit(self, key: int, request: Request, group: str, priority: int) -> None:
        """Hand over a task; lower priorities run first."""
        self._tasks[key] = (request, group, priority)
        self._submit(key)

    def take(self, seconds: float) -> list[Ended]:
        """Return the tasks that ended, waiting so long for the first."""
        found: list[Ended] = []
        while True:
            try:
                key, start, future = self._ended.get(timeout=0.0 if found else seconds)
            except Empty:
                return found
            # An engine that was given up has nothing more to say.
            if start == self._starts and key in self._tasks:
                found.append(self._read(key, future))
                del self._tasks[key]

    def look_after(self) -> None:
        """Start the engine's own process again if it died; the tasks it had are handed over again.

        Raises
        ------
        RunError
            Workers cannot be started, or the engine keeps dying.
        """
        executors = self._dfk.executors
        if self._is_local:
            self._end_crippled_pools()
        for name in self._names:
            executor = executors[name]
            if executor.bad_state_is_set:
                raise RunError(self._why(name, str(executor.executor_exception)))
            process = executor.interchange_proc
            if process is not None and process.poll() is not None:
                if self._starts > _MOST_RESTARTS:
                    raise RunError(
                        f"The engine's own process ended {self._starts} times. What it said is in '{self._logs}'. Mend "
                        "the cause, then `vvscale study resume`."
                    )
                self._give_up()
                self.start(self._names)
                for key in list(self._tasks):
                    self._submit(key)
                return

    def words(self) -> tuple[str, int]:
        """Return how the workers are in one line, and how many there are; asked of the engine every few seconds."""
        now = time.monotonic()
        is_asking = self._asking is not None and self._asking.is_alive()
        if now - self._asked > _LOOK_SECONDS and not is_asking:
            self._asked = now
            # On the side: the answer never comes from an engine that dies meanwhile.
            self._asking = threading.Thread(target=self._ask, args=(self._dfk,), daemon=True)
            self._asking.start()
        return self._words

    def stop(self, seconds: float, saving: Callable[[], object]) -> None:
        """Let tasks save their state, end all workers, and return when they are gone or the scheduler knows.

        Parameters
        ----------
        seconds
            How long tasks may take to save their state.
        saving
            Called once if they take longer than a moment.
        """
        if self._dfk is None:
            return
        if self._is_local:
            self._end_local(seconds, saving)
        self._close()

    def _submit(self, key: int) -> None:
        request, group, priority = self._tasks[key]
        start = self._starts
        executor = self._dfk.executors[group]
        future = executor.submit(self._run, {"priority": priority}, request)
        future.add_done_callback(lambda ended: self._ended.put((key, start, ended)))

    def _read(self, key: int, future: Any) -> Ended:
        from parsl.executors.errors import BadStateException
        from parsl.executors.high_throughput.errors import ManagerLost, WorkerLost

        error = future.exception()
        if isinstance(error, BadStateException):
            # Given up by `_judge`, with all tasks at hand; none of them is to blame.
            _, name, _ = self._tasks[key]
            raise RunError(self._why(name, str(self._dfk.executors[name].executor_exception)))
        if error is None:
            return Ended(key, future.result())
        if isinstance(error, WorkerLost):
            return Ended(key, None, lost="worker")
        if isinstance(error, ManagerLost):
            return Ended(key, None, lost="job")
        return Ended(key, Answer("failed", message=f"{type(error).__name__}: {error}"))

    def _executor(self, group: Group) -> Any:
        from parsl.executors import HighThroughputExecutor

        from vvscale.study.engine.providers import make_provider

        silence = self._spec.silence
        # A dead worker of this machine is noticed within a second.
        beat = 1 if self._is_local else max(1, silence // _BEATS_PER_SILENCE)
        grace = group.of("grace_seconds")
        limit = 60 * group.of("time_minutes")
        lifeline = self._lifeline
        assert lifeline is not None
        return HighThroughputExecutor(
            label=group.name,
            provider=make_provider(self._spec, group, study=self._study, lifeline=lifeline if self._is_local else None),
            max_workers_per_node=group.per_job,
            # Only the number of workers counts; cores are the scheduler's to give.
            cores_per_worker=1e-6,
            address="127.0.0.1" if self._is_local else self._spec.address,
            heartbeat_period=beat,
            heartbeat_threshold=silence,
            # Near its end a job takes no more tasks; those it has save their state `grace` seconds before it.
            drain_period=None if self._is_local else max(limit - 2 * grace, limit // 2),
            interchange_launch_cmd=exchange_command(lifeline),
            launch_cmd=launch_command(),
            block_error_handler=self._judge,
        )

    def _judge(self, executor: Any, status: dict[str, Any]) -> None:
        """Give up when jobs keep failing; called by Parsl whenever it has asked the scheduler."""
        from parsl.jobs.errors import TooManyJobFailuresError
        from parsl.jobs.states import JobState

        ordered = [status[block] for block in sorted(status, key=int)]
        bad = (JobState.FAILED, JobState.MISSING)
        n_failed = next((n for n, one in enumerate(reversed(ordered)) if one.state not in bad), len(ordered))
        if not n_failed:
            self._failing_since.pop(executor.label, None)
            return
        since = self._failing_since.setdefault(executor.label, time.monotonic())
        lasted = time.monotonic() - since > _FAILING_SECONDS
        if n_failed >= _MOST_FAILED_JOBS and (lasted or n_failed == len(ordered)):
            last = ordered[-1]
            said = [last.message or "", last.stderr_summary or "", last.stdout_summary or ""]
            executor.set_bad_state_and_fail_all(TooManyJobFailuresError("\n".join(filter(None, said)) or "nothing"))

    def _why(self, name: str, said: str) -> str:
        lines = [line.strip() for line in said.splitlines() if line.strip()][-_LAST_LINES:]
        return (
            f"Workers of the group '{name}' cannot be started by {self._spec.kind}. They said last: "
            f"{' / '.join(lines) or 'nothing'}. All they said is in '{self._logs}'. Check [engine] (partition, "
            "account, time_minutes, setup), then `vvscale study resume`."
        )

    def _ask(self, dfk: Any) -> None:
        told, n_workers = [], 0
        for name in self._names:
            executor = dfk.executors[name]
            n_here = sum(one["worker_count"] for one in executor.connected_managers())
            n_workers += n_here
            states = Counter(one.status_name.lower() for one in executor.status_facade.values() if not one.terminal)
            jobs = ", ".join(f"{n} {state}" for state, n in sorted(states.items())) or "none"
            told.append(f"{name}: {n_here} workers" + ("" if self._is_local else f", jobs {jobs}"))
        where = "on this machine" if self._is_local else f"through {self._spec.kind}"
        self._words = (f"{'; '.join(told)}, {where}", n_workers)

    def _open_lifeline(self) -> None:
        """Make a pipe that only this process holds open for writing; its readers end when this process does."""
        folder = Path(tempfile.mkdtemp(prefix=FOLDER_PREFIX))
        self._lifeline = folder / "lifeline"
        os.mkfifo(self._lifeline, 0o600)
        # For reading too, or opening would wait for a reader.
        self._pipe = os.open(self._lifeline, os.O_RDWR)

    def _end_crippled_pools(self) -> None:
        """End a pool of this machine that no longer replaces its dead, so that Parsl starts another.

        Parsl's pool does not notice that the process which holds what its workers share has died.
        """
        now = time.monotonic()
        if now - self._counted < _LOOK_SECONDS:
            return
        self._counted = now
        for name in self._names:
            n_full = self.groups[name].per_job + 1
            for job in self._jobs_of(name):
                n_alive = count_pool(job)
                if n_alive >= n_full:
                    self._full_since[job] = now
                elif now - self._full_since.setdefault(job, now + _START_SECONDS) > _SHORT_OF_WORKERS_SECONDS:
                    del self._full_since[job]
                    if (group := group_of(job)) is not None:
                        signal_group(group, signal.SIGKILL)

    def _jobs_of(self, name: str) -> list[int]:
        """Return the process of each pool that Parsl started here for a group."""
        # A copy, because Parsl's own thread adds and removes jobs meanwhile.
        return [int(job) for job in self._dfk.executors[name].blocks_to_job_id.copy().values()]

    def _end_local(self, seconds: float, saving: Callable[[], object]) -> None:
        """Ask the workers of this machine to stop, and wait until they are gone."""
        jobs = [job for name in self._names for job in self._jobs_of(name)]
        # Parsl starts each job of this machine in a process group of its own.
        groups = {group for job in jobs if (group := group_of(job)) is not None} - {os.getpgid(0)}
        for group in groups:
            signal_group(group, signal.SIGTERM)
        deadline, told_at = time.monotonic() + seconds, time.monotonic() + _A_MOMENT_SECONDS
        while any(signal_group(group, 0) for group in groups) and time.monotonic() < deadline:
            if time.monotonic() > told_at:
                saving()
                told_at = math.inf
            time.sleep(0.02)
        for group in groups:
            signal_group(group, signal.SIGKILL)

    def _close(self) -> None:
        if all(self._dfk.executors[name].interchange_proc.poll() is None for name in self._names):
            self._dfk.cleanup()
            self._cut_lifeline()
        else:
            self._give_up()
        self._dfk = None

    def _give_up(self) -> None:
        """Leave an engine whose own process died; what it started here ends, jobs elsewhere are cancelled."""
        atexit.unregister(self._dfk.atexit_cleanup)
        for name in self._names:
            executor = self._dfk.executors[name]
            jobs = list(executor.blocks_to_job_id.values())
            if not self._is_local and jobs:
                executor.provider.cancel(jobs)
        self._cut_lifeline()

    def _cut_lifeline(self) -> None:
        os.close(self._pipe)
        assert self._lifeline is not None
        shutil.rmtree(self._lifeline.parent, ignore_errors=True)
