"""What a run needs of an engine; tests give their own, which runs tasks in this process."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from vvscale.study.engine.worker import Answer, Request
from vvscale.study.spec.workers import Group


@dataclass(frozen=True)
class Ended:
    """A task that left the engine.

    Attributes
    ----------
    key
        As it was submitted.
    answer
        Its worker's; None if there is none.
    lost
        ``worker``: the process died with the task; ``job``: its whole job or machine was lost; else empty.
    """

    key: int
    answer: Answer | None
    lost: str = ""


class Workers(Protocol):
    """Groups of workers that take tasks.

    Attributes
    ----------
    groups
        Name -> workers with the same resources.
    """

    groups: dict[str, Group]

    def start(self, names: list[str]) -> None:
        """Start the workers of some groups."""
        ...

    def submit(self, key: int, request: Request, group: str, priority: int) -> None:
        """Hand over a task; lower priorities run first."""
        ...

    def take(self, seconds: float) -> list[Ended]:
        """Return the tasks that ended, waiting so long for the first."""
        ...

    def look_after(self) -> None:
        """Mend what can be mended; raise an error if workers cannot work."""
        ...

    def words(self) -> tuple[str, int]:
        """Return how the workers are in one line, and how many there are."""
        ...

    def stop(self, seconds: float, saving: Callable[[], object]) -> None:
        """Give tasks so long to save their state, then end all workers; ``saving`` is called if that takes long."""
        ...
