"""Search one resample again, term by term: what a coarse grid of all exponents together cannot see.

A law of two terms has faces on which a term is absent (A = 0), flat (alpha = 0) or a step between two points. A
search that runs into such a face stops there with an exponent that means nothing, although the absent term may
lower the loss with another one: only where no exponent does is the face a minimum. So each term in turn is taken
out and put back at the best places of a fine grid of its own exponents, all amplitudes refitted, until none helps.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from vvscale.laws.solver.newton import Minima, minimise
from vvscale.laws.solver.starts import candidate_losses, candidates, fine_nodes, pick_apart

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from vvscale.laws.forms.plateau import Plateau, Vanishing
    from vvscale.laws.solver.sample import Sample

    Array = NDArray[np.float64]

# Searches from each term's grid.
STARTS_PER_TERM = 3
# Each round takes every term out once; one that gains nothing is the last.
MAX_ROUNDS = 4
# Relative difference of loss that is worth another round.
GAIN = 1e-9


def refine(form: Plateau | Vanishing, sample: Sample, weights: Array, theta: Array, *, negative: bool) -> Minima:
    """Where searches around one resample's optimum end, best first.

    Parameters
    ----------
    form
        The law, or its boundary E = 0.
    sample
        The rows.
    weights
        Weight of each row, shape (1, n).
    theta
        The best parameters so far of this form, shape (p,).
    negative
        Whether exponents may be negative.

    Returns
    -------
    Minima
        All searches of all rounds, k of them.
    """
    found: list[Minima] = []
    lowest = np.inf
    for _ in range(MAX_ROUNDS):
        starts = _around(form, sample, weights, theta, negative=negative)
        ends = minimise(form, sample, weights, starts, np.zeros(len(starts), dtype=np.intp))
        found.append(ends)
        best = int(np.argmin(ends.loss))
        if not ends.loss[best] < lowest * (1.0 - GAIN):
            break
        lowest, theta = float(ends.loss[best]), ends.theta[best]
    everything = [np.concatenate([getattr(part, name) for part in found]) for name in ("theta", "loss", "gradient")]
    order = np.argsort(everything[1], kind="stable")
    return Minima(*(values[order] for values in everything))


def _around(form: Plateau | Vanishing, sample: Sample, weights: Array, theta: Array, *, negative: bool) -> Array:
    """Starts (k, p) in which one term at a time is put back where it lowers the loss most."""
    kept = [(own[None], np.zeros((1, 2), dtype=np.intp)) for own in form.own(theta)]
    starts = []
    for place, term in enumerate(form.terms):
        fine, where = fine_nodes(term, sample.points, negative=negative)
        if term.n_offsets:
            fine[:, -term.n_offsets :] = kept[place][0][:, -term.n_offsets :]
        nodes = [*kept[:place], (fine, where), *kept[place + 1 :]]
        offered, places = candidates(form, sample, weights, negative=negative, nodes=nodes)
        picks = pick_apart(candidate_losses(form, sample, weights, offered), places, STARTS_PER_TERM)
        starts.append(offered[picks[0]])
    return np.concatenate(starts)
