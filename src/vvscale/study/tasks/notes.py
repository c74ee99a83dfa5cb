"""What a study could not have, in words beside its results: never a reason to hold back the rest."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from vvscale.core.files import write_json
from vvscale.core.jsonable import parse_json
from vvscale.errors import DataError, FitError, UsageError

if TYPE_CHECKING:
    from vvscale.study.graph.kinds import TaskContext

NOTES = "notes.json"
NOT_TO_BE_HAD = (FitError, DataError, UsageError)
"""Errors that say that rows do not give what was asked of them; anything else is a failure of the task."""


def why(error: Exception) -> str:
    """Return the reason that an error gives; an error of the disk is none, and is raised again."""
    if isinstance(error.__cause__, OSError):
        raise error
    return str(error)


def write_notes(context: TaskContext, notes: Sequence[str]) -> dict[str, list[str]]:
    """Leave notes in a task's output, if there are any, and return them for its record."""
    if not notes:
        return {}
    write_json(context.out / NOTES, list(notes))
    return {"notes": list(notes)}


def read_notes(folder: Path) -> list[str]:
    """Return the notes in a task's output."""
    try:
        return [str(note) for note in parse_json((folder / NOTES).read_text(encoding="utf-8"))]
    except FileNotFoundError:
        return []
