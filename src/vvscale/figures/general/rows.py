"""Rows of a general figure: which models, which outcome, which input; what was assumed is said."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from vvscale.errors import MissingDataError, UsageError
from vvscale.figures.base.fits import Question
from vvscale.figures.base.outcomes import default_colour, default_x, is_number, require_column
from vvscale.figures.base.tables import FLAGS
from vvscale.figures.drawing.names import words_of
from vvscale.laws.law import LAWS
from vvscale.scores import parse_where, select
from vvscale.scores.schema import REGIONS

if TYPE_CHECKING:
    import pandas as pd

    from vvscale.figures.base.fits import Fits
    from vvscale.figures.base.outcomes import Outcome
    from vvscale.figures.options import DrawOptions

NO_LAW = "none"
# As many panels as a page holds.
MOST_PANELS = 9


@dataclass(frozen=True)
class Rows:
    """What a general figure is drawn from.

    Attributes
    ----------
    frame
        One row per model with ``score`` (what is drawn), ``misalignment`` (what is fitted) and a value of every input.
    outcome
        What is drawn.
    x
        Input columns.
    notes
        What was assumed and left out.
    """

    frame: pd.DataFrame
    outcome: Outcome
    x: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def title(self) -> str:
        """What is drawn against what, in words."""
        return f"{self.outcome.words} against {words_of(self.x[0])}"

    def question(self, name: str, frame: pd.DataFrame, law: str) -> Question:
        """Return what to fit to some of the rows."""
        return Question(name, frame, law, self.x, self.outcome.is_score)


def rows_of(fits: Fits, options: DrawOptions, *, x: tuple[str, ...] = (), y: str = "") -> Rows:
    """Choose rows, outcome and inputs.

    Models that were pretrained elsewhere, never trained, or trained otherwise than the others are left out, unless
    a condition on their flag asks for them.

    Parameters
    ----------
    x, y
        Inputs and outcome of the figure, where the options name none.
    """
    source = fits.source
    outcome = source.outcome(options.y or y)
    frame = source.measured(outcome)
    conditions = parse_where(options.where)
    flags = {flag: False for flag in FLAGS if flag in frame.columns and frame[flag].any() and flag not in conditions}
    frame = select(frame, **conditions)
    n_before = len(frame)
    for flag in flags:
        frame = frame[~frame[flag]]
    notes = []
    if len(frame) < n_before:
        named = ", ".join(flag.removeprefix("is_") for flag in flags)
        notes.append(f"Left out: {n_before - len(frame)} models ({named}); a condition on their flag shows them.")
    inputs = (options.x,) if options.x else x or (source.x or default_x(frame, source.name, outcome.name),)
    for column in inputs:
        require_column(frame, column)
        if not is_number(frame[column]):
            raise UsageError(f"Column '{column}' of '{source.name}' does not hold numbers. Choose another with `x`.")
    known = frame.dropna(subset=list(inputs))
    if len(known) < len(frame):
        notes.append(f"Left out: {len(frame) - len(known)} models without {' or '.join(inputs)}.")
    if known.empty:
        raise MissingDataError(f"'{source.name}' has no model with {outcome.name} and {' and '.join(inputs)}.")
    return Rows(known.reset_index(drop=True), outcome, inputs, tuple(notes))


def outcomes_of(fits: Fits, options: DrawOptions) -> list[str]:
    """Return what is drawn side by side: as asked, else neural and behaviour where the table has both."""
    y = options.y or fits.source.y
    return [y] if y or fits.source.regions != REGIONS else ["neural", "behavior"]


def colour_of(options: DrawOptions, frame: pd.DataFrame) -> str:
    """Return the column that colours points, given or chosen."""
    if options.colour:
        require_column(frame, options.colour)
        return options.colour
    return default_colour(frame)


def law_of(options: DrawOptions) -> str:
    """Return the name of the law to fit; empty for none.

    Raises
    ------
    UnknownNameError, UsageError
        No such law, or one of several inputs.
    """
    if options.law == NO_LAW:
        return ""
    law = LAWS[options.law]
    if len(law.inputs) != 1:
        raise UsageError(f"The law '{law.name}' has {len(law.inputs)} inputs; this figure draws 1.")
    return law.name


def facets(options: DrawOptions, rows: Rows) -> list[tuple[str, pd.DataFrame]]:
    """Return the rows of each panel with its heading; all in one without a column to divide by."""
    if not options.facet:
        return [("", rows.frame)]
    require_column(rows.frame, options.facet)
    parts = [(f"{options.facet} {value}" if is_number(rows.frame[options.facet]) else str(value), part)
             for value, part in rows.frame.groupby(options.facet, sort=True)]  # fmt: skip
    if not parts:
        raise MissingDataError(f"Column '{options.facet}' is empty: there is nothing to divide by.")
    if len(parts) > MOST_PANELS:
        raise UsageError(
            f"Column '{options.facet}' has {len(parts)} values, more than the {MOST_PANELS} panels of a page. Choose "
            "fewer with `where`."
        )
    return parts
