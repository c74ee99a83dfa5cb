"""From the resources of a group of workers to Parsl's provider of the scheduler at hand."""

from __future__ import annotations

import dataclasses
import math
import os
import shlex
import sys
from pathlib import Path
from typing import Any

from parsl.errors import OptionalModuleMissing
from parsl.launchers import SimpleLauncher
from parsl.providers import (
    CondorProvider,
    GridEngineProvider,
    KubernetesProvider,
    LocalProvider,
    LSFProvider,
    PBSProProvider,
    SlurmProvider,
)
from parsl.providers.base import ExecutionProvider

from vvscale.core.processes import THREAD_VARIABLES
from vvscale.errors import MissingDataError
from vvscale.study.engine.lifeline import lifeline_command
from vvscale.study.engine.worker import END, GPUS_PER_TASK, GRACE
from vvscale.study.spec.workers import EngineSpec, Group

# Of the environment of the run; not every scheduler hands all of it on.
_HANDED_ON = ("PYTHONPATH", "VVSCALE_DATA", "VVSCALE_MIRROR", "VVSCALE_CACHE")
# A scheduler serves the whole cluster and is asked rarely; a command to it may take long when it is busy.
_ASKS_PER_SILENCE, _COMMAND_SECONDS = 4, 60
_PREFIX = {"slurm": "#SBATCH", "pbs": "#PBS", "lsf": "#BSUB", "gridengine": "#$", "htcondor": ""}


def make_provider(engine: EngineSpec, group: Group, *, study: Path, lifeline: Path | None = None) -> ExecutionProvider:
    """Return what starts the jobs of a group of workers; those of this machine end with the ``lifeline``, a pipe."""
    kind = engine.kind
    blocks = {
        "init_blocks": 0,
        "min_blocks": 0,
        "max_blocks": group.n_jobs,
        "worker_init": _setup(engine, group, study, lifeline),
    }
    if kind == "local":
        return _asked_every(LocalProvider, 1)(
            **{**blocks, "init_blocks": 1, "min_blocks": 1}, launcher=SimpleLauncher()
        )
    if kind == "kubernetes":
        return _kubernetes(group, blocks)
    made, more, directives = _SCHEDULERS[kind](group)
    directives = [f"{_PREFIX[kind]} {line}".strip() for line in (*group.directives, *directives)]
    return _asked_every(made, max(1, engine.silence // _ASKS_PER_SILENCE))(
        **blocks,
        **more,
        nodes_per_block=group.nodes_per_task,
        walltime=_clock(group.time_minutes),
        launcher=SimpleLauncher(),
        cmd_timeout=_COMMAND_SECONDS,
        scheduler_options="\n".join(directives),
    )


# What each scheduler takes of a group: Parsl's class, its own arguments, and lines of the job script that it has no
# argument for.
_Asked = tuple[Any, dict[str, Any], list[str]]


def _slurm(group: Group) -> _Asked:
    more = {name: getattr(group, name) for name in ("partition", "account", "qos", "constraint", "gres")}
    if group.gpus_per_job and more["gres"] is None:
        more["gpus_per_node"] = group.gpus_per_job
    return SlurmProvider, {**more, "cores_per_node": _cores(group), "mem_per_node": _gb(group), "exclusive": False}, []


def _pbs(group: Group) -> _Asked:
    select = f"mem={_gb(group)}gb" + (f":ngpus={group.gpus_per_job}" if group.gpus_per_job else "")
    more = {"account": group.account, "queue": group.partition}
    return PBSProProvider, {**more, "cpus_per_node": _cores(group), "select_options": select}, []


def _lsf(group: Group) -> _Asked:
    more = {"project": group.account, "queue": group.partition, "request_by_nodes": False}
    # Only a script on standard input has its #BSUB lines read everywhere.
    more |= {"cores_per_block": _cores(group), "cores_per_node": _cores(group), "bsub_redirection": True}
    gpus = [f'-gpu "num={group.gpus_per_job}"'] if group.gpus_per_job else []
    return LSFProvider, more, [*gpus, f"-M {_gb(group)}GB"]


def _gridengine(group: Group) -> _Asked:
    lines = [f"-pe smp {_cores(group)}"] if _cores(group) > 1 else []
    # Not h_vmem, which limits addresses: PyTorch maps far more of them than it uses, and cannot be loaded.
    lines += [f"-l mem_free={_gb(group)}G"]
    lines += [f"-l gpu={group.gpus_per_job}"] if group.gpus_per_job else []
    lines += [f"-P {group.account}"] if group.account else []
    return GridEngineProvider, {"queue": group.partition}, lines


def _htcondor(group: Group) -> _Asked:
    lines = [f"request_gpus = {group.gpus_per_job}"] if group.gpus_per_job else []
    lines += [f"accounting_group = {group.account}"] if group.account else []
    more = {"cores_per_slot": _cores(group), "mem_per_slot": float(_gb(group))}
    return CondorProvider, {**more, "requirements": group.constraint or ""}, lines


_SCHEDULERS = {"slurm": _slurm, "pbs": _pbs, "lsf": _lsf, "gridengine": _gridengine, "htcondor": _htcondor}


def _cores(group: Group) -> int:
    """Cores of one job."""
    return group.cpus * group.per_job


def _gb(group: Group) -> int:
    """Memory of one job, whole gigabytes."""
    return math.ceil(group.mem_gb * group.per_job)


def submit_command(engine: EngineSpec, command: list[str], *, name: str, folder: Path) -> str:
    """Queue a command as a job of one core without GPU, whose script and prints lie in ``folder``; return its id."""
    light = dataclasses.replace(engine, cpus=1, gpus_per_task=0, gres=None, nodes_per_task=1, per_job=1, groups=())
    provider: Any = make_provider(light, light.all_groups[-1], study=folder)
    provider.script_dir = str(folder)
    return str(provider.submit(shlex.join(command), 1, name))


def _kubernetes(group: Group, blocks: dict[str, Any]) -> ExecutionProvider:
    volumes: Any = [tuple(one.split(":", 1)) for one in group.volumes]
    cores, memory = float(_cores(group)), f"{_gb(group)}Gi"
    gpus = {"nvidia.com/gpu": str(group.gpus_per_job)} if group.gpus_per_job else None
    try:
        return KubernetesProvider(
            **blocks, image=group.image or "", namespace=group.namespace or "default", persistent_volumes=volumes,
            init_cpu=cores, max_cpu=cores, init_mem=memory, max_mem=memory, extra_limits=gpus,
        )  # fmt: skip
    except OptionalModuleMissing as error:
        raise MissingDataError(
            "The engine 'kubernetes' needs the package kubernetes, which is not installed. `pip install kubernetes`."
        ) from error


def _setup(engine: EngineSpec, group: Group, study: Path, lifeline: Path | None) -> str:
    """Return the shell lines before the workers of a job start."""
    # Workers share the cores already, and results must not depend on the number of threads.
    values = dict.fromkeys(THREAD_VARIABLES, "1")
    values |= {name: os.environ[name] for name in _HANDED_ON if name in os.environ}
    values["VVSCALE_RUN"] = str(study)  # so that people can tell whose workers they are
    values["PATH"] = f"{Path(sys.executable).parent}:{os.environ.get('PATH', '')}"
    values[GPUS_PER_TASK] = str(group.gpus_per_task)
    lines = []
    if engine.kind == "local":
        values["CUDA_VISIBLE_DEVICES"] = ",".join(group.gpus)
    else:
        lines.append(f"cd {shlex.quote(os.getcwd())}")
        values[GRACE] = str(group.grace_seconds)
    lines += [f"export {name}={shlex.quote(value)}" for name, value in values.items()]
    if engine.kind not in ("local", "kubernetes"):
        # Counted from the start of the job, again each time the scheduler starts it again.
        lines.append(f"export {END}=$(( $(date +%s) + {60 * group.time_minutes} ))")
    if lifeline is not None:
        lines.append(f"{lifeline_command(lifeline)} 0 < /dev/null > /dev/null 2>&1 &")
    return "\n".join([*lines, *group.setup])


def _asked_every(kind: Any, seconds: int) -> Any:
    """Return a provider class that is asked for the state of its jobs so often; Parsl's own once a minute is slow."""
    return type(kind.__name__, (kind,), {"status_polling_interval": property(lambda self: seconds)})


def _clock(minutes: int) -> str:
    return f"{minutes // 60:02d}:{minutes % 60:02d}:00"
