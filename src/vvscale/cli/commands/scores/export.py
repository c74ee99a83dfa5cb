"""``vvscale export``: any table that vvscale reads, as one CSV or Parquet file."""

from __future__ import annotations

from pathlib import Path

from vvscale.cli.options import verb
from vvscale.cli.output import Output
from vvscale.errors import shell_words
from vvscale.scores.options import CsvOptions


@verb
def export(
    table: str,
    /,
    *,
    csv: Path | None = None,
    parquet: Path | None = None,
    where: tuple[str, ...] = (),
    models: bool = False,
    csv_options: CsvOptions,
    output: Output,
) -> None:
    """Write a table of scores to a file that any program reads.

    Parameters
    ----------
    table
        A published set, a CSV or Parquet file, or a store folder.
    csv, parquet
        Where to; floats keep every digit in both.
    where
        Condition on rows, such as region=IT or 'n_params>=1e6'. Repeatable.
    models
        One row per model, the mean over the regions that the rows have, instead of one per model and benchmark.
    """
    from vvscale.core.files import write_bytes, write_with
    from vvscale.core.inputs.plain import refuse_own_input
    from vvscale.errors import UsageError
    from vvscale.scores import load_scores, model_table, parse_where, regions_held, select

    if csv is None and parquet is None:
        raise UsageError("Where to? Give --csv FILE.csv, --parquet FILE.parquet, or both.")
    for path in (one for one in (csv, parquet) if one is not None):
        refuse_own_input(path, table)
    if csv is not None and parquet is not None and csv.absolute() == parquet.absolute():
        raise UsageError(f"Both --csv and --parquet name '{csv}'. Give two files, or one of them.")
    frame = load_scores(table)
    frame = select(frame, **parse_where(where))
    frame = model_table(frame, regions_held(frame)).frame if models else frame
    written = []
    if csv is not None:
        write_bytes(csv, frame.to_csv(index=False, lineterminator="\n").encode())
        written.append(csv)
    if parquet is not None:
        write_with(parquet, lambda part: frame.to_parquet(part, index=False))
        written.append(parquet)
    output.say(f"{len(frame):,} rows, {len(frame.columns)} columns: {', '.join(map(str, written))}")
    output.document(
        {"command": "export", "table": table, "n_rows": len(frame), "columns": [str(name) for name in frame.columns],
         "files": [str(path) for path in written]}
    )  # fmt: skip
    output.note(f"Next: `vvscale fit {shell_words(written[0])} --x COLUMN --plot law.png`, or open it in any program.")
