"""``vvscale fit``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from vvscale.cli.options import verb, with_flags
from vvscale.cli.output import Output
from vvscale.errors import shell_words
from vvscale.laws.workflow.options import FitOptions

if TYPE_CHECKING:
    from vvscale.laws.workflow.fit_tables import FitResult


@verb
def fit(
    table: str, /, *, options: FitOptions, out: Path | None = None, plot: Path | None = None, output: Output
) -> None:
    """Fit a scaling law to any table.

    Parameters
    ----------
    table
        A published set ('gokce2025'), a CSV or Parquet file, or a store folder. Rows of one model x one benchmark are
        averaged over regions; any other table is taken as it is.
    out
        Folder for fits.json and the resamples.
    plot
        Picture of the fit: points, law, band and verdict; .png, .pdf or .svg, or its data as .csv or .json.
    """
    from vvscale.core.inputs.plain import refuse_own_input
    from vvscale.laws.workflow.fit_tables import run_fits
    from vvscale.laws.workflow.save import save_results
    from vvscale.laws.workflow.tables import fit_tables

    if out is not None:
        from vvscale.core.files import make_folder

        make_folder(out)
    if plot is not None:
        from vvscale.figures.plot import check_plot_path

        check_plot_path(plot)
        refuse_own_input(plot, table)
    results = run_fits(table, options)
    for result in results:
        for title, frame in fit_tables(result):
            output.table(frame, title=title)
        for line in result.words():
            output.say(with_flags(line, __name__))
    output.document([result.entry for result in results])
    if out is not None:
        for path in save_results(out, results):
            output.note(f"Wrote {path}")
    if plot is not None:
        from vvscale.figures.plot import plot_fits

        names = [result.entry["name"] if len(results) > 1 else "" for result in results]
        resampled = {n: one.resampled for n, one in zip(names, results, strict=True) if one.resampled is not None}
        drawn = plot_fits({n: one.fit for n, one in zip(names, results, strict=True)}, resampled, path=plot)
        output.note(f"Wrote {plot}. {drawn.caption}")
    output.note(f"Next: {_next(results, options, out, plot)}")


def _next(results: list[FitResult], options: FitOptions, out: Path | None, plot: Path | None) -> str:
    """Say what one would do now: ask for what is missing, or plan ten times the largest run."""
    from vvscale.laws.workflow.save import can_plan

    wanted = [] if options.resamples else ["--resamples 1000 for intervals"]
    if all(can_plan(result.entry) for result in results):
        if wanted or out is None:
            wanted += [] if out else ["--out joint to keep the fit"]
            return f"add {', '.join(wanted)}; then `vvscale plan` spends a budget."
        frames = [one.fit.problem.frame for one in results]
        flop = [frame["train_flop"].max() for frame in frames if "train_flop" in frame]
        n, d = results[0].fit.problem.columns
        budget = 10 * max(flop) if flop else 60 * max((f[n] * f[d]).max() for f in frames)
        cost = [] if flop else ["--cost", 6, 1]
        name = ["--name", results[0].entry["name"]] if len(results) > 1 else []
        said = ", if a parameter costs 6 FLOP per sample" if cost else ""
        return f"`vvscale plan {shell_words(out, *name, '--budget', f'{budget:.1e}', *cost)}`{said}"
    wanted += [] if options.compare else ["--compare to see whether another law does better"]
    wanted += [] if plot else ["--plot law.png for a picture"]
    return f"add {', '.join(wanted)}." if wanted else f"open {plot}; `vvscale design` says which runs would tell more."
