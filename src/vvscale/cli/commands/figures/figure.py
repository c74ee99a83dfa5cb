"""``vvscale figure``."""

from __future__ import annotations

from os.path import isfile as is_file
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from vvscale.cli.options import verb
from vvscale.cli.output import Output
from vvscale.errors import shell_words
from vvscale.figures.options import FigureOptions


@verb
def figure(
    names: Annotated[tuple[str, ...], Parameter(name="NAME", show_default=False)] = (),
    /,
    *,
    all_figures: Annotated[bool, Parameter(name="--all", negative="")] = False,
    options: FigureOptions,
    out: Path = Path("figures"),
    dry_run: bool = False,
    output: Output,
) -> None:
    """Draw figures from a table of scores.

    Parameters
    ----------
    names
        Figures, or patterns such as 'icml-*'. `vvscale ls figures` lists them.
    all_figures
        All of them.
    out
        Folder for the files.
    dry_run
        Say which figures would be drawn and do nothing.
    """
    from vvscale.cli.progress import progress
    from vvscale.errors import MissingDataError, UsageError
    from vvscale.figures.base.fits import Fits
    from vvscale.figures.base.open_tables import open_source
    from vvscale.figures.base.tables import PUBLISHED
    from vvscale.figures.drawing.files import check_formats
    from vvscale.figures.gallery import all_of, draw_all, lacking_lines, matching

    if not names and not all_figures:
        raise UsageError(
            "Which figure? Give names such as 'compute', patterns such as 'icml-*', or --all; `vvscale ls figures` "
            "lists them."
        )
    formats = check_formats(options.format)
    fits = None
    if not (names and dry_run):
        source = open_source(options.scores, add=options.add)
        fits = Fits(source, n_resamples=options.resamples, seed=options.seed)
    chosen = matching(names) if fits is None or names else all_of(fits, options)
    _refuse_own_tables([out / f"{name}.{one}" for name in chosen for one in formats], options)
    if fits is None or dry_run:
        output.say(f"Would draw {', '.join(chosen)} as {', '.join(formats)} into '{out}'.")
        output.document({"command": "figure", "out": str(out), "would_draw": chosen, "formats": list(formats)})
        return
    with progress("figures", len(chosen), quiet=output.quiet) as advance:
        drawn = draw_all(
            chosen, fits, out, options=options, formats=formats, n_workers=options.workers, on_done=advance
        )
    lacking = [one for one in drawn if one.lacking]
    for one in drawn:
        if not one.lacking:
            output.say(f"{one.name}: {one.caption}")
    for line in lacking_lines({one.name: one.lacking for one in lacking}):
        output.say(line)
    output.document(
        {
            "command": "figure",
            "out": str(out),
            "figures": [
                {"name": one.name, "files": [str(path) for path in one.files], "caption": one.caption,
                 "notes": [*fits.source.notes, *one.notes]}
                for one in drawn
                if not one.lacking
            ],
            "lacking": {one.name: one.lacking for one in lacking},
        }
    )  # fmt: skip
    n_drawn = len(drawn) - len(lacking)
    if n_drawn:
        asked = {"--scores": options.scores if options.scores != PUBLISHED else "", "--x": options.x, "--y": options.y}
        flags = [word for flag, value in asked.items() if value for word in (flag, value)]
        said = f"{n_drawn} {'figure' if n_drawn == 1 else 'figures'}"
        output.note(f"Wrote {said} to '{out}'. Next: `vvscale report {shell_words('report.html', *flags)}`")
    # Of all figures, those that a table does not allow are no failure.
    if lacking and (names or not n_drawn):
        raise MissingDataError(
            f"{len(lacking)} of {len(drawn)} figures could not be drawn from '{options.scores}'. The first: "
            f"{lacking[0].lacking}"
        )


def _refuse_own_tables(written: list[Path], options: FigureOptions) -> None:
    """Refuse files that are the tables: a figure of a table beside it may have the table's name."""
    from vvscale.core.inputs.plain import refuse_own_input

    tables = [one for one in (options.scores, *(given.rpartition("=")[2] for given in options.add)) if is_file(one)]
    for path in written:
        refuse_own_input(path, *tables)
