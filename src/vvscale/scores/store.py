"""A folder of one's own scores: append-only, whole parts, any number of writers.

Each append writes one new Parquet file under a name that no other writer can choose, whole or not at all;
no file is ever changed. So there is nothing to lock and nothing to repair. The same row written twice is
read once. Rows that share a key (model_id, benchmark_id, ...) and differ elsewhere are all kept, and shown
by ``conflicts``, until the reader asks for the latest.
"""

from __future__ import annotations

import glob
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from vvscale.core.files import remove_abandoned, write_with
from vvscale.errors import DataError, MissingDataError
from vvscale.scores.read import load_table
from vvscale.scores.schema import KEY
from vvscale.scores.validate import as_scores

if TYPE_CHECKING:
    import duckdb


class ScoreStore:
    """Scores in a folder of immutable Parquet parts.

    Parameters
    ----------
    folder
        Created by the first ``append``.

    Examples
    --------
    >>> import tempfile
    >>> store = ScoreStore(tempfile.mkdtemp())
    >>> row = pd.DataFrame({"model_id": ["m"], "benchmark_id": ["b"], "region": ["V1"], "score": [0.1]})
    >>> _ = store.append(row), store.append(row)
    >>> len(store.read())
    1
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)

    def parts(self) -> list[Path]:
        """Return the parts, oldest first. Unfinished files have a hidden name and are not parts."""
        return sorted(self.folder.glob("[0-9]*.parquet"))

    def append(self, frame: pd.DataFrame) -> Path:
        """Write rows as a new part and return its path.

        Parameters
        ----------
        frame
            Checked against the schema before anything is written; floats are stored exactly.

        Raises
        ------
        DataError
            The rows break the schema, or hold values that Parquet cannot.
        """
        rows = as_scores(frame, "appended rows")
        # Sorting by name is sorting by time; the uuid keeps two writers of one instant apart.
        path = self.folder / f"{time.time_ns():020d}-{uuid.uuid4().hex}.parquet"
        try:
            table = pa.Table.from_pandas(rows, preserve_index=False)
        except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
            raise DataError(
                f"Cannot store the rows: {str(error).splitlines()[0]}. Expected one type per column."
            ) from error
        write_with(path, lambda part: pq.write_table(table, part))
        remove_abandoned(self.folder)
        return path

    def read(self, *, latest: bool = False) -> pd.DataFrame:
        """Return all distinct rows, oldest first.

        Parameters
        ----------
        latest
            Of rows that share a key, keep only the one written last.

        Raises
        ------
        MissingDataError
            The folder is absent or holds no part.
        DataError
            A part is damaged; the message names it.
        """
        parts = self._some_parts()
        rows = pd.concat([load_table(part) for part in parts], ignore_index=True)
        if latest:
            return rows.drop_duplicates(_key(rows), keep="last", ignore_index=True)
        return rows.drop_duplicates(ignore_index=True)

    def conflicts(self) -> pd.DataFrame:
        """Return the rows that share a key with another row but differ from it; empty if all is well."""
        rows = self.read()
        return rows[rows.duplicated(_key(rows), keep=False)].sort_values(_key(rows), kind="stable", ignore_index=True)

    def connect(self) -> duckdb.DuckDBPyConnection:
        """Return an in-memory DuckDB connection with a view ``scores`` of the distinct rows.

        The view looks at the folder anew for each query, so it sees later appends.
        """
        import duckdb

        self._some_parts()
        pattern = f"{glob.escape(str(self.folder.absolute()))}/[0-9]*.parquet".replace("'", "''")
        connection = duckdb.connect()
        try:
            connection.execute(
                f"CREATE VIEW scores AS SELECT DISTINCT * FROM read_parquet('{pattern}', union_by_name = true)"
            )
        except duckdb.Error as error:
            connection.close()
            self.read()  # names the damaged part
            raise DataError(
                f"DuckDB cannot read the store '{self.folder}': {str(error).splitlines()[0]}. Its columns "
                "probably have different types in different parts."
            ) from error
        return connection

    def _some_parts(self) -> list[Path]:
        parts = self.parts()
        if not parts:
            raise MissingDataError(
                f"There are no scores in '{self.folder}': "
                f"{'the folder holds no part' if self.folder.is_dir() else 'no such folder'}. Expected the "
                "folder of a score store; append rows first, or check the spelling."
            )
        return parts


def _key(rows: pd.DataFrame) -> list[str]:
    return [name for name in KEY if name in rows.columns]
