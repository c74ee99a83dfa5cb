"""``vvscale fit``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from vvscale.cli.output import Output

Repeated = Parameter(show_default=False)


def fit(
    table: str,
    /,
    *,
    law: str = "power",
    x: Annotated[tuple[str, ...], Repeated] = (),
    y: str = "misalignment",
    region: Annotated[tuple[str, ...], Repeated] = (),
    where: Annotated[tuple[str, ...], Repeated] = (),
    drop_missing: bool = False,
    by: str | None = None,
    offsets: Annotated[tuple[str, ...], Repeated] = (),
    offset_by: str = "parent_family",
    loss: Literal["huber", "squares"] = "huber",
    delta: float = 1e-3,
    bootstrap: int | None = None,
    unit: Annotated[tuple[str, ...], Repeated] = (),
    compare: bool = False,
    hold_out: bool = False,
    prediction: bool = False,
    at: Annotated[tuple[float, ...], Repeated] = (),
    conclusions: bool = False,
    profile: bool = False,
    out: Path | None = None,
    seed: int = 42,
    output: Output | None = None,
) -> None:
    """Fit a scaling law to any table.

    Parameters
    ----------
    table
        A published set ('gokce2025'), a CSV or Parquet file, or a store folder. Rows of one model x one benchmark are
        averaged over regions; any other table is taken as it is.
    law
        power, shifted, joint, product, pure-power, kaplan, logistic, log, constant, ccn, ccn-joint; `vvscale ls laws`.
    x
        Input column; twice for a joint law (parameters, then samples). Default: train_flop, or n_params and
        samples_seen.
    y
        Outcome column; misalignment = 1 - score.
    region
        Regions to average, of a score table: V1, V2, V4, IT, behavior, 'neural' or 'all' (default).
    where
        Condition on rows, such as family=ResNet,ViT or 'n_params>=1e6' or is_pretrained=false. Repeatable.
    drop_missing
        Leave out rows that lack x or y, counted and named, instead of refusing the table.
    by
        Fit each value of this column by itself.
    offsets
        Amplitudes (A, B) that each group of --offset-by has for itself.
    offset_by
        Column of those groups.
    loss
        'huber' (nearly absolute residuals at the study's delta) or 'squares'.
    delta
        Threshold of the Huber loss.
    bootstrap
        Resamples per unit; without it no intervals.
    unit
        What is resampled: arch (default where known), row, cell, family, or a column. Repeat it to see several side by
        side.
    compare
        Fit the competing laws to the same rows: information criteria, grouped cross-validation.
    hold_out
        Fit on low compute, predict high compute, against naive forecasts.
    prediction
        Measured coverage of conformal prediction intervals for new models, architectures, families, and high compute.
    at
        Predict a new model (of a new --unit) here: one value of --x, or one per input of a joint law. Repeatable; raw
        units.
    conclusions
        Does the conclusion change with the form, the loss or the resampling unit?
    profile
        Profile likelihood of the plateau, deflated by the design effect.
    out
        Folder for fits.json and the resamples.
    seed
        Seed of the resamples.
    """
    from vvscale.laws.workflow.fit_tables import FitRequest, run_fits
    from vvscale.laws.workflow.save import save_fits
    from vvscale.laws.workflow.tables import fit_tables

    output = output or Output()
    request = FitRequest(
        law=law, x=x, y=y, regions=region, where=where, by=by, offsets=offsets, offset_by=offset_by,
        delta=delta if loss == "huber" else None, n_resamples=bootstrap, units=unit, seed=seed,
        drop_missing=drop_missing, compare=compare, hold_out=hold_out, prediction=prediction, at=at,
        conclusions=conclusions, profile=profile,
    )  # fmt: skip
    if out is not None:
        from vvscale.core.files import make_folder

        make_folder(out)
    results = run_fits(table, request)
    for result in results:
        for title, frame in fit_tables(result):
            output.table(frame, title=title)
        for line in result.words():
            output.say(line)
    output.document([result.entry for result in results])
    if out is not None:
        units = {unit for result in results for unit in result.resamples}
        by_unit = {u: {r.entry["name"]: r.resamples[u] for r in results if u in r.resamples} for u in sorted(units)}
        for path in save_fits(out, [result.entry for result in results], by_unit):
            output.note(f"Wrote {path}")
    if law in {"joint", "ccn-joint"}:
        output.note(f"Next: `vvscale plan {out or 'DIR'} --budget 1e20`" + ("" if out else ", after --out DIR"))
    elif not bootstrap:
        output.note("Next: add --bootstrap 1000 for intervals, --compare to see whether another law does better.")
