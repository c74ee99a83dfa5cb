"""Whether prediction intervals hold what they promise, measured on rows that the law had not seen.

Nothing here is a guarantee: it is how often intervals covered, on these rows, in the situations that a user
means by "new".
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from vvscale.core.options import SEED
from vvscale.errors import UsageError
from vvscale.laws.comparison.candidates import COMPUTE
from vvscale.laws.uncertainty.conformal import LEVEL, Conformal, calibrate_parts, check_level
from vvscale.laws.uncertainty.resample import clusters, default_unit

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from vvscale.laws.fit import Fit

    Array = NDArray[np.float64]

HELD_SHARE = 0.2
N_SPLITS = 10


@dataclass(frozen=True)
class Coverage:
    """Measured coverage of prediction intervals.

    Attributes
    ----------
    rows
        One row per situation and unit of calibration; see ``table``.
    level
        Nominal coverage.
    """

    rows: pd.DataFrame = field(repr=False)
    level: float

    @property
    def verdict(self) -> str:
        """Where the intervals fall clearly short of their level, in a sentence."""
        short = self.rows[self.rows["coverage"] < self.level - 0.1]
        if short.empty:
            return f"{self.level:.0%} intervals cover as promised, give or take 10%, in every situation tested."
        named = [
            f"{row.situation} ({row.coverage:.0%}, calibrated by {row.calibrated_by})" for row in short.itertuples()
        ]  # fmt: skip
        return f"{self.level:.0%} intervals fall short for: {'; '.join(named)}."

    def table(self) -> pd.DataFrame:
        """One row per situation and unit of calibration.

        ``situation``: what was new. ``calibrated_by``: what the calibration left out together. ``n_splits``,
        ``n_rows``: repetitions, and rows judged in all. ``coverage``: share of rows inside. ``coverage_of_groups``:
        the same with every new group counting the same. ``lowest``: coverage of the worst split. ``width``:
        median width, in units of the outcome.
        """
        return self.rows.copy()

    def to_dict(self) -> dict[str, Any]:
        """Plain values that JSON can hold."""
        return {"level": self.level, "verdict": self.verdict, "coverage": self.rows.to_dict("records")}

    def _repr_html_(self) -> str:
        return f"<p>{self.verdict}</p>" + self.rows.to_html(index=False)


def coverage(
    fit: Fit,
    *,
    level: float = LEVEL,
    by: str | None = None,
    n_splits: int = N_SPLITS,
    seed: int = SEED,
) -> Coverage:
    """Measure how often prediction intervals cover rows that were held out.

    A fifth of the rows at random; a fifth of the ``unit``s at random; each family in turn; the top fifth of
    compute. Each time the law and its residuals are calibrated on the other rows only, by row and by ``unit``.

    Parameters
    ----------
    fit
        A fit.
    level
        Nominal coverage, in (0, 1).
    by
        ``arch`` where the table knows architectures, or see ``vvscale.laws.calibrate``.
    n_splits
        Random splits, at least 1.
    seed
        Of the splits.

    Raises
    ------
    UsageError
        No split, or a level outside (0, 1).
    ShapeError
        Too few groups for the level.
    """
    if n_splits < 1:
        raise UsageError(f"Coverage needs at least 1 split, got {n_splits}. 10 is usual.")
    frame = fit.problem.frame
    unit = by or default_unit(frame)
    code, names = clusters(frame, unit)
    check_level(level, int((1 - HELD_SHARE) * (len(names) or fit.n)), unit)
    situations = _situations(fit, unit, code, n_splits, np.random.default_rng(seed))
    held = [rows for splits in situations.values() for rows in splits]
    units = list(dict.fromkeys(["row", unit]))
    parts = [np.nonzero(~rows)[0] for rows in held for _ in units]
    made = calibrate_parts(fit, parts, units * len(held), seed=seed)
    rows, at = [], 0
    for situation, splits in situations.items():
        for place, by in enumerate(units):
            calibrated = made[at + place : at + len(splits) * len(units) : len(units)]
            rows.append({"situation": situation, "calibrated_by": by, **_measure(calibrated, splits, level, code)})
        at += len(splits) * len(units)
    return Coverage(pd.DataFrame(rows), level)


def _situations(
    fit: Fit, unit: str, code: NDArray[np.intp], n_splits: int, rng: np.random.Generator
) -> dict[str, list[NDArray[np.bool_]]]:
    """Return what is held out: situation -> rows (n,) of each split."""
    frame, n, k = fit.problem.frame, fit.n, int(code.max()) + 1

    def some(size: int) -> NDArray[np.bool_]:
        return rng.permutation(size) < max(round(HELD_SHARE * size), 1)

    made = {"random rows": [some(n) for _ in range(n_splits)]}
    if unit != "row":
        made[f"unseen {unit}"] = [some(k)[code] for _ in range(n_splits)]
    family = next((column for column in ("parent_family", "family") if column in frame.columns), None)
    if family is not None and frame[family].nunique() > 1:
        labels = frame[family].astype(str).to_numpy()
        made |= {f"unseen family {name}": [labels == name] for name in np.unique(labels)}
    by = COMPUTE if COMPUTE in frame.columns else fit.problem.columns[0]
    along = frame[by].to_numpy(float)
    top = along > np.quantile(along, 1 - HELD_SHARE)
    return made | ({f"top {HELD_SHARE:.0%} of {by}": [top]} if top.any() else {})


def _measure(
    calibrated: list[Conformal], splits: list[NDArray[np.bool_]], level: float, code: NDArray[np.intp]
) -> dict[str, Any]:
    """Coverage of the held-out rows of some splits."""
    inside, widths, groups, by_split = [], [], [], []
    for conformal, rows in zip(calibrated, splits, strict=True):
        y = conformal.refits.fit.problem.y
        low, high = conformal.bounds(level)
        covered = ((low <= y) & (y <= high))[rows]
        inside.append(covered)
        widths.append((high - low)[rows])
        size = np.bincount(code[rows])
        groups.append((np.bincount(code[rows], weights=covered) / np.maximum(size, 1))[size > 0])
        by_split.append(float(covered.mean()))
    return {
        "n_splits": len(splits),
        "n_rows": int(sum(len(covered) for covered in inside)),
        "coverage": float(np.concatenate(inside).mean()),
        "coverage_of_groups": float(np.concatenate(groups).mean()),
        "lowest": min(by_split),
        "width": float(np.median(np.concatenate(widths))),
    }
