"""The published fits made again: ``vvscale reproduce``, and ``vvscale.reproduce`` in Python."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vvscale.laws.gokce2025.experiments import matching
from vvscale.laws.gokce2025.reproduce import Result, run
from vvscale.laws.workflow.options import ReproduceOptions
from vvscale.laws.workflow.tables import reproduction_table
from vvscale.scores import load_scores

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
