"""A whole scaling study: one file says what, a graph of small tasks does it, Parsl's workers share it.

    spec -> prepare: axes, resolve, build -> graph -> estimate (what it costs)
                                               |
          survey (what is there, what is made again) -> work <-> engine (Parsl) <-> worker: tasks -> folder
                                               |
                                     run (results), status (people)

Importing this package loads no submodule; the public names below are resolved on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vvscale.core.imports import lazy

if TYPE_CHECKING:
    from vvscale.study.estimate import Rates as Rates
    from vvscale.study.estimate import StudyPlan as StudyPlan
    from vvscale.study.estimate import plan_study as plan_study
    from vvscale.study.graph.folder import StudyFolder as StudyFolder
    from vvscale.study.graph.graph import Graph as Graph
    from vvscale.study.graph.graph import Task as Task
    from vvscale.study.graph.kinds import Kind as Kind
    from vvscale.study.graph.kinds import TaskContext as TaskContext
    from vvscale.study.prepare import Prepared as Prepared
    from vvscale.study.prepare import locate_study as locate_study
    from vvscale.study.prepare import prepare_study as prepare_study
    from vvscale.study.run import StudyResult as StudyResult
    from vvscale.study.run import run_study as run_study
    from vvscale.study.spec.schema import StudySpec as StudySpec
    from vvscale.study.spec.schema import load_spec as load_spec
    from vvscale.study.status import StudyStatus as StudyStatus
    from vvscale.study.status import study_status as study_status
    from vvscale.study.tasks.registry import TASKS as TASKS

__getattr__, __dir__ = lazy(__name__)
