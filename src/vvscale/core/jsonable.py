"""Values as JSON can hold them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd


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
