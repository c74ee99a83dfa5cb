"""Put the run of a study into the queue of a scheduler, so that one can log out."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from vvscale.core.files import make_folder
from vvscale.errors import RunError, StoppedError, UsageError
from vvscale.study.engine.worker import end_of_job
from vvscale.study.prepare import Prepared
from vvscale.study.spec.workers import refuse_odd_path

_IN_QUEUE = "VVSCALE_SUBMITTED"


def submit_study(study: Prepared) -> str:
    """Write a study's plan and submit a job that runs it; return the job's id.

    The job needs one core and no GPU. At its time limit it stops in order and submits the next one.

    Raises
    ------
    UsageError
        The engine is this machine, the study is run by another process, or its folder cannot stand in a job script.
    RunError
        The scheduler did not take the job.
    """
    if study.engine.kind == "local":
        raise UsageError(
            'A study with kind = "local" runs on this machine and has no queue. Set engine.kind to slurm, pbs, lsf, '
            "gridengine, htcondor or kubernetes, or leave out `submit`."
        )
    refuse_odd_path(study.engine, study.folder.path)
    study.refuse_others_files()
    with study.folder.alone():
        study.write()
    return _submit(study)


@contextmanager
def submitted_again(study: Prepared) -> Iterator[None]:
    """Inside a job that :func:`submit_study` made: stop in order before its time limit, and submit the next one."""
    notice = end_of_job()
    if notice is None or not os.environ.get(_IN_QUEUE):
        yield
        return
    timer = threading.Timer(max(0.0, notice - time.time()), os.kill, (os.getpid(), signal.SIGTERM))
    timer.daemon = True
    timer.start()
    try:
        yield
    except StoppedError:
        if time.time() >= notice:
            _submit(study)
        raise
    finally:
        timer.cancel()


def _submit(study: Prepared) -> str:
    from parsl.providers.errors import ExecutionProviderException

    from vvscale.study.engine.providers import submit_command

    command = ["env", f"{_IN_QUEUE}=1", sys.executable, "-m", "vvscale", "study", "resume", str(study.folder.path)]
    try:
        name = f"vvscale-{study.folder.path.name}"
        return submit_command(study.engine, command, name=name, folder=make_folder(study.folder.logs / "run"))
    except ExecutionProviderException as error:
        raise RunError(
            f"{study.engine.kind} did not take the job: {error}. Expected its submit command to work here. Check "
            "[engine] (partition, account, time_minutes)."
        ) from error
