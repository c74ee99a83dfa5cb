"""Intervals for a model not yet trained, by conformal prediction with whole groups left out, and their coverage.

A bootstrap band says where the curve is; a new model does not lie on the curve. Here the law is refitted without
each fold of groups, the residuals of the models that it had not seen say how far off it is, and an interval is
what these residuals put around the refitted laws (CV+). No distribution is assumed: what is assumed is that the
new model's group is drawn like the groups at hand. Where that fails, as for more compute than any seen, nothing
is promised; ``coverage`` measures what happens.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from vvscale.core.options import SEED
from vvscale.errors import ShapeError, UsageError, unknown_name
from vvscale.laws.solve_law import AVERAGE
from vvscale.laws.uncertainty.folds import grouped_folds
from vvscale.laws.uncertainty.refits import Refits, refit_fit
from vvscale.laws.uncertainty.resample import clusters, default_unit

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from vvscale.laws.fit import Fit

    Array = NDArray[np.float64]

LEVEL = 0.9
# Each group is left out by itself up to so many groups; beyond, in so many folds.
ALL_FOLDS, FOLDS = 100, 10


@dataclass(frozen=True)
class PredictionInterval:
    """Intervals for new models.

    Attributes
    ----------
    x
        Inputs in raw units by column, (m,) each.
    predicted, lower, upper
        Outcome predicted by the fit to all rows, and the interval around it, shape (m,), in units of the outcome.
    level
        Nominal coverage, in (0, 1).
    unit
        What was left out together: the interval is for a new one of these.
    n_groups
        Number of groups behind it.
    """

    x: dict[str, Array] = field(repr=False)
    predicted: Array
    lower: Array
    upper: Array
    level: float
    unit: str
    n_groups: int

    def table(self) -> pd.DataFrame:
        """One row per new model."""
        return pd.DataFrame({**self.x, "predicted": self.predicted, "lower": self.lower, "upper": self.upper})

    def to_dict(self) -> dict[str, Any]:
        """Plain values that JSON can hold."""
        rows = self.table().to_dict("records")
        return {"level": self.level, "unit": self.unit, "n_groups": self.n_groups, "models": rows}

    def _repr_html_(self) -> str:
        head = f"<p>{self.level:.0%} intervals for a new {self.unit}, from {self.n_groups} of them</p>"
        return head + self.table().to_html(index=False)


@dataclass(frozen=True)
class Conformal:
    """A law calibrated for prediction; asking it for intervals costs no fit.

    Attributes
    ----------
    refits
        The law without each fold, F of them.
    fold
        Fold of each calibrating row, shape (n,).
    distance
        |residual| of each row under the fit without its fold, shape (n,), on the scale of the law's residuals.
    mass
        Weight of each row's residual, shape (n,); with 1 / (n_groups + 1) for the new group they add up to 1.
    rows
        Rows of ``refits.fit.problem.frame`` that calibrate, shape (n,).
    unit, n_groups
        What was left out, and how many there are.
    """

    refits: Refits = field(repr=False)
    fold: NDArray[np.intp] = field(repr=False)
    distance: Array = field(repr=False)
    mass: Array = field(repr=False)
    rows: NDArray[np.intp] = field(repr=False)
    unit: str
    n_groups: int

    def bounds(self, level: float, x: Sequence[Array] | None = None, group: NDArray[np.intp] | None = None) -> Array:
        """Lower and upper bound (2, m) of the outcome at inputs in raw units, by default those of the fit's rows.

        Raises
        ------
        UsageError
            A level outside (0, 1).
        ShapeError
            Too few groups for the level.
        """
        check_level(level, self.n_groups, self.unit)
        f = self.refits.log_curves(x, group)
        is_log = self.refits.fit.law.log_residuals
        centre = (f if is_log else np.exp(f))[self.fold]
        away = self.distance[:, None]
        both = np.stack([-weighted_quantile(away - centre, self.mass, level),
                         weighted_quantile(centre + away, self.mass, level)])  # fmt: skip
        return np.exp(both) if is_log else both

    def interval(
        self, x: pd.DataFrame | Sequence[Array] | Array, *, level: float = LEVEL, group: str | None = None
    ) -> PredictionInterval:
        """Intervals for new models; see ``predict_interval``."""
        fit = self.refits.fit
        values, place = _new_models(fit, x, group)
        low, high = self.bounds(level, values, place)
        whole = np.ones((1, fit.n))
        assert fit.optima is not None
        predicted = np.exp(Refits(fit, fit.optima, whole).log_curves(values, place))[0]
        columns = dict(zip(fit.problem.columns, values, strict=True))
        return PredictionInterval(columns, predicted, low, high, level, self.unit, self.n_groups)


def calibrate(fit: Fit, *, by: str | None = None, seed: int = SEED) -> Conformal:
    """Refit a law without each group, and keep how far off the left-out models were.

    Parameters
    ----------
    fit
        A fit.
    by
        What a new model is new in: ``arch`` (default where the table knows architectures), ``row`` (another model
        of the architectures at hand), ``cell``, ``family``, or a column.
    seed
        Of the folds, where there are more than 100 groups.

    Raises
    ------
    UsageError, UnknownNameError
        See ``vvscale.laws.uncertainty.resample.clusters``.
    ShapeError
        A single group, or a fold that leaves fewer distinct points than parameters.

    Notes
    -----
    Of K groups with n rows, each row weighs K / (K + 1) / n and the new group 1 / (K + 1). With groups of one size
    drawn alike, a new model of a new group is then covered with probability of at least 1 - 2 (1 - level), and of
    about the level in practice. With groups of different sizes the promise is for models, not for groups: large
    groups count for more. Source: Barber, Candes, Ramdas & Tibshirani 2021 (CV+, eq. 11); Lee, Barber & Willett
    2023 (hierarchical conformal prediction).
    """
    by = by or default_unit(fit.problem.frame)
    return calibrate_parts(fit, [np.arange(fit.n)], [by], seed=seed)[0]


def predict_interval(
    fit: Fit,
    x: pd.DataFrame | Sequence[Array] | Array,
    *,
    level: float = LEVEL,
    by: str | None = None,
    group: str | None = None,
    seed: int = SEED,
) -> PredictionInterval:
    """Interval for the outcome of a model that is yet to be trained.

    Parameters
    ----------
    fit
        A fit.
    x
        New inputs in raw units, > 0: a table with the fit's input columns (and that of its offset groups), one
        array (m,), or a sequence of one array (m,) per input.
    level
        Coverage, in (0, 1); at most K / (K + 1) for K groups.
    by, seed
        See ``calibrate``, which is worth calling once for many questions.
    group
        Offset group of all new models; by default that of the table's column, else none in particular. None in
        particular, and a label in the table that the fit does not know, is predicted as the average group, as
        ``Fit.predict`` does.

    Raises
    ------
    UsageError, UnknownNameError
        A level outside (0, 1); a column or unit that does not exist.
    ShapeError
        Too few groups for the level; inputs of the wrong number or with values that are not positive.

    Examples
    --------
    >>> from vvscale.laws.fit import fit_law
    >>> x = np.geomspace(1e9, 1e15, 30)
    >>> noise = np.random.default_rng(0).normal(0, 0.01, 30)
    >>> table = pd.DataFrame({"train_flop": x, "misalignment": (0.4 + (x / 1e9) ** -0.3) * np.exp(noise)})
    >>> predict_interval(fit_law(table), [1e16]).table().round(2).to_numpy().tolist()
    [[1e+16, 0.41, 0.4, 0.42]]
    """
    check_level(level, len(np.unique(_codes(fit, by or default_unit(fit.problem.frame)))), by or "arch")
    return calibrate(fit, by=by, seed=seed).interval(x, level=level, group=group)


def _codes(fit: Fit, unit: str) -> NDArray[np.intp]:
    return clusters(fit.problem.frame, unit)[0]


def check_level(level: float, n_groups: int, unit: str) -> None:
    """Refuse a level that ``n_groups`` groups cannot back."""
    if not 0 < level < 1:
        raise UsageError(f"The level must lie between 0 and 1, got {level}. 0.9 is usual.")
    most = n_groups / (n_groups + 1)
    if level > most + 1e-12:
        raise ShapeError(
            f"Too few groups for a {level:.0%} prediction interval: the rows have {n_groups} different values of "
            f"'{unit}', and the residuals of K groups back a level of at most K / (K + 1), here {most:.1%}. Lower "
            "the level, leave out smaller groups (`by`: arch or row), or collect more."
        )


def weighted_quantile(values: Array, mass: Array, level: float) -> Array:
    """Smallest of each column of ``values`` (n, m) up to which the masses (n,) add up to ``level``; (m,).

    What is missing to a total mass of 1 lies at infinity. With n equal masses 1 / (n + 1) this is the
    ceil(level (n + 1))-th smallest value.
    """
    values = np.where(np.isnan(values), np.inf, values)
    order = np.argsort(values, axis=0)
    ranked = np.take_along_axis(values, order, axis=0)
    reached = np.cumsum(mass[order], axis=0) >= level - 1e-9
    quantile = np.take_along_axis(ranked, reached.argmax(axis=0)[None], axis=0)[0]
    return np.where(reached.any(axis=0), quantile, np.inf)


def calibrate_parts(fit: Fit, parts: list[NDArray[np.intp]], units: list[str], *, seed: int) -> list[Conformal]:
    """Calibrate on each part of the rows with its unit; all refits are one call of the solver."""
    plans, weights = [], []
    for rows, unit in zip(parts, units, strict=True):
        code, group = np.unique(_codes(fit, unit)[rows], return_inverse=True)
        n_groups = len(code)
        n_folds = n_groups if n_groups <= ALL_FOLDS and len(parts) == 1 else min(n_groups, FOLDS)
        fold = grouped_folds(group, n_folds, seed=seed)
        mass = np.full(len(rows), n_groups / (n_groups + 1.0) / len(rows))
        block = np.zeros((int(fold.max()) + 1, fit.n))
        block[:, rows] = fold != np.arange(len(block))[:, None]
        plans.append((rows, unit, n_groups, fold, mass))
        weights.append(block)
    run = refit_fit(fit, np.concatenate(weights))
    if not run.usable().all():
        raise ShapeError(
            f"Cannot leave '{units[0]}' out: without some of them fewer distinct points remain than the law "
            f"'{fit.law.name}' has parameters. Use a smaller unit, or a law with fewer parameters."
        )
    target = np.log(fit.problem.y) if fit.law.log_residuals else fit.problem.y
    made, at = [], 0
    for (rows, unit, n_groups, fold, mass), block in zip(plans, weights, strict=True):
        part = run.rows(slice(at, at + len(block)))
        f = part.log_curves()[fold, rows]
        distance = np.abs((f if fit.law.log_residuals else np.exp(f)) - target[rows])
        made.append(Conformal(part, fold, np.where(np.isnan(distance), np.inf, distance), mass, rows, unit, n_groups))
        at += len(block)
    return made


def _new_models(
    fit: Fit, x: pd.DataFrame | Sequence[Array] | Array, group: str | None
) -> tuple[list[Array], NDArray[np.intp]]:
    """Return inputs in raw units and offset group (-1 if unknown) of new models."""
    columns, names = fit.problem.columns, list(fit.problem.groups)
    if group is not None and group not in names:
        raise unknown_name("offset group", group, names)
    labels = None if group is None else [group]
    if isinstance(x, pd.DataFrame):
        for column in columns:
            if column not in x.columns:
                raise unknown_name("column", column, map(str, x.columns))
        by = fit.offset_by
        if group is None and by is not None and by in x.columns:
            labels = list(x[by].astype(str))
        values = [x[column].to_numpy(float) for column in columns]
    else:
        given = [x] if len(columns) == 1 and np.ndim(x[0] if len(x) else 0.0) == 0 else list(x)
        values = [np.atleast_1d(np.asarray(value, float)) for value in given]
    if len(values) != len(columns) or len({value.shape for value in values}) != 1:
        raise ShapeError(
            f"New models need one array per input ({', '.join(columns)}), all of one length; got shapes "
            f"{', '.join(str(value.shape) for value in values)}."
        )
    for column, value in zip(columns, values, strict=True):
        if not (np.isfinite(value) & (value > 0)).all():
            raise ShapeError(f"New inputs must be finite and greater than 0; '{column}' has {value.min():g}.")
    place = [names.index(label) if label in names else AVERAGE for label in labels or [""]]
    return values, np.broadcast_to(np.array(place, dtype=np.intp), values[0].shape)
