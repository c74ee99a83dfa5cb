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
        from vvscale.figures.plot import check_plot_path, plot_fits

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
        names = [result.entry["name"] if len(results) > 1 else "" for result in results]
        resampled = {n: one.resampled for n, one in zip(names, results, strict=True) if one.resampled is not None}
        drawn = plot_fits({n: one.fit for n, one in zip(names, results, strict=True)}, resampled, path=plot)
        output.note(f"Wrote {plot}. {drawn.caption}")
    if all(can_plan(result.entry) for result in results):
        output.note(f"Next: `vvscale plan {out or 'DIR'} --budget 1e20`" + ("" if out else ", after --out DIR"))
    elif not options.resamples:
        output.note(
            "Next: add --resamples 1000 for intervals, --compare to see whether another law does better"
            f"{'' if plot else ', --plot fit.png for a picture'}."
        )
