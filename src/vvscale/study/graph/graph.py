"""Small tasks named by their content, and the graph of what needs what.

A task is a kind, its parameters and the tasks it needs. Its id is a hash of these and of the kind's version, so
that the same work has the same id wherever it is planned, and a change of anything reaches exactly the tasks that
depend on it. This module knows neither what the kinds do nor where they run.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vvscale.core.files import safe_name, write_bytes
from vvscale.core.inputs.plain import plain_file
from vvscale.core.jsonable import parse_json
from vvscale.errors import DataError, MissingDataError, UsageError, shell_words

FORMAT = "vvscale-graph-2"
ID_LENGTH = 20
# Values longer than this, such as a recipe, are written once per graph and named by their hash.
_LONGEST_INLINE = 200
_REFERENCE = "$sha256"

Inputs = Mapping[str, "str | tuple[str, ...]"]


def canonical(value: Any) -> str:
    """Return the one JSON text of a value: sorted keys, no blanks, every digit of a float, no NaN."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def sha256(text: str) -> str:
    """Return the SHA-256 of a text, hexadecimal."""
    return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Task:
    """One piece of work.

    Attributes
    ----------
    id
        Hash of all that changes the result.
    kind
        Name of a kind of task.
    label
        For people; not part of the id.
    params
        Plain JSON values.
    inputs
        Role -> id of the task in that role, or ids in order.
    seconds, flop, n_bytes
        Expected duration on one worker, compute, and bytes left on the disk; not part of the id.
    publish
        File or folder of the output -> its path in the study's ``results``; not part of the id.
    """

    id: str
    kind: str
    label: str
    params: Mapping[str, Any]
    inputs: Inputs = field(default_factory=dict)
    seconds: float = 0.0
    flop: float = 0.0
    n_bytes: float = 0.0
    publish: Mapping[str, str] = field(default_factory=dict)

    @property
    def needs(self) -> Iterator[str]:
        """Yield the ids of all inputs."""
        for one in self.inputs.values():
            if isinstance(one, str):
                yield one
            else:
                yield from one


class Graph:
    """Tasks in an order in which each comes after all that it needs; the same task added twice is one task.

    Parameters
    ----------
    versions
        Kind -> version of what it computes, which enters the ids.

    Examples
    --------
    >>> graph = Graph({"noop": "1"})
    >>> first = graph.add("noop", {"value": 1})
    >>> graph.add("noop", {"value": 1}, inputs={"of": first}) in graph.index
    True
    """

    def __init__(self, versions: Mapping[str, str]) -> None:
        self.tasks: list[Task] = []
        self.index: dict[str, int] = {}
        self._versions = versions
        # Long values of parameters by their digest; and the digest of each object, which is kept beside it, so that its
        # address stays its own.
        self._shared: dict[str, str] = {}
        self._digests: dict[int, tuple[Any, str | None]] = {}

    def add(
        self,
        kind: str,
        params: Mapping[str, Any],
        *,
        inputs: Inputs | None = None,
        label: str = "",
        seconds: float = 0.0,
        flop: float = 0.0,
        n_bytes: float = 0.0,
        publish: Mapping[str, str] | None = None,
    ) -> str:
        """Add a task whose inputs were added before, and return its id."""
        inputs = inputs or {}
        named = sha256(canonical([kind, self._versions[kind], self._compact(params), inputs]))[:ID_LENGTH]
        if named not in self.index:
            task = Task(named, kind, label or kind, params, inputs, seconds, flop, n_bytes, publish or {})
            if not all(needed in self.index for needed in task.needs):
                raise ValueError(f"the task '{task.label}' needs one that does not come before it")
            for path in (*task.publish, *task.publish.values()):
                for part in path.split("/") if path != "." else ():
                    safe_name(part, "published file")
            self.index[named] = len(self.tasks)
            self.tasks.append(task)
        return named

    def __len__(self) -> int:
        return len(self.tasks)

    def __getitem__(self, task_id: str) -> Task:
        return self.tasks[self.index[task_id]]

    @property
    def kinds(self) -> list[str]:
        """The kinds of tasks, in the order of their first task."""
        return list(dict.fromkeys(task.kind for task in self.tasks))

    @property
    def versions(self) -> dict[str, str]:
        """The versions of the kinds that it has, in the order of their names."""
        return {kind: self._versions[kind] for kind in sorted(self.kinds)}

    @property
    def digest(self) -> str:
        """Hash of all ids."""
        return sha256("".join(sorted(self.index)))

    def dependants(self) -> list[list[int]]:
        """Return, for each task, the positions of the tasks that need it."""
        after: list[list[int]] = [[] for _ in self.tasks]
        for number, task in enumerate(self.tasks):
            for needed in task.needs:
                after[self.index[needed]].append(number)
        return after

    def write(self, path: Path) -> None:
        """Write the graph as one JSON list a line: a header, shared values, tasks."""
        lines = []
        for t in self.tasks:
            params, cost = self._compact(t.params), (round(t.seconds, 3), t.flop, t.n_bytes)
            lines.append(canonical([t.id, t.kind, t.label, params, dict(t.inputs), *cost, dict(t.publish)]))
        head = [canonical([FORMAT, self.digest, len(self), len(self._shared), self.versions])]
        head += [f'["{digest}",{text}]' for digest, text in self._shared.items()]
        write_bytes(path, ("\n".join([*head, *lines]) + "\n").encode())
        # Of as many objects as there are tasks.
        self._digests.clear()

    @classmethod
    def read(cls, path: Path) -> Graph:
        """Read what ``write`` wrote; every id is computed anew from what the file says, and must be the one it names.

        Raises
        ------
        MissingDataError
            There is no such file.
        DataError
            It is damaged, was changed, or is of an earlier version.
        """
        try:
            lines = plain_file(path).read_text().splitlines()
            form, digest, n_tasks, n_shared, *more = parse_json(lines[0])
            if form != FORMAT and re.fullmatch(r"vvscale-graph-\d+", str(form)):
                raise DataError(
                    f"The plan '{path}' is of another version of vvscale: its format is '{form}', this one reads "
                    f"'{FORMAT}'. Next: `vvscale study run SPEC --out {shell_words(path.parents[1])}` plans the study "
                    "anew; what is finished and has not changed is kept."
                )
            if form != FORMAT:
                raise ValueError(f"its format is '{form}' and not '{FORMAT}'")
            shared = dict(parse_json(line) for line in lines[1 : 1 + n_shared])
            graph = cls(*more)
            # One text is parsed much faster than many.
            for fields in parse_json(f"[{','.join(lines[1 + n_shared :])}]"):
                graph._add_written(fields, shared)
            graph._digests.clear()
            if len(graph) != n_tasks or graph.digest != digest:
                raise ValueError("its tasks are not those that its first line announces")
        except FileNotFoundError:
            raise MissingDataError(
                f"There is no plan '{path}'. Expected the graph of a study; run `vvscale study run SPEC` first."
            ) from None
        except (OSError, ValueError, KeyError, IndexError, TypeError, AttributeError, UsageError) as error:
            raise DataError(
                f"The plan '{path}' is damaged: {str(error) or repr(error)}. Expected the file that `vvscale study "
                "run` wrote whole. Remove it and run the same command again; finished tasks are kept."
            ) from error
        return graph

    def _add_written(self, fields: list[Any], shared: Mapping[str, Any]) -> None:
        """Add a task as ``write`` wrote it; refuse one whose id is not that of its content."""
        task_id, kind, label, params, inputs, seconds, flop, n_bytes, publish = fields
        for key, value in params.items():
            if isinstance(value, dict) and _REFERENCE in value:
                params[key] = shared[value[_REFERENCE]]
        roles = {role: tuple(one) if isinstance(one, list) else one for role, one in inputs.items()}
        cost = {"seconds": seconds, "flop": flop, "n_bytes": n_bytes}
        if self.add(kind, params, inputs=roles, label=label, publish=publish, **cost) != task_id:
            raise ValueError(f"the task '{label}' is not what its id '{task_id}' says")

    def _compact(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Return parameters with long values replaced by their digests."""
        return {key: self._short(value) if isinstance(value, dict | list) else value for key, value in params.items()}

    def _short(self, value: Any) -> Any:
        if id(value) not in self._digests:
            text = canonical(value)
            digest = sha256(text) if len(text) > _LONGEST_INLINE else None
            if digest is not None:
                self._shared[digest] = text
            self._digests[id(value)] = (value, digest)
        digest = self._digests[id(value)][1]
        return value if digest is None else {_REFERENCE: digest}
