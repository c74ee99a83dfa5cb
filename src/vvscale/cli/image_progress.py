"""How reading many images says where it is: a bar with rate and time left, or a line a minute off a terminal."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Watch = Callable[[str, int, int], None]


@contextmanager
def watch_images(*, quiet: bool = False) -> Iterator[Watch]:
    """Yield a function to call with what is going on, the images done and their number in all."""
    if quiet:
        yield lambda what, n_done, n_total: None
    elif sys.stderr.isatty():
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
            tasks = {}

            def draw(text: str, what: str, n_done: int, n_total: int) -> None:
                if what not in tasks:
                    tasks[what] = bar.add_task(what, total=n_total)
                bar.update(tasks[what], completed=n_done, description=text)

            yield _paced(draw, every=0.2, shows_end=True)
    else:

        def line(text: str, what: str, n_done: int, n_total: int) -> None:
            print(text, file=sys.stderr)

        yield _paced(line, every=60.0, shows_end=False)


def _paced(show: Callable[[str, str, int, int], None], *, every: float, shows_end: bool) -> Watch:
    last = time.monotonic()
    # What was done before, in an earlier run, says nothing about the rate.
    begins: dict[str, tuple[float, int]] = {}

    def watch(what: str, n_done: int, n_total: int) -> None:
        nonlocal last
        now = time.monotonic()
        since, n_before = begins.setdefault(what, (now, n_done))
        if now - last < every and not (shows_end and n_done == n_total):
            return
        last = now
        rate = (n_done - n_before) / (now - since) if now > since else 0.0
        left = f", about {(n_total - n_done) / rate / 60:.0f} min left" if rate else ""
        show(f"{what}: {n_done:,} of {n_total:,} images, {rate:,.0f}/s{left}", what, n_done, n_total)

    return watch
