"""One task's folder: its record, its output with digests, and who works in it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vvscale.core.files import inside, locked, remove_inside, write_json
from vvscale.core.hashing import hash_of
from vvscale.core.inputs.plain import plain_file
from vvscale.core.jsonable import parse_json, seal_holds, sealed
from vvscale.errors import DataError, StoppedError
from vvscale.study.graph.graph import Task

_LOCK = "lock"
_RETRY_SECONDS = 0.2
# What records hold that were written before they had a digest of their own.
_UNSEALED = {
    "id", "kind", "worker", "claim", "began", "seconds", "study", "code_version", "lacking", "result", "outputs",
}  # fmt: skip


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
        record = read_record(self.path / "done.json", "outputs")
        if record is None or seal_holds(record):
            return record
        # Earlier versions wrote these names and no seal.
        return record if record.keys() <= _UNSEALED and "result" in record else None

    def write_done(self, content: Mapping[str, Any], *, durable: bool) -> None:
        """Record that the task is finished, with a digest of the record: its values go into notes and results."""
        self.write("done", sealed(content), durable=durable)

    def error(self) -> dict[str, Any] | None:
        """Return ``error.json``; None if it is absent or not whole, or says nothing."""
        record = read_record(self.path / "error.json", "message")
        is_told = record is not None and isinstance(record["message"], str) and bool(record["message"].strip())
        return record if is_told else None

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
        return {name: {**_stamp(self.out / name), "sha256": hash_of(self.out / name)} for name in names}

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
            if is_suspect and hash_of(path) != recorded["sha256"]:
                return f"the content of '{name}' has changed"
        return ""


def files_below(folder: Path) -> list[str]:
    """Return all files below a folder, relative to it, in order."""
    found = []
    for at, _, names in os.walk(folder):
        found += [os.path.relpath(os.path.join(at, name), folder) for name in names]
    return sorted(found)


def _stamp(path: Path) -> dict[str, int]:
    stat = path.stat()
    return {"size": stat.st_size, "mtime_ns": stat.st_mtime_ns}


def read_record(path: Path, key: str | None) -> dict[str, Any] | None:
    """Return a JSON object that has a key; None for anything else."""
    try:
        content = parse_json(plain_file(path).read_bytes())
    except (OSError, ValueError, DataError):
        return None
    return content if isinstance(content, dict) and (key is None or key in content) else None
