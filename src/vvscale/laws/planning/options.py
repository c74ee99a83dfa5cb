"""Options of ``vvscale design``, and of the same in Python."""

from __future__ import annotations

from dataclasses import dataclass

from vvscale.core.options import option
from vvscale.scores.options import CsvOptions

_FIT, _BOUNDS, _STUDY = "Fit, of a table", "Bounds", "Study"


@dataclass(frozen=True, kw_only=True)
class DesignOptions(CsvOptions):
    """Which runs to choose, for what, and how they are trained."""

    budget: float = option(help="Compute of all runs together.", unit="FLOP", above=0)
    runs: int = option(10, "How many runs; each is a new architecture.", at_least=1)
    reduce: str = option(
        "all",
        "What they should tell more about: E, alpha, beta, exponent (of the optimal N in compute), score-at, or all "
        "parameters together.",
    )
    at: tuple[float, ...] = option((), "Inputs of score-at: one value per input of the law.", unit="as the column")
    by: str | None = option(None, "What counts as one piece of evidence. Default: arch where known.")

    law: str = option("joint", "joint, or power.", group=_FIT)
    x: tuple[str, ...] = option(
        (), "Input columns: parameters, then samples; of a power law one. Default: n_params samples_seen.", group=_FIT
    )
    y: str = option("misalignment", "Outcome column; misalignment = 1 - score, and 1-NAME of a score NAME.", group=_FIT)
    regions: str | None = option(None, "Regions to average, of a score table.", group=_FIT)
    where: tuple[str, ...] = option((), "Condition on rows, such as preset=controlled. Repeatable.", group=_FIT)
    cost: tuple[float, float] | None = option(
        None, "m and n of C = m (N D)^n. Default: fitted to the rows, which then have train_flop.", group=_FIT
    )
    scores: str = option("gokce2025", "Score table of a published experiment.", group=_FIT)

    min_params: float | None = option(None, "Smallest N. Default: that of the rows.", above=0, group=_BOUNDS)
    max_params: float | None = option(None, "Largest N. Default: that of the rows.", above=0, group=_BOUNDS)
    min_samples: float | None = option(None, "Smallest D. Default: that of the rows.", above=0, group=_BOUNDS)
    max_samples: float | None = option(None, "Largest D. Default: that of the rows.", above=0, group=_BOUNDS)

    dataset: str = option("imagenet", "Data set of the study's runs.", group=_STUDY)
    classes: int = option(1000, "Its number of classes.", at_least=1, group=_STUDY)
    recipe: str = option("resnet", "Recipe of the runs.", group=_STUDY)
    epochs: int = option(100, "Epochs of that recipe: D = images x epochs.", at_least=1, group=_STUDY)
