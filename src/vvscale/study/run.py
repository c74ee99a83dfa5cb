"""Run a planned study to its end, here or as a job: look at what is there, work, publish, and say how it ended."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from vvscale.core.files import make_folder
from vvscale.core.jsonable import Result
from vvscale.errors import RunError, StoppedError, UsageError, shell_words
from vvscale.study.engine.engine import Engine
from vvscale.study.engine.worker import end_of_job, storage_error
from vvscale.study.graph.folder import StudyFolder
from vvscale.study.graph.graph import Graph
from vvscale.study.graph.schedule import Schedule, State
from vvscale.study.prepare import Prepared, Stop, prepare_study
from vvscale.study.spec.workers import refuse_odd_path
from vvscale.study.status import Failure
from vvscale.study.survey import Survey, results_of, some, survey
from vvscale.study.work import OnLook, Work

_IN_QUEUE = "VVSCALE_SUBMITTED"


@dataclass(frozen=True)
class StudyResult(Result):
    """How a run of a study ended.

    Attributes
    ----------
    path
        The study's folder; what people look at is in ``results``.
    n_tasks, n_finished_before, n_done
        Tasks in all, done before this run, and done now.
    failures
        Tasks that failed; the first of them.
    n_failed, n_blocked
        How many failed, and how many need one of those.
    notes
        What could not be had, in words: a law that could not be planned, a figure that could not be drawn.
    results
        Files in ``results``.
    seconds
        Of this run.
    """

    path: Path
    n_tasks: int
    n_finished_before: int
    n_done: int
    failures: tuple[Failure, ...]
    n_failed: int
    n_blocked: int
    notes: tuple[str, ...]
    results: tuple[Path, ...]
    seconds: float

    def words(self) -> str:
        """Return all in one line."""
        said = f"{self.n_done} tasks done, {self.n_finished_before} were finished before"
        return said + (f", {self.n_failed} failed, {self.n_blocked} blocked by them" if self.n_failed else "")

    def error(self) -> RunError | None:
        """Return the error that says which tasks failed, or None."""
        if not self.failures:
            return None
        first = self.failures[0]
        blocked = f", and {self.n_blocked} that need them could not start" if self.n_blocked else ""
        return RunError(
            f"{self.n_failed} of {self.n_tasks} tasks failed{blocked}. The first: {first.label}: {first.message} "
            f"Its traceback is in '{first.path}'. Mend the cause, then `vvscale study resume {shell_words(self.path)}`"
            "; or, where the study's file must change, `vvscale study run` with that file. What is finished is kept."
        )


def run_study(
    study: Prepared | str | Path,
    *,
    out: Path | None = None,
    workers: int | None = None,
    stop: Stop | None = None,
    engine: Engine | None = None,
    on_survey: Callable[[Survey], object] = lambda survey: None,
    on_look: OnLook = lambda status: None,
    on_stop: Callable[[str], object] = lambda words: None,
    rehash: bool = False,
) -> StudyResult:
    """Run a study, or resume it: what is finished is skipped.

    Parameters
    ----------
    study
        A TOML file, the name of a study, or one that was prepared.
    out
        Its folder; ``out/NAME`` by default.
    workers
        How many workers at once; None for what the study says.
    stop
        Stops the run in order when set; by default nothing does.
    engine
        What runs the tasks; by default Parsl, as the study says.
    on_survey, on_look
        Called with what is there already, and regularly with how far the study is.
    on_stop
        Called with a sentence at once when it stops: what is done, and what it waits for.
    rehash
        See :func:`vvscale.study.survey.survey`.

    Returns
    -------
    StudyResult
        Failed tasks are fields of it, and no error.

    Raises
    ------
    UsageError
        Another process runs it.
    StoppedError
        It was stopped; rerun to resume.
    VvscaleError
        The workers cannot work.

    Examples
    --------
    >>> run_study("demo", out="out/demo").words()  # doctest: +SKIP
    """
    if not isinstance(study, Prepared):
        study = prepare_study(study, out=out, changes=None if workers is None else {"engine.workers": workers})
    began, folder, graph, stop = time.monotonic(), study.folder, study.graph, stop or Stop()
    try:
        with _submitted_again(study), study.begun():
            make_folder(folder.results)
            found = survey(folder, graph, rehash=rehash, stop=stop)
            folder.retract(found.done)
            on_survey(found)
            run = Work(folder, graph, engine or Engine(study.engine, folder), found, stop)
            if run.schedule.n_open:
                run.work(on_look, on_stop)
            folder.publish(graph.tasks[number] for number in run.schedule.numbers(State.DONE))
            status = run.watch.look(is_last=True)
    except OSError as error:
        raise storage_error(folder.path, error) from error
    return StudyResult(
        path=folder.path,
        n_tasks=len(graph),
        n_finished_before=len(found.done),
        n_done=run.n_done,
        failures=status.failures,
        n_failed=status.n_failed,
        n_blocked=status.n_blocked,
        notes=tuple(_notes(folder, graph, run.schedule)),
        results=tuple(results_of(folder)),
        seconds=time.monotonic() - began,
    )


def _notes(folder: StudyFolder, graph: Graph, schedule: Schedule) -> list[str]:
    """Return what could not be had, as the finished tasks tell."""
    told: list[str] = []
    for number in schedule.numbers(State.DONE):
        task = graph.tasks[number]
        # Only what people look at has any; a study has very many other tasks.
        if task.publish and (done := folder.task(task.id).done()) is not None:
            told += [f"{task.label}: {note}" for note in done["result"].get("notes", ())]
            lacking = done.get("lacking", ())
            told += [f"{task.label} was made without {some(list(lacking))}"] if lacking else []
    return told


def submit_study(study: Prepared) -> str:
    """Write a study's plan and submit a job that runs it; return the job's id.

    The job needs one core and no GPU. At its time limit it stops in order and submits the next one.

    Raises
    ------
    UsageError
        The engine is this machine, the study is run by another process, or its folder cannot stand in a job script.
    RunError
        The scheduler did not take the job.
    """
    if study.engine.kind == "local":
        raise UsageError(
            'A study with kind = "local" runs on this machine and has no queue. Set engine.kind to slurm, pbs, lsf, '
            "gridengine, htcondor or kubernetes, or leave out `submit`."
        )
    refuse_odd_path(study.engine, study.folder.path)
    with study.begun():
        pass
    return _submit(study)


@contextmanager
def _submitted_again(study: Prepared) -> Iterator[None]:
    """Inside a job that :func:`submit_study` made: stop in order before its time limit, and submit the next one."""
    notice = end_of_job()
    if notice is None or not os.environ.get(_IN_QUEUE):
        yield
        return
    timer = threading.Timer(max(0.0, notice - time.time()), os.kill, (os.getpid(), signal.SIGTERM))
    timer.daemon = True
    timer.start()
    try:
        yield
    except StoppedError:
        if time.time() >= notice:
            _submit(study)
        raise
    finally:
        timer.cancel()


def _submit(study: Prepared) -> str:
    from parsl.providers.errors import ExecutionProviderException

    from vvscale.study.engine.providers import submit_command

    command = ["env", f"{_IN_QUEUE}=1", sys.executable, "-m", "vvscale", "study", "resume", str(study.folder.path)]
    try:
        name = f"vvscale-{study.folder.path.name}"
        return submit_command(study.engine, command, name=name, folder=make_folder(study.folder.logs / "run"))
    except ExecutionProviderException as error:
        raise RunError(
            f"{study.engine.kind} did not take the job: {error}. Expected its submit command to work here. Check "
            "[engine] (partition, account, time_minutes)."
        ) from error
