"""The kinds of tasks of a study, by name."""

from __future__ import annotations

from vvscale.core.registry import Registry
from vvscale.study.graph.kinds import Kind
from vvscale.study.tasks.diagnostics import DIAGNOSTICS
from vvscale.study.tasks.pipeline import PIPELINE

TASKS: Registry[Kind] = Registry("task kind")
for _name, _kind in {**PIPELINE, **DIAGNOSTICS}.items():
    TASKS.add(_name, _kind)


def versions() -> dict[str, str]:
    """Return kind -> version of what it computes."""
    return {name: kind.version for name, kind in TASKS.items()}


def may_lack() -> dict[str, tuple[str, ...]]:
    """Return kind -> roles of inputs that may be absent, of the kinds that have any."""
    return {name: kind.may_lack for name, kind in TASKS.items() if kind.may_lack}
