"""Read a table from a file, whatever its columns; every way a file can be broken gets its own words.

This module knows nothing of scores: it must not look at column names beyond their being unique.
"""

from __future__ import annotations

import re
import warnings
from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from vvscale.errors import DataError, MissingDataError, ShapeError, UsageError, VvscaleWarning
from vvscale.scores.options import STYLE

SUFFIXES = (".csv", ".parquet")


def load_table(
    path: str | Path, *, text: Collection[str] = (), sep: str | None = None, decimal: str | None = None
) -> pd.DataFrame:
    """Read any CSV or Parquet table, unchanged.

    Parameters
    ----------
    path
        A ``.csv`` file (UTF-8, one header line) or a ``.parquet`` file.
    text
        Columns that are text whatever they look like: ``00`` and ``NA`` are names. Only an empty cell is missing.
    sep, decimal
        Of a CSV file; by default those of ``CsvOptions.reading``, else a comma and a point or, said by a warning, the
        semicolons or tabs and the decimal commas that the file shows.

    Returns
    -------
    pandas.DataFrame, (n_rows, n_columns)
        Floats exactly as written in the file.

    Raises
    ------
    UsageError
        The suffix is neither ``.csv`` nor ``.parquet``.
    MissingDataError
        No such file.
    ShapeError
        No rows, two columns of one name, or a line with another number of fields than the header.
    DataError
        The file is not UTF-8 text, or not Parquet.
    """
    path = Path(path)
    if not path.suffix and not path.exists():
        beside = sorted(one.name for one in path.parent.glob(f"{path.name}.*")) if path.parent.is_dir() else []
        near = f" Beside it is '{path.parent / beside[0]}'." if beside else ""
        raise MissingDataError(
            f"Cannot read '{path}': it does not exist. Expected a published set, a table ({', '.join(SUFFIXES)}) or a "
            f"store folder; looked from '{Path.cwd()}'.{near or ' Check the spelling.'}"
        )
    if path.suffix.lower() not in SUFFIXES:
        raise UsageError(
            f"Cannot read '{path}': got suffix '{path.suffix}', expected one of {', '.join(SUFFIXES)}. Save "
            "the table in one of these formats."
        )
    if not path.is_file():
        kind = "is a folder" if path.is_dir() else "does not exist"
        raise MissingDataError(
            f"Cannot read '{path}': it {kind}. Expected a file; looked from '{Path.cwd()}'. Check the spelling."
        )
    try:
        table = _read_csv(path, text, sep, decimal) if path.suffix.lower() == ".csv" else _read_parquet(path)
    except OSError as error:
        raise DataError(
            f"Cannot read '{path}': {error.strerror or error}. Expected a file that this user may read. "
            "Check its permissions."
        ) from error
    check_unique_columns(table.column_names, str(path))
    if table.num_rows == 0:
        raise ShapeError(
            f"Table '{path}' has a header and no rows. Expected at least one row; the program that wrote it "
            "probably stopped early."
        )
    try:
        return plain_columns(table.to_pandas())
    except (pa.ArrowException, UnicodeDecodeError, ValueError, TypeError, KeyError, OverflowError) as error:
        raise DataError(
            f"Cannot read '{path}': its columns are not what they say they are ({str(error).splitlines()[0][:200]}). "
            "Fetch or write it again."
        ) from error


def plain_columns(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a table without categorical columns, whose values are what counts."""
    categorical = [name for name in frame.columns if isinstance(frame[name].dtype, pd.CategoricalDtype)]
    return frame.assign(**{str(name): frame[name].astype(frame[name].cat.categories.dtype) for name in categorical})


def check_unique_columns(names: Iterable[object], where: str) -> None:
    """Refuse two columns of one name, since either could be meant."""
    twice = [str(name) for name, count in Counter(names).items() if count > 1]
    if twice:
        raise ShapeError(
            f"Table '{where}' has more than one column named {', '.join(map(repr, twice))}. Expected unique "
            "names; rename or remove one."
        )


def _read_csv(path: Path, text: Collection[str], sep: str | None, decimal: str | None) -> pa.Table:
    content = path.read_bytes()
    _check_text(path, content)
    sep, decimal = sep or STYLE.get()[0], decimal or STYLE.get()[1]
    style = sniff(content, path, sep, decimal)
    if style != CsvStyle(sep or ",", decimal or "."):
        warnings.warn(f"'{path.name}' {style}; it was read so.", VvscaleWarning, stacklevel=4)
    ragged: list[pyarrow.csv.InvalidRow] = []

    def remember(row: pyarrow.csv.InvalidRow) -> str:
        ragged.append(row)
        return "skip"

    try:
        table = pyarrow.csv.read_csv(
            pa.BufferReader(content),
            # One block, so that a column's type is inferred from all of its rows. Single-threaded reading
            # also numbers the rows, which the message about a ragged one needs.
            read_options=pyarrow.csv.ReadOptions(
                block_size=min(max(len(content) + 1, 1 << 16), 2**31 - 1), use_threads=False
            ),
            parse_options=pyarrow.csv.ParseOptions(
                invalid_row_handler=remember, newlines_in_values=True, delimiter=style.separator
            ),
            convert_options=pyarrow.csv.ConvertOptions(
                strings_can_be_null=True, decimal_point=style.decimal, column_types=dict.fromkeys(text, pa.string())
            ),
        )
        if set(text) & set(table.column_names):
            table = _with_names(table, content, style, text)
    except pa.ArrowInvalid as error:
        raise DataError(
            f"Cannot read '{path}' as CSV: {str(error).splitlines()[0]}. Expected text separated by "
            f"{style.separator!r} with one header line; the file is probably cut off, or in another format, or "
            "`sep` and `decimal` say how it is written."
        ) from error
    if ragged:
        raise _ragged(path, ragged)
    _advise(path, table, content, style)
    return table


def _advise(path: Path, table: pa.Table, content: bytes, style: CsvStyle) -> None:
    """Say so where a table that was read looks as if it was written in another way."""
    lines = content.decode("utf-8-sig").splitlines()[:2]
    for mark in "|;\t: ":
        if table.num_columns == 1 and mark != style.separator and 0 < lines[0].count(mark) == lines[-1].count(mark):
            sep = "tab" if mark == "\t" else mark
            raise ShapeError(
                f"'{path}' has one column, {table.column_names[0]!r}, when it is read as separated by "
                f"{style.separator!r}; expected one for each quantity. Its fields look separated by {mark!r}: "
                f'give `sep="{sep}"`.'
            )
    columns = zip(table.column_names, table.columns, strict=True) if style.decimal == "." else ()
    found = {name: _decimal_comma(column) for name, column in columns}
    if texts := {name: text for name, text in found.items() if text}:
        warnings.warn(
            f"'{path.name}' has text such as '{next(iter(texts.values()))}' in {', '.join(map(repr, texts))}. If these "
            'are numbers with decimal commas, give `decimal=","`.',
            VvscaleWarning,
            stacklevel=5,
        )


def _decimal_comma(column: pa.ChunkedArray) -> str | None:
    """Return a value of a column of text whose values could all be numbers with decimal commas."""
    values = column.drop_null().slice(0, _SNIFFED_LINES)
    texts = values.to_pylist() if pa.types.is_string(values.type) else []
    return texts[0] if texts and all(_DECIMAL[","].fullmatch(text.strip()) for text in texts) else None


def _with_names(table: pa.Table, content: bytes, style: CsvStyle, text: Collection[str]) -> pa.Table:
    """Return a table whose names are as written: "NA" is a name, and only an empty cell is missing."""
    names = [name for name in table.column_names if name in text]
    read = pyarrow.csv.read_csv(
        pa.BufferReader(content),
        read_options=pyarrow.csv.ReadOptions(block_size=min(len(content) + (1 << 16), 2**31 - 1), use_threads=False),
        parse_options=pyarrow.csv.ParseOptions(
            newlines_in_values=True, delimiter=style.separator, invalid_row_handler=lambda row: "skip"
        ),
        convert_options=pyarrow.csv.ConvertOptions(
            include_columns=names, column_types=dict.fromkeys(names, pa.string()), null_values=[""],
            strings_can_be_null=True,
        ),
    )  # fmt: skip
    for name in names:
        table = table.set_column(table.column_names.index(name), name, read[name])
    return table


@dataclass(frozen=True)
class CsvStyle:
    """How a CSV file separates its fields and writes fractions."""

    separator: str = ","
    decimal: str = "."

    def __str__(self) -> str:
        name = {";": "semicolons", "\t": "tabs", ",": "commas"}.get(self.separator, f"'{self.separator}'")
        return f"is separated by {name}{' and has decimal commas' if self.decimal == ',' else ''}"


_DECIMAL = {mark: re.compile(rf"[+-]?\d+{re.escape(mark)}\d+([eE][+-]?\d+)?") for mark in ",."}
# Lines that tell how a file is written; the others are read the same way, or refused as ragged.
_SNIFFED_LINES = 200


def sniff(content: bytes, path: Path, sep: str | None = None, decimal: str | None = None) -> CsvStyle:
    """Return how a file is written, where its header leaves no doubt or the user has said it.

    Raises
    ------
    DataError
        Its fields have fractions with points and with commas.
    """
    lines = content.decode("utf-8-sig").splitlines()[:_SNIFFED_LINES]
    header = lines[0] if lines else ""
    separator = sep or next((mark for mark in ";\t" if mark in header and "," not in header), ",")
    if separator == "," or decimal:
        return CsvStyle(separator, decimal or ".")
    fields = [field.strip().strip('"') for line in lines[1:] for field in line.split(separator)]
    has = {mark: any(pattern.fullmatch(field) for field in fields) for mark, pattern in _DECIMAL.items()}
    if all(has.values()):
        raise DataError(
            f"'{path}' {CsvStyle(separator)} and has fractions with points and with commas. Expected one way to write "
            "numbers; one of the two is probably a separator of thousands. Remove it, or say which of them begins the "
            'fraction: `decimal=","` or `decimal="."`.'
        )
    return CsvStyle(separator, "," if has[","] else ".")


def _check_text(path: Path, content: bytes) -> None:
    """Refuse what the parser would take for something else: nothing, another encoding, an open quote."""
    if not content:
        raise ShapeError(
            f"Table '{path}' is empty (0 bytes). Expected a header line and rows; the program that wrote it "
            "probably stopped early."
        )
    if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise DataError(
            f"Cannot read '{path}': it is text in UTF-16. Expected UTF-8. Convert it: iconv -f utf-16 -t utf-8 "
            f"'{path.name}', or save it as 'CSV UTF-8'."
        )
    try:
        content.decode("utf-8")
    except UnicodeDecodeError as wrong:
        line = content[: wrong.start].count(b"\n") + 1
        raise DataError(
            f"Cannot read '{path}': line {line} holds the byte 0x{content[wrong.start]:02x}, which is not "
            "UTF-8. Expected UTF-8 text; the file was probably saved as Latin-1. Convert it: "
            f"iconv -f latin1 -t utf-8 '{path.name}'."
        ) from wrong
    if content.count(b'"') % 2:
        line = content[: content.rindex(b'"')].count(b"\n") + 1
        raise DataError(
            f"Cannot read '{path}': the quotes do not pair up; the last is in line {line}. Expected each "
            "opened quote to be closed; the file is probably cut off."
        )


def _ragged(path: Path, rows: list[pyarrow.csv.InvalidRow]) -> ShapeError:
    first = rows[0]
    cause = (
        "the file is probably cut off (an interrupted download or a full disk)"
        if first.actual_columns < first.expected_columns
        else "a value with a separator in it probably lacks its quotes, or it has decimal commas (`sep` and `decimal`)"
    )
    more = f", and {len(rows) - 1} more lines are wrong too" if len(rows) > 1 else ""
    return ShapeError(
        f"Line {first.number} of '{path}' has {first.actual_columns} fields{more}; expected "
        f"{first.expected_columns}, as in the header. Likely cause: {cause}. It begins: {first.text[:60]!r}."
    )


def _read_parquet(path: Path) -> pa.Table:
    try:
        # ParquetFile reads this file alone; a path with '=' in it is not taken for partitions.
        with pq.ParquetFile(path) as file:
            table = file.read()
        # Else text that is not UTF-8 is found by whoever looks at it first.
        table.validate(full=True)
        return table
    except (pa.ArrowException, UnicodeDecodeError, ValueError, OverflowError) as error:
        raise DataError(
            f"Cannot read '{path}' as Parquet: {(str(error) or 'no message').splitlines()[0]}. Expected a whole "
            "Parquet file; this one is probably cut off or in another format. Fetch or write it again."
        ) from error
