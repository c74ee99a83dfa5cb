"""The kinds of tasks of a study, by name."""

from __future__ import annotations

from vvscale.core.registry import Registry
from vvscale.study.graph.kinds import Kind
from vvscale.study.tasks import diagnostics, pipeline
from vvscale.study.tasks.forecast import run_forecast
from vvscale.train.compute.file_names import CHECKPOINT, STATE

TASKS: Registry[Kind] = Registry("task kind")
for _name, _kind in {
    "train": Kind(pipeline.run_train, "training", can_spread=True, scratch=(f"{CHECKPOINT}*",)),
    "layers": Kind(pipeline.run_layers, "selecting layers"),
    "fine-tune": Kind(pipeline.run_fine_tune, "fine-tuning", scratch=(STATE, "task/*")),
    "score": Kind(pipeline.run_score, "scoring"),
    "table": Kind(pipeline.run_table, "collecting", may_lack=("scores",)),
    "fit": Kind(pipeline.run_fit, "fitting"),
    "forecast": Kind(run_forecast, "forecasting", scratch=(f"seed-*/{CHECKPOINT}*",)),
    "figures": Kind(pipeline.run_figures, "drawing"),
    "report": Kind(pipeline.run_report, "reporting", may_lack=("fits", "forecasts", "figures")),
    "noop": Kind(diagnostics.run_noop, "idling"),
    "sleep": Kind(diagnostics.run_sleep, "sleeping", scratch=("slept.json",)),
    "ranks": Kind(diagnostics.run_ranks, "summing", can_spread=True),
    "collect": Kind(diagnostics.run_collect, "collecting"),
}.items():
    TASKS.add(_name, _kind)


def versions() -> dict[str, str]:
    """Return kind -> version of what it computes."""
    return {name: kind.version for name, kind in TASKS.items()}


def may_lack() -> dict[str, tuple[str, ...]]:
    """Return kind -> roles of inputs that may be absent, of the kinds that have any."""
    return {name: kind.may_lack for name, kind in TASKS.items() if kind.may_lack}
