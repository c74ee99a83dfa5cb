"""The published fits made again: ``vvscale reproduce``, and ``vvscale.reproduce`` in Python."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vvscale.errors import UsageError
from vvscale.laws.gokce2025.experiments import matching
from vvscale.laws.gokce2025.reproduce import Result, run
from vvscale.laws.gokce2026.curves import PAPER, Curve, fit_curves
from vvscale.laws.workflow.options import ReproduceOptions
from vvscale.laws.workflow.tables import reproduction_table
from vvscale.scores import load_scores
from vvscale.scores.gokce2026 import read_results

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Reproduction:
    """Published fits beside ours.

    Attributes
    ----------
    results
        One per fit, in order: its plain values and its resamples.
    by
        Resampling units that intervals are shown for.
    """

    results: tuple[Result, ...]
    by: tuple[str, ...]

    def table(self) -> pd.DataFrame:
        """One row per fit: the published values, ours, intervals and a verdict, formatted."""
        return reproduction_table([one.entry for one in self.results], self.by)

    def to_dict(self) -> dict[str, Any]:
        """Plain values of every fit."""
        return {"fits": [one.entry for one in self.results]}

    def _repr_html_(self) -> str:
        return self.table().to_html(index=False)


@dataclass(frozen=True)
class ReproducedCurves:
    """Curves of the 2026 study, theirs beside ours.

    Attributes
    ----------
    curves
        One per curve, in the order of their names.
    """

    curves: tuple[Curve, ...]

    def table(self) -> pd.DataFrame:
        """One row per curve."""
        import pandas as pd

        return pd.DataFrame([one.row() for one in self.curves])

    def to_dict(self) -> dict[str, Any]:
        """Plain values of every curve."""
        return {"fits": [one.to_dict() for one in self.curves]}

    def _repr_html_(self) -> str:
        return self.table().to_html(index=False)


def are_curves(names: Sequence[str]) -> bool:
    """Whether names are of the 2026 study's curves, which come from tables of their own.

    Raises
    ------
    UsageError
        Some are and some are not.
    """
    of_2026 = [name for name in names if name.partition(":")[0] == PAPER]
    if of_2026 and len(of_2026) < len(names):
        raise UsageError(f"'{of_2026[0]}' is fitted to other tables than the rest; reproduce one paper at a time.")
    return bool(of_2026)


def reproduce_curves(
    names: Sequence[str], options: ReproduceOptions | None = None, /, **fields: Any
) -> ReproducedCurves:
    """Fit curves of the 2026 study: in its form, and by our solver.

    Parameters
    ----------
    names
        Names and patterns such as ``"icml2026:compute/average/*"``.
    options, fields
        A :class:`ReproduceOptions`, its fields as keywords, or both; ``scores`` is a file of one published table, or by
        default those at hand; intervals are by what varies independently in each curve.

    Raises
    ------
    UnknownNameError, MissingDataError
        No table has a curve of a name, or none is at hand.
    """
    options = ReproduceOptions.of(options, **fields)
    tables = None
    if options.scores != ReproduceOptions().scores:
        rows = read_results(options.scores, compute=options.compute)
        # Which table a file is of, its columns say.
        told = "probe_type" if "probe_type" in rows else "finetuning_dataset" if "finetuning_dataset" in rows else ""
        tables = {{"probe_type": "mapping", "finetuning_dataset": "finetuning", "": "pretraining"}[told]: rows}
    made = fit_curves(
        names, tables=tables, compute=options.compute, resamples=options.resamples, seed=options.seed
    )  # fmt: skip
    return ReproducedCurves(tuple(made))


def reproduce(
    names: str | Sequence[str] | None = None,
    options: ReproduceOptions | None = None,
    /,
    *,
    on_done: Callable[[str], None] = lambda name: None,
    **fields: Any,
) -> Reproduction:
    """Fit the published laws again.

    Parameters
    ----------
    names
        Experiments, or patterns such as ``"region_*"``; all by default. ``vvscale ls experiments`` lists them.
    options, fields
        A :class:`ReproduceOptions`, its fields as keywords, or both: ``resamples``, ``by``, ``scores``, ``seed``,
        ``workers``.
    on_done
        Called with each finished name.

    Raises
    ------
    UnknownNameError
        There is no such experiment.

    Examples
    --------
    >>> reproduce("compute_neuro").table()[["experiment", "paper", "ours"]]  # doctest: +SKIP
    """
    options = ReproduceOptions.of(options, **fields)
    chosen = matching([names] if isinstance(names, str) else names or ())
    results = run(
        chosen, load_scores(options.scores), n_resamples=options.resamples, units=options.by, seed=options.seed,
        is_doubted=options.sensitivity, n_workers=options.workers, on_done=on_done,
    )  # fmt: skip
    return Reproduction(tuple(results), options.by if options.resamples else ())
