"""What a worker process of the engine does with one task: run it, record it, and say how it ended.

The engine calls :func:`run_task` in worker processes that stay warm and run many tasks. Nothing is raised to the
engine: whatever happens is an answer, and a worker that is killed gives none.
"""

from __future__ import annotations

import errno
import math
import os
import signal
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import FrameType
from typing import Any

from vvscale import __version__
from vvscale.core.files import make_folder
from vvscale.errors import DataError, StoppedError, VvscaleError
from vvscale.study.engine.torchrun import run_spread
from vvscale.study.graph.folder import StudyFolder
from vvscale.study.graph.graph import Task
from vvscale.study.graph.kinds import Kind, TaskContext
from vvscale.study.graph.task_folder import TaskFolder
from vvscale.study.tasks.registry import TASKS

# Errors of the place where results go; no task is to blame for them.
_STORAGE_ERRORS = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.ESTALE}
# A flush takes longer than a short task, and what a power cut takes is noticed and made again.
_WORTH_A_FLUSH_SECONDS = 0.5

# Environment of a worker, set by the engine's adapter.
END = "VVSCALE_WORKER_END"
GRACE = "VVSCALE_WORKER_GRACE"
GPUS_PER_TASK = "VVSCALE_WORKER_GPUS"


@dataclass(frozen=True)
class Request:
    """One task for a worker; everything is plain, so that it can be sent.

    ``lacking``: labels of inputs that are not to be had; the task's inputs leave them out, and its result is partial.
    """

    folder: str
    task: Task
    study: Mapping[str, str]
    datasets: Mapping[str, str]
    lacking: tuple[str, ...] = ()
    nodes: int = 1
    processes_per_node: int = 1


@dataclass(frozen=True)
class Answer:
    """How a task ended.

    Attributes
    ----------
    outcome
        ``done``; ``failed``: its ``error.json`` says why; ``stopped``: it was told to stop and what it saved is there;
        ``damaged``: the result of the input ``needed`` is; ``storage``: results cannot be kept. Without a word of the
        worker: ``worker lost``: the process died with the task; ``job lost``: its whole job or machine was lost.
    message
        In one line, what was wrong.
    needed
        Id of a damaged input.
    """

    outcome: str
    message: str = ""
    needed: str = ""


def run_task(request: Request) -> Answer:
    """Run a task and record its result."""
    _take_gpus()
    here = StudyFolder(Path(request.folder)).task(request.task.id)
    kind = TASKS[request.task.kind]
    with _stop_on_signal(bool(kind.scratch) or request.nodes * request.processes_per_node > 1) as stop:
        try:
            with here.held(stop):
                return _run(request, here, kind, stop)
        except StoppedError as error:
            return Answer("stopped", message=str(error))
        except (OSError, VvscaleError) as error:
            return Answer("storage", message=storage_error(here.path, error).args[0])


def _run(request: Request, here: TaskFolder, kind: Kind, stop: Callable[[], bool]) -> Answer:
    done, _ = here.finished()
    if done is not None and not done.get("lacking"):
        # A worker of a run that was killed has finished it meanwhile.
        return Answer("done")
    damaged = _damaged_input(request)
    if damaged is not None:
        return damaged
    if done is not None:
        # It was made from fewer inputs.
        here.discard()
    began = time.time()
    try:
        result = _compute(request, here, kind, stop)
        return _record(request, here, kind, began, result)
    except StoppedError:
        raise
    except (Exception, SystemExit) as error:
        if _is_storage_error(error):
            raise storage_error(here.path, error) from error
        if stop():
            # Whatever breaks while everything is taken down will be tried again.
            raise StoppedError(f"Stopped: {error}") from error
        # An input that was lost while the task read it is what broke it.
        return _damaged_input(request) or _fail(request, here, began, error)


def _damaged_input(request: Request) -> Answer | None:
    """Look at the outputs that a task will read; by size and time only, unless these changed."""
    study = StudyFolder(Path(request.folder))
    for needed in request.task.needs:
        done, damage = study.task(needed).finished()
        if done is None:
            return Answer("damaged", message=damage or "its result is missing", needed=needed)
    return None


def _compute(request: Request, here: TaskFolder, kind: Kind, stop: Callable[[], bool]) -> Mapping[str, Any]:
    study, task = StudyFolder(Path(request.folder)), request.task
    about = {"id": task.id, "kind": task.kind, "label": task.label, "params": dict(task.params)}
    about |= {"inputs": dict(task.inputs), "study": dict(request.study), "code_version": __version__}
    here.write("task", about, durable=False)
    make_folder(here.out)
    context = TaskContext(
        params=task.params,
        inputs={
            role: study.task(ids).out if isinstance(ids, str) else tuple(study.task(one).out for one in ids)
            for role, ids in task.inputs.items()
        },
        out=here.out,
        stop=stop,
        task_id=task.id,
        study=request.study,
        datasets=request.datasets,
        device=device(),
    )
    if kind.can_spread and request.nodes * request.processes_per_node > 1:
        return run_spread(context, task.kind, nodes=request.nodes, processes=request.processes_per_node)
    return kind.run(context) or {}


def _record(request: Request, here: TaskFolder, kind: Kind, began: float, result: Mapping[str, Any]) -> Answer:
    here.remove_scratch(kind.scratch)
    seconds = time.time() - began
    content = {
        "id": request.task.id,
        "kind": request.task.kind,
        "worker": _name(),
        "began": began,
        "seconds": seconds,
        "study": dict(request.study),
        "code_version": __version__,
        "lacking": list(request.lacking),
        "result": dict(result),
        "outputs": here.digests(),
    }
    here.write_done(content, durable=seconds > _WORTH_A_FLUSH_SECONDS)
    here.forget_error()
    return Answer("done")


def _fail(request: Request, here: TaskFolder, began: float, error: BaseException) -> Answer:
    message = str(error) or repr(error)
    here.write_error(
        request.task, type(error).__name__, message, worker=_name(), seconds=time.time() - began,
        exit_code=error.exit_code if isinstance(error, VvscaleError) else 1,
        traceback="".join(traceback.format_exception(error)),
    )  # fmt: skip
    first_line = f"{type(error).__name__}: {message}".splitlines()[0][:500]
    return Answer("failed", message=first_line)


def _name() -> str:
    """Return the name of this worker, for records."""
    return f"{os.uname().nodename}-{os.getpid()}"


def storage_error(path: Path, error: BaseException) -> DataError:
    """Return the error that says that results cannot be kept."""
    cause = next((one for one in _causes(error) if isinstance(one, OSError)), None)
    reason = "the disk is full" if cause and cause.errno in {errno.ENOSPC, errno.EDQUOT} else str(cause or error)
    return DataError(
        f"Cannot go on in '{path}': {reason}. Expected a folder with free space that this user may write to. What was "
        "finished is kept and nothing is half written; free some space or mend the folder, then `vvscale study resume`."
    )


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _is_storage_error(error: BaseException) -> bool:
    return any(isinstance(one, OSError) and one.errno in _STORAGE_ERRORS for one in _causes(error))


def device() -> str:
    """Return ``"cuda"`` where this process may see a GPU, else ``"cpu"``. Loads nothing."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    return "cuda" if (Path("/dev/nvidia0").exists() if visible is None else visible.strip()) else "cpu"


@cache
def _take_gpus() -> None:
    """Take this worker's share of the node's GPUs, once per process."""
    size = int(os.environ.get(GPUS_PER_TASK, "0"))
    visible = [one for one in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if one.strip()]
    if size and visible:
        groups = [visible[at : at + size] for at in range(0, len(visible) - size + 1, size)] or [visible]
        # Several workers share a group where there are more workers than groups.
        mine = groups[int(os.environ.get("PARSL_WORKER_RANK", "0")) % len(groups)]
        os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(mine)


def end_of_job() -> float | None:
    """Return when what runs here is to save its state, shortly before the scheduler ends the job; None outside one."""
    return float(os.environ[END]) - float(os.environ.get(GRACE, "0")) if END in os.environ else None


@contextmanager
def _stop_on_signal(can_save: bool) -> Iterator[Callable[[], bool]]:
    """Yield whether the task should stop: after SIGTERM, or when the scheduler is about to end the job.

    A task with nothing to save ends with its process at once. Near the end of a job it goes on, as does one that begins
    then: both may be done in time.
    """
    end, is_told = end_of_job() or math.inf, threading.Event()
    notice = end if time.time() < end else math.inf

    def on_signal(number: int, frame: FrameType | None) -> None:
        is_told.set()
        if not can_save and time.time() < end:
            os._exit(StoppedError.exit_code)

    def stop() -> bool:
        return is_told.is_set() or time.time() >= notice

    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    before = signal.signal(signal.SIGTERM, on_signal)
    try:
        yield stop
    finally:
        signal.signal(signal.SIGTERM, before)
