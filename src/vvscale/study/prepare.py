"""From what a person names to a study that can run: file or folder, graph, engine."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from vvscale.core.config import from_table, put
from vvscale.errors import DataError, InterruptedRunError, MissingDataError, StoppedError, shell_words
from vvscale.study.build import build_graph
from vvscale.study.estimate import rates_of
from vvscale.study.graph.folder import StudyFolder
from vvscale.study.graph.graph import Graph
from vvscale.study.spec.check import check_study
from vvscale.study.spec.resolve import Resolved, resolve
from vvscale.study.spec.schema import StudySpec, load_spec
from vvscale.study.spec.workers import EngineSpec
from vvscale.study.tasks.registry import TASKS

OUT = Path("out")


@dataclass(frozen=True)
class Prepared:
    """A study that can run.

    Attributes
    ----------
    folder
        Where it is or will be.
    graph
        All tasks.
    engine
        Where it runs.
    resolved
        Everything that its file names; None for one that was taken up from its folder.
    """

    folder: StudyFolder
    graph: Graph
    engine: EngineSpec
    resolved: Resolved | None

    @property
    def absent(self) -> list[str]:
        """What a run would lack here, in words."""
        return self.resolved.absent if self.resolved is not None else []

    def write(self) -> None:
        """Write specification and graph, so that workers can start.

        Raises
        ------
        MissingDataError
            Something that every run needs is absent here.
        """
        if self.resolved is None:
            return
        if self.resolved.absent:
            raise MissingDataError(
                f"The study '{self.resolved.spec.name}' cannot run here: {self.resolved.absent[0]} `vvscale study "
                "plan` works without it."
            )
        self.folder.write_plan(self.resolved.to_dict(), self.graph, source=Path(self.resolved.spec.source))

    @contextmanager
    def begun(self) -> Iterator[None]:
        """Write the plan, and keep other runs out meanwhile; before, refuse a folder with files that are of others."""
        if self.resolved is not None:
            self.folder.refuse_others_files(self.resolved.spec.name, self.graph, Path(self.resolved.spec.source))
        with self.folder.alone():
            self.write()
            yield


def folder_of(spec: StudySpec, out: Path | None) -> StudyFolder:
    """Return where a study is written."""
    return StudyFolder((out or OUT / spec.name).absolute())


def prepare_study(name: str | Path, *, out: Path | None = None, changes: Mapping[str, Any] | None = None) -> Prepared:
    """Read, resolve and lay out a study; nothing is written.

    Parameters
    ----------
    name
        A TOML file, or the name of a study.
    out
        Its folder; ``out/NAME`` by default.
    changes
        Dotted key -> value, in place of what the file says.
    """
    spec = load_spec(name, changes=changes)
    resolved = resolve(spec)
    check_study(resolved)
    graph = build_graph(resolved, rates_of(spec.engine))
    return Prepared(folder_of(spec, out), graph, spec.engine, resolved)


def locate_study(name: str | Path, *, out: Path | None = None) -> StudyFolder:
    """Return the folder of a study that was begun, by its folder, its file or its name.

    Raises
    ------
    MissingDataError
        It was never begun.
    """
    given = Path(name)
    # A folder; a study that was begun under this name, wherever its file lies; or a file or name.
    begun = [one for one in (given, OUT / given) if out is None and (one / "spec.json").exists()]
    folder = StudyFolder(begun[0].absolute()) if begun else folder_of(load_spec(name), out)
    folder.spec()
    return folder


def take_up(folder: StudyFolder, *, changes: Mapping[str, Any] | None = None) -> Prepared:
    """Return the study in a folder as it was planned; only the engine may change, by ``engine.KEY`` -> value."""
    # Plans of before had null where nothing was given.
    engine = {key: value for key, value in folder.spec()["engine"].items() if value is not None}
    for key, value in (changes or {}).items():
        put(engine, key.removeprefix("engine.").split("."), value)
    graph = folder.graph()
    older = [kind for kind, version in graph.versions.items() if TASKS[kind].version != version]
    if older:
        raise DataError(
            f"The study in '{folder.path}' was planned for other versions of {', '.join(older)}; this vvscale would "
            "compute something else under the same ids. `vvscale study run "
            f"{shell_words(folder.path / 'spec.toml', '--out', folder.path)}` plans it anew; what has not "
            "changed is kept."
        )
    return Prepared(folder, graph, from_table(EngineSpec, engine, "the engine"), None)


class Stop:
    """Whether a signal asked the run to stop, and which; see :func:`stop_on_signals`."""

    def __init__(self) -> None:
        self.number = 0

    def is_set(self) -> bool:
        """Return whether the run should stop."""
        return self.number != 0

    def error(self, message: str) -> StoppedError:
        """Return the error that says so: exit code 130 after Ctrl-C, 75 after what a scheduler sends."""
        return (InterruptedRunError if self.number == signal.SIGINT else StoppedError)(message)


@contextmanager
def stop_on_signals() -> Iterator[Stop]:
    """Yield what SIGTERM, SIGUSR1, SIGUSR2 and Ctrl-C set; a second Ctrl-C ends everything at once."""
    stop = Stop()

    def on_signal(number: int, frame: FrameType | None) -> None:
        if number == signal.SIGINT and stop.number == signal.SIGINT:
            raise KeyboardInterrupt
        stop.number = number

    numbers = (signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2, signal.SIGINT)
    before = {number: signal.signal(number, on_signal) for number in numbers}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
