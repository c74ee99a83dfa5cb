"""``vvscale fit``."""

from __future__ import annotations

from pathlib import Path

from vvscale.cli.options import verb
from vvscale.cli.output import Output
from vvscale.laws.workflow.options import FitOptions


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
    from vvscale.laws.workflow.fit_tables import run_fits
    from vvscale.laws.workflow.save import can_plan, save_results
    from vvscale.laws.workflow.tables import fit_tables

    if out is not None:
        from vvscale.core.files import make_folder

        make_folder(out)
    if plot is not None:
        from vvscale.figures.plot import check_plot_path

        check_plot_path(plot)
    results = run_fits(table, options)
    for result in results:
        for title, frame in fit_tables(result):
            output.table(frame, title=title)
        for line in result.words():
            output.say(line)
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
    if all(can_plan(result.entry) for result in results):
        flop = [one.fit.problem.frame["train_flop"].max() for one in results if "train_flop" in one.fit.problem.frame]
        # A plan for ten times the largest run: what one would train next.
        command = f"`vvscale plan {out or 'DIR'} --budget {f'{10 * max(flop):.1e}' if flop else 'FLOP'}`"
        output.note(f"Next: {command}" + ("" if out else ", after --out DIR"))
        return
    wanted = [] if options.resamples else ["--resamples 1000 for intervals"]
    wanted += [] if options.compare else ["--compare to see whether another law does better"]
    wanted += [] if plot else ["--plot law.png for a picture"]
    if wanted:
        output.note(f"Next: add {', '.join(wanted)}.")
