"""The folder of one study, and what each file in it means.

    spec.toml, spec.json          the specification as given, and resolved with its digest
    graphs/DIGEST.jsonl           all tasks of a plan
    tasks/AB/ID/                  one task
        task.json                 what it is
        claim.0, claim.1, ...     who has it: links to a worker's file; the highest number counts
        out/                      its output, and while it runs what it needs to go on
        done.json                 it is finished: every output with size and SHA-256
        error.json                it failed: message and traceback
    workers/ID.json, ID.ended     who works here, with a heartbeat; who is over
    events/ID.jsonl               what happened
    logs/                         what the workers and their libraries printed
    results/                      the table, fits, figures and report, copied here when done

Only this module knows these names.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vvscale.core.files import inside, make_folder, remove_inside, write_json, write_with
from vvscale.errors import DataError, MissingDataError
from vvscale.study.graph.graph import Graph, Task

_CLAIM = "claim."


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
    def workers(self) -> Path:
        """Files of the workers."""
        return self.path / "workers"

    @property
    def events(self) -> Path:
        """Journals."""
        return self.path / "events"

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
        """Yield the ids of all tasks that anybody ever began."""
        for first in _entries(self.path / "tasks"):
            yield from _entries(self.path / "tasks" / first)

    def write_plan(self, spec: Mapping[str, Any], graph: Graph) -> None:
        """Write the resolved specification and the graph, and make this plan the current one."""
        digest = graph.digest
        if not self._graph_path(digest).exists():
            graph.write(self._graph_path(digest))
        write_json(self.path / "spec.json", {**spec, "graph": digest})

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
            return json.loads(path.read_text())
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
        return Graph.read(self._graph_path(self.spec()["graph"]))

    def publish(self, task: Task) -> list[Path]:
        """Copy what a finished task publishes to where people look; what is there already is left."""
        written = []
        out = self.task(task.id).out
        for source, target in task.publish.items():
            taken = out if source == "." else inside(out, source)
            written += _copy_new(taken, self.results, target)
        return written

    def retract(self, graph: Graph, done: Collection[str]) -> list[Path]:
        """Remove results that are not those of this plan: of other plans, and of tasks that are to be done again.

        Only what tasks of this folder may have published is touched.

        Parameters
        ----------
        graph
            The current plan.
        done
            Its finished tasks.
        """
        targets = {target: task.id for task in graph.tasks for target in task.publish.values()}
        stale = {target for target, task in targets.items() if task not in done}
        current = self._graph_path(self.spec()["graph"])
        for path in sorted((self.path / "graphs").glob("*.jsonl")):
            try:
                older = graph if path == current else Graph.read(path)
            except DataError:
                # Of an earlier version, or changed: nothing is removed on its word.
                continue
            stale |= {target for task in older.tasks for target in task.publish.values() if target not in targets}
        return [self.results / target for target in sorted(stale) if remove_inside(self.results, target)]

    def _graph_path(self, digest: str) -> Path:
        return self.path / "graphs" / f"{digest[:20]}.jsonl"


@dataclass(frozen=True)
class TaskFolder:
    """Where one task lies."""

    path: Path

    @property
    def out(self) -> Path:
        """Its output."""
        return self.path / "out"

    def claims(self) -> int:
        """Return the number of the highest claim, -1 if nobody ever had it."""
        return max((_generation(name) for name in _entries(self.path)), default=-1)

    def owner(self, generation: int) -> str:
        """Return the worker that holds a claim."""
        return Path(os.readlink(self.path / f"{_CLAIM}{generation}")).stem

    def add_claim(self, generation: int, worker: str) -> bool:
        """Take a claim that nobody took before; False if another was faster.

        A symbolic link appears with its content or not at all, and for one of several only, on local and network
        file systems alike. It is never removed, so that a stale view of the folder cannot hand it out twice.
        """
        link = self.path / f"{_CLAIM}{generation}"
        try:
            os.symlink(f"../../../workers/{worker}.json", link)
        except FileExistsError:
            # The answer to a request that was repeated on the network: it may have been ours.
            return Path(os.readlink(link)).stem == worker
        return True

    def done(self) -> dict[str, Any] | None:
        """Return ``done.json``; None if it is absent or not whole."""
        return _read_json(self.path / "done.json")

    def error(self) -> dict[str, Any] | None:
        """Return ``error.json``; None if it is absent or not whole."""
        return _read_json(self.path / "error.json")

    def write(self, name: str, content: Mapping[str, Any], *, durable: bool = True) -> None:
        """Write one of the task's own files."""
        write_json(self.path / f"{name}.json", content, durable=durable)

    def remove_scratch(self, patterns: tuple[str, ...]) -> None:
        """Remove files that only served to go on, and parts that a killed process left."""
        for pattern in (*patterns, "**/.*.part"):
            for path in self.out.glob(pattern):
                remove_inside(self.out, path)

    def digests(self) -> dict[str, dict[str, Any]]:
        """Return every file of the output: size, modification time and SHA-256."""
        return {name: {**_stamp(self.out / name), "sha256": file_digest(self.out / name)} for name in _files(self.out)}

    def problem(self, done: Mapping[str, Any], *, rehash: bool = False) -> str:
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


def _stamp(path: Path) -> dict[str, int]:
    stat = path.stat()
    return {"size": stat.st_size, "mtime_ns": stat.st_mtime_ns}


def _generation(name: str) -> int:
    number = name.removeprefix(_CLAIM)
    return int(number) if number != name and number.isdigit() else -1


def _entries(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return []


def _files(folder: Path) -> list[str]:
    """Return all files below a folder, relative to it, in order."""
    found = []
    for at, _, names in os.walk(folder):
        found += [os.path.relpath(os.path.join(at, name), folder) for name in names]
    return sorted(found)


def _read_json(path: Path) -> dict[str, Any] | None:
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) and "claim" in content else None


def _copy_new(source: Path, results: Path, target: str) -> list[Path]:
    if source.is_dir():
        return [path for name in _files(source) for path in _copy_new(source / name, results, f"{target}/{name}")]
    path = inside(results, target)
    if path.exists() and file_digest(path) == file_digest(source):
        return []
    make_folder(path.parent)
    write_with(path, lambda part: shutil.copyfile(source, part))
    return [path]
