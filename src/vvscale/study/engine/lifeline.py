"""End processes with the one that started them, however that one ends.

The starter holds a named pipe open; this file, run as a script beside what was started, reads it. The read ends when
the starter does, also by SIGKILL, and then what was started is killed. Nothing is polled, and no process id that the
system has given to somebody else meanwhile is mistaken for the starter.
"""

import contextlib
import os
import select
import shlex
import signal
import sys
from pathlib import Path

FOLDER_PREFIX = "vvscale-run-"


def lifeline_command(pipe: Path) -> str:
    """Return the shell command that watches a pipe; what to kill is to follow: 0 for its process group, or a pid."""
    # -I -S: as little as possible is loaded.
    return f"{shlex.quote(sys.executable)} -I -S {shlex.quote(__file__)} {shlex.quote(str(pipe))}"


def _watch(pipe: str, victim: int) -> None:
    group = os.getpgid(0)
    # Out of the group: the signal that asks it to stop is not for this process.
    os.setpgid(0, 0)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        # Not blocking: a starter that is gone already must not be waited for.
        reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
        while True:
            try:
                if not os.read(reader, 1):
                    break
            except BlockingIOError:
                select.select([reader], [], [])
    except FileNotFoundError:
        pass
    with contextlib.suppress(ProcessLookupError):
        if victim:
            os.kill(victim, signal.SIGKILL)
        else:
            os.killpg(group, signal.SIGKILL)
    _remove_folder_of(Path(pipe))


def _remove_folder_of(pipe: Path) -> None:
    """Remove what a starter that was killed left for its pipe, and nothing else."""
    if pipe.parent.name.startswith(FOLDER_PREFIX):
        with contextlib.suppress(OSError):
            for name in (pipe.name, "logs"):
                (pipe.parent / name).unlink(missing_ok=True)
            pipe.parent.rmdir()


if __name__ == "__main__":
    _watch(sys.argv[1], int(sys.argv[2]))
