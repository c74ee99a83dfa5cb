"""Long work cut into parts that processes share and that an interruption does not lose.

A part's result is a JSON file under its final name or it is not there at all; the next run does what is missing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any, Protocol

from vvscale.core.files import write_json
from vvscale.core.jsonable import parse_json, seal_holds, sealed
from vvscale.core.processes import worker_pool
from vvscale.errors import RunError


class Part(Protocol):
    """A piece of work: picklable, named, and worth a number of images."""

    @property
    def name(self) -> str:
        """The part's file name, without suffix."""
        ...

    @property
    def n_images(self) -> int:
        """How many images it is about."""
        ...


# Below this number of images, starting processes costs more than they save.
IMAGES_FOR_A_POOL = 512

Progress = Callable[[str, int, int], None]
"""Called with what is going on, how many images are done, and how many there are."""


def counted(what: str, n_total: int, progress: Progress | None) -> Callable[[int], None]:
    """Return a function that is told of numbers of images and reports their sum."""
    n_done = 0

    def add(n: int) -> None:
        nonlocal n_done
        n_done += n
        if progress is not None:
            progress(what, n_done, n_total)

    return add


def run_parts(
    task: Callable[[Any], Any], parts: Sequence[Part], folder: Path, *, n_workers: int, heard: Callable[[int], None]
) -> list[Any]:
    """Run ``task`` on every part that has no result in ``folder`` yet and return all results, in order.

    Parameters
    ----------
    task
        A function of a module, part -> JSON value; runs in another process if there is enough to do.
    parts
        What to do.
    folder
        Where results are kept.
    n_workers
        Processes, of one thread each.
    heard
        Is told the number of images of each finished part, those of an earlier run included.

    Raises
    ------
    RunError
        A process died.
    """
    todo = []
    for part in parts:
        if _result(folder, part) is not None:
            heard(part.n_images)
        else:
            todo.append(part)
    if n_workers == 1 or not todo or sum(part.n_images for part in todo) < IMAGES_FOR_A_POOL:
        for part in todo:
            _run(task, part, folder)
            heard(part.n_images)
    else:
        _run_all(task, todo, folder, min(n_workers, len(todo)), heard)
    return [(_result(folder, part) or {})["result"] for part in parts]


def _run(task: Callable[[Any], Any], part: Part, folder: Path) -> None:
    write_json(folder / f"{part.name}.json", sealed({"result": task(part)}))


def _result(folder: Path, part: Part) -> dict[str, Any] | None:
    """Return what a part left, or None if it is not there or not sound: then it is done again."""
    try:
        record = parse_json((folder / f"{part.name}.json").read_bytes())
    except (OSError, ValueError):
        return None
    return record if isinstance(record, dict) and seal_holds(record) else None


def _run_all(
    task: Callable[[Any], Any], todo: Sequence[Part], folder: Path, n_workers: int, heard: Callable[[int], None]
) -> None:
    waiting = list(reversed(todo))
    running: dict[Future[None], Part] = {}
    try:
        with worker_pool(n_workers) as pool:
            while waiting or running:
                # A short queue, so that an error ends the work soon.
                while waiting and len(running) < 2 * n_workers:
                    part = waiting.pop()
                    running[pool.submit(_run, task, part, folder)] = part
                finished, _ = wait(running, return_when=FIRST_COMPLETED)
                for future in finished:
                    part = running.pop(future)
                    future.result()
                    heard(part.n_images)
    except BrokenProcessPool as error:
        raise RunError(
            "A worker process died, probably for lack of memory. What is finished is kept: run the same command "
            "again, with fewer `workers`."
        ) from error
