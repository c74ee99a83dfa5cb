"""A law with random intercepts: families and architectures differ, and the law is about all of them.

    log Ybar_c = f(x_c) + u_family + v_arch + e_c

over cells c (all but the seed), ``Ybar`` the geometric mean of a cell's seeds, u, v and e independent and normal. The
parameters of the law and the three variances are those of maximum likelihood, intervals are profiles of the likelihood.
Least squares within and between groups instead of nearly absolute residuals: it is another estimate, shown beside the
published objective, never in place of it. Where families differ and the model may not know it, its intervals are far
too narrow; so both levels are in it wherever the table has them.

Source: Pinheiro & Bates 2000, section 7.2 (nonlinear mixed models that are linear in their effects); a nested design
has a covariance whose inverse and determinant are sums over groups.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy.optimize import brentq, minimize
from scipy.stats import chi2

from vvscale.core.jsonable import jsonable
from vvscale.errors import ShapeError, UsageError
from vvscale.laws.forms.others import Lifted
from vvscale.laws.forms.plateau import Vanishing
from vvscale.laws.forms.terms import MAX_EXPONENT, Points
from vvscale.laws.uncertainty.intervals import LEVEL
from vvscale.laws.uncertainty.resample import UNITS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from vvscale.laws.fit import Fit

    Array = NDArray[np.float64]

# The unit's name on the command line, beside row, cell, arch and family.
MIXED = "mixed"
LEVELS = ("family", "arch")
# Columns of each level; the first that the table has.
COLUMNS = {"family": ("parent_family", "family"), "arch": ("arch",)}
# Variances of the levels relative to that of a cell, as starts: none, as much, ten times as much.
RATIOS = (-6.0, 0.0, 2.3)
# Log ratio beyond which a level is absent, or all there is.
RATIO_BOUNDS = (-16.0, 12.0)
# Plateaus to start from, as shares of the lowest outcome.
PLATEAUS = (0.0, 0.5, 0.9)
# Steps of the search for the end of a profile, in units of the distance to the start.
MAX_WIDENINGS = 12
# A profile is solved to this share of its own width.
PRECISION = 1e-3


def resampled_units(by: Sequence[str]) -> tuple[str, ...]:
    """Return the units among ``by`` that are resampled: all but this model."""
    return tuple(unit for unit in by if unit != MIXED)


@dataclass(frozen=True)
class MixedFit:
    """A law with random intercepts.

    Attributes
    ----------
    law
        Name of the law.
    params
        Parameters in the fit's units; what follows from them (``S_inf``, ``n_exponent``) too.
    intervals
        95 % profile intervals, by name.
    spread
        Standard deviation of the log outcome between families, between architectures of one family, and between cells
        of one architecture, by level (``cell``).
    n_cells, n_groups
        Number of cells, and of groups by level.
    deviance
        -2 log likelihood, but for a constant.
    least_absolute
        The same parameters of the fit that it stands beside.
    """

    law: str
    params: dict[str, float]
    intervals: dict[str, tuple[float, float]]
    spread: dict[str, float]
    n_cells: int
    n_groups: dict[str, int]
    deviance: float
    least_absolute: dict[str, float] = field(repr=False)

    def table(self) -> pd.DataFrame:
        """One row per profiled parameter: the mixed model's value and interval, and that of the fit beside it."""
        rows = [
            (name, self.params[name], low, high, self.least_absolute.get(name, np.nan))
            for name, (low, high) in self.intervals.items()
        ]
        return pd.DataFrame(rows, columns=["parameter", "mixed", "low", "high", "fit"])

    @property
    def sentence(self) -> str:
        """What it says beside the fit, in words."""
        groups = ", ".join(f"{n} {level}" for level, n in self.n_groups.items())
        spread = ", ".join(f"{level} {value:.3f}" for level, value in self.spread.items())
        said = f"Random intercepts of {groups} over {self.n_cells} cells (standard deviations of the log: {spread})."
        outside = [
            f"{name} {self.least_absolute[name]:.3g} (here {self.params[name]:.3g}, {low:.3g} to {high:.3g})"
            for name, (low, high) in self.intervals.items()
            if name in self.least_absolute and not low <= self.least_absolute[name] <= high
        ]
        return said + (f" The fit's {', '.join(outside)} lies outside these intervals." if outside else "")

    def to_dict(self) -> dict[str, Any]:
        """Plain values that JSON can hold."""
        ci = {name: list(ends) for name, ends in self.intervals.items()}
        return jsonable({**{k: v for k, v in self.__dict__.items() if k != "intervals"}, "ci": ci})

    def _repr_html_(self) -> str:
        return f"<p>{self.sentence}</p>{self.table().to_html(index=False)}"


def fit_mixed(fit: Fit, *, levels: Sequence[str] = LEVELS, level: float = LEVEL) -> MixedFit:
    """Fit a law with random intercepts to the rows of a fit.

    Parameters
    ----------
    fit
        A fit of a law with a plateau and log residuals (power, shifted, joint, product), without offsets.
    levels
        What has intercepts: ``"family"``, ``"arch"`` or both, from coarse to fine. A level that the table lacks, or
        that has a single group, is left out.
    level
        Of the profile intervals.

    Raises
    ------
    UsageError
        Another law, offsets, or no such level.
    ShapeError
        No level with two groups or more, or fewer cells than parameters.

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> from vvscale.laws import fit_law
    >>> rng, arch = np.random.default_rng(0), np.arange(80) % 8
    >>> x = np.geomspace(1, 1e4, 80)
    >>> y = (0.3 + 0.5 * x**-0.4) * np.exp(0.05 * rng.normal(size=8)[arch] + 0.01 * rng.normal(size=80))
    >>> made = fit_mixed(fit_law(pd.DataFrame({"x": x, "y": y, "arch": arch}), x="x", y="y"))
    >>> low, high = made.intervals["E"]
    >>> bool(low < 0.3 < high), made.n_groups
    (True, {'arch': 8})
    """
    if not fit.law.terms or not fit.law.log_residuals or fit.offsets:
        raise UsageError(
            f"Random intercepts need a law with a plateau, log residuals and no offsets, got '{fit.law.name}'"
            f"{' with offsets' if fit.offsets else ''}. Fit power, shifted, joint or product."
        )
    problem = _Problem.of(fit, levels)
    best = problem.search()
    named = problem.named(best.theta)
    cut = float(chi2.ppf(level, 1))
    intervals = {name: problem.profile(best, name, cut) for name in problem.profiled}
    if "E" in intervals:
        intervals["S_inf"] = (1.0 - intervals["E"][1], 1.0 - intervals["E"][0])
    variance = problem.variances(best.theta)
    beside = {**fit.params, **{name: float(value[0]) for name, value in fit.derived().items()}}
    params = {name: float(value) for name, value in named.items()}
    return MixedFit(
        fit.law.name, params, intervals, variance, len(problem.target), dict(problem.n_groups), best.deviance,
        {name: beside[name] for name in params if name in beside},
    )  # fmt: skip


@dataclass(frozen=True)
class _Optimum:
    theta: Array
    deviance: float


@dataclass(frozen=True)
class _Problem:
    """Cells, their groups and the law; parameters are those of the boundary form, E, and a log variance per level."""

    fit: Fit
    form: Lifted
    points: Points
    target: Array
    # Group of each cell, from coarse to fine; and of each fine group the coarse one that it lies in.
    codes: tuple[NDArray[np.intp], ...]
    n_groups: dict[str, int]

    @classmethod
    def of(cls, fit: Fit, levels: Sequence[str]) -> _Problem:
        frame = fit.problem.frame
        for name in levels:
            if name not in LEVELS:
                raise UsageError(f"Unknown level '{name}' of random intercepts. Known: {', '.join(LEVELS)}.")
        cell = [column for column in UNITS["cell"] if column in frame.columns] if "arch" in frame.columns else []
        key = pd.factorize(frame[cell].astype(str).agg("|".join, axis=1))[0] if len(cell) > 1 else np.arange(fit.n)
        # Rows of one cell that differ in an input are cells of their own.
        key = np.unique(np.stack([key, *fit.problem.x]), axis=1, return_inverse=True)[1].ravel()
        size = np.bincount(key)
        first = np.unique(key, return_index=True)[1]
        target = np.bincount(key, weights=np.log(fit.problem.y)) / size
        codes, n_groups = [], {}
        for name in LEVELS:
            column = next((column for column in COLUMNS[name] if column in frame.columns), None)
            if name not in levels or column is None or frame[column].iloc[first].nunique() < 2:
                continue
            # An architecture of two families is two: levels are nested.
            label = frame[column].iloc[first].astype(str)
            if codes:
                label = label + "|" + pd.Series(codes[-1], index=label.index).astype(str)
            codes.append(pd.factorize(label)[0].astype(np.intp))
            n_groups[name] = int(codes[-1].max()) + 1
        if not codes:
            raise ShapeError(
                "Random intercepts need at least two architectures or families; the rows have columns for neither, or "
                'a single group of each. Use `by="row"`.'
            )
        terms = fit.law.terms
        form = Lifted(Vanishing(terms, falling=not fit.negative))
        if len(target) <= form.size + len(codes) + 1:
            raise ShapeError(
                f"{len(target)} cells are too few for {form.size + len(codes) + 1} parameters of a mixed model."
            )
        raw = [(value * unit)[first] for value, unit in zip(fit.problem.x, fit.problem.units, strict=True)]
        return cls(fit, form, fit.problem.points(raw), target, tuple(codes), n_groups)

    @property
    def profiled(self) -> tuple[str, ...]:
        """Parameters that have a profile: E, and the exponents of terms in the inputs themselves."""
        terms = self.fit.law.terms
        plain = [name for name, term in zip(("alpha", "beta"), terms, strict=False) if term.coordinate == "log"]
        return ("E", *plain, *(["n_exponent", "d_exponent"] if len(plain) == 2 else []))

    def place(self, name: str) -> int:
        """Where a profiled parameter stands in theta."""
        if name == "E":
            return self.form.size - 1
        return self.form.base.slots()[("alpha", "beta").index(name)][1]

    def bounds(self) -> list[tuple[float, float]]:
        """Lower and upper bound of each parameter."""
        base = self.form.base
        box = [(-50.0, 50.0)] if len(base.terms) == 1 else [(1e-12, np.inf)] * 2
        lowest = 0.0 if base.falling else -MAX_EXPONENT
        for term in base.terms:
            box += [(lowest, MAX_EXPONENT)] + [(0.0, 1.0)] * term.has_rho
        # E stays below every cell mean that could be above it; what does not is a residual.
        return [*box, (0.0, float(np.exp(self.target.max())))] + [RATIO_BOUNDS] * len(self.codes)

    def deviance(self, theta: Array) -> tuple[float, Array]:
        """-2 log likelihood, the variance of a cell profiled out, and its gradient."""
        p = self.form.size
        d = self.form.evaluate(theta[None, :p], self.points)
        jacobian = d.jacobian[0].copy()
        # df/dE of log(E + exp(g)).
        jacobian[-1] = np.exp(-d.f[0])
        r = d.f[0] - self.target
        if not np.isfinite(r).all():
            return 1e10, np.zeros_like(theta)
        ratios = np.exp(theta[p:])
        solved, log_det = self._solve(r, ratios)
        n, total = len(r), float(r @ solved)
        gradient = np.empty_like(theta)
        gradient[:p] = 2.0 * n / total * (jacobian @ solved)
        step = 1e-5
        for k in range(len(ratios)):
            ends = []
            for sign in (1.0, -1.0):
                moved = ratios.copy()
                moved[k] *= np.exp(sign * step)
                there, det = self._solve(r, moved)
                ends.append(n * np.log(float(r @ there)) + det)
            gradient[p + k] = (ends[0] - ends[1]) / (2.0 * step)
        return n * np.log(total / n) + log_det, gradient

    def _solve(self, r: Array, ratios: Array) -> tuple[Array, float]:
        """V^-1 r (n,) and log |V| for V = I + sum of ratio x (same group), one level nested in the other."""
        fine = self.codes[-1]
        size = np.bincount(fine).astype(float)
        shrink = ratios[-1] / (1.0 + size * ratios[-1])

        def inner(values: Array) -> Array:
            return values - (shrink * np.bincount(fine, weights=values))[fine]

        solved, log_det = inner(r), float(np.log1p(size * ratios[-1]).sum())
        if len(self.codes) == 1:
            return solved, log_det
        coarse = self.codes[0]
        ones = inner(np.ones_like(r))
        weight = np.bincount(coarse, weights=ones)
        factor = ratios[0] / (1.0 + ratios[0] * weight) * np.bincount(coarse, weights=solved)
        return solved - ones * factor[coarse], log_det + float(np.log1p(ratios[0] * weight).sum())

    def search(self) -> _Optimum:
        """The global optimum, from several plateaus and variance ratios."""
        found = [self._descend(start) for start in self._starts()]
        return min(found, key=lambda one: one.deviance)

    def _starts(self) -> list[Array]:
        base = self.form.base
        level, lowest = float(np.exp(self.target.mean())), float(np.exp(self.target.min()))
        made = []
        for share in PLATEAUS:
            above = level - share * lowest
            heights = [np.log(above)] if len(base.terms) == 1 else [above / 2.0] * 2
            for slope in (0.1, 0.5):
                own = [value for term in base.terms for value in ([slope] + [0.5] * term.has_rho)]
                for ratio in RATIOS:
                    made.append(np.array([*heights, *own, share * lowest, *[ratio] * len(self.codes)]))
        return made

    def _descend(self, start: Array, held: int | None = None, ratio: float | None = None) -> _Optimum:
        """Descend from a start, one parameter held, or beta held to a multiple of alpha."""
        box = self.bounds()
        if held is not None:
            box[held] = (start[held], start[held])
        if ratio is None:
            end = minimize(self.deviance, start, jac=True, method="L-BFGS-B", bounds=box, options=_OPTIONS)
            return _Optimum(end.x, float(end.fun))
        alpha, beta = self.place("alpha"), self.place("beta")

        def tied(theta: Array) -> tuple[float, Array]:
            whole = theta.copy()
            whole[beta] = ratio * theta[alpha]
            value, gradient = self.deviance(whole)
            gradient[alpha] += ratio * gradient[beta]
            gradient[beta] = 0.0
            return value, gradient

        end = minimize(tied, start, jac=True, method="L-BFGS-B", bounds=box, options=_OPTIONS)
        end.x[beta] = ratio * end.x[alpha]
        return _Optimum(end.x, float(end.fun))

    def profile(self, best: _Optimum, name: str, cut: float) -> tuple[float, float]:
        """Interval in which the deviance, the rest refitted, is within ``cut`` of the optimum's."""
        value = float(self.named(best.theta)[name])
        lower, upper = (0.0, 1.0) if name.endswith("exponent") else self.bounds()[self.place(name)]
        warm = {value: best.theta}

        def excess(at: float) -> float:
            near = min(warm, key=lambda known: abs(known - at))
            end = self._at(name, at, warm[near])
            warm[at] = end.theta
            return end.deviance - best.deviance - cut

        return self._end(excess, value, lower, -1.0), self._end(excess, value, upper, 1.0)

    def _at(self, name: str, at: float, start: Array) -> _Optimum:
        start = start.copy()
        if name.endswith("exponent"):
            share = at if name == "n_exponent" else 1.0 - at
            # n_exponent = beta / (alpha + beta); at its ends one of them is 0.
            share = float(np.clip(share, 1e-6, 1.0 - 1e-6))
            return self._descend(start, ratio=share / (1.0 - share))
        start[self.place(name)] = at
        return self._descend(start, held=self.place(name))

    def _end(self, excess: Any, value: float, bound: float, sign: float) -> float:
        """Where ``excess`` crosses 0 between ``value`` and ``bound``, or the bound."""
        step = max(0.05 * abs(value), 1e-3)
        inside = value
        for _ in range(MAX_WIDENINGS):
            outside = inside + sign * step
            if (outside - bound) * sign >= 0:
                outside = bound
            if not np.isfinite(outside):
                return outside
            if excess(outside) > 0:
                low, high = sorted((inside, outside))
                root: Any = brentq(excess, low, high, xtol=PRECISION * step) if excess(inside) < 0 else inside
                return float(root)
            if outside == bound:
                return bound
            inside, step = outside, 2.0 * step
        return sign * np.inf

    def named(self, theta: Array) -> dict[str, Any]:
        """Parameters of the law in its units, and what follows from them."""
        base = self.form.base
        values = {
            name: value[0] for name, value in base.natural(theta[None, : base.size], self.fit.problem.centre).items()
        }
        # A flat term belongs to the plateau.
        values["E"] = values["E"] + theta[self.form.size - 1]
        derived = self.fit.derived_from({name: np.array([value]) for name, value in values.items()}, None)
        return {**values, **{name: value[0] for name, value in derived.items()}}

    def variances(self, theta: Array) -> dict[str, float]:
        """Standard deviation of each level and of the cells."""
        p = self.form.size
        r = self.form.evaluate(theta[None, :p], self.points).f[0] - self.target
        ratios = np.exp(theta[p:])
        cell = float(r @ self._solve(r, ratios)[0]) / len(r)
        levels = {name: float(np.sqrt(cell * ratio)) for name, ratio in zip(self.n_groups, ratios, strict=True)}
        return {**levels, "cell": float(np.sqrt(cell))}


_OPTIONS = {"maxiter": 500, "ftol": 1e-12, "gtol": 1e-7}
