"""A worker as a process of its own: signals, a parent that may die, and the exit code that schedulers read.

0: nothing is left for this worker. 75: it was stopped (SIGTERM, SIGUSR1, SIGUSR2) and wants to be started again.
Anything else: it could not work, and says why. A stop lets the task at hand save what it needs to go on; a task that
does not within the grace time is cut off, which costs its work since the last save.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable
from types import FrameType

from vvscale.errors import StoppedError
from vvscale.study.graph.kinds import RUN_AGAIN
from vvscale.study.workers.folder import StudyFolder
from vvscale.study.workers.liveness import mark_own_ended
from vvscale.study.workers.worker import WorkerOptions, WorkSummary, work

GRACE_SECONDS = 25.0
STOP_SIGNALS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)


def serve(
    folder: StudyFolder, *, options: WorkerOptions, has_lifeline: bool = False, grace: float = GRACE_SECONDS
) -> WorkSummary:
    """Work in this process until nothing is left, a signal comes, or the parent is gone.

    Parameters
    ----------
    folder
        A planned study.
    options
        How to work.
    has_lifeline
        Whether standard input is a pipe that the parent holds open: its end is the parent's, and this worker's.
    grace
        Seconds that a task has to save its state after a signal.

    Raises
    ------
    StoppedError
        A signal came; its exit code is 75.
    """
    stop = threading.Event()

    def on_signal(number: int, frame: FrameType | None) -> None:
        if not stop.is_set():
            stop.set()
            if number != signal.SIGTERM:
                # A training that catches SIGTERM itself must hear of a time limit too.
                os.kill(os.getpid(), signal.SIGTERM)
            _after(grace, lambda: _leave(RUN_AGAIN))

    for number in STOP_SIGNALS:
        signal.signal(number, on_signal)
    if has_lifeline:
        # Ctrl-C on the terminal reaches the parent, which then tells its workers.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        threading.Thread(target=_end_with_parent, daemon=True, name="lifeline").start()
    summary = work(folder, folder.graph(), options=options, stop=stop)
    if summary.was_stopped:
        raise StoppedError(f"Stopped after {summary.n_done} tasks; the same command goes on from here.")
    return summary


def _end_with_parent() -> None:
    # Raw reads: a buffered stream would be locked against the interpreter's own end.
    while os.read(sys.stdin.fileno(), 1024):
        pass
    _leave(RUN_AGAIN)


def _leave(code: int) -> None:
    """End this process now, and what it started if it leads a group of its own."""
    try:
        mark_own_ended()
        if os.getpgid(0) == os.getpid():
            os.killpg(0, signal.SIGKILL)
    finally:
        os._exit(code)


def _after(seconds: float, action: Callable[[], None]) -> None:
    timer = threading.Timer(seconds, action)
    timer.daemon = True
    timer.start()
