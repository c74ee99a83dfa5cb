"""One task over several processes, GPUs or nodes: the same task in each rank, started by torchrun.

The worker that has the task starts torchrun, on several nodes through ``srun`` inside the job, and waits. Every rank
runs the kind's function with the usual variables (RANK, WORLD_SIZE, ...) set; only the first rank's result counts. Only
kinds that say ``can_spread`` are run so; they alone know how to share the work.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vvscale.core.files import remove_inside, write_json
from vvscale.core.jsonable import jsonable, parse_json
from vvscale.errors import RunError, StoppedError
from vvscale.study.graph.kinds import TaskContext

_LOOK_SECONDS = 0.2
_SETTINGS, _RESULT, _ERROR = "spread.json", "spread-result.json", "spread-error.json"
# Variables of the step that the worker itself runs in; the step of the ranks gets its own.
_OF_THE_STEP = ("SLURM_PROCID", "SLURM_LOCALID", "SLURM_NODEID", "SLURM_STEP", "SLURM_NTASKS", "SLURM_CPU_BIND")


def run_spread(context: TaskContext, kind: str, *, nodes: int, processes: int) -> Mapping[str, Any]:
    """Run a task in ``nodes`` x ``processes`` ranks and return the first one's result, or raise the first error."""
    import psutil

    folder = context.out.parent
    for name in (_RESULT, _ERROR):
        remove_inside(folder, name)
    worker = {"host": socket.gethostname(), "pid": os.getpid(), "began": psutil.Process().create_time()}
    write_json(folder / _SETTINGS, jsonable({**vars(context), "stop": None, "kind": kind, "worker": worker}))
    environment = {name: one for name, one in os.environ.items() if not name.startswith(_OF_THE_STEP)}
    with subprocess.Popen(_command(context.task_id, folder, nodes, processes), env=environment) as process:
        try:
            while process.poll() is None:
                if context.stop():
                    process.terminate()
                    process.wait()
                else:
                    time.sleep(_LOOK_SECONDS)
        finally:
            process.terminate()
    context.check_stop()
    return _outcome(folder, process.returncode)


def run_rank(folder: Path) -> None:
    """Run a task as one rank; the entry point of what torchrun starts."""
    from vvscale.study.tasks.registry import TASKS

    settings = parse_json((folder / _SETTINGS).read_text())
    kind = TASKS[settings.pop("kind")]
    threading.Thread(target=_end_with, args=(settings.pop("worker"),), daemon=True).start()
    inputs = {
        role: Path(one) if isinstance(one, str) else tuple(map(Path, one)) for role, one in settings["inputs"].items()
    }
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    context = TaskContext(**{**settings, "inputs": inputs, "out": Path(settings["out"]), "stop": stop.is_set})
    try:
        result = kind.run(context) or {}
    except Exception as error:
        if not (folder / _ERROR).exists():
            write_json(folder / _ERROR, {"type": type(error).__name__, "message": str(error) or repr(error)})
        raise
    if os.environ.get("RANK", "0") == "0":
        write_json(folder / _RESULT, dict(result))


def _end_with(worker: Mapping[str, Any]) -> None:
    """End this rank when the worker is gone; torchrun, which starts ranks in sessions of their own, would go on.

    Ranks on other machines end when those here no longer answer.
    """
    while worker["host"] == socket.gethostname():
        if not _is_alive(worker):
            os._exit(StoppedError.exit_code)
        time.sleep(_LOOK_SECONDS)


def _is_alive(worker: Mapping[str, Any]) -> bool:
    """Whether a process runs; the time of its beginning tells it from a later one of the same number."""
    import psutil

    try:
        found = psutil.Process(worker["pid"])
        return found.create_time() == worker["began"] and found.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _command(task_id: str, folder: Path, nodes: int, processes: int) -> list[str]:
    run = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", str(processes)]
    if nodes == 1:
        return [*run, "--standalone", "-m", "vvscale.study.engine.torchrun", str(folder)]
    with socket.socket() as found:
        found.bind(("", 0))
        port = found.getsockname()[1]
    meet = ["--nnodes", str(nodes), "--rdzv-backend", "c10d", "--rdzv-id", task_id]
    meet += ["--rdzv-endpoint", f"{socket.gethostname()}:{port}"]
    step = ["srun", "--overlap", "--nodes", str(nodes), "--ntasks", str(nodes), "--ntasks-per-node", "1"]
    return [*step, "--kill-on-bad-exit=1", *run, *meet, "-m", "vvscale.study.engine.torchrun", str(folder)]


def _outcome(folder: Path, code: int) -> Mapping[str, Any]:
    if code == 0:
        return parse_json((folder / _RESULT).read_text())
    try:
        error = parse_json((folder / _ERROR).read_text())
    except OSError:
        raise RunError(
            f"torchrun ended with code {code} and no rank said why; most likely one was killed for lack of memory. The "
            "worker's log has what they printed."
        ) from None
    if error["type"] == StoppedError.__name__:
        raise StoppedError(error["message"])
    raise RunError(f"A rank failed: {error['type']}: {error['message']}")


if __name__ == "__main__":
    run_rank(Path(sys.argv[1]))
