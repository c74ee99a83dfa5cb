"""JSON: what others wrote, values as it can hold them, and records that carry a digest of their own content."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
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
