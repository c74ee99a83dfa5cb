"""A whole scaling study: one file says what, a graph of small tasks does it, any number of workers share it.

    spec -> axes -> resolve -> build (the graph) -> simulate (what it costs)
                                     |
                 folder, claims, journal, board -> worker <- process <- engines/{local, slurm}
                                     |
                             run, status (people)

Importing this package loads no submodule; the public names below are resolved on first use.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vvscale.study.estimate import StudyPlan, plan_study
    from vvscale.study.graph.graph import Graph, GraphBuilder, Task
    from vvscale.study.graph.kinds import Estimate, Kind, Rates, TaskContext
    from vvscale.study.prepare import Prepared, locate_study, make_engine, prepare_study
    from vvscale.study.run import StudyResult, run_study
    from vvscale.study.spec.schema import StudySpec, load_spec
    from vvscale.study.status import StudyStatus, study_status
    from vvscale.study.tasks.registry import TASKS
    from vvscale.study.workers.folder import StudyFolder
    from vvscale.study.workers.worker import WorkerOptions, work

_HOME_OF = {
    "TASKS": "tasks.registry",
    "Estimate": "graph.kinds",
    "Graph": "graph.graph",
    "GraphBuilder": "graph.graph",
    "Kind": "graph.kinds",
    "Prepared": "prepare",
    "Rates": "graph.kinds",
    "StudyFolder": "workers.folder",
    "StudyPlan": "estimate",
    "StudyResult": "run",
    "StudySpec": "spec.schema",
    "StudyStatus": "status",
    "Task": "graph.graph",
    "TaskContext": "graph.kinds",
    "WorkerOptions": "workers.worker",
    "load_spec": "spec.schema",
    "locate_study": "prepare",
    "make_engine": "prepare",
    "plan_study": "estimate",
    "prepare_study": "prepare",
    "run_study": "run",
    "study_status": "status",
    "work": "workers.worker",
}

__all__ = [
    "TASKS",
    "Estimate",
    "Graph",
    "GraphBuilder",
    "Kind",
    "Prepared",
    "Rates",
    "StudyFolder",
    "StudyPlan",
    "StudyResult",
    "StudySpec",
    "StudyStatus",
    "Task",
    "TaskContext",
    "WorkerOptions",
    "load_spec",
    "locate_study",
    "make_engine",
    "plan_study",
    "prepare_study",
    "run_study",
    "study_status",
    "work",
]


def __getattr__(name: str) -> Any:
    if name in _HOME_OF:
        return getattr(import_module(f"vvscale.study.{_HOME_OF[name]}"), name)
    raise AttributeError(f"module 'vvscale.study' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted([*__all__, *globals()])
