"""``vvscale figure``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from vvscale.cli.output import Output

Repeated = Parameter(show_default=False)


def figure(
    names: Annotated[tuple[str, ...], Parameter(name="NAME", show_default=False)] = (),
    /,
    *,
    all_figures: Annotated[bool, Parameter(name="--all", negative="")] = False,
    scores: str = "gokce2025",
    add: Annotated[tuple[str, ...], Repeated] = (),
    out: Path = Path("figures"),
    format: Annotated[tuple[str, ...], Repeated] = (),  # noqa: A002
    bootstrap: int = 1000,
    seed: int = 42,
    workers: int | None = None,
    dry_run: Annotated[bool, Parameter(negative="")] = False,
    output: Output | None = None,
) -> None:
    """Draw figures of the study, and a few more, from a table of scores.

    Parameters
    ----------
    names
        Figures, or patterns such as 'icml-*'. `vvscale ls figures` lists them.
    all_figures
        All of them.
    scores
        Score table: a published set, a CSV or Parquet file, or a store folder.
    add
        Table of models to lay over it. Repeatable.
    out
        Folder for the files.
    format
        pdf, svg, png, csv or json. Repeatable; all five by default.
    bootstrap
        Resamples for intervals; 0 for none.
    seed
        Seed of the resamples.
    workers
        Processes; by default one per core.
    dry_run
        Say which figures would be drawn and do nothing.
    """
    from vvscale.cli.progress import progress
    from vvscale.errors import MissingDataError, UsageError
    from vvscale.figures.base.fits import Fits
    from vvscale.figures.base.tables import open_source
    from vvscale.figures.drawing.files import check_formats
    from vvscale.figures.gallery import draw_all, matching

    output = output or Output()
    if not names and not all_figures:
        raise UsageError(
            "Which figure? Give names, patterns such as 'icml-*', or --all; `vvscale ls figures` lists them."
        )
    chosen = matching(() if all_figures else names)
    formats = check_formats(format)
    if dry_run:
        output.say(f"Would draw {', '.join(chosen)} as {', '.join(formats)} into '{out}'.")
        output.document({"command": "figure", "out": str(out), "would_draw": chosen, "formats": list(formats)})
        return
    fits = Fits(open_source(scores, add=add), n_resamples=bootstrap, seed=seed)
    with progress("figures", len(chosen), quiet=output.quiet) as advance:
        drawn = draw_all(chosen, fits, out, formats=formats, n_workers=workers, on_done=advance)
    for one in drawn:
        counts = ", ".join(map(str, one.n))
        output.say(f"{one.name:12}{one.lacking or f'{len(one.files)} files, n = {counts}'}")
    lacking = [one for one in drawn if one.lacking]
    output.document(
        {
            "command": "figure",
            "out": str(out),
            "figures": [
                {"name": one.name, "files": [str(path) for path in one.files], "notes": list(one.notes)}
                for one in drawn
                if not one.lacking
            ],
            "lacking": {one.name: one.lacking for one in lacking},
        }
    )
    n_drawn = len(drawn) - len(lacking)
    output.note(
        f"Wrote {n_drawn} figures to '{out}'. Next: `vvscale report report.html`" if n_drawn else "Nothing drawn."
    )
    if lacking:
        raise MissingDataError(
            f"{len(lacking)} of {len(drawn)} figures could not be drawn from '{scores}': "
            f"{', '.join(one.name for one in lacking)}. The others are in '{out}'. The first: {lacking[0].lacking}"
        )
