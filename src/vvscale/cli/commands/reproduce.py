"""``vvscale reproduce``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from vvscale.cli.output import Output


def reproduce(
    names: Annotated[tuple[str, ...], Parameter(name="NAME", show_default=False)] = (),
    /,
    *,
    bootstrap: int | None = None,
    unit: Annotated[tuple[str, ...], Parameter(show_default=False)] = ("row", "arch"),
    out: Path | None = None,
    scores: str = "gokce2025",
    seed: int = 42,
    workers: int | None = None,
    output: Output | None = None,
) -> None:
    """Fit the study's named laws: the paper's value, ours, an interval and a verdict for each.

    Parameters
    ----------
    names
        Experiments, or patterns such as 'region_*'; all 43 by default. `vvscale ls experiments` lists them.
    bootstrap
        Resamples per unit; without it there are no intervals. 1000 is the study's number.
    unit
        What is resampled: 'row' (the published resamples, bit for bit with seed 42), 'arch' (rows of one architecture
        are not independent), 'cell', 'family'. Give it several times to see them side by side.
    out
        Folder for fits.json, bootstrap.parquet (rows) and bootstrap_UNIT.parquet.
    scores
        Score table: a published set, a CSV or Parquet file, or a store folder.
    seed
        Seed of the resamples.
    workers
        Processes; by default one per core.
    """
    from vvscale.cli.progress import progress
    from vvscale.laws.gokce2025.experiments import matching
    from vvscale.laws.gokce2025.reproduce import run
    from vvscale.laws.uncertainty.resample import check_n_resamples
    from vvscale.laws.workflow.save import save_fits
    from vvscale.laws.workflow.tables import reproduction_table
    from vvscale.scores import load_scores

    output = output or Output()
    if bootstrap is not None:
        check_n_resamples(bootstrap)
    chosen = matching(names)
    if out is not None:
        from vvscale.core.files import make_folder

        make_folder(out)
    table = load_scores(scores)
    with progress("laws", len(chosen), quiet=output.quiet) as advance:
        results = run(
            chosen, table, n_resamples=bootstrap or 0, units=unit, seed=seed, n_workers=workers, on_done=advance
        )
    entries = [result.entry for result in results]
    output.table(reproduction_table(entries, unit if bootstrap else ()))
    output.document(entries)
    if out is not None:
        by_unit = {each: {r.entry["name"]: r.resamples[each] for r in results if each in r.resamples} for each in unit}
        for path in save_fits(out, entries, by_unit):
            output.note(f"Wrote {path}")
        if any(entry["form"] == "joint" for entry in entries):
            output.note(f"Next: `vvscale plan {out} --budget 1e20`")
    elif not bootstrap:
        output.note("Next: `vvscale reproduce --bootstrap 1000 --out DIR` adds intervals and keeps the results.")
