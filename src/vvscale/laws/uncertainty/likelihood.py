"""The likelihood of a law with random intercepts, its optimum and its profiles; see ``mixed`` for the model.

A nested design has a covariance whose inverse and determinant are sums over groups, so that nothing larger than the
table is ever made. Parameters are those of the boundary form, E, and a log variance ratio per level.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy.optimize import brentq, minimize

from vvscale.errors import ShapeError, UsageError
from vvscale.laws.forms.others import Lifted
from vvscale.laws.forms.plateau import Vanishing
from vvscale.laws.forms.terms import MAX_EXPONENT, Points
from vvscale.laws.uncertainty.resample import UNITS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from vvscale.laws.fit import Fit

    Array = NDArray[np.float64]

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
# Far below the precision of a profile.
DESCENT = {"maxiter": 500, "ftol": 1e-12, "gtol": 1e-7}


@dataclass(frozen=True)
class Optimum:
    """Parameters and -2 log likelihood of a minimum."""

    theta: Array
    deviance: float


@dataclass(frozen=True)
class Likelihood:
    """Cells, their groups and the law."""

    fit: Fit
    form: Lifted
    points: Points
    target: Array
    # Group of each cell, from coarse to fine; and of each fine group the coarse one that it lies in.
    codes: tuple[NDArray[np.intp], ...]
    n_groups: dict[str, int]

    @classmethod
    def of(cls, fit: Fit, levels: Sequence[str]) -> Likelihood:
        """Average the rows of a fit over the seeds of each cell, and group the cells by level."""
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
        raw = [value[first] for value in fit.problem.raw]
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

    def search(self) -> Optimum:
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

    def _descend(self, start: Array, held: int | None = None, ratio: float | None = None) -> Optimum:
        """Descend from a start, one parameter held, or beta held to a multiple of alpha."""
        box = self.bounds()
        if held is not None:
            box[held] = (start[held], start[held])
        if ratio is None:
            end = minimize(self.deviance, start, jac=True, method="L-BFGS-B", bounds=box, options=DESCENT)
            return Optimum(end.x, float(end.fun))
        alpha, beta = self.place("alpha"), self.place("beta")

        def tied(theta: Array) -> tuple[float, Array]:
            whole = theta.copy()
            whole[beta] = ratio * theta[alpha]
            value, gradient = self.deviance(whole)
            gradient[alpha] += ratio * gradient[beta]
            gradient[beta] = 0.0
            return value, gradient

        end = minimize(tied, start, jac=True, method="L-BFGS-B", bounds=box, options=DESCENT)
        end.x[beta] = ratio * end.x[alpha]
        return Optimum(end.x, float(end.fun))

    def profile(self, best: Optimum, name: str, cut: float) -> tuple[float, float]:
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

    def _at(self, name: str, at: float, start: Array) -> Optimum:
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
