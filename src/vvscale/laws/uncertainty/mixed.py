"""A law with random intercepts: families and architectures differ, and the law is about all of them.

    log Ybar_c = f(x_c) + u_family + v_arch + e_c

over cells c (all but the seed), ``Ybar`` the geometric mean of a cell's seeds, u, v and e independent and normal. The
parameters of the law and the three variances are those of maximum likelihood, intervals are profiles of the likelihood.
Least squares within and between groups instead of nearly absolute residuals: it is another estimate, shown beside the
published objective, never in place of it. Where families differ and the model may not know it, its intervals are far
too narrow; so both levels are in it wherever the table has them.

Source: Pinheiro & Bates 2000, section 7.2 (nonlinear mixed models that are linear in their effects).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from vvscale.core.jsonable import jsonable
from vvscale.errors import UsageError
from vvscale.laws.uncertainty.intervals import LEVEL
from vvscale.laws.uncertainty.likelihood import LEVELS, Likelihood

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vvscale.laws.fit import Fit

# The unit's name on the command line, beside row, cell, arch and family.
MIXED = "mixed"


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
    problem = Likelihood.of(fit, levels)
    best = problem.search()
    named = problem.named(best.theta)
    # The quantile of chi-squared with one degree of freedom.
    from scipy.special import gammaincinv

    cut = 2.0 * float(gammaincinv(0.5, level))
    intervals = {name: problem.profile(best, name, cut) for name in problem.profiled}
    if "E" in intervals:
        intervals["S_inf"] = (1.0 - intervals["E"][1], 1.0 - intervals["E"][0])
    variance = problem.variances(best.theta)
    beside = fit.quantities()
    params = {name: float(value) for name, value in named.items()}
    return MixedFit(
        fit.law.name, params, intervals, variance, len(problem.target), dict(problem.n_groups), best.deviance,
        {name: beside[name] for name in params if name in beside},
    )  # fmt: skip
