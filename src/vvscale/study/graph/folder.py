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

import hashlib
import json
import os
import shutil
import socket
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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
from vvscale.core.inputs.plain import plain_file
from vvscale.core.jsonable import parse_json, seal_holds, sealed
from vvscale.errors import DataError, MissingDataError, StoppedError, UsageError
from vvscale.study.graph.graph import Graph, Task

_LOCK = "lock"
_SPEC = "spec.toml"
_RETRY_SECONDS = 0.2
_UNSEALED = {
    "id", "kind", "worker", "claim", "began", "seconds", "study", "code_version", "lacking", "result", "outputs",
}  # fmt: skip
# Longer than anybody takes to look who runs a study.
_GLANCE_SECONDS = 1.0


@dataclass(frozen=True)
class StudyFolder:
    """Where everything of a study lies.

    Attributes
    ----------
    path
        The folder itself.
    """

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

    def existing_tasks(self) -> Iterator[str]:
        """Yield the ids of all tasks that were ever begun."""
        for first in _entries(self.path / "tasks"):
            yield from _entries(self.path / "tasks" / first)

    @contextmanager
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
                    f"study status {self.path}`, or stop that process and run the same command again."
                )
            time.sleep(_RETRY_SECONDS / 10)

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
        self.refuse_others_files(spec, graph, source)
        # Written even if it is there: what lies there may be damaged.
        graph.write(self._graph_path(graph.digest))
        write_json(self.path / "spec.json", {**spec, "graph": graph.digest})
        if source is not None and source.is_file():
            write_with(self.path / _SPEC, lambda part: shutil.copyfile(source, part))

    def refuse_others_files(self, spec: Mapping[str, Any], graph: Graph, source: Path | None) -> None:
        """Refuse a folder in which this plan would write over, or remove, what is of somebody else."""
        before = _read_json(self.path / "spec.json", "name")
        if before is not None and "name" in spec and before["name"] != spec["name"]:
            raise UsageError(
                f"The folder '{self.path}' holds the study '{before['name']}', and this one is '{spec['name']}': its "
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
                f"'{self.path / str(spec.get('name', 'study'))}'."
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
                f"`vvscale study run '{self.path / 'spec.toml'}' --out '{self.path}'` writes it anew; what is "
                "finished is kept."
            ) from error

    def graph(self) -> Graph:
        """Return the current plan."""
        return Graph.read(self._graph_path(str(self.spec()["graph"])))

    def write_status(self, content: Mapping[str, Any]) -> None:
        """Write how far the study is; a power cut may lose it."""
        write_json(self.path / "status.json", content, durable=False)

    def status(self) -> dict[str, Any] | None:
        """Return what ``write_status`` wrote last; None if there is none."""
        return _read_json(self.path / "status.json", "graph")

    def publish(self, task: Task) -> list[Path]:
        """Copy what a finished task publishes to where people look; what is there already is left."""
        written, record = [], self._published()
        results = inside(self.path, "results")
        out = self.task(task.id).out
        for source, target in task.publish.items():
            taken = out if source == "." else inside(out, source)
            if not taken.exists():
                continue  # The task could not make it, and its notes say why.
            names = [f"{target}/{name}" for name in files_below(taken)] if taken.is_dir() else [target]
            # First the record: what an interrupted copy left is known by it.
            if not set(names) <= {name for name, task_id in record.items() if task_id == task.id}:
                record |= dict.fromkeys(names, task.id)
                write_json(self.path / "published.json", record)
            for name in names:
                made = inside(results, name)
                from_path = taken / name.removeprefix(f"{target}/") if taken.is_dir() else taken
                if not made.exists() or file_digest(made) != file_digest(from_path):
                    make_folder(made.parent)
                    write_with(made, lambda part, path=from_path: shutil.copyfile(path, part))
                    written.append(made)
        return written

    def retract(self, done: Collection[str]) -> list[Path]:
        """Remove published files of tasks that are not in ``done``: of other plans, and of what is to be done again."""
        record = self._published()
        stale = sorted(name for name, task_id in record.items() if task_id not in done)
        results = inside(self.path, "results")
        # Files are published and no folders: a record that names one was changed, and a folder may hold more.
        removed = [
            self.results / name for name in stale if not (results / name).is_dir() and remove_inside(results, name)
        ]
        if stale:
            kept = {name: task_id for name, task_id in record.items() if name not in stale}
            write_json(self.path / "published.json", kept)
            for parent in sorted({self.results / name for name in stale}, reverse=True):
                _remove_empty(parent.parent, self.results)
        return removed

    def _published(self) -> dict[str, str]:
        record = _read_json(self.path / "published.json", None) or {}
        return {str(name): str(task_id) for name, task_id in record.items()}

    def _graph_path(self, digest: str) -> Path:
        if not is_safe_name(digest):
            raise DataError(f"'{self.path / 'spec.json'}' names the plan {digest!r}; expected a digest. It is damaged.")
        return self.path / "graphs" / f"{digest[:20]}.jsonl"


@dataclass(frozen=True)
class TaskFolder:
    """Where one task lies."""

    path: Path

    @property
    def out(self) -> Path:
        """Its output."""
        return self.path / "out"

    @property
    def _tasks(self) -> Path:
        """The folder of all tasks; what is written or removed lies below it, by whatever links."""
        return self.path.parents[1]

    @contextmanager
    def held(self, stop: Callable[[], bool]) -> Iterator[None]:
        """Hold the task alone; wait while another process has it, such as a worker of a run that was killed."""
        inside(self._tasks, self.path)
        while True:
            with locked(self.path / _LOCK) as is_mine:
                if is_mine:
                    yield
                    return
            if stop():
                raise StoppedError("Stopped while another process had the task.")
            time.sleep(_RETRY_SECONDS)

    def is_held(self) -> bool:
        """Return whether a process has the task at this moment; nothing is made where none ever had."""
        path = self.path / _LOCK
        if not path.exists():
            return False
        with locked(path) as is_free:
            return not is_free

    def done(self) -> dict[str, Any] | None:
        """Return ``done.json``; None if it is absent or not what was written."""
        record = _read_json(self.path / "done.json", "outputs")
        if record is None or seal_holds(record):
            return record
        # Earlier versions wrote these names and no seal.
        return record if record.keys() <= _UNSEALED and "result" in record else None

    def write_done(self, content: Mapping[str, Any], *, durable: bool) -> None:
        """Record that the task is finished, with a digest of the record: its values go into notes and results."""
        self.write("done", sealed(content), durable=durable)

    def error(self) -> dict[str, Any] | None:
        """Return ``error.json``; None if it is absent or not whole."""
        return _read_json(self.path / "error.json", "message")

    def write(self, name: str, content: Mapping[str, Any], *, durable: bool = True) -> None:
        """Write one of the task's own files."""
        write_json(self.path / f"{name}.json", content, durable=durable)

    def write_error(self, task: Task, error: str, message: str, **more: Any) -> None:
        """Record that a task failed: the type of its error, what it says, and what else is known."""
        about = {"id": task.id, "kind": task.kind, "label": task.label, "type": error, "message": message}
        self.write("error", {**about, "traceback": "", **more})

    def discard(self) -> None:
        """Remove the result, so that the task begins anew; interrupted, what is left still counts as damaged."""
        for name in ("out", "done.json"):
            remove_inside(self._tasks, self.path / name)

    def forget_error(self) -> None:
        """Remove ``error.json``."""
        remove_inside(self._tasks, self.path / "error.json")

    def remove_scratch(self, patterns: tuple[str, ...]) -> None:
        """Remove files that only served to resume, and parts that a killed process left."""
        for pattern in (*patterns, "**/.*.part"):
            for path in list(self.out.glob(pattern)):
                remove_inside(self.out, path)

    def digests(self) -> dict[str, dict[str, Any]]:
        """Return every file of the output: size, modification time and SHA-256."""
        names = files_below(self.out)
        return {name: {**_stamp(self.out / name), "sha256": file_digest(self.out / name)} for name in names}

    def finished(self, *, rehash: bool = False) -> tuple[dict[str, Any] | None, str]:
        """Return the task's sound result, or None and what is wrong with the one that is there."""
        done = self.done()
        if done is None:
            return None, "'done.json' is not what was written" if (self.path / "done.json").exists() else ""
        damage = self._problem(done, rehash=rehash)
        return (None, damage) if damage else (done, "")

    def _problem(self, done: Mapping[str, Any], *, rehash: bool) -> str:
        """Say what is wrong with a finished task's output, or return an empty text.

        A file of unchanged size and modification time is taken as unchanged unless ``rehash`` is set; any other is
        read.
        """
        for name, recorded in done["outputs"].items():
            path = self.out / name
            try:
                stamp = _stamp(path)
            except OSError:
                return f"'{name}' is missing"
            if stamp["size"] != recorded["size"]:
                return f"'{name}' has {stamp['size']} bytes instead of {recorded['size']}"
            is_suspect = rehash or stamp["mtime_ns"] != recorded["mtime_ns"]
            if is_suspect and file_digest(path) != recorded["sha256"]:
                return f"the content of '{name}' has changed"
        return ""


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def files_below(folder: Path) -> list[str]:
    """Return all files below a folder, relative to it, in order."""
    found = []
    for at, _, names in os.walk(folder):
        found += [os.path.relpath(os.path.join(at, name), folder) for name in names]
    return sorted(found)


def _stamp(path: Path) -> dict[str, int]:
    stat = path.stat()
    return {"size": stat.st_size, "mtime_ns": stat.st_mtime_ns}


def _entries(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return []


def _read_json(path: Path, key: str | None) -> dict[str, Any] | None:
    """Return a JSON object that has a key; None for anything else."""
    try:
        content = parse_json(plain_file(path).read_bytes())
    except (OSError, ValueError, DataError):
        return None
    return content if isinstance(content, dict) and (key is None or key in content) else None


def _holder(path: Path) -> str:
    """Say who wrote a lock's file."""
    who = _read_json(path, "pid")
    if who is None:
        return "it has just begun"
    since = time.strftime("%Y-%m-%d %H:%M", time.localtime(float(who["since"])))
    return f"process {who['pid']} on {who['host']}, since {since}"


def _remove_empty(folder: Path, top: Path) -> None:
    """Remove a folder and its parents below ``top`` as far as they are empty."""
    while folder != top and top in folder.parents:
        try:
            folder.rmdir()
        except OSError:
            return
        folder = folder.parent
