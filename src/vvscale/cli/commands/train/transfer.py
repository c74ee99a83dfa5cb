"""``vvscale transfer``: what fine-tuning gained, by what was tuned to and what was scored on."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from vvscale.cli.options import verb
from vvscale.cli.output import Output, brief

if TYPE_CHECKING:
    import pandas as pd


@verb
def transfer(*tables: str, modality: tuple[str, ...] = (), csv: Path | None = None, output: Output) -> None:
    """Show what fine-tuning gained, by what networks were tuned to and what they were scored on.

    Parameters
    ----------
    tables
        Store folders of `vvscale fine-tune`, or tables of a study that fine-tunes.
    modality
        DATASET=MODALITY, such as mine=EEG, of a data set that `vvscale prepare-brain` does not know; the data set of a
        benchmark is what stands before the first dot of its name. Repeatable.
    csv
        File for the gain of each tuned network on each benchmark.
    """
    import pandas as pd

    from vvscale.core.files import write_bytes
    from vvscale.core.inputs.plain import refuse_own_input
    from vvscale.errors import UsageError
    from vvscale.scores import load_scores
    from vvscale.train.neural import transfer as found_by

    if not tables:
        raise UsageError("Of which tables? Give store folders of `vvscale fine-tune`, such as out/fine-tuned/scores.")
    if csv is not None:
        refuse_own_input(csv, *tables)
    modalities = {}
    for text in modality:
        name, _, of = text.partition("=")
        if not (name and of):
            raise UsageError(f"`modality` is '{text}'; expected DATASET=MODALITY, such as mine=EEG.")
        modalities[name] = of
    found = found_by.transfer(pd.concat([load_scores(table) for table in tables], ignore_index=True), modalities)
    output.table(_shown(found.relations), title="Gain of the score: mean and standard error over tunings")
    output.table(_shown(found.matrices), title="Gain by what was tuned to and what was scored on")
    if csv is not None:
        write_bytes(csv, found.gains.to_csv(index=False, lineterminator="\n").encode())
        output.say(f"{len(found.gains)} rows: {csv}")
    output.document({"command": "transfer", "tables": list(tables), **found.to_dict()})
    if "shuffled" not in set(found.gains["finetune_control"]):
        output.note("Next: `vvscale fine-tune` with `--control shuffled`: without the pairing nothing must be gained.")


def _shown(table: pd.DataFrame) -> pd.DataFrame:
    return table.rename(columns=lambda name: name.removeprefix("finetune_")).map(brief)
