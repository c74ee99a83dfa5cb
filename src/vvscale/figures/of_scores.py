"""A figure or the report of a table of scores in one call; ``vvscale.draw_figure`` and ``vvscale.write_report``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from vvscale.core.inputs.plain import refuse_own_input
from vvscale.figures.base.fits import Fits
from vvscale.figures.base.open_tables import open_source
from vvscale.figures.gallery import make
from vvscale.figures.options import FigureOptions, ReportOptions, TableOptions
from vvscale.figures.plot import Drawing
from vvscale.figures.report.report import Report
from vvscale.figures.report.report import write_report as write_page

if TYPE_CHECKING:
    import pandas as pd


def draw_figure(
    name: str,
    scores: str | Path | pd.DataFrame = "gokce2025",
    *,
    out: str | Path | None = None,
    options: FigureOptions | None = None,
    **fields: Any,
) -> Drawing:
    """Draw one figure of a table of scores.

    Parameters
    ----------
    name
        ``vvscale ls figures`` lists them.
    scores
        A published set, a CSV or Parquet file, a store folder, or a DataFrame.
    out
        File to write: ``.pdf``, ``.svg``, ``.png``, ``.csv`` or ``.json``.
    options, fields
        A :class:`FigureOptions`, its fields as keywords, or both: ``x``, ``y``, ``law``, ``where``, ``resamples`` and
        the others of ``vvscale figure --help``.

    Returns
    -------
    Drawing
        Shows itself in a notebook, and has ``caption`` and ``save(path)``.

    Raises
    ------
    UnknownNameError
        There is no such figure.
    MissingDataError
        The table lacks what it needs.

    Examples
    --------
    >>> import pandas as pd
    >>> table = pd.DataFrame({"size": [1e3, 1e4, 1e5, 1e6, 1e7, 1e8], "error": [0.9, 0.6, 0.4, 0.3, 0.25, 0.22]})
    >>> draw_figure("compute", table, x="size", y="error", resamples=0).data.name
    'compute'
    """
    chosen = FigureOptions.of(options, **fields)
    if out is not None:
        refuse_own_input(out, scores, *(one.rpartition("=")[2] for one in chosen.add))
    drawn = Drawing(make(name, _fits(scores, chosen), chosen))
    if out is not None:
        drawn.save(out)
    return drawn


def write_report(
    path: str | Path = "report.html",
    scores: str | Path | pd.DataFrame = "gokce2025",
    *,
    title: str = "",
    options: ReportOptions | None = None,
    **fields: Any,
) -> Report:
    """Write one web page that shows and explores a table of scores; it needs no network and no server.

    Parameters
    ----------
    path
        The page; ends in ``.html``.
    scores
        A published set, a CSV or Parquet file, a store folder, or a DataFrame.
    title
        Of the page; by default the table's name.
    options, fields
        A :class:`ReportOptions`, its fields as keywords, or both: ``x``, ``y``, ``resamples``, ``seed``,
        ``workers``, ``add``.

    Returns
    -------
    Report
        Its path, its figures, and what could not be drawn, with reasons.

    Raises
    ------
    UsageError
        A path that does not end in ``.html``.
    MissingDataError
        The table has no score with a region.

    Examples
    --------
    >>> write_report("report.html", "gokce2025", resamples=200)  # doctest: +SKIP
    """
    chosen = ReportOptions.of(options, **fields)
    fits = _fits(scores, chosen, x=chosen.x, y=chosen.y)
    return write_page(path, fits, title=title, n_workers=chosen.workers)


def _fits(scores: str | Path | pd.DataFrame, options: TableOptions, **names: Any) -> Fits:
    with options.reading():
        source = open_source(scores, add=options.add, **names)
    return Fits(source, n_resamples=options.resamples, seed=options.seed)
