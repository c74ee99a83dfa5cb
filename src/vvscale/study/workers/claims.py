"""How one of many workers takes a task, and how another takes it over from the dead.

Claims of a task are numbered and never removed: ``claim.0``, ``claim.1``, ... The highest one says who has the task.
A worker may add the next number if the owner of the highest is over, or if what it finished is damaged, or if what
failed is to be tried again; adding is exclusive, so of several that try, one succeeds. Who looks at an old view of the
folder only fails to add. Before it records a result, a worker checks that its claim is still the highest.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any

from vvscale.core.files import make_folder

if TYPE_CHECKING:
    from vvscale.study.workers.folder import TaskFolder
    from vvscale.study.workers.liveness import Liveness, Worker

MAX_DEATHS = 3
"""A task during which this many workers in a row died without a word is failed: it probably kills them."""


class Outcome(Enum):
    """What came of the wish to have a task."""

    CLAIMED = "claimed"
    BUSY = "busy"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True)
class Attempt:
    """The answer to the wish to have a task.

    Attributes
    ----------
    outcome
        What came of it.
    generation
        Number of the highest claim.
    owner
        Who has it, if busy.
    record
        ``done.json`` or ``error.json``, if done or failed.
    damage
        What was wrong with an earlier result that is now to be replaced.
    deaths
        How many workers in a row died with this task, before this claim.
    """

    outcome: Outcome
    generation: int
    owner: str = ""
    record: dict[str, Any] | None = None
    damage: str = ""
    deaths: int = 0


def finished(folder: TaskFolder, generation: int) -> tuple[dict[str, Any] | None, str]:
    """Return the valid result of a claim, or None and what is wrong with the one that is there."""
    done = folder.done()
    if done is None:
        is_damaged = (folder.path / "done.json").exists()
        return None, "'done.json' cannot be read" if is_damaged else ""
    if done["claim"] != generation:
        return None, ""
    damage = folder.problem(done)
    return (None, damage) if damage else (done, "")


def try_claim(
    folder: TaskFolder, worker: Worker, liveness: Liveness, *, may_retry: int = -1, floor: int = -1
) -> Attempt:
    """Try to take a task.

    Parameters
    ----------
    folder
        The task's.
    worker, liveness
        Who asks, and who judges the owner.
    may_retry
        Number of the claim whose failure may be tried again, -1 for none.
    floor
        Highest claim that is known to be void, should the folder have been removed.
    """
    highest = folder.claims()
    deaths, damage = 0, ""
    if highest >= 0:
        # The owner first, then the result: an owner that is over when asked has written whatever it will write.
        owner = folder.owner(highest)
        is_over = owner == worker.id or liveness.state(owner, worker.now()) != "alive"
        done, damage = finished(folder, highest)
        if done is not None:
            return Attempt(Outcome.DONE, highest, record=done)
        error = folder.error()
        has_failed = error is not None and error["claim"] == highest
        if has_failed and may_retry != highest:
            return Attempt(Outcome.FAILED, highest, record=error)
        if not (has_failed or damage or is_over):
            return Attempt(Outcome.BUSY, highest, owner=owner)
        deaths = _deaths(folder, highest, worker, liveness)
    else:
        make_folder(folder.path)
    number = max(highest, floor) + 1
    if not folder.add_claim(number, worker.id):
        return Attempt(Outcome.BUSY, number, owner=folder.owner(number))
    return Attempt(Outcome.CLAIMED, number, damage=damage, deaths=deaths)


def _deaths(folder: TaskFolder, highest: int, worker: Worker, liveness: Liveness) -> int:
    """Count the claims, from the highest downwards, whose owner died without a word."""
    for number in range(highest, -1, -1):
        if liveness.state(folder.owner(number), worker.now()) != "dead":
            return highest - number
    return highest + 1
