"""The figures of the study's first version (CCN 2024): four convolutional families, plain residuals."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from vvscale.figures.base.marks import AXES, SAID, Shown, scaling, score_axis
from vvscale.figures.base.registry import figure
from vvscale.figures.drawing.values import Axis, FigureData
from vvscale.figures.paper.allocation import allocation
from vvscale.laws.gokce2025.experiments import CORE, GROUP_1, Experiment
from vvscale.scores import REGIONS

if TYPE_CHECKING:
    from vvscale.figures.base.fits import Fits

WHERE = {**CORE, "parent_family": GROUP_1}
CITES = ("gokce2024ccn", "gokce2025")
NOTE = (
    "Law of the study's first version: S = S_inf - A X^-alpha with plain residuals, ResNet, EfficientNet, CORnet-S and "
    "AlexNet only."
)


def _experiment(name: str, x: str, regions: str = "all", *, full: bool = False) -> Experiment:
    where = {**WHERE, "samples_per_class": 0} if full else WHERE
    return Experiment(f"ccn_{name}", f"{regions} alignment against {x}, CCN 2024", "ccn", (x,), regions, where)


def _one_law(fits: Fits, name: str, title: str, experiment: Experiment) -> FigureData:
    panel, notes = scaling(
        fits, [Shown("all", experiment, by="parent_family")], key="a", title=title, y=Axis(SAID["all"], "score")
    )
    return FigureData(name, f"{title} (CCN 2024)", (panel,), (NOTE, *notes), 1)


@figure(
    "ccn-1",
    "Alignment against compute with the optimal allocation, first version.",
    "n_params, samples_seen, train_flop",
    cites=CITES,
)
def ccn_1(fits: Fits) -> FigureData:
    """Mean score against compute; size N, shade D; the path of optimal allocation of the joint law."""
    experiment = Experiment(
        "ccn_joint", "alignment against parameters and samples, CCN 2024", "ccn-joint", ("n_params", "samples_seen"),
        "all", WHERE,
    )  # fmt: skip
    panel, notes = allocation(fits, experiment, key="a", title="Compute-optimal allocation")
    return FigureData("ccn-1", "Alignment against compute (CCN 2024)", (panel,), (NOTE, *notes), 1)


@figure("ccn-2a", "Alignment against training samples, first version.", "samples_seen, family", cites=CITES)
def ccn_2a(fits: Fits) -> FigureData:
    """Mean score against D."""
    return _one_law(fits, "ccn-2a", "Alignment against samples", _experiment("samples", "samples_seen"))


@figure("ccn-2b", "Alignment against parameters, first version.", "n_params, family", cites=CITES)
def ccn_2b(fits: Fits) -> FigureData:
    """Mean score against N, full data only."""
    return _one_law(fits, "ccn-2b", "Alignment against parameters", _experiment("parameters", "n_params", full=True))


@figure("ccn-2c", "Alignment against compute, first version.", "train_flop, family", cites=CITES)
def ccn_2c(fits: Fits) -> FigureData:
    """Mean score against C."""
    return _one_law(fits, "ccn-2c", "Alignment against compute", _experiment("compute", "train_flop"))


@figure("ccn-2d", "Each benchmark against compute, first version.", "train_flop, family", cites=CITES)
def ccn_2d(fits: Fits) -> FigureData:
    """Each region's score against C."""
    shown = [Shown(region, _experiment(f"compute_{region}", "train_flop", region)) for region in REGIONS]
    panel, notes = scaling(fits, shown, key="a", title="Each benchmark against compute", y=score_axis())
    panel = replace(panel, x=AXES["train_flop"])
    return FigureData("ccn-2d", "Each benchmark against compute (CCN 2024)", (panel,), (NOTE, *notes), 1)
