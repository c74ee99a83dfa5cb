"""One live line with rate and time left on a terminal; a line a minute otherwise."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def progress(what: str, total: int, *, quiet: bool = False) -> Iterator[Callable[[str], None]]:
    """Yield a function to call with the name of each finished piece."""
    if quiet:
        yield lambda name: None
    elif sys.stderr.isatty():
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task(what, total=total)

            def advance(name: str) -> None:
                bar.update(task, advance=1, description=f"{what}: {name}")

            yield advance
    else:
        yield _line_a_minute(what, total)


def _line_a_minute(what: str, total: int) -> Callable[[str], None]:
    start = last = time.monotonic()
    done = 0

    def advance(name: str) -> None:
        nonlocal last, done
        done += 1
        now = time.monotonic()
        if now - last >= 60 and done < total:
            left = (now - start) / done * (total - done)
            print(f"{what}: {done} of {total} done, last {name}, about {left / 60:.0f} min left", file=sys.stderr)
            last = now

    return advance


@contextmanager
def downloading(name: str, *, quiet: bool = False) -> Iterator[Callable[[int, int], None]]:
    """Yield a function to call with the bytes that are there and those there will be, 0 if unknown."""
    if quiet:
        yield lambda done, total: None
    elif sys.stderr.isatty():
        from rich.console import Console
        from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn
        from rich.progress import TransferSpeedColumn as SpeedColumn

        columns = (TextColumn(name), BarColumn(), DownloadColumn(), SpeedColumn(), TimeRemainingColumn())
        with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task(name, total=None)
            yield lambda done, total: bar.update(task, completed=done, total=total or None)
    else:
        yield _bytes_a_minute(name)


def _bytes_a_minute(name: str) -> Callable[[int, int], None]:
    start = last = time.monotonic()

    def advance(done: int, total: int) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= 60:
            rate = done / (now - start)
            left = f" of {total / 1e6:.0f} MB, about {(total - done) / rate / 60:.0f} min left" if total else " MB"
            print(f"{name}: {done / 1e6:.0f}{left}, {rate / 1e6:.1f} MB/s", file=sys.stderr)
            last = now

    return advance
