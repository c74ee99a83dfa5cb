"""``vvscale cite``: whom to cite for a table, fit or figure."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from vvscale.cli.options import verb
from vvscale.cli.output import Output
from vvscale.scores.options import CsvOptions


@verb
def cite(
    what: Annotated[tuple[str, ...], Parameter(name="WHAT", show_default=False)] = (),
    /,
    *,
    out: Path | None = None,
    csv_options: CsvOptions,
    output: Output,
) -> None:
    """Print the BibTeX of what a table, fit or figure used.

    Parameters
    ----------
    what
        Published sets, score tables, stores, fits.json files or their folders, figures, laws; by default the published
        set and its joint law.
    out
        A .bib file to write instead of printing.
    """
    from vvscale.core.inputs.plain import refuse_own_input
    from vvscale.figures.citations import bibtex, cites, entries

    if out is not None:
        refuse_own_input(out, *what)
    keys = cites(what)
    text = bibtex(keys)
    if not keys:
        output.note(
            "Nothing in these rows calls for a reference that is known here: no known benchmark, data set, family or "
            "objective. Cite your own recordings and images yourself."
        )
    if out is None:
        output.say(text)
    else:
        from vvscale.core.files import write_bytes

        write_bytes(out, f"{text}\n".encode())
        output.note(f"Wrote {len(keys)} entries to '{out}'.")
    output.document({"command": "cite", "keys": keys, "entries": {key: entries()[key] for key in keys}})
