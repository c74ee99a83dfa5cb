"""What every metric asks of its tables of numbers, and the words for what is wrong with them."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np

from vvscale.errors import DataError, ShapeError

_FLAT = 1e-13
"""Share of a sum of squares that rounding leaves of a variance of 0."""


def as_responses(
    responses: Any,
    n_images: int | None = None,
    what: str = "responses",
    *,
    keep_float: bool = False,
    may_be_nan: bool = False,
) -> np.ndarray:
    """Return an (N, q) table of floats, or say where it is not one.

    Parameters
    ----------
    responses
        (N,) or (N, q) numbers.
    n_images
        The number of rows that there must be; None takes any.
    what
        What the table holds, lower case, for messages.
    keep_float
        Whether float32 numbers stay float32.
    may_be_nan
        Whether NaN may stand for what was not recorded; infinity never may.

    Raises
    ------
    ShapeError
        Not a table, empty, or another number of rows.
    DataError
        NaN or infinity somewhere; the message names the place.
    """
    table = np.asarray(responses)
    # Many presentations are kept in their own precision; what is made of them is float64.
    if not (keep_float and table.dtype == np.float32):
        table = table.astype(np.float64, copy=False)
    if table.ndim == 1:
        table = table[:, None]
    if table.ndim != 2 or 0 in table.shape:
        raise ShapeError(
            f"The {what} have shape {np.shape(responses)}; expected (n_images, n_neuroids), both at least 1."
        )
    if n_images is not None and len(table) != n_images:
        raise ShapeError(
            f"The {what} have {len(table)} rows and the features {n_images}; expected one row per image in "
            "both, in the same order. Average repetitions first, and align both by stimulus_id."
        )
    is_bad = np.isinf(table) if may_be_nan else ~np.isfinite(table)
    if is_bad.any():
        row, column = (int(index) for index in np.argwhere(is_bad)[0])
        raise DataError(
            f"The {what} hold {table[row, column]} at row {row}, column {column} (counted from 0; "
            f"{is_bad.sum()} such values in {is_bad.any(0).sum()} columns). Expected finite numbers: drop "
            "those rows or columns first."
        )
    return table


def pearson(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Correlate along the first axis; NaN where either side is constant, within [-1, 1] elsewhere.

    Examples
    --------
    >>> pearson(np.array([1.0, 2.0, 4.0]), np.array([2.0, 4.0, 8.0])).item()
    1.0
    """
    is_constant = (a == a[0]).all(0) | (b == b[0]).all(0)
    a, b = a - a.mean(0), b - b.mean(0)
    ab, aa, bb = (np.einsum("i...,i...->...", *pair) for pair in ((a, b), (a, a), (b, b)))
    with np.errstate(invalid="ignore", divide="ignore"):
        r = ab / np.sqrt(aa * bb)
    return np.where(is_constant, np.nan, np.clip(r, -1.0, 1.0))


def median_over_neuroids(r: np.ndarray) -> np.ndarray:
    """Take the median over the last axis, leaving NaN out; NaN where nothing is left.

    Examples
    --------
    >>> median_over_neuroids(np.array([[0.1, 0.3, np.nan, 0.2], [0.5, np.nan, 0.6, np.nan]]))
    array([0.2 , 0.55])
    """
    ordered = np.sort(r, axis=-1)  # NaN goes last
    n_known = (~np.isnan(r)).sum(-1, keepdims=True)
    low = np.take_along_axis(ordered, np.maximum(n_known - 1, 0) // 2, -1)
    high = np.take_along_axis(ordered, np.minimum(n_known // 2, r.shape[-1] - 1), -1)
    return ((low + high) / 2)[..., 0]


def over_neuroids(r: np.ndarray, how: str) -> np.ndarray:
    """Take the ``median`` or ``mean`` over the last axis, leaving NaN out; NaN where nothing is left.

    Examples
    --------
    >>> over_neuroids(np.array([[0.1, 0.2, 0.6], [np.nan, 0.2, 0.4]]), "mean")
    array([0.3, 0.3])
    """
    if how == "median":
        return median_over_neuroids(r)
    is_known = ~np.isnan(r)
    with np.errstate(invalid="ignore"):
        return np.where(is_known, r, 0.0).sum(-1) / is_known.sum(-1)


def over_splits(values: np.ndarray) -> np.ndarray:
    """Take the mean over the first axis, leaving NaN out as the reference does; NaN where nothing is left.

    Examples
    --------
    >>> over_splits(np.array([[0.1, np.nan], [0.3, np.nan]]))
    array([0.2, nan])
    """
    return over_neuroids(np.moveaxis(np.asarray(values), 0, -1), "mean")


def correlate_sums(sums: np.ndarray) -> np.ndarray:
    """Return Pearson's r from (..., 6) counts, sums of both sides, their squares and their product.

    NaN where what a side varies by is rounding, as when one image was drawn every time.
    """
    n, a, b, aa, bb, ab = np.moveaxis(sums, -1, 0)
    of_a, of_b = n * aa - a * a, n * bb - b * b
    is_flat = (of_a <= _FLAT * n * aa) | (of_b <= _FLAT * n * bb)
    with np.errstate(invalid="ignore", divide="ignore"):
        r = (n * ab - a * b) / np.sqrt(of_a * of_b)
    return np.where(is_flat, np.nan, np.clip(r, -1.0, 1.0))


def arrays_digest(name: str, **tables: Any) -> str:
    """Return the SHA-256 of named arrays of numbers or labels, with their types and shapes.

    Examples
    --------
    >>> arrays_digest("a", x=[1, 2]) == arrays_digest("a", x=[1, 2]) != arrays_digest("a", x=[2, 1])
    True
    """
    total = hashlib.sha256(name.encode())
    for key, values in tables.items():
        table = np.ascontiguousarray(values)
        # Text is hashed as text: how wide a table of it is in memory says nothing.
        is_text = table.dtype.kind not in "biuf"
        total.update(repr((key, "text" if is_text else table.dtype.str, table.shape)).encode())
        total.update("\0".join(map(str, table.ravel())).encode() if is_text else table.ravel().view(np.uint8).data)
    return total.hexdigest()
