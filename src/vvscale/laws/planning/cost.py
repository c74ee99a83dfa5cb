"""What parameters and samples cost: compute as a power of each, given, fitted, or from a family's sizes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from vvscale.errors import DataError, MissingDataError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Array = NDArray[np.float64]

FORWARD_AND_BACKWARD = 3.0


@dataclass(frozen=True)
class Cost:
    """Compute C = m N^p D^q in FLOP, for N parameters and D samples seen (raw units).

    Attributes
    ----------
    m
        Factor, > 0.
    p, q
        Exponents of N and D, > 0.
    source
        Where it comes from, in words.
    scatter
        Standard deviation of log10 C of a network around this power, >= 0; 0 for a cost that was given.
    """

    m: float
    p: float
    q: float
    source: str
    scatter: float = 0.0

    def __post_init__(self) -> None:
        if not (self.m > 0 and self.p > 0 and self.q > 0 and np.isfinite([self.m, self.p, self.q]).all()):
            raise UsageError(
                f"A cost m N^p D^q needs positive finite numbers, got m = {self.m:g}, p = {self.p:g}, q = {self.q:g}."
            )

    def per_image(self, passes: float) -> Cost:
        """Return the cost in images, each of which is seen so many times."""
        return self if passes == 1.0 else replace(self, m=self.m * passes**self.q)

    def flop(self, n: Array | float, d: Array | float) -> Array | float:
        """FLOP of training n parameters on d samples."""
        return self.m * np.asarray(n, float) ** self.p * np.asarray(d, float) ** self.q

    def samples(self, flop: Array | float, n: Array | float) -> Array | float:
        """Samples that ``flop`` buys for n parameters."""
        return (np.asarray(flop, float) / (self.m * np.asarray(n, float) ** self.p)) ** (1.0 / self.q)

    def parameters(self, flop: Array | float, d: Array | float) -> Array | float:
        """Parameters that ``flop`` buys for d samples."""
        return (np.asarray(flop, float) / (self.m * np.asarray(d, float) ** self.q)) ** (1.0 / self.p)


def given_cost(m: float, n: float) -> Cost:
    """Cost C = m (N D)^n with numbers that a user gives."""
    return Cost(m, n, n, f"C = {m:g} (N D)^{n:g}, as given")


def fit_cost(table: pd.DataFrame) -> Cost:
    """Fit C = m (N D)^n by linear regression of log C on log N D, as the study does.

    Parameters
    ----------
    table
        Columns n_params, samples_seen, train_flop.
    """
    frame = complete_rows(table, ["n_params", "samples_seen", "train_flop"])
    size = np.log(frame["n_params"].to_numpy(float)) + np.log(frame["samples_seen"].to_numpy(float))
    if np.ptp(size) == 0:
        raise DataError("Cannot fit a cost: all rows have the same n_params x samples_seen. Give a `cost` instead.")
    log_c = np.log(frame["train_flop"].to_numpy(float))
    n, log_m = np.polyfit(size, log_c, 1)
    source = f"m (N D)^n fitted to {len(frame)} models"
    return Cost(float(np.exp(log_m)), float(n), float(n), source, _scatter(log_c - log_m - n * size))


def family_cost(table: pd.DataFrame, family: str) -> Cost:
    """Cost of one family: 3 x forward FLOP(N) x D, with forward FLOP a power of N fitted to its models.

    Parameters
    ----------
    table
        Columns n_params, forward_flop and parent_family or family.
    family
        The family's name.
    """
    column = "parent_family" if "parent_family" in table.columns else "family"
    rows = complete_rows(table, ["n_params", "forward_flop", column])
    chosen = rows[rows[column] == family].drop_duplicates(["n_params", "forward_flop"])
    if chosen["n_params"].nunique() < 2:
        known = ", ".join(sorted(set(map(str, rows[column]))))
        raise UsageError(
            f"Cannot fit the cost of family '{family}': it has {chosen['n_params'].nunique()} distinct model sizes, 2 "
            f"are needed. Families here: {known}."
        )
    log_n, log_flop = (np.log(chosen[name].to_numpy(float)) for name in ("n_params", "forward_flop"))
    slope, log_k = np.polyfit(log_n, log_flop, 1)
    return Cost(
        float(FORWARD_AND_BACKWARD * np.exp(log_k)),
        float(slope),
        1.0,
        f"3 x forward FLOP of {len(chosen)} {family} sizes x D",
        _scatter(log_flop - log_k - slope * log_n),
    )


def _scatter(residuals: Array) -> float:
    """Standard deviation, in log10, of residuals of a straight line in logs, (n,); 0 where two points fix the line."""
    free = len(residuals) - 2
    return float(np.sqrt((residuals**2).sum() / free) / np.log(10.0)) if free > 0 else 0.0


def complete_rows(table: pd.DataFrame, columns: Sequence[str]) -> pd.DataFrame:
    """Return the rows that have a value in all of ``columns``; refuse a table that lacks one of them."""
    missing = [column for column in columns if column not in table.columns]
    if missing:
        raise MissingDataError(
            f"Cannot fit a cost: the table lacks {', '.join(missing)}. Give a `cost`, or plan with a "
            "fit whose rows have these columns."
        )
    return table.dropna(subset=list(columns))
