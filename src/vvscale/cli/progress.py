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
def transfer(what: str, *, quiet: bool = False) -> Iterator[Callable[[int, int | None], None]]:
    """Yield a function to call with the bytes that have come and, where known, how many there are."""
    if quiet:
        yield lambda done, total: None
    elif sys.stderr.isatty():
        from rich.console import Console
        from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn
        from rich.progress import TransferSpeedColumn as SpeedColumn

        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            DownloadColumn(),
            SpeedColumn(),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task(what, total=None)
            yield lambda done, total: bar.update(task, completed=done, total=total)
    else:
        yield _transfer_line_a_minute(what)


def _transfer_line_a_minute(what: str) -> Callable[[int, int | None], None]:
    start = last = time.monotonic()
    first: int | None = None

    def advance(done: int, total: int | None) -> None:
        nonlocal last, first
        first = done if first is None else first
        now = time.monotonic()
        if now - last >= 60:
            rate = (done - first) / (now - start)
            left = f" of {total / 1e6:,.0f}, about {(total - done) / rate / 60:.0f} min left" if total and rate else ""
            print(f"{what}: {done / 1e6:,.0f} MB{left}, {rate / 1e6:.1f} MB/s", file=sys.stderr)
            last = now

    return advance
