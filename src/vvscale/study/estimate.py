"""A study before it runs: how long on so many workers, and which part of the machinery gives way first."""

from __future__ import annotations

import dataclasses
import heapq
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from vvscale.core.jsonable import Result
from vvscale.errors import unknown_name
from vvscale.study.graph.graph import Graph
from vvscale.study.graph.schedule import Schedule, State
from vvscale.study.spec.workers import EngineSpec, Group

if TYPE_CHECKING:
    import pandas as pd

Cost = dict[str, float]
"""What one task is expected to cost: ``seconds`` on one worker, ``flop``, ``n_bytes`` left on the disk."""

# Images of the five benchmarks that pass through a network to be scored.
_SCORED_IMAGES = 5000
# Recorded training images of a data set that is not here yet.
_RECORDED_IMAGES = 1000
_FLOAT = 4


@dataclass(frozen=True)
class Rates:
    """How fast a worker is, for estimates.

    Attributes
    ----------
    device
        Name of the device, or what the rates were set for.
    flop_per_second
        Sustained in training; multiply-add = 2 FLOP.
    images_per_second
        Most images that one process can feed or launch, however small the network.
    task_seconds
        Fixed cost of starting one training run on a warm worker.
    epoch_seconds
        Fixed cost of one epoch.
    score_seconds
        The metrics of one network on five benchmarks.
    source
        Where the numbers come from.
    """

    device: str
    flop_per_second: float
    images_per_second: float
    task_seconds: float = 0.0
    epoch_seconds: float = 0.0
    score_seconds: float = 1.0
    source: str = ""

    def training(self, run: Mapping[str, float]) -> Cost:
        """Return the cost of a training run; ``run`` as of :func:`vvscale.study.build.run_cost`."""
        fixed = self.task_seconds + self.epoch_seconds * run["n_epochs"]
        return self._cost(run["train_flop"], run["samples_seen"], fixed, run["n_params"] * _FLOAT * run["n_kept"])

    def tuning(self, network: Mapping[str, float], options: Mapping[str, Any]) -> Cost:
        """Return the cost of fine-tuning one network."""
        per_epoch = math.ceil(_RECORDED_IMAGES / options["neural_batch"])
        images = (options["updates"] or options["epochs"] * per_epoch) * (
            options["task_batch"] + options["neural_batch"]
        )
        flop = 3 * network["forward_flop"] * images
        return self._cost(flop, images, self.task_seconds, network["n_params"] * _FLOAT)

    def scoring(self, forward_flop: float) -> Cost:
        """Return the cost of scoring one network: one pass over the stimuli, and the metrics."""
        return self._cost(forward_flop * _SCORED_IMAGES, _SCORED_IMAGES, self.score_seconds, 20_000.0)

    def _cost(self, flop: float, images: float, fixed: float, n_bytes: float) -> Cost:
        seconds = max(flop / self.flop_per_second, images / self.images_per_second) + fixed
        return {"seconds": seconds, "flop": flop, "n_bytes": n_bytes}


_ALL = (
    Rates("cpu", 1.5e10, 12_000, task_seconds=0.3, score_seconds=1.5, source="one core, narrow networks, measured"),
    Rates(
        "a100", 5.9e13, 20_000, 4.0, 0.2, 10.0, "ResNet-18 in 88 epochs at 10,000 images/s (published), 19 % of peak"
    ),
    Rates("h100", 1.2e14, 40_000, 4.0, 0.1, 8.0, "estimate: the A100's x 1.85 (published ratio) with compiled kernels"),
    Rates("h200", 1.3e14, 40_000, 4.0, 0.1, 8.0, "estimate: as h100, memory-bound parts faster"),
)
RATES = MappingProxyType({rates.device: rates for rates in _ALL})
"""Device -> rates of one worker that has it for itself."""

# What one task leaves, counted in the code; and what a fit takes, measured on two cores (docs/scale.md says how).
_FILES_PER_TASK = 6
_FIT_SECONDS, _FIT_POINTS, _FIT_EXPONENT = 3.3, 1240, 0.76
# As long as people wait for a fit.
_PATIENCE_SECONDS = 600.0


@dataclass(frozen=True)
class SimulatedRun:
    """How long so many workers would take: ``seconds`` from start to end, and worked in all.

    ``longest_chain``: seconds that no number of workers can shorten.
    """

    n_workers: int
    seconds: float
    busy_seconds: float
    longest_chain: float

    @property
    def utilisation(self) -> float:
        """Part of the workers' time that is work, 0 to 1."""
        return self.busy_seconds / (self.n_workers * self.seconds) if self.seconds else 1.0


@dataclass(frozen=True)
class StudyPlan(Result):
    """What a study would cost.

    Attributes
    ----------
    stages
        Per kind of task: n, hours, longest_hours, flop, n_bytes.
    schedule
        The simulated run.
    limits
        ``part``, ``needed``, ``available``, ``unit`` and ``load``, needed / available; what breaks first at the head.
    device
        That the estimates are for, and where its rates come from.
    absent
        What a run would lack here.
    gpus_per_worker
        GPUs of one worker; a fraction where several share one, 0 without.
    """

    stages: tuple[dict[str, Any], ...]
    schedule: SimulatedRun
    limits: tuple[dict[str, Any], ...]
    device: str
    absent: tuple[str, ...] = ()
    gpus_per_worker: float = 0.0

    @property
    def worker_hours(self) -> float:
        """Hours of one worker."""
        return self.schedule.busy_seconds / 3600

    @property
    def gpu_hours(self) -> float:
        """Hours of one GPU."""
        return self.worker_hours * self.gpus_per_worker

    def table(self) -> pd.DataFrame:
        """Return one row per stage."""
        import pandas as pd

        return pd.DataFrame(list(self.stages))

    def to_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return {**asdict(self), "worker_hours": self.worker_hours, "gpu_hours": self.gpu_hours}


def rates_of(engine: EngineSpec) -> Rates:
    """Return the rates of one worker of an engine.

    Raises
    ------
    UnknownNameError
        The device has no rates.
    """
    main = engine.all_groups[-1]
    device = engine.device or ("h100" if main.has_gpu else "cpu")
    if device not in RATES:
        raise unknown_name("device", device, RATES)
    rates = RATES[device]
    return dataclasses.replace(
        rates,
        flop_per_second=rates.flop_per_second * _gpus_of_worker(main),
        # Feeding images is each process's own work; trainings that share a GPU do not share that.
        images_per_second=rates.images_per_second * max(1, main.gpus_per_task) * main.nodes_per_task,
    )


def _gpus_of_worker(group: Group) -> float:
    return max(1, group.gpus_per_task) * group.nodes_per_task / group.per_gpu


def simulate(graph: Graph, n_workers: int, *, done: Sequence[str] = ()) -> SimulatedRun:
    """Let workers take tasks as the engine does, with the expected durations; ``done``: ids of finished tasks.

    Examples
    --------
    >>> graph = Graph({"noop": "1"})
    >>> ids = [graph.add("noop", {"value": n}, seconds=10.0) for n in range(3)]
    >>> simulate(graph, 2).seconds
    20.0
    """
    tasks = Schedule(graph)
    for task_id in done:
        tasks.set(graph.index[task_id], State.DONE)
    now, busy, running = 0.0, 0.0, []
    while tasks.n_open:
        while len(running) < n_workers and (number := tasks.next()) is not None:
            tasks.set(number, State.RUNNING)
            seconds = graph.tasks[number].seconds
            busy += seconds
            heapq.heappush(running, (now + seconds, number))
        now, number = heapq.heappop(running)
        tasks.set(number, State.DONE)
    return SimulatedRun(n_workers, now, busy, _longest_chain(graph, set(done)))


def plan_study(
    graph: Graph, engine: EngineSpec, *, out: Path, absent: Sequence[str] = (), done: Sequence[str] = ()
) -> StudyPlan:
    """Work out what a study costs on an engine; ``done``: ids of finished tasks, which cost nothing more.

    ``out``: where it would be written, whose free space is looked up; ``absent``: what a run would lack here.
    """
    finished = set(done)
    stages = []
    for kind in graph.kinds:
        tasks = [task for task in graph.tasks if task.kind == kind and task.id not in finished]
        stages.append({
            "stage": kind,
            "n": len(tasks),
            "hours": sum(task.seconds for task in tasks) / 3600,
            "longest_hours": max((task.seconds for task in tasks), default=0.0) / 3600,
            "flop": sum(task.flop for task in tasks),
            "n_bytes": sum(task.n_bytes for task in tasks),
        })  # fmt: skip
    groups, rates = engine.all_groups, rates_of(engine)
    schedule = simulate(graph, sum(group.workers for group in groups), done=done)
    n_bytes = sum(stage["n_bytes"] for stage in stages)
    limits = _limits(graph, schedule, n_bytes, out)
    return StudyPlan(
        stages=tuple(stages),
        schedule=schedule,
        limits=limits,
        device=f"{rates.device} ({rates.source})",
        absent=tuple(absent),
        gpus_per_worker=0.0 if rates.device == "cpu" else _gpus_of_worker(groups[-1]),
    )


def _limits(graph: Graph, schedule: SimulatedRun, n_bytes: float, out: Path) -> tuple[dict[str, Any], ...]:
    n, n_models = len(graph), sum(task.kind == "train" for task in graph.tasks) or len(graph)
    at = out.absolute()
    while not at.exists():
        at = at.parent
    disk = os.statvfs(at)
    fit = _FIT_SECONDS * (n_models / _FIT_POINTS) ** _FIT_EXPONENT
    parts = (
        ("disk space", n_bytes, disk.f_bavail * disk.f_frsize, "bytes"),
        ("files", n * _FILES_PER_TASK, disk.f_favail or float("inf"), "files"),
        ("one law with 1000 resamples", fit, _PATIENCE_SECONDS, "seconds"),
        ("the longest chain", schedule.longest_chain, max(schedule.seconds, 1e-9), "seconds"),
    )
    found = [
        {
            "part": part,
            "needed": needed,
            "available": there,
            "unit": unit,
            "load": needed / there if there else math.inf,
        }
        for part, needed, there, unit in parts
    ]
    return tuple(sorted(found, key=lambda one: -one["load"]))


def _hours(hours: float) -> str:
    """Hours with two decimals; below a hundredth with two digits, so that a small study does not cost nothing."""
    return f"{hours:,.2f}" if hours >= 0.01 or hours == 0 else f"{hours:.1g}"


def plan_tables(plan: StudyPlan) -> list[tuple[str, pd.DataFrame]]:
    """Return the tables that people read: what each stage costs, and which part breaks first."""
    import pandas as pd

    stages = [
        {
            "stage": one["stage"],
            "tasks": one["n"],
            "hours": _hours(one["hours"]),
            "longest": _hours(one["longest_hours"]),
            "FLOP": f"{one['flop']:.3g}",
            "GB": f"{one['n_bytes'] / 1e9:,.3f}",
        }
        for one in plan.stages
    ]
    parts = [
        {
            **one,
            "needed": f"{one['needed']:,.4g}",
            "available": f"{one['available']:,.4g}",
            "load": f"{one['load']:.2%}",
        }
        for one in plan.limits
    ]
    return [("What it costs", pd.DataFrame(stages)), ("What breaks first (load above 100 %)", pd.DataFrame(parts))]


def _longest_chain(graph: Graph, done: set[str]) -> float:
    ends: dict[str, float] = {}
    for task in graph.tasks:
        before = max((ends[one] for one in task.needs), default=0.0)
        ends[task.id] = before + (0.0 if task.id in done else task.seconds)
    return max(ends.values(), default=0.0)
