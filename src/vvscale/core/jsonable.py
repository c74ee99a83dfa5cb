"""JSON: what others wrote, values as it can hold them, results as plain values, and records with their own digest."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import is_dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vvscale.core.hashing import digest_of

if TYPE_CHECKING:
    import pandas as pd


def parse_json(text: str | bytes) -> Any:
    """Read JSON that somebody else may have written.

    Raises
    ------
    ValueError
        It is not JSON, not UTF-8, nested too deeply, or holds a number of thousands of digits.

    Examples
    --------
    >>> parse_json(b'{"n": 3}')
    {'n': 3}
    >>> parse_json("[" * 100_000)
    Traceback (most recent call last):
    ...
    ValueError: it is nested too deeply
    """
    try:
        return json.loads(text.removeprefix("\ufeff") if isinstance(text, str) else text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def jsonable(value: Any) -> Any:
    """Return a value as JSON can hold it, every digit kept; a missing or infinite number becomes None.

    Examples
    --------
    >>> import numpy as np
    >>> jsonable({"n": np.int64(3), "score": np.array([0.1, np.nan]), "path": Path("a/b")})
    {'n': 3, 'score': [0.1, None], 'path': 'a/b'}
    """
    if isinstance(value, Mapping):
        return {str(key): jsonable(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [jsonable(one) for one in value]
    if isinstance(value, Enum):
        return jsonable(value.value)
    if isinstance(value, Path):
        return str(value)
    # Arrays and scalars of numpy, columns and missing values of pandas.
    if is_dataclass(value):
        return jsonable(vars(value))
    if hasattr(value, "tolist"):
        return jsonable(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return None if type(value).__name__ in ("NAType", "NaTType") else value


def json_rows(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the rows of a table as JSON values.

    Examples
    --------
    >>> import pandas as pd
    >>> json_rows(pd.DataFrame({"a": [1, 2], "b": [0.5, None]}))
    [{'a': 1, 'b': 0.5}, {'a': 2, 'b': None}]
    """
    return [jsonable(row) for row in frame.astype(object).to_dict(orient="records")]


class Result:
    """Base of a result that is one record, a frozen dataclass: plain values, a table of them, and HTML for notebooks.

    Examples
    --------
    >>> from dataclasses import dataclass
    >>> @dataclass(frozen=True)
    ... class Counted(Result):
    ...     path: Path
    ...     n_images: int
    >>> Counted(Path("a"), 3).to_dict()
    {'path': 'a', 'n_images': 3}
    >>> Counted(Path("a"), 3).table()["value"].tolist()
    ['a', 3]
    """

    def to_dict(self) -> dict[str, Any]:
        """Return all fields as plain values."""
        return jsonable(vars(self))

    def table(self) -> pd.DataFrame:
        """Return the single numbers and texts, one row each."""
        import pandas as pd

        plain = {name: value for name, value in self.to_dict().items() if not isinstance(value, dict | list | None)}
        return pd.DataFrame({"quantity": list(plain), "value": pd.Series(plain.values(), dtype=object)})

    def _repr_html_(self) -> str:
        return self.table().to_html(index=False, max_rows=40)


SEAL = "content_sha256"


def sealed(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return a JSON value with the digest of the rest of it under ``content_sha256``.

    Examples
    --------
    >>> record = sealed({"accuracy": 0.5})
    >>> seal_holds(record), seal_holds(record | {"accuracy": 0.9})
    (True, False)
    """
    rest = {key: value for key, value in content.items() if key != SEAL}
    return {**rest, SEAL: digest_of(rest)}


def seal_holds(record: Mapping[str, Any]) -> bool:
    """Whether a record is what it was when it was sealed; one without a seal is not."""
    try:
        return record.get(SEAL) == sealed(record)[SEAL]
    except ValueError:
        # NaN or infinity: Python reads them from JSON, but never was a record sealed that holds one.
        return False
