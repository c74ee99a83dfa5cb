"""What a study's folder holds: what is finished and sound, what is damaged, what failed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from vvscale.core.config import read_toml
from vvscale.errors import DataError, MissingDataError, shell_words
from vvscale.study.graph.folder import Found, StudyFolder
from vvscale.study.graph.graph import Graph, Task
from vvscale.study.graph.task_folder import files_below
from vvscale.study.prepare import OUT, Stop
from vvscale.study.spec.schema import named_specs
from vvscale.study.status import study_status


@dataclass(frozen=True)
class Survey:
    """What a study's folder held when a run began.

    Finished tasks are skipped; damaged ones are made again from nothing, partial ones are done again, and failed ones
    are tried again.
    """

    found: tuple[Found, ...]

    def labels(self, state: str, kind: str | None = None) -> list[str]:
        """Return the labels of tasks in a state, of one kind or all; tasks of several kinds may share one."""
        return [one.task.label for one in self.found if one.state == state and kind in (None, one.task.kind)]

    @property
    def done(self) -> set[str]:
        """The ids of the finished tasks."""
        return {one.task.id for one in self.found if one.state == "finished"}

    def words(self) -> list[str]:
        """Return sentences for people."""
        said = []
        for kind in dict.fromkeys(one.task.kind for one in self.found if one.state == "finished"):
            labels = self.labels("finished", kind)
            said.append(f"{kind}: {len(labels)} finished before, skipped ({some(labels)})")
        said += [
            f"made again: {one.task.label} ({one.task.kind}), {one.why}" for one in self.found if one.state == "damaged"
        ]
        if partial := self.labels("partial"):
            said.append(f"done again, as inputs were lacking: {len(partial)} ({some(partial)})")
        if failed := self.labels("failed"):
            said.append(f"tried again: {len(failed)} that failed ({some(failed)})")
        return said


def survey(folder: StudyFolder, graph: Graph, *, rehash: bool = False, stop: Stop | None = None) -> Survey:
    """Look into every task's folder; what is damaged is removed, so that it is made again from nothing.

    With ``rehash`` every output is read and compared with its digest, and not only those whose time or size changed.
    """
    found = []
    for one in folder.look(graph, check="digests" if rehash else "sizes"):
        if stop is not None and stop.is_set():
            raise stop.error(
                f"Stopped while looking at what is finished; no task was begun. `vvscale study resume "
                f"{shell_words(folder.path)}` resumes."
            )
        if one.state == "damaged":
            folder.task(one.task.id).discard()
        found.append(one)
    return Survey(tuple(found))


def finished_tasks(folder: StudyFolder, graph: Graph) -> list[Task]:
    """Return the finished tasks by their records alone; empty for a study that was never begun."""
    return [one.task for one in folder.look(graph) if one.state in ("finished", "partial")]


def hand_over(folder: StudyFolder) -> list[Path]:
    """Copy what is finished to the study's ``results`` and return all files there.

    Raises
    ------
    MissingDataError
        Nothing that people look at is finished.
    """
    folder.publish(finished_tasks(folder, folder.graph()))
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
