"""From what a person names to a study that can run: file or folder, graph, engine."""

from __future__ import annotations

import dataclasses
import shutil
import signal
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from vvscale.core.config import from_table
from vvscale.core.files import write_with
from vvscale.errors import DataError, MissingDataError, unknown_name
from vvscale.study.build import build_graph
from vvscale.study.engines.base import Engine
from vvscale.study.engines.local import LocalEngine
from vvscale.study.graph.graph import Graph
from vvscale.study.graph.kinds import Rates
from vvscale.study.graph.rates import RATES
from vvscale.study.spec.check import check_spec
from vvscale.study.spec.resolve import Parts, Resolved, resolve
from vvscale.study.spec.schema import EngineSpec, StudySpec, load_spec
from vvscale.study.tasks.registry import TASKS
from vvscale.study.workers.folder import StudyFolder

OUT = Path("out")
_SLURM_WORKERS = 16


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

    @property
    def rates(self) -> Rates:
        """What estimates assume of one worker."""
        return rates_of(self.engine)

    @property
    def gpus_per_worker(self) -> float:
        """GPUs of one worker; a fraction where several share one."""
        return 0.0 if self.rates.device == "cpu" else _gpus_of_worker(self.engine)

    @property
    def n_workers(self) -> int:
        """How many workers would work at once."""
        if self.engine.kind == "slurm":
            return self.engine.workers or _SLURM_WORKERS
        return len(_local(self.engine).slots)

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
        self.folder.write_plan(self.resolved.to_dict(), self.graph)
        source = Path(self.resolved.spec.source)
        if source.is_file():
            write_with(self.folder.path / "spec.toml", lambda part: shutil.copyfile(source, part))


def rates_of(engine: EngineSpec) -> Rates:
    """Return the rates of one worker of an engine.

    Raises
    ------
    UnknownNameError
        The device has no rates.
    """
    has_gpu = bool(engine.gpus or engine.gpus_per_task or (engine.gres or "").startswith(("gpu", "shard")))
    device = engine.device or ("h100" if has_gpu else "cpu")
    if device not in RATES:
        raise unknown_name("device", device, RATES)
    rates = RATES[device]
    together = max(1, engine.gpus_per_task) * engine.nodes_per_task
    return dataclasses.replace(
        rates,
        flop_per_second=rates.flop_per_second * _gpus_of_worker(engine),
        # Feeding images is each process's own work; trainings that share a GPU do not share that.
        images_per_second=rates.images_per_second * together,
    )


def _gpus_of_worker(engine: EngineSpec) -> float:
    return max(1, engine.gpus_per_task) * engine.nodes_per_task / engine.per_gpu


def folder_of(spec: StudySpec, out: Path | None) -> StudyFolder:
    """Return where a study is written."""
    return StudyFolder((out or OUT / spec.name).absolute())


def prepare_study(
    name: str | Path,
    *,
    out: Path | None = None,
    changes: Mapping[str, Any] | None = None,
    parts: Parts | None = None,
) -> Prepared:
    """Read, resolve and lay out a study; nothing is written.

    Parameters
    ----------
    name
        A TOML file, or the name of a study.
    out
        Its folder; ``out/NAME`` by default.
    changes
        Dotted key -> value, in place of what the file says.
    parts
        What names are looked up with.
    """
    spec = load_spec(name, changes=changes)
    resolved = resolve(spec, parts=parts)
    if parts is None:
        check_spec(spec, resolved.runs)
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
    folder = StudyFolder(given.absolute()) if (given / "spec.json").exists() else folder_of(load_spec(name), out)
    folder.spec()
    return folder


def take_up(folder: StudyFolder, *, changes: Mapping[str, Any] | None = None) -> Prepared:
    """Return the study in a folder as it was planned; only the engine may change.

    Parameters
    ----------
    folder
        Of a study that was begun.
    changes
        ``engine.KEY`` -> value.
    """
    engine = dict(folder.spec()["engine"])
    for key, value in (changes or {}).items():
        engine[key.removeprefix("engine.")] = value
    graph = folder.graph()
    older = [kind for kind, version in graph.versions.items() if TASKS[kind].version != version]
    if older:
        raise DataError(
            f"The study in '{folder.path}' was planned for other versions of {', '.join(older)}; this vvscale would "
            f"compute something else under the same ids. `vvscale study run '{folder.path / 'spec.toml'}' --out "
            f"'{folder.path}'` plans it anew; what has not changed is kept."
        )
    return Prepared(folder, graph, from_table(EngineSpec, engine, "the engine"), None)


def make_engine(engine: EngineSpec) -> Engine:
    """Return what starts workers."""
    if engine.kind == "local":
        return _local(engine)
    from vvscale.study.engines.slurm import SlurmEngine

    return SlurmEngine(dataclasses.replace(engine, workers=engine.workers or _SLURM_WORKERS))


@contextmanager
def stop_on_signals() -> Iterator[threading.Event]:
    """Yield an event that SIGTERM, SIGUSR1 and SIGUSR2 set; Ctrl-C stays an exception."""
    stop = threading.Event()

    def on_signal(number: int, frame: FrameType | None) -> None:
        stop.set()

    numbers = (signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)
    before = {number: signal.signal(number, on_signal) for number in numbers}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _local(engine: EngineSpec) -> LocalEngine:
    return LocalEngine(
        n_workers=engine.workers,
        gpus=engine.gpus,
        per_gpu=engine.per_gpu,
        gpus_per_task=max(1, engine.gpus_per_task),
    )
