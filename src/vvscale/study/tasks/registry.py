"""The kinds of tasks of a study, by name."""

from __future__ import annotations

from vvscale.core.registry import Registry
from vvscale.study.graph.kinds import Estimate, Kind
from vvscale.study.tasks import diagnostics, pipeline
from vvscale.study.tasks.fine_tune import estimate_fine_tune, run_fine_tune
from vvscale.study.tasks.forecast import run_forecast
from vvscale.train.compute.file_names import CHECKPOINT, STATE

TASKS: Registry[Kind] = Registry("task kind")
for _name, _kind in {
    "train": Kind(
        pipeline.run_train, "training", pipeline.estimate_train, can_spread=True, scratch=(f"{CHECKPOINT}*",)
    ),
    "layers": Kind(pipeline.run_layers, "selecting layers", pipeline.estimate_score),
    "fine-tune": Kind(run_fine_tune, "fine-tuning", estimate_fine_tune, scratch=(STATE, "task/*")),
    "score": Kind(pipeline.run_score, "scoring", pipeline.estimate_score),
    "table": Kind(pipeline.run_table, "collecting", may_lack=("scores",)),
    "fit": Kind(pipeline.run_fit, "fitting", lambda facts, rates: Estimate(seconds=2.0, n_bytes=1e6)),
    "forecast": Kind(run_forecast, "forecasting", pipeline.estimate_train, scratch=(f"seed-*/{CHECKPOINT}*",)),
    "figures": Kind(pipeline.run_figures, "drawing", lambda facts, rates: Estimate(seconds=20.0, n_bytes=1e7)),
    "report": Kind(
        pipeline.run_report,
        "reporting",
        lambda facts, rates: Estimate(seconds=20.0, n_bytes=3e6),
        may_lack=("fits", "forecasts", "figures"),
    ),
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
