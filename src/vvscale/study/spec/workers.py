"""``[engine]`` of a study's file: where tasks run, and what each worker has."""

from __future__ import annotations

import dataclasses
import math
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from vvscale.core.config import from_table
from vvscale.core.files import safe_name
from vvscale.core.options import Options, option
from vvscale.core.processes import available_cores
from vvscale.errors import ConfigError, UsageError
from vvscale.study.spec.axes import AxisValue, has_values

Scheduler = Literal["local", "slurm", "pbs", "lsf", "gridengine", "htcondor", "kubernetes"]
_CLUSTER_WORKERS = 16
_LOCAL_SILENCE, _CLUSTER_SILENCE = 20, 60
_GRACE_SECONDS = 120
MAIN = "main"


@dataclass(frozen=True, kw_only=True)
class Resources(Options):
    """What workers have. Defaults suit one training of a small network on a shared cluster."""

    workers: int = option(
        0,
        "How many work at once, at most; 0 for one per core, or ``per_gpu`` per GPU (on a cluster for 16).",
        at_least=0,
    )
    per_job: int = option(
        0, "Workers that share one job of a scheduler; 0 for one, or ``per_gpu`` where they share GPUs.", at_least=0
    )
    gpus: tuple[str, ...] = option(
        (), "GPUs of this machine to use, by index or id; on a cluster see ``gpus_per_task``."
    )
    gpus_per_task: int = option(0, "GPUs of one training; above 1 it runs under torchrun.", at_least=0)
    per_gpu: int = option(1, "Workers that share one GPU.", at_least=1)
    nodes_per_task: int = option(1, "Nodes of one training; above 1 it runs under torchrun.", at_least=1)
    cpus: int = option(1, "Cores of one worker.", at_least=1)
    mem_gb: float = option(8.0, "Memory of one worker.", unit="GB", above=0)
    time_minutes: int = option(240, "Time limit of a job.", unit="minutes", at_least=1)
    grace_seconds: int | None = option(
        None,
        "How long before it a training saves its state, at most half of it; by default 120, or half of a short job.",
        unit="seconds",
        at_least=1,
    )
    partition: str | None = option(None, "As the scheduler knows it; the queue of those that have queues.")
    account: str | None = option(None, "As the scheduler knows it.")
    qos: str | None = option(None, "As the scheduler knows it.")
    constraint: str | None = option(None, "As the scheduler knows it.")
    gres: str | None = option(None, 'As SLURM knows it; ``"shard:2"`` takes a fraction of a GPU.')
    directives: tuple[str, ...] = option(
        (), "Further options of the scheduler, as its own scripts write them, dashes and all."
    )
    setup: tuple[str, ...] = option((), "Shell lines before a worker starts, such as ``module load cuda``.")
    image: str | None = option(None, "Container image, of Kubernetes.")
    namespace: str | None = option(None, "Namespace of Kubernetes.")
    volumes: tuple[str, ...] = option(
        (), 'Persistent volumes of Kubernetes, ``"claim:/path"`` each; the study\'s folder must lie on one.'
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, held in vars(self).items():
            for text in held if isinstance(held, tuple) else (held,):
                # A second line of a job script would be a command of its own, as those of `setup` are.
                if name != "setup" and isinstance(text, str) and not text.isprintable():
                    raise ConfigError(
                        f"`{name}` is {text!r}; expected one line of text, as it stands in a job script. Shell lines "
                        "go into `setup`.",
                        key=name,
                    )


@dataclass(frozen=True, kw_only=True)
class Group(Resources):
    """Workers of their own for some tasks; the first group that matches a task has it.

    ``[[engine.groups]]`` says what differs from ``[engine]``. Those of :attr:`EngineSpec.all_groups` have every value
    filled in, numbers of workers and GPUs too.
    """

    name: str = option(MAIN, "For messages and job names.")
    kinds: tuple[str, ...] = option(("train",), "Kinds of tasks.")
    where: Mapping[str, AxisValue] = option(
        factory=dict, help="Axes -> value, values or pattern of the run that a task belongs to; empty for all."
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        # It stands in commands, and in names of jobs and of logs.
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", safe_name(self.name, "group")):
            raise ConfigError(
                f"A group of [engine] is named '{self.name}'; expected letters, digits, '.', '_' and '-'.", key="name"
            )

    @property
    def n_jobs(self) -> int:
        """Jobs at once; one holds all workers of this machine."""
        return math.ceil(self.workers / self.per_job)

    @property
    def has_gpu(self) -> bool:
        """Whether its workers have a GPU, or a part of one."""
        return self.gpus_per_task > 0 or (self.gres or "").startswith(("gpu", "shard"))

    @property
    def n_sharing(self) -> int:
        """Workers that share their GPUs; a task of several GPUs has them alone."""
        return self.per_gpu if self.gpus_per_task == 1 else 1

    @property
    def gpus_per_job(self) -> int:
        """GPUs of one node of a job."""
        return self.gpus_per_task * math.ceil(self.per_job / self.n_sharing)

    def takes(self, kind: str, run: Mapping[str, Any]) -> bool:
        """Return whether a task of a kind belongs to these workers; ``run``: axes -> values of its training run."""
        return self.name == MAIN or (kind in self.kinds and has_values(run, self.where))


@dataclass(frozen=True, kw_only=True)
class EngineSpec(Resources):
    """Where a study runs."""

    kind: Scheduler = option("local", "``local`` processes, or the scheduler of a cluster.")
    device: str | None = option(
        None, "What estimates assume: cpu, a100, h100, h200; by default cpu, or h100 with GPUs."
    )
    address: str | None = option(
        None, "Name or address of the machine of the run as workers reach it; by default found by itself."
    )
    silence_seconds: int | None = option(
        None,
        "A job that was silent for so long is taken for lost, and its tasks are given to others; by default 20 on "
        "this machine, 60 on a cluster.",
        unit="seconds",
        at_least=5,
    )
    groups: tuple[Mapping[str, AxisValue | Mapping[str, AxisValue] | None], ...] = option(
        (), "Workers of their own for some tasks: what differs from these values, as of Group."
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        names = [group.name for group in self.all_groups]
        if len(set(names)) < len(names):
            twice = max(names, key=names.count)
            raise ConfigError(
                f"Two groups of [engine] are named '{twice}'; '{MAIN}' are the workers of all other tasks. Rename one.",
                key="name",
            )
        if self.kind == "kubernetes" and not self.image:
            raise ConfigError('kind = "kubernetes" needs `image`, a container image with vvscale in it.')

    @property
    def silence(self) -> int:
        """Seconds of silence after which a job is lost; over a network a slow answer is no death."""
        return self.silence_seconds or (_LOCAL_SILENCE if self.kind == "local" else _CLUSTER_SILENCE)

    @cached_property
    def all_groups(self) -> tuple[Group, ...]:
        """The groups of workers; the last one, ``main``, has every task that no other has."""
        shared = vars(self.part(Resources))
        own = [{key: one for key, one in group.items() if one is not None} for group in self.groups]
        named = [from_table(Group, {**shared, "name": "", **group}, "[[engine.groups]]") for group in own]
        return tuple(map(self._filled, (*named, Group(**shared))))

    def _filled(self, group: Group) -> Group:
        """Return a group with the numbers that follow from others, of workers and GPUs."""
        if group.nodes_per_task > 1 and self.kind != "slurm":
            raise ConfigError(
                f'`nodes_per_task` is {group.nodes_per_task} with kind = "{self.kind}"; one training runs over several '
                "nodes only on slurm. Use 1, and gpus_per_task for the GPUs of one node."
            )
        if self.kind == "local" and len(group.gpus) < group.gpus_per_task:
            raise ConfigError(
                f"A task is to have {group.gpus_per_task} GPUs and [engine] names {len(group.gpus)} in `gpus`. "
                "Name more, or lower `gpus_per_task`."
            )
        half = 30 * group.time_minutes
        grace = min(_GRACE_SECONDS, half) if group.grace_seconds is None else group.grace_seconds
        if self.kind != "local" and grace > half:
            raise ConfigError(
                f"`grace_seconds` is {grace} with `time_minutes` {group.time_minutes}; expected at most half of a job, "
                f"{half}, or a training would save its state before it has come far. Give jobs more time.",
                key="grace_seconds",
            )
        group = dataclasses.replace(
            group, grace_seconds=grace, gpus_per_task=max(group.gpus_per_task, 1 if group.gpus else 0)
        )
        if self.kind != "local":
            workers, per_job = group.workers or _CLUSTER_WORKERS, group.per_job or group.n_sharing
        else:
            n_slots = len(group.gpus) // group.gpus_per_task * group.n_sharing if group.gpus else available_cores()
            workers = per_job = group.workers or n_slots
        return dataclasses.replace(group, workers=workers, per_job=per_job)


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
