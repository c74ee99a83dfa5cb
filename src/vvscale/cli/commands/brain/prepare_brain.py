"""``vvscale prepare-brain``: recordings of a public data set, prepared once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from vvscale.brain.prepared.sets import PrepareBrainOptions
from vvscale.cli.options import verb
from vvscale.cli.output import Output
from vvscale.errors import shell_words


@verb
def prepare_brain(
    name: str | None = None,
    /,
    *,
    raw: Path = Path("raw"),
    out: Path = Path("brain-data"),
    options: PrepareBrainOptions,
    dry_run: Annotated[bool, Parameter(negative="")] = False,
    output: Output,
) -> None:
    """Prepare the recordings of a data set once: from its public raw files to one HDF5 file; rerun to resume.

    Without a name it lists the data sets and where their raw files are offered.

    Parameters
    ----------
    name
        Data set, such as tvsd or T-fMRI.
    raw
        Folder of the raw files, laid out as their host does.
    out
        Folder of the prepared file.
    dry_run
        Say which raw files are there, bytes and hours, and write nothing.
    """
    import pandas as pd

    from vvscale.brain.prepared.prepare import Job
    from vvscale.brain.prepared.prepare import prepare_brain as run
    from vvscale.brain.prepared.sets import SETS
    from vvscale.cli.progress import progress

    if name is None:
        rows = [
            {
                "data set": one.handle, "label": one.label, "modality": one.modality, "subjects": len(one.subjects),
                "raw GB": round(one.bytes_per_subject * len(one.subjects) / 1e9, 1), "source": one.source,
            }
            for one in SETS.values()
        ]  # fmt: skip
        output.table(pd.DataFrame(rows), title=f"data sets ({len(rows)})")
        output.say("Next: `vvscale prepare-brain tvsd --raw FOLDER --dry-run`")
        output.document({"command": "prepare-brain", "sets": rows})
        return
    job = Job(name, raw, out, options)
    plan = job.plan()
    if dry_run:
        table = pd.DataFrame([dict(row) for row in plan.rows])
        table["bytes"] = [f"{one / 1e9:.2f} GB" for one in table["bytes"]]
        table["bytes_missing"] = [f"{one / 1e9:.2f} GB" for one in table["bytes_missing"]]
        output.table(table, title=f"would prepare {plan.handle}")
        output.say(
            f"To read: {plan.n_bytes / 1e9:,.2f} GB, {plan.hours_to_read:.2f} h at 100 MB/s. Missing: about "
            f"{plan.n_bytes_missing / 1e9:,.1f} GB, {plan.hours_to_download:.1f} h at 100 Mbit/s, from {plan.source}. "
            f"Memory: up to {plan.memory_bytes / 1e9:.1f} GB."
        )
        for note in plan.notes:
            output.note(note)
        output.document({"command": "prepare-brain", "dry_run": True, **plan.to_dict()})
        return
    with progress(plan.handle, len(job.chosen), quiet=output.quiet or output.json) as advance:
        made = run(job, progress=advance)
    for note in plan.notes:
        output.note(note)
    n_units = {
        f"{subject} {roi}": made.n_units(subject, roi)
        for subject in made.subjects
        for roi in made.rois
        if made.has(subject, roi)
    }
    output.say(f"Wrote {made.path}: {len(made.subjects)} subjects, {len(made.rois)} regions")
    output.say(f"Next: `vvscale score MODEL --on {shell_words(f'{made.path}:{made.rois[0]}')} --layers all`")
    output.document({"command": "prepare-brain", "path": str(made.path), "n_units": n_units})
