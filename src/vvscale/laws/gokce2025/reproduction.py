"""One named fit made again, with its resamples and what was published beside it."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from vvscale.core.options import SEED
from vvscale.errors import ShapeError
from vvscale.laws.comparison.assess import examine
from vvscale.laws.fit import Fit
from vvscale.laws.gokce2025.experiments import Experiment, ModelTables
from vvscale.laws.uncertainty.bootstrap import Bootstrap, bootstrap
from vvscale.laws.uncertainty.jackknife import Jackknife
from vvscale.laws.verdict import Verdict

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

# A plateau is as published within a tenth of a score point: what separates two optimisers' stopping points.
SAME_PLATEAU = 1e-3
# A loss lower by more than this (relative) is another minimum, not rounding.
BETTER = 1e-6


@dataclass(frozen=True)
class Reproduction:
    """One experiment fitted, with what was published beside it.

    Attributes
    ----------
    experiment, fit
        What was asked and the answer.
    verdict
        What the fit can bear.
    resamples
        Bootstraps by resampling unit.
    refused
        Why there is none, by unit: too few points, or a single unit.
    jackknife
        Refits without each group, behind the verdict; None where there are none.
    """

    experiment: Experiment
    fit: Fit
    verdict: Verdict
    resamples: Mapping[str, Bootstrap] = field(default_factory=dict)
    refused: Mapping[str, str] = field(default_factory=dict)
    jackknife: Jackknife | None = None

    def against_published(self) -> dict[str, float]:
        """Difference to the published plateau, ours - theirs, and relative difference to the published loss."""
        theirs = self.experiment.published
        if theirs is None:
            return {}
        return {"E": self.fit.params["E"] - theirs.params["E"], "loss": self.fit.loss / theirs.loss - 1.0}

    @property
    def published_note(self) -> str:
        """How the fit stands to the published one; empty where nothing was published."""
        apart = self.against_published()
        if not apart:
            return ""
        lower = " at a lower loss" if apart["loss"] < -BETTER else ""
        if abs(apart["E"]) <= SAME_PLATEAU:
            return f"as published{lower and ', ' + lower.strip()}"
        assert self.experiment.published is not None
        return f"published E {self.experiment.published.params['E']:.3f}; ours{lower or ' differs'}"

    def to_dict(self) -> dict[str, Any]:
        """Plain values for ``fits.json``."""
        fit = {**self.fit.to_dict(), "S_inf": _plain(1.0 - self.fit.params["E"])}
        row = self.resamples.get("row")
        return {
            "name": self.experiment.name,
            "summary": self.experiment.summary,
            "form": self.experiment.law,
            "x": fit["x"],
            "units": fit["units"],
            "offsets": fit["offsets"],
            "groups": fit["groups"],
            "y": f"1 - mean score of {self.experiment.regions}",
            "n": fit["n"],
            "n_distinct": fit["n_distinct"],
            "params": fit["params"],
            "outcome": self.fit.problem.outcome,
            "S_inf": fit["S_inf"],
            "loss": fit["loss"],
            "status": fit["status"],
            "edges": fit["edges"],
            "gradient": fit["gradient"],
            "agreement": fit["agreement"],
            "r2": fit["r2"],
            "ci": row.to_dict()["ci"] if row else None,
            "intervals": {unit: b.to_dict() for unit, b in self.resamples.items()},
            "refused": dict(self.refused),
            "published": asdict(self.experiment.published) if self.experiment.published else None,
            "against_published": self.against_published(),
            "published_note": self.published_note,
            "verdict": self.verdict.to_dict(),
            "jackknife": self.jackknife.to_dict() if self.jackknife else None,
            "excluded": fit["excluded"],
        }


def _plain(value: float) -> float | None:
    return value if math.isfinite(value) else None


def reproduce(
    experiment: Experiment,
    scores: pd.DataFrame | ModelTables,
    *,
    n_resamples: int = 0,
    units: tuple[str, ...] = ("row",),
    seed: int = SEED,
) -> Reproduction:
    """Fit one experiment and resample it.

    Parameters
    ----------
    experiment
        Which one.
    scores
        Long table of ``vvscale.scores.load_scores``.
    n_resamples
        Resamples per unit; 0 for none.
    units
        Resampling units; ``row`` with seed 42 are the published resamples.
    """
    fit = experiment.fit(scores)
    made: dict[str, Bootstrap] = {}
    refused: dict[str, str] = {}
    for unit in units if n_resamples else ():
        try:
            made[unit] = bootstrap(fit, n_resamples, by=unit, seed=seed)
        except ShapeError as error:
            refused[unit] = str(error)
    verdict, left_out = examine(fit, by=units if n_resamples else ())
    return Reproduction(experiment, fit, verdict, made, refused, left_out)
