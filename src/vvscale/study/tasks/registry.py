"""The kinds of tasks of a study, by name."""

from __future__ import annotations

from vvscale.core.registry import Registry
from vvscale.study.graph.kinds import Kind
from vvscale.study.tasks.diagnostics import DIAGNOSTICS
from vvscale.study.tasks.pipeline import PIPELINE

TASKS: Registry[Kind] = Registry("task kind")
for _name, _kind in {**PIPELINE, **DIAGNOSTICS}.items():
    TASKS.add(_name, _kind)
