"""Workers as an array of SLURM jobs, through submitit.

Each job runs the same ``vvscale worker`` as everywhere. A job that is preempted or reaches its time limit is told in
time: its worker lets the task at hand save its state, frees it, and the job is queued again under the same number.
A job that a failed node took along is queued again by SLURM itself, and frees what its predecessor had.
"""

from __future__ import annotations

import subprocess
import sys
import time
import warnings
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vvscale.core.files import make_folder
from vvscale.errors import MissingDataError, RunError
from vvscale.study.engines.base import EngineState
from vvscale.study.engines.slurm_job import SlurmWorker
from vvscale.study.spec.schema import EngineSpec
from vvscale.study.workers.folder import StudyFolder
from vvscale.study.workers.worker import WorkerOptions

# The controller serves the whole cluster; it is asked rarely.
_ASK_SECONDS = 5.0
# A worker without work leaves its node to others.
_IDLE_SECONDS = 120.0
_LAST_LINES = 15


@dataclass
class SlurmEngine:
    """An array of jobs.

    Attributes
    ----------
    spec
        Size of the array and of each job.
    options
        How each worker works.
    """

    spec: EngineSpec
    options: WorkerOptions = field(default_factory=lambda: WorkerOptions(idle_seconds=_IDLE_SECONDS))
    job_id: str = ""
    _asked: float = -1e9
    _state: EngineState = field(default_factory=lambda: EngineState(0, ""))

    def start(self, folder: StudyFolder, n_tasks: int) -> None:
        """Submit the array."""
        try:
            import submitit
            from submitit.core.utils import FailedJobError
        except ImportError as error:
            raise MissingDataError(
                "The engine 'slurm' needs the package submitit, which is not installed. `pip install "
                "'vvscale[distributed]'`, or use --set engine.kind=local."
            ) from error
        self._logs = make_folder(folder.logs / "slurm")
        n = max(1, min(self.spec.workers, n_tasks))
        workers = [SlurmWorker(self._command(folder, shard, n), self.spec.grace_seconds) for shard in range(n)]
        try:
            with warnings.catch_warnings():
                # Clusters without accounting are fine; submitit says so each time.
                warnings.simplefilter("ignore")
                executor = submitit.SlurmExecutor(folder=self._logs, max_num_timeout=self.spec.max_requeues)
                executor.update_parameters(**self._parameters(folder, n))
                jobs = executor.submit_array(workers)
        except (RuntimeError, subprocess.CalledProcessError, FailedJobError) as error:
            raise RunError(
                f"SLURM did not take the jobs: {_last_line(str(error))}. Expected `sbatch` to work here. Check "
                "[engine] (partition, account, time_minutes), or use --set engine.kind=local."
            ) from error
        self.job_id = str(jobs[0].job_id).split("_")[0]
        self._asked = time.monotonic()
        self._state = EngineState(n, f"SLURM job {self.job_id}: {n} submitted")

    def poll(self) -> EngineState:
        """Ask the scheduler, now and then."""
        if time.monotonic() - self._asked < _ASK_SECONDS:
            return self._state
        self._asked = time.monotonic()
        asked = subprocess.run(
            ["squeue", "-h", "-r", "-j", self.job_id, "-o", "%T"], capture_output=True, text=True, check=False
        )
        if asked.returncode and "Invalid job id" not in asked.stderr:
            return self._state  # a controller that is busy or restarts has not lost the jobs
        counts = Counter(asked.stdout.split())
        n_alive = counts.total()
        words = ", ".join(f"{number} {state.lower()}" for state, number in sorted(counts.items())) or "all ended"
        if not n_alive and (last := self._last_words()):
            words += f"; said last: {last}"
        self._state = EngineState(n_alive, f"SLURM job {self.job_id}: {words}")
        return self._state

    def stop(self) -> None:
        """Cancel what is left; running workers are told first and free their tasks."""
        if self.job_id:
            subprocess.run(["scancel", self.job_id], capture_output=True, check=False)

    def _command(self, folder: StudyFolder, shard: int, n: int) -> list[str]:
        options = self.options
        idle = [] if options.idle_seconds is None else ["--idle-seconds", str(options.idle_seconds)]
        return [
            sys.executable, "-m", "vvscale", "worker", str(folder.path), "--lifeline",
            "--shard", f"{shard}/{n}", "--device", "auto",
            "--nodes", str(self.spec.nodes_per_task),
            "--processes-per-node", str(max(1, self.spec.gpus_per_task)),
            "--heartbeat", str(options.heartbeat), "--expire-after", str(options.expire_after),
            "--max-deaths", str(options.max_deaths), *idle,
        ]  # fmt: skip

    def _parameters(self, folder: StudyFolder, n: int) -> dict[str, Any]:
        spec = self.spec
        parameters: dict[str, Any] = {
            "job_name": f"vvscale-{folder.path.name}",
            "time": spec.time_minutes,
            "nodes": spec.nodes_per_task,
            "ntasks_per_node": 1,
            "cpus_per_task": spec.cpus,
            "mem": f"{int(spec.mem_gb * 1024)}MB",
            "array_parallelism": n,
            "signal_delay_s": spec.grace_seconds,
            "setup": list(spec.setup),
            "additional_parameters": {"requeue": True, **spec.extra},
        }
        if spec.gpus_per_task and spec.gres is None:
            parameters["gpus_per_node"] = spec.gpus_per_task
        for name in ("partition", "account", "qos", "constraint", "gres"):
            if getattr(spec, name) is not None:
                where = parameters if name not in {"account", "qos"} else parameters["additional_parameters"]
                where[name] = getattr(spec, name)
        return parameters

    def _last_words(self) -> str:
        """Return the last line that a job wrote to its error log."""
        logs = sorted(self._logs.glob(f"{self.job_id}*_log.err"), key=lambda path: path.stat().st_mtime)
        return _last_line(_tail(logs[-1])) if logs else ""


def _tail(path: Path) -> str:
    try:
        return "\n".join(path.read_text(errors="replace").splitlines()[-_LAST_LINES:])
    except OSError:
        return ""


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "nothing"
