"""Accuracy over parameters and images: what training alone says, before any brain."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from vvscale.errors import DataError, FitError, MissingDataError
from vvscale.figures.base.marks import AXES, line, points
from vvscale.figures.base.registry import figure
from vvscale.figures.base.tables import require
from vvscale.figures.drawing import style
from vvscale.figures.drawing.values import Axis, FigureData, Panel, Series
from vvscale.laws import fit_law

if TYPE_CHECKING:
    from vvscale.figures.base.fits import Fits

# As many subset sizes as a legend can hold.
_MOST_SIZES = 8


@figure(
    "accuracy",
    "Classification error over parameters, for each size of the training set, with the joint law.",
    "accuracy, n_params, n_samples, dataset",
)
def accuracy(fits: Fits) -> FigureData:
    """Error of supervised networks on the data set with most of them; lines are one joint law for all sizes."""
    models = fits.source.models
    require(models, ("accuracy", "n_params", "n_samples", "dataset"), f"'{fits.source.name}'")
    # Networks without a classifier have an accuracy of 0 in the published table, which stands for none.
    is_plain = ~models[["is_pretrained", "is_random", "is_ssl", "is_adv", "is_ablation"]].any(axis=1)
    told = models[is_plain & (models["accuracy"] > 0)].dropna(subset=["accuracy", "n_params", "n_samples", "dataset"])
    if told.empty:
        raise MissingDataError(f"'{fits.source.name}' has no trained classifier with accuracy, n_params and n_samples.")
    dataset = told["dataset"].value_counts().index[0]
    frame = told[told["dataset"] == dataset].assign(error=lambda rows: 1.0 - rows["accuracy"])
    n_perfect = int((frame["error"] <= 0).sum())
    frame = frame[frame["error"] > 0]
    sizes = frame["n_samples"].value_counts().index[:_MOST_SIZES].sort_values()
    n_before = len(frame)
    frame = frame[frame["n_samples"].isin(sizes)]
    left_out = {"without an error": n_perfect, "of rarer sizes of the training set": n_before - len(frame)}
    names = {size: f"{size:,.0f} images" for size in sizes}
    rows = [points(frame, "n_params", y="error", series=frame["n_samples"].map(names))]
    note = ""
    try:
        law = fit_law(frame, law="joint", x=("n_params", "n_samples"), y="error")
    except (DataError, FitError) as error:
        note = f"No law: {error}"
    else:
        grid = np.geomspace(frame["n_params"].min(), frame["n_params"].max(), 61)
        rows += [line(f"law, {names[size]}", grid, law.predict(grid, np.full(61, float(size)))) for size in sizes]
        note = f"Joint law: {law.formula}, R2 {law.r2:.3f}, {law.status}; N parameters, D distinct images."
    colours = style.series(names.values())
    looks = [Series(each.name, each.colour, "o", each.name) for each in colours]
    looks += [Series(f"law, {each.name}", each.colour, "") for each in colours]
    panel = Panel(
        "a", f"Networks on {dataset}", AXES["n_params"], Axis("Error (1 - top-1 accuracy)", "error", "log"),
        pd.concat(rows, ignore_index=True), tuple(looks), len(frame),
    )  # fmt: skip
    notes = [note, *(f"Left out: {n} networks {which}." for which, n in left_out.items() if n)]
    return FigureData("accuracy", "Error over parameters and images", (panel,), tuple(notes), 1)
