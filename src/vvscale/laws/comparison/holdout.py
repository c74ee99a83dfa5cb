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

from vvscale.core.jsonable import json_rows
from vvscale.errors import DataError, ShapeError, UsageError
from vvscale.laws.comparison.baselines import MEAN, NO_LAWS, POOLED, TREES, forecast_baselines, split_names
from vvscale.laws.comparison.candidates import Contest, contest
from vvscale.laws.status import CONVERGED
from vvscale.laws.uncertainty.folds import clustered_error, grouped_folds
from vvscale.laws.uncertainty.resample import clusters, default_unit

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
# Folds of the training rows that a law is chosen by.
INNER_FOLDS = 5
COLUMNS = [
    "split", "n_train", "n_test", "law", "rmse", "rmse_se", "bias", "skill", "gap", "gap_se", "is_naive", "is_chosen",
    "is_converged",
]  # fmt: skip


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
    def trees_win(self) -> dict[str, bool]:
        """Split -> whether trees that know no law forecast clearly better (2 standard errors) than every law."""
        return {str(split): _trees_win(part) for split, part in self.rows.groupby("split", sort=False)}

    @property
    def verdict(self) -> str:
        """What the table says, a sentence per split."""
        return " ".join(_sentence(str(split), part) for split, part in self.rows.groupby("split", sort=False))

    def table(self) -> pd.DataFrame:
        """One row per split and forecast.

        ``n_train``, ``n_test``: rows on either side. ``rmse``, ``bias``: root mean square and mean of predicted
        minus actual outcome, in units of the outcome (score); missing where the training rows do not allow the
        law. ``rmse_se``: standard error of the former, rows of one architecture taken together. A negative bias on a
        misalignment means that alignment was over-predicted. ``skill``: 1 - rmse / that of the best naive forecast,
        positive if the law is worth something. ``is_naive``: whether the forecast is one of those to beat: the mean of
        the rows at the largest training compute, that of the top tenth of the training rows, the constant, the line in
        log X. ``is_chosen``: the law that cross-validation within the training rows picks, without a look at the
        forecast rows. ``gap``, ``gap_se``: rmse minus that of the chosen law, and its standard error. ``is_converged``:
        false where the search stopped short of a smooth minimum: the training rows do not determine the law, and
        neither its forecast.
        """
        return self.rows.copy()

    def to_dict(self) -> dict[str, Any]:
        """Plain values that JSON can hold; what is missing becomes None."""
        return {
            "forecasts": json_rows(self.rows),
            "x": self.x,
            "verdict": self.verdict,
            "trees_win": self.trees_win,
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
    laws, baselines, strict = split_names(laws)
    # Baselines alone are compared with the naive laws.
    laws = NAIVE_LAWS if laws == [] else laws
    field_ = contest(data, laws=laws, x=x, sizes=sizes, y=y, delta=delta, offset_by=offset_by)
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
    group, _ = clusters(field_.frame, default_unit(field_.frame))
    forecasts, reached, errors = _law_forecasts(field_, weights, group)
    for name, level in _naive_levels(weights > 0, along, field_.outcome).items():
        forecasts[name] = np.broadcast_to(level[:, None], weights.shape)
    others, lacking = forecast_baselines(baselines, field_, weights)
    if strict and lacking:
        raise DataError("; ".join(f"Cannot forecast with '{name}': {reason}" for name, reason in lacking.items()) + ".")
    forecasts |= others
    rows: list[dict[str, Any]] = []
    for place, (split, train) in enumerate(trained.items()):
        error = {name: (f[place] - field_.outcome)[~train] for name, f in forecasts.items()}
        chosen = _chosen({name: values[place] for name, values in errors.items()})
        converged = {name: bool(values[place]) for name, values in reached.items()}
        rows += _ranked(split, int(train.sum()), error, group[~train], chosen, converged)
    return HoldOut(pd.DataFrame(rows)[COLUMNS], field_.x, left_out | lacking, field_.excluded)


def _law_forecasts(
    field_: Contest, weights: Array, group: NDArray[np.intp]
) -> tuple[dict[str, Array], dict[str, NDArray[np.bool_]], dict[str, Array]]:
    """Forecasts (B, n) of each law from each row of weights (B, n), whether it converged (B,), and its error (B,).

    The error is the mean |log residual| of training rows whose group was left out of a further fit to the rest.
    """
    n = len(group)
    folds = [_folds(group, used) for used in weights > 0]
    kept = [fold != np.arange(INNER_FOLDS)[:, None] for fold in folds]
    inner = np.concatenate([used * rest for used, rest in zip(weights, kept, strict=True)])
    forecasts, reached, errors = {}, {}, {}
    for name in field_.entries:
        run = field_.refit(name, np.concatenate([weights, inner]))
        # A line that has crossed 0 forecasts 0: the log of less does not exist.
        predicted = np.nan_to_num(np.exp(run.log_curves()), nan=0.0)
        predicted[~run.usable()] = np.nan
        forecasts[name], within = predicted[: len(weights)], predicted[len(weights) :].reshape(-1, INNER_FOLDS, n)
        reached[name] = run.optima.gradient[: len(weights)] <= CONVERGED
        left = [part[fold, np.arange(n)] for part, fold in zip(within, folds, strict=True)]
        with np.errstate(divide="ignore", invalid="ignore"):
            off = [np.abs(np.log(part / field_.outcome))[used] for part, used in zip(left, weights > 0, strict=True)]
        errors[name] = np.array([np.mean(values) for values in off])
    return forecasts, reached, errors


def _folds(group: NDArray[np.intp], used: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Fold of each row (n,) in which the groups of the used rows are spread evenly; rows one by one if they are few."""
    _, own = np.unique(group[used], return_inverse=True)
    if own.max() + 1 < INNER_FOLDS:
        own = np.arange(used.sum())
    fold = np.zeros(len(group), dtype=np.intp)
    if used.sum() > 1:
        fold[used] = grouped_folds(own.astype(np.intp), INNER_FOLDS, seed=0)
    return fold


def _chosen(errors: dict[str, float]) -> str:
    """Law with the lowest error within the training rows; empty if none has one."""
    able = {name: error for name, error in errors.items() if name not in NAIVE_LAWS and np.isfinite(error)}
    return min(able, key=lambda name: able[name]) if able else ""


def _ranked(
    split: str,
    n_train: int,
    errors: dict[str, Array],
    group: NDArray[np.intp],
    chosen: str,
    converged: dict[str, bool],
) -> list[dict[str, Any]]:
    """One split's rows, lowest error first; ``errors`` (m,) are of the forecast rows, ``group`` (m,) theirs."""
    rows = [_score(split, name, n_train, error) for name, error in errors.items()]
    lowest = min(row["rmse"] for row in rows if row["is_naive"])
    for row in rows:
        row["is_converged"] = converged.get(row["law"], True)
        row["skill"] = 1.0 - row["rmse"] / lowest if lowest > 0 else np.nan
        row["rmse_se"] = _rmse_error(errors[row["law"]], None, group)
        row["is_chosen"] = row["law"] == chosen
        row["gap"] = row["rmse"] - _rmse(errors[chosen]) if chosen else np.nan
        row["gap_se"] = _rmse_error(errors[row["law"]], errors[chosen], group) if chosen else np.nan
    # Python's sort cannot place a missing value.
    return sorted(rows, key=lambda row: (np.isnan(row["rmse"]), row["rmse"]))


def _score(split: str, name: str, n_train: int, held: Array) -> dict[str, Any]:
    return {
        "split": split,
        "n_train": n_train,
        "n_test": len(held),
        "law": name,
        "rmse": _rmse(held),
        "bias": float(held.mean()),
        "is_naive": name in (LAST, TOP_TENTH, *NAIVE_LAWS),
    }


def _rmse(error: Array) -> float:
    with np.errstate(over="ignore"):
        return float(np.sqrt((error**2).mean()))


def _rmse_error(error: Array, other: Array | None, group: NDArray[np.intp]) -> float:
    """Return the clustered standard error of an RMSE, or of the difference of two on the same rows (delta method)."""
    _, code = np.unique(group, return_inverse=True)
    parts = [_influence(error)] + ([] if other is None else [-_influence(other)])
    total = np.sum(parts, axis=0)
    if not np.isfinite(total).all() or code.max() == 0:
        return np.nan
    return clustered_error(total, code.astype(np.intp))


def _influence(error: Array) -> Array:
    """Return what each row's squared error moves the RMSE by, (m,), but for a constant."""
    with np.errstate(over="ignore", invalid="ignore"):
        return error**2 / (2.0 * max(_rmse(error), np.finfo(float).tiny))


def _sentence(split: str, part: pd.DataFrame) -> str:
    unable = part.loc[part["rmse"].isna(), "law"]
    part = part[part["rmse"].notna()]
    naive = part[part["is_naive"]].iloc[0]
    laws = part[~part["is_naive"] & ~part["law"].isin(NO_LAWS)]
    ahead = laws[laws["rmse"] < naive["rmse"]]
    if ahead.empty:
        said = f"{split}: no law beats '{naive['law']}' (RMSE {naive['rmse']:.3f})."
    else:
        said = (
            f"{split}: {len(ahead)} of {len(laws)} laws beat the best naive forecast '{naive['law']}' (RMSE "
            f"{naive['rmse']:.3f})."
        )
        for chosen in part[part["is_chosen"]].to_dict("records"):
            said += (
                f" Cross-validation within the training rows picks {chosen['law']}: RMSE {chosen['rmse']:.3f} "
                f"+- {chosen['rmse_se']:.3f}."
            )
        for pooled in part[part["law"] == POOLED].to_dict("records"):
            said += f" The pooled law: {pooled['rmse']:.3f} +- {pooled['rmse_se']:.3f}."
        for mean in part[part["law"] == MEAN].to_dict("records"):
            said += f" The mean of it and of trees: {mean['rmse']:.3f} +- {mean['rmse_se']:.3f}."
    if _trees_win(part):
        trees = part[part["law"] == TREES].iloc[0]
        said += (
            f" Trees that know no law forecast better than every law (RMSE {trees['rmse']:.3f} +- "
            f"{trees['rmse_se']:.3f}): the laws' form lacks something."
        )
    if len(unable):
        said += f" The training rows are too few to fit {', '.join(unable)}."
    return said


def _trees_win(part: pd.DataFrame) -> bool:
    trees = part[part["law"] == TREES]
    laws = part[~part["is_naive"] & ~part["law"].isin(NO_LAWS)]
    if trees.empty or laws.empty or not np.isfinite(trees["rmse"].iloc[0]):
        return False
    return bool(trees["rmse"].iloc[0] < laws["rmse"].min() and trees["gap"].iloc[0] < -2.0 * trees["gap_se"].iloc[0])


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
