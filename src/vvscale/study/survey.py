"""What a study's folder holds: what is finished and sound, what is damaged, what failed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from vvscale.core.config import read_toml
from vvscale.errors import DataError, MissingDataError, shell_words
from vvscale.study.graph.folder import StudyFolder
from vvscale.study.graph.graph import Graph
from vvscale.study.graph.task_folder import files_below
from vvscale.study.prepare import OUT, Stop
from vvscale.study.spec.schema import named_specs
from vvscale.study.status import study_status


class Damaged(NamedTuple):
    """A finished task whose result is not what was written. Tasks of several kinds may share a label."""

    kind: str
    label: str
    what: str


@dataclass
class Survey:
    """What a study's folder holds already.

    Attributes
    ----------
    finished
        Labels of tasks that are done and sound, by kind; they are skipped.
    damaged
        Tasks with what is wrong with their result; they are made again, from nothing.
    partial
        Labels of tasks that were done with less than all their inputs; they are done again.
    retried
        Labels of tasks that failed before and are tried again.
    done
        Ids of the finished tasks.
    """

    finished: dict[str, list[str]] = field(default_factory=dict)
    damaged: list[Damaged] = field(default_factory=list)
    partial: list[str] = field(default_factory=list)
    retried: list[str] = field(default_factory=list)
    done: set[str] = field(default_factory=set)

    def words(self) -> list[str]:
        """Return sentences for people."""
        said = [
            f"{kind}: {len(labels)} finished before, skipped ({some(labels)})" for kind, labels in self.finished.items()
        ]
        said += [f"made again: {one.label} ({one.kind}), {one.what}" for one in self.damaged]
        if self.partial:
            said.append(f"done again, as inputs were lacking: {len(self.partial)} ({some(self.partial)})")
        if self.retried:
            said.append(f"tried again: {len(self.retried)} that failed ({some(self.retried)})")
        return said


def survey(folder: StudyFolder, graph: Graph, *, rehash: bool = False, stop: Stop | None = None) -> Survey:
    """Look into every task's folder; what is damaged is removed, so that it is made again from nothing.

    With ``rehash`` every output is read and compared with its digest, and not only those whose time or size changed.
    """
    found = Survey()
    existing = set(folder.existing_tasks())
    for task in graph.tasks:
        if task.id not in existing:
            continue
        if stop is not None and stop.is_set():
            raise stop.error(
                f"Stopped while looking at what is finished; no task was begun. `vvscale study resume "
                f"{shell_words(folder.path)}` resumes."
            )
        here = folder.task(task.id)
        done, damage = here.finished(rehash=rehash)
        if damage:
            here.discard()
            found.damaged.append(Damaged(task.kind, task.label, damage))
        elif done is not None and done.get("lacking"):
            found.partial.append(task.label)
        elif done is not None:
            found.finished.setdefault(task.kind, []).append(task.label)
            found.done.add(task.id)
        elif here.error() is not None:
            found.retried.append(task.label)
    return found


def finished_tasks(folder: StudyFolder, graph: Graph) -> list[str]:
    """Return the ids of finished tasks by their records alone; empty for a study that was never begun."""
    existing = set(folder.existing_tasks())
    return [task.id for task in graph.tasks if task.id in existing and folder.task(task.id).done() is not None]


def hand_over(folder: StudyFolder) -> list[Path]:
    """Copy what is finished to the study's ``results`` and return all files there.

    Raises
    ------
    MissingDataError
        Nothing that people look at is finished.
    """
    graph = folder.graph()
    for task_id in finished_tasks(folder, graph):
        folder.publish(graph[task_id])
    results = results_of(folder)
    if not results:
        named = shell_words(folder.path)
        raise MissingDataError(
            f"The study in '{folder.path}' has no result yet. Expected at least the score table. `vvscale study status "
            f"{named}` says how far it is, `vvscale study resume {named}` resumes it."
        )
    return results


def list_studies() -> list[dict[str, str]]:
    """Return the studies that can be given by name: those with a file, and those begun in ``out``, with their state."""
    begun = {path.parent.name: path.parent for path in sorted(OUT.glob("*/spec.json"))}
    files = named_specs()
    rows = []
    for name in sorted({*files, *begun}):
        spec = read_toml(files[name]) if name in files else {}
        folder = StudyFolder(begun[name].absolute()) if name in begun else None
        try:
            state = "" if folder is None else study_status(folder).words()
        except DataError as error:
            state = str(error)
        summary = str(spec.get("summary", ""))
        rows.append(
            {"study": name, "summary": summary, "begun": "" if folder is None else str(begun[name]), "state": state}
        )
    return rows


def results_of(folder: StudyFolder) -> list[Path]:
    """Return all files in a study's ``results``."""
    return [folder.results / name for name in files_below(folder.results)]


def some(labels: Sequence[str]) -> str:
    """Return the first few of many names.

    Examples
    --------
    >>> some(["a", "b", "c", "d"])
    'a, b, c, ...'
    """
    return (", ".join(labels[:3]) + (", ..." if len(labels) > 3 else "")) or "none"
