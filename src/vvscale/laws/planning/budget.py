"""The best use of a budget by a fit; ``vvscale.plan_budget``."""

from __future__ import annotations

from collections.abc import Sequence

from vvscale.errors import FitError, UsageError
from vvscale.laws.comparison.assess import assess
from vvscale.laws.fit import Fit
from vvscale.laws.planning.cost import Cost, fit_cost, given_cost
from vvscale.laws.planning.joint import DOUBTFUL, JointLaw
from vvscale.laws.planning.plan import Plan, plan
from vvscale.laws.uncertainty.bootstrap import Bootstrap

Range = tuple[float | None, float | None]


def plan_budget(
    fit: Fit | Bootstrap,
    budget: float,
    *,
    cost: Cost | Sequence[float] | None = None,
    n_bounds: Range = (None, None),
    d_bounds: Range = (None, None),
    n_samples: float | None = None,
    epochs: float | None = None,
    group: str | None = None,
    anyway: bool = False,
) -> Plan:
    """Return the parameters and samples that a joint law predicts the most from, for one budget.

    Parameters
    ----------
    fit
        A fit of a joint law in parameters and samples, or its bootstrap, which gives the plan intervals.
    budget
        Compute of a training run in FLOP, > 0.
    cost
        ``(m, n)`` of C = m (N D)^n, or a :class:`Cost`; by default fitted to the rows of the fit.
    n_bounds, d_bounds
        Smallest and largest N and D allowed, in parameters and samples seen; None is open.
    n_samples, epochs
        Images at hand, or passes over them. A law in images needs ``epochs``.
    group
        Of a fit with amplitudes by group: whose.
    anyway
        Plan with a fit that did not converge, or whose exponents the rows leave open, too.

    Returns
    -------
    Plan
        With ``n_params``, ``samples_seen``, ``score`` and their intervals, and warnings where it leaves the data.

    Raises
    ------
    UsageError, DataError
        No joint law, bounds that no allocation meets, or rows that do not say what compute they took.
    FitError
        The fit is in doubt, or has no optimum.

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> from vvscale.laws import fit_law
    >>> n, d = (values.ravel() for values in np.meshgrid(np.geomspace(1e5, 1e8, 6), np.geomspace(1e4, 1e8, 6)))
    >>> rows = pd.DataFrame({"n_params": n, "samples_seen": d, "train_flop": 6 * n * d})
    >>> fit = fit_law(rows.assign(misalignment=0.5 + 20 * n**-0.4 + 10 * d**-0.4), "joint")
    >>> made = plan_budget(fit, 1e15)
    >>> bool(made.n_params > made.samples_seen), round(made.n_exponent, 3)
    (True, 0.5)
    """
    resampled = fit if isinstance(fit, Bootstrap) else None
    fitted = fit.fit if isinstance(fit, Bootstrap) else fit
    if not fitted.law.is_joint:
        raise UsageError(
            f"A plan needs a law in parameters and samples, and this fit is the law '{fitted.law.name}' in "
            f'{", ".join(fitted.problem.columns)}. Fit `law="joint"`.'
        )
    if fitted.status in DOUBTFUL and not anyway:
        raise FitError(f"No plan with this fit: its status is {fitted.status}. {fitted.advice} `anyway=True` plans.")
    law = JointLaw.from_fit(fitted, resampled, group=group, verdict=assess(fitted))
    if cost is None:
        cost = fit_cost(fitted.problem.frame)
    elif not isinstance(cost, Cost):
        cost = given_cost(*cost)
    return plan(law, budget, cost, n_bounds=n_bounds, d_bounds=d_bounds, n_samples=n_samples, epochs=epochs)
