"""``vvscale worker``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from vvscale.cli.options import verb
from vvscale.cli.output import Output

Inner = Parameter(show=False)


@verb
def worker(
    study: Path,
    /,
    *,
    shard: str = "0/1",
    device: Literal["auto", "cpu", "cuda"] = "auto",
    nodes: int = 1,
    processes_per_node: int = 1,
    idle_seconds: float | None = None,
    heartbeat: float = 15.0,
    expire_after: float = 180.0,
    max_deaths: int = 3,
    lifeline: Annotated[bool, Inner] = False,
    output: Output,
) -> None:
    """Work on a study: what any scheduler, container or shell starts, as often as it likes.

    Exit code 0: nothing is left for this worker. 75: stopped by SIGTERM, SIGUSR1 or SIGUSR2; start it again.

    Parameters
    ----------
    study
        Folder of a planned study, on a file system that all workers share.
    shard
        Share to begin with, i/n with i from 0; when it is done the worker helps with the rest.
    device
        auto takes a GPU where there is one.
    nodes, processes_per_node
        Over how many processes one training is spread.
    idle_seconds
        Leave after this long without work while others still work; by default stay to the end.
    heartbeat
        Seconds between signs of life.
    expire_after
        Seconds of silence after which a worker on another machine is taken for dead and its task is free.
    max_deaths
        Workers in a row that may die with a task before it counts as failed.
    """
    from vvscale.study.workers.folder import StudyFolder
    from vvscale.study.workers.process import serve
    from vvscale.study.workers.worker import WorkerOptions, parse_shard, resolve_device

    number, n_shards = parse_shard(shard)
    options = WorkerOptions(
        shard=number, n_shards=n_shards, device=resolve_device(device), nodes=nodes,
        processes_per_node=processes_per_node, idle_seconds=idle_seconds, heartbeat=heartbeat,
        expire_after=expire_after, max_deaths=max_deaths,
    )  # fmt: skip
    summary = serve(StudyFolder(study), options=options, has_lifeline=lifeline)
    output.say(f"{summary.n_done} tasks done, {summary.n_failed} failed")
    output.document({"n_done": summary.n_done, "n_failed": summary.n_failed, "is_complete": summary.is_complete})
    output.note(f"Next: `vvscale study status {study}`")
