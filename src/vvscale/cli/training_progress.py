"""How a training run says where it is: a bar with rate and time left, or a line a minute off a terminal."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def watch_training(what: str, *, quiet: bool = False) -> Iterator[TrainingProgress]:
    """Yield a watcher of a training run: a bar with rate and time left, or a line a minute off a terminal."""
    if quiet:
        yield TrainingProgress(lambda text, step, n_steps: None, every=math.inf)
    elif sys.stderr.isatty():
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (TextColumn(what), BarColumn(), TextColumn("{task.description}"), TimeRemainingColumn())
        with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task("", total=None)

            def draw(text: str, step: int, n_steps: int) -> None:
                bar.update(task, completed=step, total=n_steps, description=text)

            yield TrainingProgress(draw, every=0.2)
    else:

        def line(text: str, step: int, n_steps: int) -> None:
            print(f"{what}: {text}", file=sys.stderr)

        yield TrainingProgress(line, every=60.0)


class TrainingProgress:
    """Says how far a run is, how fast, and what the last look found.

    Parameters
    ----------
    show
        Takes a text, the step and the number of steps.
    every
        Seconds between two calls of it.
    """

    def __init__(self, show: Callable[[str, int, int], None], *, every: float) -> None:
        self._show, self._every = show, every
        self._last = self._start = time.monotonic()
        self._first: tuple[int, int] | None = None
        self._found = ""

    def on_step(self, progress: Any) -> None:
        """Show where the run is, if it is time."""
        if self._first is None:
            self._first = progress.step - 1, progress.samples_seen
        now = time.monotonic()
        if now - self._last < self._every:
            return
        self._last = now
        step, seen = self._first
        elapsed = now - self._start
        left = elapsed / (progress.step - step) * (progress.n_steps - progress.step)
        rate = (progress.samples_seen - seen) / elapsed
        text = f"step {progress.step:,}/{progress.n_steps:,}, {rate:,.0f} images/s, {left / 60:.1f} min left"
        self._show(text + self._found, progress.step, progress.n_steps)

    def on_evaluation(self, line: dict[str, Any], network: Any, record: dict[str, Any]) -> dict[str, Any]:
        """Remember what the look found."""
        if line.get("accuracy") is not None:
            self._found = f", accuracy {line['accuracy']:.3f}"
        return {}
