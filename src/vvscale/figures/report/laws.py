"""The laws that a report is about: of the published table the named ones, of any other what its own columns allow."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from vvscale.errors import DataError, FitError, UnknownNameError, UsageError
from vvscale.figures.base.tables import PUBLISHED, objective
from vvscale.figures.drawing.names import words_of, written
from vvscale.figures.general.allocation import joint_rows
from vvscale.figures.general.rows import rows_of
from vvscale.figures.options import DrawOptions
from vvscale.laws.gokce2025.experiments import EXPERIMENTS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    import pandas as pd

    from vvscale.figures.base.fits import Fits, Question
    from vvscale.figures.base.law_curve import LawCurve
    from vvscale.figures.base.tables import Source

# What a table may not allow, for a reason that is said in place of the law.
NOT_ALLOWED = (DataError, FitError, UnknownNameError, UsageError)
HEADLINES = {
    "compute_neuro": "Neural alignment against compute",
    "compute_behavior": "Behaviour against compute",
    "compute_chinchilla": "Mean alignment against parameters and samples",
    "parameter_scaling": "Mean alignment against parameters, full data",
    "sample_imagenet_scaling": "Mean alignment against samples, ImageNet",
    "sample_ecoset_scaling": "Mean alignment against samples, ecoset",
    "model_resnet_avg": "ResNet against compute",
    "model_convnext_avg": "ConvNeXt against compute",
    "model_vit_avg": "ViT against compute",
}


@dataclass(frozen=True)
class Law:
    """One law of a report.

    Attributes
    ----------
    title
        What it asks.
    curve
        The fitted law.
    x
        Its input column; of a joint law the compute.
    best, best_model
        The best score (lowest error) among its rows, and whose it is.
    left_out
        How many models of the table the law is not fitted to, by how they were trained.
    """

    title: str
    curve: LawCurve
    x: str
    best: float
    best_model: str
    left_out: Mapping[str, int]


def laws_of(fits: Fits) -> tuple[list[Law], list[str]]:
    """Return the laws of a table, the most telling first, and why some are not there."""
    made, absent = [], []
    for title, ask in _asked(fits):
        try:
            made.append(_law(fits, title, ask()))
        except NOT_ALLOWED as error:
            absent.append(f"{title}: {error}")
    return made, absent


def joint_of(fits: Fits) -> Question:
    """Return the joint law that a plan is made with.

    Raises
    ------
    DataError
        The table lacks what it needs.
    """
    if fits.source.name == PUBLISHED:
        return fits.question(EXPERIMENTS["compute_chinchilla"])
    rows = joint_rows(fits, DrawOptions())
    return rows.question("joint", rows.frame, "joint")


def _asked(fits: Fits) -> Iterator[tuple[str, Callable[[], Question]]]:
    """Yield title and the question behind it, made on demand."""
    if fits.source.name == PUBLISHED:
        for name, title in HEADLINES.items():
            yield title, lambda name=name: fits.question(EXPERIMENTS[name])
        return
    outcomes = ["", *fits.source.regions] if len(fits.source.regions) > 1 else [""]
    for y in outcomes:
        try:
            rows = rows_of(fits, DrawOptions(), y=y)
        except NOT_ALLOWED:
            continue
        yield rows.title, lambda rows=rows: rows.question(rows.title, rows.frame, "power")
    if {"n_params", "samples_seen", "train_flop"} <= set(fits.source.models.columns):
        yield f"{fits.source.outcome().words} against parameters and samples", lambda: joint_of(fits)


def _law(fits: Fits, title: str, question: Question) -> Law:
    frame = question.frame
    score = 1.0 - frame["misalignment"] if question.is_score else frame["misalignment"]
    place = int(np.argmax(score)) if question.is_score else int(np.argmin(score))
    x = question.x[0] if len(question.x) == 1 else "train_flop"
    best = str(frame["model_id"].iloc[place])
    return Law(title, fits.curve(question), x, float(score.iloc[place]), best, _left_out(fits.source, frame))


def _left_out(source: Source, fitted: pd.DataFrame) -> dict[str, int]:
    """Models by objective that a law of one's own table does not know; the papers' figures say it of theirs."""
    models = source.models
    if source.name == PUBLISHED or "model_id" not in models.columns:
        return {}
    others = models[~models["model_id"].isin(fitted["model_id"])]
    return {str(name): int(n) for name, n in objective(others).value_counts().items()}


def sentences(laws: list[Law]) -> list[str]:
    """Say what the first law found, in words: how far the outcome moved, what a tenfold added, what comes next."""
    if not laws:
        return []
    law = laws[0]
    facts, curve = law.curve.facts, law.curve
    inside = curve.inside & np.isfinite(curve.y)
    first, last = float(curve.y[inside][0]), float(curve.y[inside][-1])
    low, high = curve.x[inside][0], curve.x[inside][-1]
    x = words_of(law.x)
    moved = "rises" if last > first else "falls"
    said = [
        f"{law.title.partition(' against')[0]} {moved} with {x}: under the fitted law from {first:.3f} at {low:.3g} to "
        f"{last:.3f} at {high:.3g} ({facts['n']} models)."
    ]
    if law.left_out:
        kinds = ", ".join(f"{n} {kind}" for kind, n in law.left_out.items())
        said.append(f"Left out of this law: {kinds}. Explore the models, or the figure objectives, show them.")
    gain = facts.get("gain")
    if gain and gain[0] is not None:
        ends = "" if gain[1] is None else f" [{gain[1]:.3f}, {gain[2]:.3f}]"
        said.append(f"The last tenfold of {x} added {gain[0]:.3f}{ends}.")
    word = "highest" if facts["is_score"] else "lowest"
    said.append(f"The {word} value is {law.best:.3f}, of {law.best_model}.")
    said += [f"{written(one.title)}: {one.curve.facts['verdict']}." for one in laws[:1]]
    return said
