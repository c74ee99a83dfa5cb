"""What runs inside one SLURM job: a worker process, told in time to stop, and the job queued again."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from typing import Any

from vvscale.errors import RunError
from vvscale.study.graph.kinds import RUN_AGAIN
from vvscale.study.workers.liveness import process_start

_LOOK_SECONDS = 0.2
# After a job asked to be queued again, SLURM ends it; it must not end by itself and count as finished.
_WAIT_FOR_END_SECONDS = 120.0


class SlurmWorker:
    """The callable that submitit keeps and runs.

    Parameters
    ----------
    command
        The worker's command line.
    grace_seconds
        Notice that SLURM gives before it ends the job.
    """

    def __init__(self, command: list[str], grace_seconds: float) -> None:
        self.command = command
        self.grace_seconds = grace_seconds
        self._pid = 0

    def __call__(self) -> int:
        """Run the worker; on all but the first node of a job there is nothing to do until that one asks."""
        if int(os.environ.get("SLURM_PROCID", "0")):
            return 0
        job = os.environ["SLURM_JOB_ID"]
        threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
        # The pipe is the worker's lifeline: it ends when this process does, however that comes.
        with subprocess.Popen(
            self.command,
            stdin=subprocess.PIPE,
            start_new_session=True,
            env={**os.environ, **threads, "VVSCALE_JOB": f"slurm-{job}"},
        ) as process:
            self._pid = process.pid
            # Polled, not waited for: a signal handler that runs meanwhile must be able to look too.
            while (code := process.poll()) is None:
                time.sleep(_LOOK_SECONDS)
        if code == RUN_AGAIN:
            self._queue_again(job)
        if code:
            raise RunError(f"The worker of job {job} ended with code {code}; what it said is in this job's log.")
        return code

    def checkpoint(self) -> Any:
        """Stop the worker in order; submitit calls this shortly before the end and queues the job again."""
        from submitit.helpers import DelayedSubmission

        if self._pid and process_start(self._pid) is not None:
            os.kill(self._pid, signal.SIGTERM)
            deadline = time.monotonic() + max(1.0, self.grace_seconds - 5.0)
            while process_start(self._pid) is not None and time.monotonic() < deadline:
                time.sleep(_LOOK_SECONDS)
        return DelayedSubmission(SlurmWorker(self.command, self.grace_seconds))

    def _queue_again(self, job: str) -> None:
        """The worker was told to stop by SLURM itself: have the job started again, and wait for the end."""
        subprocess.run(["scontrol", "requeue", job], capture_output=True, check=False)
        time.sleep(_WAIT_FOR_END_SECONDS)
