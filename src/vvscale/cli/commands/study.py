"""``vvscale study``: init, plan, run, status, resume, report."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from vvscale.cli.options import verb
from vvscale.cli.output import Output
from vvscale.cli.verbs import epilogue
from vvscale.errors import shell_words
from vvscale.study.options import StudyPlanOptions, StudyRunOptions

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vvscale.study.prepare import Prepared

Spec = Annotated[str, Parameter(help="A TOML file, or the name of a study.")]
Known = Annotated[str, Parameter(help="The study's folder, file or name.")]
Folder = Annotated[Path | None, Parameter(help="Its folder, if a file or name is given.")]
DryRun = Annotated[bool, Parameter(help="Say what would be done, and write nothing.", negative="")]

study = App(
    help_epilogue=epilogue("study"),
    name="study",
    help="Run a whole scaling study from one TOML file: train, score, fit, draw, report.",
    default_parameter=Parameter(negative=""),
)


@study.command(help_epilogue="Example: vvscale study init mine")
@verb
def init(name: str, /, *, output: Output) -> None:
    """Write NAME.toml, a commented study to start from.

    Parameters
    ----------
    name
        Of the study.
    """
    from vvscale.study.spec.schema import write_template

    path = write_template(name)
    output.say(f"Wrote {path}")
    output.document({"path": str(path)})
    output.note(f"Next: `vvscale study plan {shell_words(path)}`")


@study.command(help_epilogue="Example: vvscale study plan mine.toml")
@verb
def plan(spec: str, /, *, options: StudyPlanOptions, output: Output) -> None:
    """Show what a study would cost: tasks, hours, FLOP, bytes, and which part breaks first. Writes nothing.

    Parameters
    ----------
    spec
        A TOML file, or the name of a study: demo, gokce2025, resnet-width-ecoset. What is finished in its folder is
        not counted.
    """
    from vvscale.cli.stages import duration
    from vvscale.study.estimate import plan_study, plan_tables
    from vvscale.study.prepare import prepare_study
    from vvscale.study.survey import finished_tasks

    ready = prepare_study(spec, out=options.out, changes=options.spec_changes)
    planned = plan_study(
        ready.graph, ready.engine, out=ready.folder.path, absent=ready.absent,
        done=[task.id for task in finished_tasks(ready.folder, ready.graph)],
    )  # fmt: skip
    for title, frame in plan_tables(planned):
        output.table(frame, title=title)
    hours = f"{planned.gpu_hours:,.1f} GPU-hours" if planned.gpu_hours else f"{planned.worker_hours:,.2f} CPU-hours"
    output.say(
        f"{hours} on {planned.device}; {duration(planned.schedule.seconds)} with "
        f"{planned.schedule.n_workers} workers, {planned.schedule.utilisation:.0%} busy."
    )
    for words in planned.absent:
        output.say(f"absent here: {words}")
    output.document(planned.to_dict())
    output.note(f"Next: `vvscale study run {shell_words(spec)}`")


@study.command(help_epilogue="Example: vvscale study run mine.toml --out out/mine")
@verb
def run(spec: Spec, /, *, options: StudyRunOptions, dry_run: DryRun = False, output: Output) -> None:
    """Run a study. Rerun to resume: what is finished is skipped and named."""
    from vvscale.study.prepare import prepare_study

    ready = prepare_study(spec, out=options.out, changes=options.spec_changes)
    _go(ready, output, options, dry_run=dry_run)


@study.command(help_epilogue="Example: vvscale study resume out/mine")
@verb
def resume(spec: Known, /, *, options: StudyRunOptions, dry_run: DryRun = False, output: Output) -> None:
    """Resume a study as it was planned; what failed is tried again. Only engine.KEY may be set."""
    from vvscale.study.prepare import locate_study, take_up

    ready = take_up(locate_study(spec, out=options.out), changes=options.spec_changes)
    _go(ready, output, options, dry_run=dry_run)


@study.command(help_epilogue="Example: vvscale study status out/mine")
@verb
def status(spec: Known, /, *, out: Folder = None, output: Output) -> None:
    """Show how far a study is, from any terminal."""
    from vvscale.cli.stages import status_lines
    from vvscale.study.prepare import locate_study
    from vvscale.study.status import study_status

    now = study_status(locate_study(spec, out=out))
    for line in status_lines(now):
        output.say(line)
    for failure in now.failures:
        output.say(f"failed: {failure.label}: {failure.message} ({failure.path})")
    output.say(f"{now.words()}; " + (f"run by {now.runner}; {now.engine}" if now.runner else "nobody runs it now"))
    output.document(now.to_dict())
    if not now.is_complete and not now.runner:
        output.note(f"Next: `vvscale study resume {shell_words(now.path)}`")


@study.command(help_epilogue="Example: vvscale study report out/mine")
@verb
def report(spec: Known, /, *, out: Folder = None, output: Output) -> None:
    """Hand over the results of a study that are finished, and say where they are."""
    from vvscale.study.prepare import locate_study
    from vvscale.study.survey import hand_over

    results = hand_over(locate_study(spec, out=out))
    for path in results:
        output.say(str(path))
    output.document({"results": [str(path) for path in results]})
    if following := _next(results):
        output.note(f"Next: {following}")


def _next(results: Sequence[Path]) -> str:
    """Say what to look at: the page, and the table that every other verb takes; empty where there is neither."""
    page = next((path for path in results if path.name == "report.html"), None)
    table = next((path for path in results if path.name == "scores.parquet"), None)
    said = [] if page is None else [f"open {page} in any browser"]
    said += [] if table is None else [f"`vvscale figure compute --scores {shell_words(table)}`"]
    return "; or ".join(said)


def _go(ready: Prepared, output: Output, options: StudyRunOptions, *, dry_run: bool) -> None:
    """Run a prepared study to its end, or put it into the scheduler's queue, and say how it went."""
    from vvscale.cli.stages import duration, stages
    from vvscale.study.prepare import stop_on_signals
    from vvscale.study.run import run_study, submit_study
    from vvscale.study.survey import finished_tasks
    from vvscale.study.tasks.findings import published_findings

    if dry_run:
        n_done = len(finished_tasks(ready.folder, ready.graph))
        output.say(f"{len(ready.graph)} tasks in '{ready.folder.path}', {n_done} finished; nothing was written")
        output.document({"n_tasks": len(ready.graph), "n_finished": n_done, "path": str(ready.folder.path)})
        return
    if options.submit:
        job = submit_study(ready)
        output.say(f"Job {job} of {ready.engine.kind} runs the study; one may log out.")
        output.document({"job": job, "path": str(ready.folder.path)})
        output.note(f"Next: `vvscale study status {shell_words(ready.folder.path)}`")
        return
    with stop_on_signals() as stop, stages(quiet=output.quiet or output.json) as look:
        result = run_study(
            ready, stop=stop, rehash=options.verify, on_look=look, on_stop=output.note,
            on_survey=lambda found: [output.note(words) for words in found.words()],
        )  # fmt: skip
    for title, table in published_findings(ready.folder.results).items():
        output.table(table, title=title)
    for note in result.notes:
        output.say(f"note: {note}")
    output.say(f"{result.words()} in {duration(result.seconds)}")
    for path in result.results[:20]:
        output.say(f"  {path}")
    output.document(result.to_dict())
    error = result.error()
    if error is not None:
        raise error
    output.note(f"Next: {_next(result.results) or f'`vvscale study report {shell_words(ready.folder.path)}`'}")
