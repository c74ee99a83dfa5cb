"""``vvscale report``."""

from __future__ import annotations

from pathlib import Path

from vvscale.cli.options import verb
from vvscale.cli.output import Output
from vvscale.figures.options import ReportOptions


@verb
def report(
    out: Path = Path("report.html"), /, *, options: ReportOptions, dry_run: bool = False, output: Output
) -> None:
    """Write one web page that shows and explores a table of scores; it needs no network and no server.

    Parameters
    ----------
    out
        The page, a name that ends in .html.
    dry_run
        Say what would be written and do nothing.
    """
    from vvscale.cli.progress import progress
    from vvscale.figures.base.fits import Fits
    from vvscale.figures.base.open_tables import open_source
    from vvscale.figures.gallery import lacking_lines
    from vvscale.figures.report.report import default_figures, write_report

    if dry_run:
        output.say(f"Would write '{out}', a page about '{options.scores}'.")
        output.document({"command": "report", "would_write": str(out)})
        return
    source = open_source(options.scores, add=options.add, x=options.x, y=options.y)
    fits = Fits(source, n_resamples=options.resamples, seed=options.seed)
    with progress("figures", len(default_figures(fits)), quiet=output.quiet) as advance:
        made = write_report(out, fits, n_workers=options.workers, on_done=advance)
    said = "1 figure" if len(made.figures) == 1 else f"{len(made.figures)} figures"
    output.say(f"{made.path}: {made.n_models} models, {said}, {made.n_bytes / 1e6:.2f} MB")
    for line in lacking_lines(made.lacking):
        output.say(line)
    output.document(
        {
            "command": "report",
            "path": str(made.path),
            "bytes": made.n_bytes,
            "n_models": made.n_models,
            "figures": list(made.figures),
            "lacking": dict(made.lacking),
        }
    )
    output.note(f"Wrote {made.path}. Next: open it in any browser, or mail it.")
