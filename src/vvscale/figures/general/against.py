"""An outcome against one input, with its law: compute, parameters, samples, or any two columns."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from vvscale.figures.base.marks import as_names, in_order
from vvscale.figures.base.outcomes import FEWEST_VALUES, require_column
from vvscale.figures.base.registry import figure
from vvscale.figures.base.scaling import Shown, scaling
from vvscale.figures.drawing.values import FigureData
from vvscale.figures.general.rows import Rows, colour_of, facets, law_of, rows_of

if TYPE_CHECKING:
    import pandas as pd

    from vvscale.figures.base.fits import Fits
    from vvscale.figures.options import DrawOptions

KEYS = "abcdefghi"


def against(
    fits: Fits, options: DrawOptions, name: str, x: tuple[str, ...] = (), *, at_largest: bool = False
) -> FigureData:
    """Draw the outcome against an input: one law, one per value of a column, or one per panel.

    With ``at_largest`` only models trained on the most images per class, so that size alone differs.
    """
    rows = rows_of(fits, options, x=x)
    if at_largest:
        rows = _at_largest(rows, options)
    panels, notes = [], list(rows.notes)
    parts = facets(options, rows)
    for key, (heading, part) in zip(KEYS, parts, strict=False):
        shown = _shown(options, rows, part)
        panel, more = scaling(
            fits, shown, key=key, title=heading or rows.title, y=rows.outcome.axis, over=rows.outcome.name
        )
        panels.append(panel)
        notes += [f"{heading}: {note}" if heading else note for note in more]
    return FigureData(name, rows.title, tuple(panels), tuple(notes), 1 if len(panels) == 1 else 2)


def _at_largest(rows: Rows, options: DrawOptions) -> Rows:
    """Keep the models trained on the most images per class, unless a condition chooses them."""
    column = "samples_per_class"
    if column not in rows.frame.columns or any(condition.startswith(column) for condition in options.where):
        return rows
    values = rows.frame[column]
    # 0 means all images.
    largest = 0 if (values == 0).any() else values.max()
    kept = rows.frame[values == largest]
    if kept[rows.x[0]].nunique() < FEWEST_VALUES or len(kept) == len(rows.frame):
        return rows
    said = "all images" if largest == 0 else f"{largest:g} images per class"
    note = f"Only models trained on {said}; a condition on {column} chooses others."
    return replace(rows, frame=kept.reset_index(drop=True), notes=(*rows.notes, note))


def _shown(options: DrawOptions, rows: Rows, part: pd.DataFrame) -> list[Shown]:
    law = law_of(options)
    if options.each:
        require_column(part, options.each)
        named = as_names(part[options.each])
        return [
            Shown(value, rows.question(value, part[named == value], law or "power"), has_curve=bool(law))
            for value in in_order(part[options.each])
        ]
    by = colour_of(options, part)
    question = rows.question("all" if by else "models", part, law or "power")
    return [Shown(question.name, question, by=by, has_curve=bool(law))]


@figure("compute", "Score against training compute, with its law.", "train_flop")
def compute(fits: Fits, options: DrawOptions) -> FigureData:
    """Score against training compute."""
    return against(fits, options, "compute", ("train_flop",))


@figure("parameters", "Score against the number of parameters, with its law.", "n_params")
def parameters(fits: Fits, options: DrawOptions) -> FigureData:
    """Score against parameters."""
    return against(fits, options, "parameters", ("n_params",), at_largest=True)


@figure("samples", "Score against the samples seen in training, with its law.", "samples_seen")
def samples(fits: Fits, options: DrawOptions) -> FigureData:
    """Score against samples."""
    return against(fits, options, "samples", ("samples_seen",))


@figure("scatter", "Any column against any other, with a law; for a table of one's own.", "two columns of numbers")
def scatter(fits: Fits, options: DrawOptions) -> FigureData:
    """Any column against any other."""
    return against(fits, options, "scatter")
