"""``vvscale buy``."""

from __future__ import annotations

from pathlib import Path

from vvscale.cli.options import verb
from vvscale.cli.output import Output, brief
from vvscale.laws.workflow.buy import BuyOptions


@verb
def buy(fit: str, /, *, options: BuyOptions, out: Path | None = None, output: Output) -> None:
    """Spend a budget on the two inputs of a joint law, such as hours of GPU and hours of recording.

    Parameters
    ----------
    fit
        A fits.json or its folder, of a joint law with resamples.
    out
        JSON file for the answer.
    """
    from vvscale.laws.workflow.buy import run_purchase

    found = run_purchase(fit, options)
    output.table(found.table().map(brief), title=f"{found.level:.0%} intervals over {found.unit or 'nothing'}")
    output.say(found.words)
    output.document({"command": "buy", **found.to_dict()})
    if out is not None:
        from vvscale.core.files import write_json

        write_json(out, found.to_dict())
        output.note(f"Wrote {out}")
