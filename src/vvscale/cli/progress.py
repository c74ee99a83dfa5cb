"""How long work says where it is: a bar with rate and time left on a terminal, a line a minute off it, or nothing."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

# Off a terminal a line a minute is enough to see that work goes on, and does not fill a log.
LINE_SECONDS = 60.0
# On a terminal more often than this nobody can read.
BAR_SECONDS = 0.2

Watch = Callable[[str, int, int], None]
Draw = Callable[..., None]
"""Takes a text and, of the bar, what is done and its total; ``key`` tells bars apart."""


@contextmanager
def _drawing(*columns: str, quiet: bool) -> Iterator[tuple[Draw, float]]:
    """Yield a function that draws a bar for each key on a terminal, a line off it, or nothing; and seconds between two.

    Parameters
    ----------
    columns
        What stands beside a bar, besides the time left: names of classes of ``rich.progress``.
    """
    if quiet:
        yield lambda text, done, total, key="": None, math.inf
        return
    if not sys.stderr.isatty():
        yield _line, LINE_SECONDS
        return
    from rich import progress as kinds
    from rich.console import Console

    beside = [getattr(kinds, name)() for name in ("BarColumn", *columns, "TimeRemainingColumn")]
    text = kinds.TextColumn("{task.description}")
    with kinds.Progress(text, *beside, console=Console(stderr=True), transient=True) as bar:
        tasks: dict[str, Any] = {}

        def draw(text: str, done: int, total: int | None, key: str = "") -> None:
            if key not in tasks:
                tasks[key] = bar.add_task(text, total=total)
            bar.update(tasks[key], completed=done, total=total, description=text)

        yield draw, BAR_SECONDS


def _line(text: str, done: int, total: int | None, key: str = "") -> None:
    print(text, file=sys.stderr)


def _time_left(seconds: float) -> str:
    return f"about {seconds / 60:.0f} min left"


@contextmanager
def progress(what: str, total: int, *, quiet: bool = False) -> Iterator[Callable[[str], None]]:
    """Yield a function to call with the name of each finished piece."""
    start = last = time.monotonic()
    done = 0

    def advance(name: str) -> None:
        nonlocal last, done
        done += 1
        now = time.monotonic()
        if every == BAR_SECONDS:
            draw(f"{what}: {name}", done, total)
        elif now - last >= every and done < total:
            last = now
            left = _time_left((now - start) / done * (total - done))
            draw(f"{what}: {done} of {total} done, last {name}, {left}", done, total)

    with _drawing("MofNCompleteColumn", quiet=quiet) as (draw, every):
        if every == BAR_SECONDS:
            draw(what, 0, total)
        yield advance


@contextmanager
def transfer(what: str, *, quiet: bool = False) -> Iterator[Callable[[int, int | None], None]]:
    """Yield a function to call with the bytes that have come and, where known, how many there are."""
    with _drawing("DownloadColumn", "TransferSpeedColumn", quiet=quiet) as (draw, every):
        yield (lambda done, total: draw(what, done, total)) if draw is not _line else _transfer_lines(what, every)


def _transfer_lines(what: str, every: float) -> Callable[[int, int | None], None]:
    start = last = time.monotonic()
    first: int | None = None

    def advance(done: int, total: int | None) -> None:
        nonlocal last, first
        first = done if first is None else first
        now = time.monotonic()
        if now - last >= every:
            rate = (done - first) / (now - start)
            left = f" of {total / 1e6:,.0f}, {_time_left((total - done) / rate)}" if total and rate else ""
            print(f"{what}: {done / 1e6:,.0f} MB{left}, {rate / 1e6:.1f} MB/s", file=sys.stderr)
            last = now

    return advance


@contextmanager
def watch_images(*, quiet: bool = False) -> Iterator[Watch]:
    """Yield a function to call with what is going on, the images done and their number in all."""
    last = time.monotonic()
    # What was done before, in an earlier run, says nothing about the rate.
    begins: dict[str, tuple[float, int]] = {}

    def watch(what: str, n_done: int, n_total: int) -> None:
        nonlocal last
        now = time.monotonic()
        since, n_before = begins.setdefault(what, (now, n_done))
        shows_end = every == BAR_SECONDS and n_done == n_total
        if now - last < every and not shows_end:
            return
        last = now
        rate = (n_done - n_before) / (now - since) if now > since else 0.0
        left = f", {_time_left((n_total - n_done) / rate)}" if rate else ""
        draw(f"{what}: {n_done:,} of {n_total:,} images, {rate:,.0f}/s{left}", n_done, n_total, key=what)

    with _drawing("MofNCompleteColumn", quiet=quiet) as (draw, every):
        yield watch


@contextmanager
def watch_training(what: str, *, quiet: bool = False) -> Iterator[TrainingProgress]:
    """Yield a watcher of a training run."""
    with _drawing(quiet=quiet) as (draw, every):
        yield TrainingProgress(lambda text, step, n_steps: draw(f"{what}: {text}", step, n_steps), every=every)


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
