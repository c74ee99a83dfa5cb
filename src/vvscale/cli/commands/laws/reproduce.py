"""``vvscale reproduce``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from vvscale.cli.options import verb
from vvscale.cli.output import Output, brief
from vvscale.errors import shell_words
from vvscale.laws.workflow.options import ReproduceOptions


@verb
def reproduce(
    names: Annotated[tuple[str, ...], Parameter(name="NAME", show_default=False)] = (),
    /,
    *,
    options: ReproduceOptions,
    out: Path | None = None,
    output: Output,
) -> None:
    """Fit the published laws again: the paper's value, ours, an interval and a verdict for each.

    Parameters
    ----------
    names
        Experiments, or patterns such as 'region_*'; all 43 by default. `vvscale ls experiments` lists them. Curves of
        the 2026 study are icml2026:compute, samples, parameters, mapping or finetuning, from its published tables.
    out
        Folder for fits.json, bootstrap.parquet (rows) and bootstrap_UNIT.parquet.
    """
    import pandas as pd

    from vvscale.cli.progress import progress
    from vvscale.laws.gokce2025.experiments import matching
    from vvscale.laws.workflow.reproduce_laws import are_curves
    from vvscale.laws.workflow.reproduce_laws import reproduce as reproduce_laws
    from vvscale.laws.workflow.save import can_plan, save_results
    from vvscale.laws.workflow.tables import plain

    if are_curves(names):
        _curves(names, options, out, output)
        return
    chosen = matching(names)
    if out is not None:
        from vvscale.core.files import make_folder

        make_folder(out)
    with progress("laws", len(chosen), quiet=output.quiet) as advance:
        done = reproduce_laws(chosen, options, on_done=advance)
    entries = done.to_dict()["fits"]
    output.table(done.table())
    for entry in entries:
        if "sensitivity" in entry:
            rows = pd.DataFrame(entry["sensitivity"]["rows"])
            output.table(plain(rows), title=f"{entry['name']}: does the conclusion change?")
            output.say(entry["sensitivity"]["sentence"])
    output.document(entries)
    if out is not None:
        for path in save_results(out, done.results, units=options.by):
            output.note(f"Wrote {path}")
        if any(can_plan(entry) for entry in entries):
            output.note(f"Next: `vvscale plan {shell_words(out)} --budget 1e20`")
    elif not options.resamples:
        output.note("Next: `vvscale reproduce --resamples 1000 --out DIR` adds intervals and keeps the results.")


def _curves(names: tuple[str, ...], options: ReproduceOptions, out: Path | None, output: Output) -> None:
    """Fit curves of the 2026 study and show theirs beside ours."""
    from vvscale.core.files import write_json
    from vvscale.laws.workflow.reproduce_laws import reproduce_curves

    done = reproduce_curves(names, options)
    output.table(done.table().drop(columns="notes").map(brief))
    for curve in done.curves:
        for note in curve.notes:
            output.say(f"{curve.name}: {note}")
    output.document(done.to_dict()["fits"])
    if out is not None:
        write_json(out / "curves.json", done.to_dict()["fits"])
        output.note(f"Wrote {out / 'curves.json'}")
