"""The figures of CCN 2024: four convolutional families, plain residuals."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pandas as pd

from vvscale.figures.base.marks import curve, score_axis
from vvscale.figures.base.registry import preset
from vvscale.figures.base.scaling import Shown, scaling
from vvscale.figures.drawing import style
from vvscale.figures.drawing.values import FigureData, Series, without_labels
from vvscale.figures.general.allocation import PATH, allocation_panel
from vvscale.laws.gokce2025.experiments import EXPERIMENTS
from vvscale.scores import REGIONS

if TYPE_CHECKING:
    from vvscale.figures.base.fits import Fits

CITES = ("gokce2024ccn", "gokce2025")
NOTE = "Law of CCN 2024: S = S_inf - A X^-alpha with plain residuals, ResNet, EfficientNet, CORnet-S and AlexNet only."
INVERTED = (
    "The published curve negates the exponents before it computes G and so inverts it: its N* is 14.6 % too large. "
    "Here marginal gains per cost are equal. On this plot the score differs by less than .0002."
)


@preset("ccn-1", "Alignment against compute with the optimal allocation, first version.",
        "n_params, samples_seen, train_flop", cites=CITES)  # fmt: skip
def ccn_1(fits: Fits) -> FigureData:
    """Mean score against compute; size N, shade D; the path of optimal allocation of the joint law."""
    panel, notes = allocation_panel(
        fits, EXPERIMENTS["ccn_joint"], key="a", title="Best split of compute", y=score_axis("all")
    )
    return FigureData("ccn-1", "Alignment against compute (CCN 2024)", (panel,), (NOTE, INVERTED, *notes), 1)


@preset("ccn-2a", "Alignment against training samples by data set, first version.", "samples_seen, family, dataset",
        cites=CITES)  # fmt: skip
def ccn_2a(fits: Fits) -> FigureData:
    """Mean score against D, one law per data set."""
    whole = EXPERIMENTS["ccn_samples"]
    shown = [
        Shown(dataset, replace(whole, name=f"ccn_samples_{dataset}", where={**whole.where, "dataset": [dataset]}))
        for dataset in ("imagenet", "ecoset")
    ]
    panel, notes = scaling(fits, shown, key="a", title="Alignment against samples", y=score_axis("all"))
    return FigureData("ccn-2a", "Alignment against samples (CCN 2024)", (panel,), (NOTE, *notes), 1)


@preset("ccn-2b", "Alignment against parameters, first version.", "n_params, family", cites=CITES)
def ccn_2b(fits: Fits) -> FigureData:
    """Mean score against N, full data only."""
    shown = [Shown("all", EXPERIMENTS["ccn_parameters"], by="parent_family")]
    panel, notes = scaling(fits, shown, key="a", title="Alignment against parameters", y=score_axis("all"))
    return FigureData("ccn-2b", "Alignment against parameters (CCN 2024)", (panel,), (NOTE, *notes), 1)


@preset("ccn-2c", "Alignment against compute with the optimal path, first version.",
        "train_flop, n_params, samples_seen, family", cites=CITES)  # fmt: skip
def ccn_2c(fits: Fits) -> FigureData:
    """Mean score against C; shade the size of the data, markers by N, the law in C and the optimal path."""
    shown = [Shown("all", EXPERIMENTS["ccn_compute"], label="law in C")]
    panel, notes = scaling(
        fits, shown, key="a", title="Alignment against compute", y=score_axis("all"), size="n_params",
        shade="samples_seen",
    )  # fmt: skip
    joint = fits.curve(EXPERIMENTS["ccn_joint"])
    panel = replace(
        without_labels(panel, set()),
        rows=pd.concat([panel.rows, curve(joint, PATH)], ignore_index=True),
        series=(*panel.series, Series(PATH, style.VERMILLION, "", f"optimal N and D ({joint.summary})",
                                      not joint.is_identified)),
        fits=(*panel.fits, joint.facts),
    )  # fmt: skip
    return FigureData("ccn-2c", "Alignment against compute (CCN 2024)", (panel,), (NOTE, INVERTED, *notes), 1)


@preset("ccn-2d", "Each benchmark against compute, first version.", "train_flop, family", cites=CITES)
def ccn_2d(fits: Fits) -> FigureData:
    """Each region's score against C."""
    shown = [Shown(region, EXPERIMENTS[f"ccn_compute_{region.lower()}"]) for region in REGIONS]
    panel, notes = scaling(fits, shown, key="a", title="Each benchmark against compute", y=score_axis())
    return FigureData("ccn-2d", "Each benchmark against compute (CCN 2024)", (panel,), (NOTE, *notes), 1)
