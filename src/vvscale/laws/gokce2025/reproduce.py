"""Many experiments at once, on all cores, one process each: what ``vvscale reproduce`` runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vvscale.core.processes import available_cores, run_in_processes
from vvscale.errors import UsageError
from vvscale.laws.gokce2025.experiments import EXPERIMENTS, ModelTables
from vvscale.laws.gokce2025.reproduction import reproduce
from vvscale.laws.planning.cost import fit_cost
from vvscale.laws.planning.support import Support

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd


@dataclass(frozen=True)
class Result:
    """One experiment's outcome as plain values: its ``fits.json`` entry, and its resamples by unit."""

    entry: dict[str, Any]
    resamples: dict[str, pd.DataFrame]


def run_one(name: str, scores: ModelTables, n_resamples: int, units: tuple[str, ...], seed: int) -> Result:
    """Fit and resample one experiment."""
    done = reproduce(EXPERIMENTS[name], scores, n_resamples=n_resamples, units=units, seed=seed)
    entry = done.to_dict()
    if done.fit.law.is_joint:
        entry["cost"] = dict(fit_cost(done.fit.problem.frame).__dict__)
        entry["support"] = Support.from_rows(done.fit.problem.frame, done.fit.problem.columns).to_dict()
    return Result(entry, {unit: resampled.table() for unit, resampled in done.resamples.items()})


def run(
    names: Sequence[str],
    scores: pd.DataFrame,
    *,
    n_resamples: int = 0,
    units: tuple[str, ...] = ("row",),
    seed: int = 42,
    n_workers: int | None = None,
    on_done: Callable[[str], None] = lambda name: None,
) -> list[Result]:
    """Fit experiments; results in the order of ``names``, whatever the order of finishing.

    Parameters
    ----------
    n_workers
        Processes; by default one per available core. Without resamples, or with one worker, everything runs in this
        process.
    on_done
        Called with each finished name.
    """
    if n_workers is not None and n_workers < 1:
        raise UsageError(f"The number of workers must be at least 1, got {n_workers}.")
    n_workers = min(n_workers or available_cores(), len(names))
    if n_resamples == 0 or n_workers <= 1:
        results = []
        tables = ModelTables(scores)
        for name in names:
            results.append(run_one(name, tables, n_resamples, units, seed))
            on_done(name)
        return results
    # The longest first, so that no core waits for a late long one.
    ordered = sorted(names, key=lambda name: EXPERIMENTS[name].law != "shifted")
    by_name = run_in_processes(
        _run_kept,
        ordered,
        n_workers,
        prepare=_keep,
        arguments=(scores,),
        further=(n_resamples, units, seed),
        on_done=on_done,
    )
    return [by_name[name] for name in names]


_tables: ModelTables | None = None


def _keep(scores: pd.DataFrame) -> None:
    global _tables
    _tables = ModelTables(scores)


def _run_kept(name: str, n_resamples: int, units: tuple[str, ...], seed: int) -> Result:
    assert _tables is not None
    return run_one(name, _tables, n_resamples, units, seed)
