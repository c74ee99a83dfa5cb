"""What a kind of task is: how it runs, and what it is told.

A kind is registered by name in :data:`vvscale.study.tasks.registry.TASKS`; another package adds its own
under the entry-point group ``vvscale.task_kind``. This module must not import what the kinds run.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vvscale.errors import StoppedError


@dataclass(frozen=True)
class TaskContext:
    """All that a running task may know.

    Attributes
    ----------
    params
        Its parameters, plain JSON values.
    inputs
        Role -> folder of that input's output, or folders in order.
    out
        Its own folder; every file in it when it returns is its output. It may hold what an earlier, interrupted
        attempt left there.
    stop
        True once the task should save what it needs to resume, and raise ``StoppedError``.
    task_id
        Its id, the run_id of rows.
    study
        Name of the study that first asked for it, and digest of its resolved specification.
    datasets
        Name of a data set -> where it lies on this machine; not part of any id, its digest is.
    device
        ``"cpu"`` or ``"cuda"``.
    """

    params: Mapping[str, Any]
    inputs: Mapping[str, Path | tuple[Path, ...]]
    out: Path
    stop: Callable[[], bool] = field(default=lambda: False)
    task_id: str = ""
    study: Mapping[str, str] = field(default_factory=dict)
    datasets: Mapping[str, str] = field(default_factory=dict)
    device: str = "cpu"

    def input(self, role: str) -> Path:
        """Return the folder of the one input in a role."""
        folder = self.inputs[role]
        assert isinstance(folder, Path)
        return folder

    def input_list(self, role: str) -> tuple[Path, ...]:
        """Return the folders of all inputs in a role, in order."""
        folders = self.inputs.get(role, ())
        return (folders,) if isinstance(folders, Path) else folders

    def dataset(self, name: str) -> str:
        """Return where a data set lies on this machine; an embedded one has its name for a place."""
        return self.datasets.get(name, name)

    def check_stop(self) -> None:
        """Raise ``StoppedError`` if the task should stop; what it needs to resume must be on the disk already."""
        if self.stop():
            raise StoppedError("Stopped as asked; rerun to resume.")


@dataclass(frozen=True)
class Kind:
    """A kind of task.

    Attributes
    ----------
    run
        Does the work in ``context.out`` and returns a few plain values for ``done.json``, or None.
    title
        Its stage, one word in the present participle.
    version
        Of the meaning of its results; raising it redoes all tasks of the kind and what depends on them.
    can_spread
        Whether ``run`` shares the work when it runs in several ranks of torchrun at once.
    scratch
        Patterns of files in ``out`` that only serve to resume after an interruption; removed when done. A task without
        any has nothing to save when it is told to stop.
    may_lack
        Roles of inputs that may be absent because their tasks failed: the task then uses what there is, and is done
        again once nothing is lacking. Never all inputs at once.
    """

    run: Callable[[TaskContext], Mapping[str, Any] | None]
    title: str
    version: str = "1"
    can_spread: bool = False
    scratch: tuple[str, ...] = ()
    may_lack: tuple[str, ...] = ()
