"""The folder of one study, and what each file in it means.

    spec.toml, spec.json          the specification as given, and resolved with its digest
    graphs/DIGEST.jsonl           all tasks of a plan
    tasks/AB/ID/                  one task
        task.json                 what it is
        out/                      its output, and while it runs what it needs to resume
        done.json                 it is finished: every output with size and SHA-256
        error.json                it failed: message and traceback
        lock                      held by the process that works on it
    status.json                   how far the study is, written by its run
    published.json                which task each file of results came from
    lock                          held by the run
    logs/                         what the workers and the engine printed
    results/                      the table, fits, figures and report, copied here when done

Only this module knows these names, and every write and removal goes through it.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

from vvscale.core.files import (
    inside,
    is_safe_name,
    locked,
    make_folder,
    open_own,
    remove_inside,
    write_json,
    write_with,
)
from vvscale.core.hashing import hash_of
from vvscale.core.inputs.plain import plain_file
from vvscale.core.jsonable import parse_json, seal_holds, sealed
from vvscale.errors import DataError, MissingDataError, UsageError, shell_words
from vvscale.study.graph.graph import Graph, Task
from vvscale.study.graph.task_folder import TaskFolder, files_below, read_record

_LOCK = "lock"
_SPEC = "spec.toml"
_MOMENT_SECONDS = 0.02
# Longer than anybody takes to look who runs a study.
_GLANCE_SECONDS = 1.0


class Found(NamedTuple):
    """What lies in a task's folder.

    ``state``: ``finished``; ``partial``, made while inputs were lacking; ``damaged`` or ``failed``, ``why`` says how.
    """

    task: Task
    state: str
    why: str = ""


@dataclass(frozen=True)
class StudyFolder:
    """Where everything of a study lies."""

    path: Path

    @property
    def logs(self) -> Path:
        """What workers print."""
        return self.path / "logs"

    @property
    def results(self) -> Path:
        """What people look at."""
        return self.path / "results"

    def task(self, task_id: str) -> TaskFolder:
        """Return a task's folder; two levels, since folders of many thousand entries are slow on shared disks."""
        return TaskFolder(self.path / "tasks" / task_id[:2] / task_id)

    def look(self, graph: Graph, *, check: Literal["nothing", "sizes", "digests"] = "nothing") -> Iterator[Found]:
        """Yield what there is of each task that was ever begun.

        ``check``: outputs are not looked at; read where their size or time changed; or all of them are read.
        """
        begun = {one for first in _entries(self.path / "tasks") for one in _entries(self.path / "tasks" / first)}
        for task in graph.tasks:
            if task.id not in begun:
                continue
            here = self.task(task.id)
            done, damage = (here.done(), "") if check == "nothing" else here.finished(rehash=check == "digests")
            if damage:
                yield Found(task, "damaged", damage)
            elif done is not None:
                yield Found(task, "partial" if done.get("lacking") else "finished")
            elif (error := here.error()) is not None:
                yield Found(task, "failed", str(error["message"]).splitlines()[0])

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Keep other runs of this study out meanwhile; the system frees it however this process ends.

        Raises
        ------
        UsageError
            Another run has it.
        """
        path = self.path / _LOCK
        until = time.monotonic() + _GLANCE_SECONDS
        while True:
            with locked(path) as is_mine:
                if is_mine:
                    holder = {"host": socket.gethostname(), "pid": os.getpid(), "since": time.time()}
                    with open_own(path) as file:
                        file.truncate(0)
                        file.write(json.dumps(holder))
                    yield
                    return
            # Whoever asks who runs it has the lock for a moment too.
            if time.monotonic() > until:
                raise UsageError(
                    f"The study in '{self.path}' is run by another process ({_holder(path)}). Watch it with `vvscale "
                    f"study status {shell_words(self.path)}`, or stop that process and run the same command again."
                )
            time.sleep(_MOMENT_SECONDS)

    def runner(self) -> str | None:
        """Return who runs the study at this moment, in words, or None; None too where files have no locks."""
        path = self.path / _LOCK
        try:
            with locked(path) as is_free:
                return None if is_free else _holder(path)
        except (OSError, UsageError):
            return None

    def write_plan(self, spec: Mapping[str, Any], graph: Graph, *, source: Path | None = None) -> None:
        """Write specification, a copy of its ``source`` and graph, and make this plan the current one.

        Raises
        ------
        UsageError
            The folder holds another study, or others' files under the names of one.
        """
        self.refuse_others_files(spec["name"], graph, source)
        # Written even if it is there: what lies there may be damaged.
        graph.write(self._graph_path(graph.digest))
        write_json(self.path / "spec.json", {**spec, "graph": graph.digest})
        if source is not None and source.is_file():
            write_with(self.path / _SPEC, lambda part: shutil.copyfile(source, part))

    def refuse_others_files(self, name: str, graph: Graph, source: Path | None) -> None:
        """Refuse a folder in which this plan would write over, or remove, what is of somebody else."""
        before = read_record(self.path / "spec.json", "name")
        if before is not None and before["name"] != name:
            raise UsageError(
                f"The folder '{self.path}' holds the study '{before['name']}', and this one is '{name}': its "
                "results would be removed. Choose another `out`, or give the study that name."
            )
        if (self.path / "spec.json").exists() or (self.path / "published.json").exists():
            return
        copy = self.path / _SPEC
        is_own = source is not None and copy.exists() and source.exists() and copy.samefile(source)
        found = [copy] if copy.exists() and not is_own else []
        targets = [target for task in graph.tasks for target in task.publish.values()]
        found += [self.results / target for target in targets if (self.results / target).exists()]
        if found:
            raise UsageError(
                f"The folder '{self.path}' holds '{found[0].relative_to(self.path)}' and no 'spec.json', so it is not "
                f"the folder of a study, which would write over such files. Choose another `out`, such as "
                f"'{self.path / name}'."
            )

    def spec(self) -> dict[str, Any]:
        """Return the resolved specification of the current plan.

        Raises
        ------
        MissingDataError
            The folder holds no study.
        DataError
            Its file is damaged.
        """
        path = self.path / "spec.json"
        try:
            return parse_json(plain_file(path).read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise MissingDataError(
                f"There is no study in '{self.path}': '{path.name}' is absent. Expected a folder that `vvscale study "
                "run SPEC` made; run that first, or check the spelling."
            ) from None
        except (OSError, ValueError) as error:
            raise DataError(
                f"'{path}' is damaged: {error}. Expected the file that `vvscale study run` wrote whole. "
                f"`vvscale study run {shell_words(self.path / 'spec.toml', '--out', self.path)}` writes it anew; "
                "what is finished is kept."
            ) from error

    def graph(self) -> Graph:
        """Return the current plan."""
        return Graph.read(self._graph_path(str(self.spec()["graph"])))

    def write_status(self, content: Mapping[str, Any]) -> None:
        """Write how far the study is; a power cut may lose it."""
        write_json(self.path / "status.json", sealed(content), durable=False)

    def status(self) -> dict[str, Any] | None:
        """Return what ``write_status`` wrote last; None if there is none or it is not what was written."""
        record = read_record(self.path / "status.json", "graph")
        return record if record is not None and seal_holds(record) else None

    def publish(self, tasks: Iterable[Task]) -> None:
        """Copy what finished tasks publish to where people look; what is there already is left."""
        # A study has very many tasks that publish nothing.
        asked = [(task, source, target) for task in tasks for source, target in task.publish.items()]
        if not asked:
            return
        record, results = self._published(), inside(self.path, "results")
        for task, source, target in asked:
            out = self.task(task.id).out
            taken = out if source == "." else inside(out, source)
            if not taken.exists():
                continue  # The task could not make it, and its notes say why.
            files = {target: taken}
            if taken.is_dir():
                files = {f"{target}/{name}": taken / name for name in files_below(taken)}
            # First the record: what an interrupted copy left is known by it.
            if any(record.get(name) != task.id for name in files):
                record |= dict.fromkeys(files, task.id)
                write_json(self.path / "published.json", record)
            for name, file in files.items():
                made = inside(results, name)
                if not made.exists() or hash_of(made) != hash_of(file):
                    make_folder(made.parent)
                    write_with(made, lambda part, file=file: shutil.copyfile(file, part))

    def retract(self, done: Collection[str]) -> None:
        """Remove published files of tasks that are not in ``done``: of other plans, and of what is to be done again."""
        record = self._published()
        stale = sorted(name for name, task_id in record.items() if task_id not in done)
        results = inside(self.path, "results")
        # Files are published and no folders: a record that names one was changed, and a folder may hold more.
        for name in stale:
            if not (results / name).is_dir():
                remove_inside(results, name)
        if stale:
            kept = {name: task_id for name, task_id in record.items() if name not in stale}
            write_json(self.path / "published.json", kept)
            for parent in sorted({self.results / name for name in stale}, reverse=True):
                _remove_empty(parent.parent, self.results)

    def _published(self) -> dict[str, str]:
        record = read_record(self.path / "published.json", None) or {}
        return {str(name): str(task_id) for name, task_id in record.items()}

    def _graph_path(self, digest: str) -> Path:
        if not is_safe_name(digest):
            raise DataError(f"'{self.path / 'spec.json'}' names the plan {digest!r}; expected a digest. It is damaged.")
        return self.path / "graphs" / f"{digest[:20]}.jsonl"


def _entries(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return []


def _holder(path: Path) -> str:
    """Say who wrote a lock's file."""
    who = read_record(path, "pid")
    if who is None:
        return "it has just begun"
    try:
        since = time.strftime("%Y-%m-%d %H:%M", time.localtime(float(who["since"])))
        return f"process {who['pid']} on {who['host']}, since {since}"
    except (KeyError, TypeError, ValueError, OverflowError, OSError):
        return "which one its file no longer says"


def _remove_empty(folder: Path, top: Path) -> None:
    """Remove a folder and its parents below ``top`` as far as they are empty."""
    with contextlib.suppress(OSError):
        while top in folder.parents:
            folder.rmdir()
            folder = folder.parent
