"""What every engine can do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from vvscale.study.workers.folder import StudyFolder


@dataclass(frozen=True)
class EngineState:
    """How the workers are.

    Attributes
    ----------
    n_alive
        Workers that run or wait for their turn.
    words
        In one line, for people.
    """

    n_alive: int
    words: str


class Engine(Protocol):
    """Starts workers on a planned study, and stops them."""

    def start(self, folder: StudyFolder, n_tasks: int) -> None:
        """Start workers.

        Parameters
        ----------
        folder
            The study.
        n_tasks
            Tasks that are left; more workers than that are never started.
        """
        ...

    def poll(self) -> EngineState:
        """Look after the workers, and say how they are.

        Raises
        ------
        VvscaleError
            The workers cannot go on; the message says why.
        """
        ...

    def stop(self) -> None:
        """Stop all workers in order, and return when they are gone or the scheduler knows."""
        ...
