"""How well laws extrapolate: fitted to little compute, judged on the models with most.

Best in sample is not best out of it: a law is worth its forecast, and a forecast is worth something only if it
beats saying that nothing will change.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from vvscale.errors import ShapeError, UsageError
from vvscale.laws.comparison.candidates import contest
from vvscale.laws.status import CONVERGED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from vvscale.laws.fit import Fit
    from vvscale.laws.law import Law

    Array = NDArray[np.float64]

SPLITS = ("top 20%", "top decade", "top 2 decades", "low 2 decades")
_SPLIT = re.compile(r"(top|low) (?:(\d+(?:\.\d+)?)%|(?:(\d+(?:\.\d+)?) )?decades?)$")
# The naive forecasts that need no law, and those that are one.
LAST, TOP_TENTH = "last value", "mean of top tenth"
NAIVE_LAWS = ("constant", "log")


@dataclass(frozen=True)
class HoldOut:
    """Forecasts of held-out models.

    Attributes
    ----------
    rows
        One row per split and forecast, best first within a split; see ``table``.
    x
        Column that the rows are split by.
    left_out
        Laws that cannot be fitted to this table, name -> reason.
    excluded
        Rows that lack a value, reason -> names.
    """

    rows: pd.DataFrame = field(repr=False)
    x: str
    left_out: dict[str, str]
    excluded: dict[str, list[str]] = field(repr=False)

    @property
    def verdict(self) -> str:
        """What the table says, a sentence per split."""
        said = []
        for split, part in self.rows.groupby("split", sort=False):
            naive = part[part["is_naive"]].iloc[0]
            ahead = part[~part["is_naive"] & (part["rmse"] < naive["rmse"])]
            best = part.iloc[0]
            said.append(
                f"{split}: no law beats '{naive['law']}' (RMSE {naive['rmse']:.3f})."
                if ahead.empty
                else f"{split}: {best['law']} is best (RMSE {best['rmse']:.3f}, the best naive forecast "
                f"'{naive['law']}' {naive['rmse']:.3f}); {len(ahead)} of {(~part['is_naive']).sum()} laws beat it."
            )
        return " ".join(said)

    def table(self) -> pd.DataFrame:
        """One row per split and forecast.

        ``n_train``, ``n_test``: rows on either side. ``rmse``, ``bias``: root mean square and mean of predicted
        minus actual outcome, in units of the outcome (score); missing where the training rows do not allow the
        law. A negative bias on a misalignment means that alignment was over-predicted. ``skill``:
        1 - rmse / that of the best naive forecast, positive if the law is worth something. ``is_naive``: whether
        the forecast is one of those to beat: the mean of the rows at the largest training compute, that of the
        top tenth of the training rows, the constant, the line in log X. ``is_converged``: false where the search
        stopped short of a smooth minimum: the training rows do not determine the law, and neither its forecast.
        """
        return self.rows.copy()

    def to_dict(self) -> dict[str, Any]:
        """Plain values that JSON can hold; what is missing becomes None."""
        rows = self.rows.astype(object)
        return {
            "forecasts": rows.where(rows.notna(), None).to_dict("records"),
            "x": self.x,
            "verdict": self.verdict,
            "left_out": self.left_out,
            "excluded": self.excluded,
        }

    def _repr_html_(self) -> str:
        return f"<p>{self.verdict}</p>" + self.rows.to_html(index=False)


def hold_out(
    data: Fit | pd.DataFrame,
    *,
    laws: Sequence[str | Law] | None = None,
    splits: Sequence[str] | Mapping[str, NDArray[np.bool_]] | None = None,
    x: str | None = None,
    sizes: tuple[str, str] | None = None,
    y: str | None = None,
    delta: float | str | None = "default",
    offset_by: str | None = None,
) -> HoldOut:
    """Fit laws to low compute and forecast the models with more.

    Parameters
    ----------
    data, laws, x, sizes, y, delta, offset_by
        As of ``vvscale.laws.compare``. Rows are split by ``x``, for laws in N and D too.
    splits
        What is forecast from the rest: ``"top 20%"`` of the rows, the ``"top decade"`` or ``"top 2 decades"`` of
        x; or, with ``"low 2 decades"`` or ``"low 20%"``, what the forecast is made from. Rows of equal x stay
        together. Or name -> whether a row is trained on, (n,) for the complete rows ascending in model_id. By
        default the first three and "low 2 decades", as far as each leaves rows on both sides; those that do not are
        named in ``left_out``.

    Raises
    ------
    UnknownNameError, ConfigError, DataError
        See ``vvscale.laws.compare``.
    UsageError
        A split that is not understood.
    ShapeError
        A split that leaves nothing on one side.
    """
    field_ = contest(data, laws=laws, x=x, sizes=sizes, y=y, delta=delta, offset_by=offset_by)
    outcome = field_.outcome
    if field_.x in field_.frame.columns:
        along = field_.frame[field_.x].to_numpy(float)
    else:
        # Laws in N and D of a table without compute: N D stands for it.
        along = np.prod([values for _, problem in field_.entries.values() for values in problem.x][:2], axis=0)
    left_out = dict(field_.left_out)
    if splits is None:
        splits = [name for name in SPLITS if 0 < training_rows(name, along).sum() < len(along)]
        left_out |= {name: "no rows on one side of this split" for name in SPLITS if name not in splits}
    trained = _training_rows(splits, along)
    weights = np.stack(list(trained.values())).astype(float)
    forecasts, reached = {}, {}
    for name in field_.entries:
        run = field_.refit(name, weights)
        reached[name] = run.optima.gradient <= CONVERGED
        # A line that has crossed 0 forecasts 0: the log of less does not exist.
        predicted = np.nan_to_num(np.exp(run.log_curves()), nan=0.0)
        forecasts[name] = np.where(run.usable()[:, None], predicted, np.nan)
    for name, level in _naive_levels(weights > 0, along, outcome).items():
        forecasts[name] = np.broadcast_to(level[:, None], weights.shape)
    rows = []
    for place, (split, train) in enumerate(trained.items()):
        part = [_score(split, name, train, f[place] - outcome) for name, f in forecasts.items()]
        lowest = min(row["rmse"] for row in part if row["is_naive"])
        for row in part:
            row["is_converged"] = bool(reached[row["law"]][place]) if row["law"] in reached else True
            row["skill"] = 1.0 - row["rmse"] / lowest if lowest > 0 else np.nan
        # Python's sort cannot place a missing value.
        rows += sorted(part, key=lambda row: (np.isnan(row["rmse"]), row["rmse"]))
    columns = ["split", "n_train", "n_test", "law", "rmse", "bias", "skill", "is_naive", "is_converged"]
    return HoldOut(pd.DataFrame(rows)[columns], field_.x, left_out, field_.excluded)


def _score(split: str, name: str, train: NDArray[np.bool_], error: Array) -> dict[str, Any]:
    held = error[~train]
    with np.errstate(over="ignore"):
        rmse = float(np.sqrt((held**2).mean()))
    return {
        "split": split,
        "n_train": int(train.sum()),
        "n_test": len(held),
        "law": name,
        "rmse": rmse,
        "bias": float(held.mean()),
        "is_naive": name in (LAST, TOP_TENTH, *NAIVE_LAWS),
    }


def _naive_levels(train: NDArray[np.bool_], along: Array, outcome: Array) -> dict[str, Array]:
    """Mean outcome at the top of each training range, name -> (B,)."""
    last, tenth = [], []
    for rows in train:
        inside = along[rows]
        last.append(outcome[rows][inside == inside.max()].mean())
        tenth.append(outcome[rows][inside >= np.quantile(inside, 0.9)].mean())
    return {LAST: np.array(last), TOP_TENTH: np.array(tenth)}


def _training_rows(
    splits: Sequence[str] | Mapping[str, NDArray[np.bool_]], along: Array
) -> dict[str, NDArray[np.bool_]]:
    """Whether each row is trained on, split -> (n,)."""
    if isinstance(splits, Mapping):
        made = {name: np.asarray(rows, dtype=bool) for name, rows in splits.items()}
    else:
        made = {name: training_rows(name, along) for name in splits}
    for name, rows in made.items():
        if rows.shape != along.shape:
            raise ShapeError(
                f"The split '{name}' has shape {rows.shape}, but {len(along)} rows are complete. Give one value per "
                "complete row, ascending in model_id."
            )
        if not 0 < rows.sum() < len(rows):
            side = "train on" if not rows.any() else "forecast"
            raise ShapeError(
                f"The split '{name}' leaves no row to {side}: x spans {along.min():.3g} to {along.max():.3g} in "
                f"{len(along)} rows. Choose a smaller part."
            )
    if not made:
        raise UsageError(f"No split given. Known: {', '.join(SPLITS)}.")
    return made


def training_rows(split: str, along: Array) -> NDArray[np.bool_]:
    """Rows that a named split trains on, (n,).

    Parameters
    ----------
    split
        ``"top 20%"``, ``"top decade"``, ``"top 2 decades"``, ``"low 2 decades"``, with any number.
    along
        What the rows are ordered by, > 0, shape (n,).

    Examples
    --------
    >>> training_rows("top decade", np.array([1.0, 9.0, 11.0, 100.0])).tolist()
    [True, True, False, False]
    """
    found = _SPLIT.match(split)
    if not found:
        raise UsageError(
            f"Unknown split '{split}'. Write 'top 20%', 'top decade', 'top 2 decades' (what is forecast) or "
            "'low 2 decades' (what it is forecast from), with any number."
        )
    is_top, decades = found[1] == "top", float(found[3] or 1)
    if found[2]:
        share = float(found[2]) / 100
        if not 0 < share < 1:
            raise UsageError(f"The split '{split}' must hold out more than 0% and less than 100% of the rows.")
        return along <= np.quantile(along, 1 - share if is_top else share)
    return along <= (along.max() / 10**decades if is_top else along.min() * 10**decades)
