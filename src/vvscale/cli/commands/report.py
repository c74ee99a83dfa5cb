"""``vvscale report``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from vvscale.cli.output import Output


def report(
    out: Path = Path("report.html"),
    /,
    *,
    scores: str = "gokce2025",
    add: Annotated[tuple[str, ...], Parameter(show_default=False)] = (),
    bootstrap: int = 1000,
    seed: int = 42,
    workers: int | None = None,
    dry_run: Annotated[bool, Parameter(negative="")] = False,
    output: Output | None = None,
) -> None:
    """Write one web page that shows and explores a table of scores; it needs no network and no server.

    Parameters
    ----------
    out
        The page, a name that ends in .html.
    scores
        Score table: a published set, a CSV or Parquet file, or a store folder.
    add
        Table of models to lay over it. Repeatable.
    bootstrap
        Resamples for intervals; 0 for none.
    seed
        Seed of the resamples.
    workers
        Processes; by default one per core.
    dry_run
        Say what would be written and do nothing.
    """
    from vvscale.cli.progress import progress
    from vvscale.figures.base.fits import Fits
    from vvscale.figures.base.tables import open_source
    from vvscale.figures.gallery import in_order
    from vvscale.figures.report.report import write_report

    output = output or Output()
    if dry_run:
        output.say(f"Would write '{out}' with up to {len(in_order())} figures of '{scores}'.")
        output.document({"command": "report", "would_write": str(out)})
        return
    fits = Fits(open_source(scores, add=add), n_resamples=bootstrap, seed=seed)
    with progress("figures", len(in_order()), quiet=output.quiet) as advance:
        made = write_report(out, fits, n_workers=workers, on_done=advance)
    output.say(f"{made.path}: {made.n_models} models, {len(made.figures)} figures, {made.n_bytes / 1e6:.2f} MB")
    for reason in made.lacking.values():
        output.say(f"Not in it: {reason}")
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
