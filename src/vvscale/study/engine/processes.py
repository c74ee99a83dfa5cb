"""How Parsl's processes are started, and how those on this machine are counted and signalled."""

from __future__ import annotations

import contextlib
import os
import shlex
import sys
from pathlib import Path

from vvscale.study.engine.lifeline import lifeline_command


def launch_command() -> str:
    """Return how Parsl starts the workers of a job, by this interpreter and whatever the PATH is."""
    from parsl.executors.high_throughput.executor import DEFAULT_LAUNCH_CMD

    pool = f"{shlex.quote(sys.executable)} -m parsl.executors.high_throughput.process_worker_pool"
    return DEFAULT_LAUNCH_CMD.replace("process_worker_pool.py", pool, 1)


def exchange_command(lifeline: Path) -> list[str]:
    """Return how Parsl starts its own process: it ends with this one, and Ctrl-C in the terminal is not for it."""
    python = shlex.quote(sys.executable)
    watch = f"{lifeline_command(lifeline)} $$ < /dev/null &"
    return ["/bin/bash", "-c", f"trap '' INT; {watch} exec {python} -m parsl.executors.high_throughput.interchange"]


def count_pool(job: int) -> int:
    """Return how many processes a pool of this machine has: its workers, and the one that holds what they share."""
    import psutil

    n = 0
    try:
        for child in psutil.Process(job).children(recursive=True):
            with contextlib.suppress(psutil.Error):
                n += any("spawn_main" in word for word in child.cmdline())
    except psutil.NoSuchProcess:
        pass
    return n


def group_of(pid: int) -> int | None:
    """Return the process group of a process; None if it is gone."""
    try:
        return os.getpgid(pid)
    except ProcessLookupError:
        return None


def signal_group(group: int, number: int) -> bool:
    """Send a signal to a process group; return whether there is one."""
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        return False
    return True
