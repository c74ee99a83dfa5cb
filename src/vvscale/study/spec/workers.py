"""``[engine]`` of a study's file: where tasks run, and what each worker has."""

from __future__ import annotations

import math
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from vvscale.core.files import safe_name
from vvscale.core.processes import available_cores
from vvscale.errors import ConfigError, UsageError
from vvscale.study.spec.axes import AxisValue, has_values

Scheduler = Literal["local", "slurm", "pbs", "lsf", "gridengine", "htcondor", "kubernetes"]
_LEAST = {
    "workers": 0, "per_job": 0, "gpus_per_task": 0, "per_gpu": 1, "nodes_per_task": 1, "cpus": 1, "time_minutes": 1,
    "grace_seconds": 1, "silence_seconds": 5,
}  # fmt: skip
# Sizes that suit one training of a small network on a shared cluster.
_DEFAULTS: dict[str, Any] = {
    "workers": 0, "per_job": 0, "gpus": (), "gpus_per_task": 0, "per_gpu": 1, "nodes_per_task": 1, "cpus": 1,
    "mem_gb": 8.0, "time_minutes": 240, "grace_seconds": 120, "setup": (), "directives": (), "volumes": (),
}  # fmt: skip
_CLUSTER_WORKERS = 16
_LOCAL_SILENCE, _CLUSTER_SILENCE = 20, 60
MAIN = "main"


@dataclass(frozen=True)
class Resources:
    """What workers have; a value that is not given is that of ``[engine]``, or the default.

    Attributes
    ----------
    workers
        How many work at once, at most; 0 for one per core, or ``per_gpu`` per GPU (on a cluster for 16).
    per_job
        Workers that share one job of a scheduler; 0 for one, or ``per_gpu`` where they share GPUs.
    gpus
        GPUs of this machine to use, by index or id; on a cluster see ``gpus_per_task``.
    gpus_per_task, nodes_per_task
        Size of one training; above 1 it runs under torchrun. No GPU and one node by default.
    per_gpu
        Workers that share one GPU; 1.
    cpus, mem_gb
        Cores and memory of one worker; 1 and 8.
    time_minutes, grace_seconds
        Time limit of a job, and how long before it a training saves its state; 240 and 120.
    partition, account, qos, constraint, gres
        As the scheduler knows them; ``partition`` is the queue of those that have queues, ``gres = "shard:2"`` takes a
        fraction of a GPU on SLURM.
    directives
        Further options of the scheduler as its own scripts write them, such as ``--exclude=node13``.
    setup
        Shell lines before a worker starts, such as ``module load cuda``.
    image, namespace, volumes
        Of Kubernetes: container image, namespace, and ``"claim:/path"`` of each persistent volume; the study's folder
        must lie on one.
    """

    workers: int | None = None
    per_job: int | None = None
    gpus: tuple[str, ...] | None = None
    gpus_per_task: int | None = None
    per_gpu: int | None = None
    nodes_per_task: int | None = None
    cpus: int | None = None
    mem_gb: float | None = None
    time_minutes: int | None = None
    grace_seconds: int | None = None
    partition: str | None = None
    account: str | None = None
    qos: str | None = None
    constraint: str | None = None
    gres: str | None = None
    directives: tuple[str, ...] | None = None
    setup: tuple[str, ...] | None = None
    image: str | None = None
    namespace: str | None = None
    volumes: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        for name, least in _LEAST.items():
            value = getattr(self, name, None)
            if value is not None and value < least:
                raise ConfigError(f"`{name}` is {value}; expected at least {least}.", key=name)
        if self.mem_gb is not None and self.mem_gb <= 0:
            raise ConfigError(f"`mem_gb` is {self.mem_gb}; expected more than 0.", key="mem_gb")
        for name, held in vars(self).items():
            for text in held if isinstance(held, tuple) else (held,):
                # A second line of a job script would be a command of its own, as those of `setup` are.
                if name != "setup" and isinstance(text, str) and not text.isprintable():
                    raise ConfigError(
                        f"`{name}` is {text!r}; expected one line of text, as it stands in a job script. Shell lines "
                        "go into `setup`.",
                        key=name,
                    )


@dataclass(frozen=True)
class GroupSpec(Resources):
    """Workers of their own for some tasks, ``[[engine.groups]]``; the first group that matches a task has it.

    Attributes
    ----------
    name
        For messages and job names.
    kinds
        Kinds of tasks.
    where
        Axes -> value, values or pattern of the run that a task belongs to; empty for all.
    """

    name: str = ""
    kinds: tuple[str, ...] = ("train",)
    where: Mapping[str, AxisValue] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__post_init__()
        # It stands in commands, and in names of jobs and of logs.
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", safe_name(self.name, "group")):
            raise ConfigError(
                f"A group of [engine] is named '{self.name}'; expected letters, digits, '.', '_' and '-'.", key="name"
            )
        if self.name == MAIN:
            raise ConfigError(f"A group of [engine] is named '{MAIN}', as all other workers are; name it otherwise.")


@dataclass(frozen=True)
class EngineSpec(Resources):
    """Where a study runs.

    Attributes
    ----------
    kind
        ``local`` processes, or the scheduler of a cluster.
    device
        What estimates assume: cpu, a100, h100, h200; by default cpu, or h100 with GPUs.
    address
        Name or address of the machine of the run as workers reach it; found by itself where it is not given.
    silence_seconds
        A job that was silent for so long is taken for lost, and its tasks are given to others; at least 5.
    groups
        Workers of their own for some tasks.
    """

    kind: Scheduler = "local"
    device: str | None = None
    address: str | None = None
    silence_seconds: int | None = None
    groups: tuple[GroupSpec, ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        names = [group.name for group in self.groups]
        if len(set(names)) < len(names):
            raise ConfigError(f"Two groups of [engine] have one name: {', '.join(sorted(names))}. Rename one.")
        for group in self.all_groups:
            if group.nodes > 1 and self.kind != "slurm":
                raise ConfigError(
                    f'`nodes_per_task` is {group.nodes} with kind = "{self.kind}"; one training runs over several '
                    "nodes only on slurm. Use 1, and gpus_per_task for the GPUs of one node."
                )
            if self.kind == "local" and len(group.gpus) < group.gpus_per_task:
                raise ConfigError(
                    f"A task is to have {group.gpus_per_task} GPUs and [engine] names {len(group.gpus)} in `gpus`. "
                    "Name more, or lower `gpus_per_task`."
                )
        if self.kind == "kubernetes" and not self.image:
            raise ConfigError('kind = "kubernetes" needs `image`, a container image with vvscale in it.')

    @property
    def silence(self) -> int:
        """Seconds of silence after which a job is lost; over a network a slow answer is no death."""
        return self.silence_seconds or (_LOCAL_SILENCE if self.kind == "local" else _CLUSTER_SILENCE)

    @property
    def all_groups(self) -> list[Group]:
        """The groups of workers; the last one, ``main``, has every task that no other has."""
        return [*(Group(spec, self) for spec in self.groups), Group(None, self)]


class Group:
    """Workers with the same resources, every value filled in.

    Parameters
    ----------
    spec
        The group; None for the one of all other tasks.
    engine
        What it takes its other values from.

    Attributes
    ----------
    n_workers, per_job, n_jobs
        Workers at once, workers in one job, and jobs at once; one job holds all workers of this machine.
    """

    def __init__(self, spec: GroupSpec | None, engine: EngineSpec) -> None:
        self._layers = (engine,) if spec is None else (spec, engine)
        self._spec = spec
        self.name = MAIN if spec is None else spec.name
        self.gpus: tuple[str, ...] = self.of("gpus")
        self.gpus_per_task: int = max(self.of("gpus_per_task"), 1 if self.gpus else 0)
        self.per_gpu: int = self.of("per_gpu")
        self.nodes: int = self.of("nodes_per_task")
        self.cpus: int = self.of("cpus")
        self.mem_gb: float = self.of("mem_gb")
        # A task of several GPUs has them alone.
        n_sharing = self.per_gpu if self.gpus_per_task == 1 else 1
        if engine.kind == "local":
            n_slots = n_sharing * (len(self.gpus) // self.gpus_per_task) if self.gpus else available_cores()
            self.n_workers = self.of("workers") or n_slots
            self.per_job, self.n_jobs = self.n_workers, 1
        else:
            self.n_workers = self.of("workers") or _CLUSTER_WORKERS
            self.per_job = self.of("per_job") or n_sharing
            self.n_jobs = math.ceil(self.n_workers / self.per_job)

    @property
    def has_gpu(self) -> bool:
        """Whether its workers have a GPU, or a part of one."""
        return self.gpus_per_task > 0 or (self.of("gres") or "").startswith(("gpu", "shard"))

    @property
    def gpus_per_job(self) -> int:
        """GPUs of one node of a job."""
        return self.gpus_per_task * math.ceil(self.per_job / (self.per_gpu if self.gpus_per_task == 1 else 1))

    def of(self, name: str) -> Any:
        """Return one value: the group's, else the engine's, else the default."""
        given = (getattr(layer, name) for layer in self._layers)
        return next((value for value in given if value is not None), _DEFAULTS.get(name))

    def takes(self, kind: str, run: Mapping[str, Any]) -> bool:
        """Return whether a task of a kind belongs to these workers; ``run``: axes -> values of its training run."""
        if self._spec is None:
            return True
        return kind in self._spec.kinds and has_values(run, self._spec.where)


def refuse_odd_path(engine: EngineSpec, path: Path) -> None:
    """Refuse a path that the job scripts of a scheduler, and its commands, would not take as it is.

    Raises
    ------
    UsageError
        It has blanks, quotes or other characters that mean something to a shell.
    """
    if engine.kind != "local" and shlex.quote(str(path)) != str(path):
        raise UsageError(
            f"The path '{path}' has characters that job scripts cannot hold. Choose a folder without blanks and quotes "
            "for `out`."
        )
