"""Progress of a study: one live line per stage on a terminal, one line a minute otherwise."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vvscale.study.status import StageStatus, StudyStatus

_LINE_SECONDS = 60.0


@contextmanager
def stages(*, quiet: bool = False) -> Iterator[Callable[[StudyStatus], None]]:
    """Yield a function to call with how far a study is and how its workers are."""
    if quiet:
        yield lambda status: None
    elif sys.stderr.isatty():
        from rich.console import Console
        from rich.live import Live

        with Live(console=Console(stderr=True), refresh_per_second=4, transient=True) as live:
            yield lambda status: live.update(_drawn(status))
    else:
        yield _line_a_minute()


def status_lines(status: StudyStatus) -> list[str]:
    """Return one aligned line per stage for people; no table library is loaded, so that the answer is quick."""
    names = ("tasks", "done", "running", "waiting", "failed", "blocked", "rate", "left")
    rows: list[tuple[str, ...]] = [("stage", *names)]
    for stage in status.stages:
        numbers = (stage.n, stage.done, stage.running, stage.waiting, stage.failed, stage.blocked)
        left = duration(stage.seconds_left) if stage.done < stage.n else ""
        rows.append((stage.kind, *map(str, numbers), rate(stage.per_second), left))
    # As wide as the cells need, so that a line fits into 80 columns.
    first, *others = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        (
            row[0].ljust(first) + "".join(cell.rjust(width + 2) for cell, width in zip(row[1:], others, strict=True))
        ).rstrip()
        for row in rows
    ]


def duration(seconds: float | None) -> str:
    """Return a duration as people say it; unknown is a dash.

    Examples
    --------
    >>> duration(7260)
    '2 h 1 min'
    """
    if seconds is None:
        return "-"
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours < 48 else f"{hours / 24:.1f} days"


def rate(per_second: float | None) -> str:
    """Return a rate in the unit that gives it digits."""
    if per_second is None:
        return ""
    if per_second >= 1:
        return f"{per_second:.0f}/s"
    return f"{per_second * 60:.1f}/min" if per_second * 60 >= 1 else f"{per_second * 3600:.1f}/h"


def _drawn(status: StudyStatus) -> Any:
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    drawn = Table.grid(padding=(0, 1))
    for stage in status.stages:
        failed = Text(f"{stage.failed} failed", style="red") if stage.failed else Text("")
        cells = (Text(stage.title), ProgressBar(stage.n, stage.done, width=24), Text(f"{stage.done}/{stage.n}"))
        drawn.add_row(*cells, Text(rate(stage.per_second)), Text(_left(stage)), failed)
    drawn.add_row(Text(status.engine, style="dim"))
    for failure in status.failures[-2:]:
        drawn.add_row(Text("failed", style="red"), Text(f"{failure.label}: {failure.message}"[:100]))
    return drawn


def _left(stage: StageStatus) -> str:
    return f"{duration(stage.seconds_left)} left" if stage.done < stage.n and stage.seconds_left else ""


def _line_a_minute() -> Callable[[StudyStatus], None]:
    last = time.monotonic()
    told: set[str] = set()

    def look(status: StudyStatus) -> None:
        nonlocal last
        for failure in status.failures:
            if failure.task_id not in told:
                told.add(failure.task_id)
                print(f"failed: {failure.label}: {failure.message}", file=sys.stderr)
        if time.monotonic() - last < _LINE_SECONDS:
            return
        last = time.monotonic()
        at_work = [stage for stage in status.stages if stage.running or 0 < stage.done < stage.n]
        parts = [f"{one.title} {one.done}/{one.n} {rate(one.per_second)} {_left(one)}".strip() for one in at_work]
        print(f"{status.words()}; {'; '.join(parts) or 'waiting'}; {status.engine}", file=sys.stderr, flush=True)

    return look
