"""How a fit ended: its status, the edges that it lies on, and the parameters that its rows leave free."""

from __future__ import annotations

from dataclasses import replace
from enum import StrEnum
from typing import TYPE_CHECKING

import numpy as np

from vvscale.laws.solve_law import NO_SLOPE

if TYPE_CHECKING:
    from vvscale.laws.fit import Fit
    from vvscale.laws.law import Law
    from vvscale.laws.solver.search import Optima

# Scaled gradient below which a smooth minimum counts as reached.
CONVERGED = 1e-5
# A parameter is free if values far from the fitted one fit this well (deviance, 95 % of one degree of freedom), rows
# taken as independent: dependent rows only make it freer.
UNIDENTIFIED = 3.84
# The exponent at which a signed law, whose E would run to minus infinity, stands for its logarithmic limit.
NEARLY_LOG = 1e-6


class Status(StrEnum):
    """How a fit ended, what that means, and what to do."""

    CONVERGED = "converged"
    AT_BOUNDARY = "at_boundary"
    UNIDENTIFIED = "unidentified"
    NOT_CONVERGED = "not_converged"
    TOO_FEW_POINTS = "too_few_points"


class Edge(StrEnum):
    """Boundaries of the laws that a best fit may lie on."""

    NO_PLATEAU = "E = 0"
    FLAT_ALPHA = "alpha = 0"
    FLAT_BETA = "beta = 0"
    EXPONENTIAL = "alpha = inf"
    NO_SHIFT = "lambda = -inf"
    LOGARITHMIC = "alpha = 0: logarithmic, no limit"


ADVICE = {
    Status.CONVERGED: "A minimum with zero gradient that every better start leads to.",
    Status.AT_BOUNDARY: "The best fit lies on the edge of the law ({edge}). Report it as that, not as a value; the "
    "parameter beyond the edge has no interval of its own. Compare forms before reading a limit off it.",
    Status.UNIDENTIFIED: "The rows leave {free} open: values far from the fitted ones fit as well. Only the curve "
    "within the data means something. Use a law with fewer parameters, or a wider range of {x}.",
    Status.NOT_CONVERGED: "The search stopped with a scaled gradient of {gradient:.1e}. Check the table for outliers, "
    "or try a larger `delta`.",
    Status.TOO_FEW_POINTS: "{n_distinct} distinct points for {p} parameters: the law nearly interpolates them. "
    "No interval is given; collect more points or use a law with fewer parameters.",
}


def edges_of(law: Law, optima: Optima, params: dict[str, float]) -> tuple[str, ...]:
    """Return the edges that the first optimum lies on.

    Parameters
    ----------
    law, optima
        The law and where the search ended.
    params
        Parameters in natural units.
    """
    flat = {"alpha": Edge.FLAT_ALPHA, "beta": Edge.FLAT_BETA}
    if law.signed_plateau:
        return (Edge.LOGARITHMIC,) if params["E"] == -np.inf else ()
    made: list[str] = []
    if "E" in params and (optima.at_zero[0] or params["E"] <= 1e-12):
        made.append(Edge.NO_PLATEAU)
    # A term that has become a constant.
    made += [edge for name, edge in flat.items() if abs(params.get(name, 1.0)) < NO_SLOPE]
    if law.own_form is not None:
        made += law.own_form.edges(optima.theta[:1])
    if "lambda" in params:
        made += [Edge.EXPONENTIAL] if not np.isfinite(params["alpha"]) else []
        made += [Edge.NO_SHIFT] if params["lambda"] == -np.inf else []
    return tuple(made)


def status_of(fit: Fit) -> tuple[Status, tuple[str, ...]]:
    """Return the status of a fit, and the parameters that its rows leave free."""
    if fit.law.scales and fit.problem.n_distinct <= len(fit.params) + 1:
        return Status.TOO_FEW_POINTS, ()
    # On the logarithmic edge the gradient is the pull towards E = -inf, not a search that stopped early.
    if fit.gradient > CONVERGED and Edge.LOGARITHMIC not in fit.edges:
        return Status.NOT_CONVERGED, ()
    free = free_parameters(fit) if fit.law.terms else ()
    if free:
        return Status.UNIDENTIFIED, free
    return (Status.AT_BOUNDARY if fit.edges else Status.CONVERGED), ()


def free_parameters(fit: Fit) -> tuple[str, ...]:
    """Names of the parameters, exponents and E, for which very different values fit the rows as well.

    Half and twice each slope, everything else refitted; for the shifted law, whose slope is known better than its
    exponent, the plain power law or the exponential that its exponent and shift run into; for E no plateau at all
    (E = 0, of a signed law the logarithm).
    """
    around, free = replace(fit.around(), cut=UNIDENTIFIED), []
    for place, term in enumerate(fit.law.terms):
        name = "beta" if place else "alpha"
        if term.coordinate == "shifted":
            is_free = bool((around.of_shift([0.0, 1.0]) < UNIDENTIFIED).any())
        else:
            slope = around.slope_of(place)
            # A term at its flat edge is known to be flat.
            is_free = slope > NO_SLOPE and bool((around.of_slope([slope / 2, slope * 2], place) < UNIDENTIFIED).all())
        free += [name] if is_free else []
    if Edge.NO_PLATEAU in fit.edges or Edge.LOGARITHMIC in fit.edges:
        return tuple(free)
    none = float(around.of_slope([NEARLY_LOG])[0]) if fit.law.signed_plateau else around.without_plateau()
    return (*free, *(["E"] if none < UNIDENTIFIED else []))
