"""Many experiments at once, on all cores, one process each: what ``vvscale reproduce`` runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vvscale.core.options import SEED
from vvscale.core.processes import run_in_processes
from vvscale.laws.comparison.sensitivity import sensitivity
from vvscale.laws.gokce2025.experiments import EXPERIMENTS, ModelTables
from vvscale.laws.gokce2025.reproduction import reproduce
from vvscale.laws.planning.joint import facts_of_rows
from vvscale.laws.status import Status

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd


@dataclass(frozen=True)
class Result:
    """One experiment's outcome as plain values: its ``fits.json`` entry, and its resamples by unit."""

    entry: dict[str, Any]
    resamples: dict[str, pd.DataFrame]


def run_one(
    name: str, scores: ModelTables, n_resamples: int, units: tuple[str, ...], seed: int, is_doubted: bool = False
) -> Result:
    """Fit and resample one experiment; ``is_doubted`` asks whether its conclusion changes with other choices."""
    experiment = EXPERIMENTS[name]
    done = reproduce(experiment, scores, n_resamples=n_resamples, units=units, seed=seed)
    entry = done.to_dict()
    if is_doubted and done.fit.law.has_limit and done.fit.status is not Status.TOO_FEW_POINTS:
        told = sensitivity(done.fit, rows=experiment.other_rows(scores), seed=seed)
        entry["sensitivity"] = told.to_dict()
    if done.fit.law.is_joint:
        entry |= facts_of_rows(done.fit.problem.frame, done.fit.problem.columns)
    return Result(entry, {unit: resampled.table() for unit, resampled in done.resamples.items()})


def run(
    names: Sequence[str],
    scores: pd.DataFrame,
    *,
    n_resamples: int = 0,
    units: tuple[str, ...] = ("row",),
    seed: int = SEED,
    is_doubted: bool = False,
    n_workers: int | None = None,
    on_done: Callable[[str], None] = lambda name: None,
) -> list[Result]:
    """Fit experiments; results in the order of ``names``, whatever the order of finishing.

    Parameters
    ----------
    is_doubted
        Whether to add what changes under other forms, losses, units and rows.
    n_workers
        Processes; by default one per available core. Without resamples, or with one worker, everything runs in this
        process.
    on_done
        Called with each finished name.
    """
    return run_in_processes(
        run_one,
        names,
        n_workers if n_resamples else 1,
        shared=ModelTables(scores),
        further=(n_resamples, units, seed, is_doubted),
        longest_first=lambda name: EXPERIMENTS[name].law != "shifted",
        on_done=on_done,
    )
