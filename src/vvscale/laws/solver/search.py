"""The global optimum of a law on every resample at once.

Three sources of starts, each cheap because resamples share their rows: a dictionary of grid candidates
(``starts``), the boundary E = 0 solved on its own and re-entered from just inside, and the optima of the
other resamples, exchanged until nobody finds a better one. Every row is then at least as good as all of them.

This module returns parameters of the internal forms; natural units and words are made in ``fit``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from vvscale.laws.forms.plateau import Plateau, Vanishing
from vvscale.laws.solver.expansion import slopes
from vvscale.laws.solver.minima import AGREE, STUCK, Best, agreement, descend, exchange, recentre
from vvscale.laws.solver.refine import refine
from vvscale.laws.solver.starts import candidate_losses, candidates, pick_apart

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from vvscale.laws.forms.form import Form
    from vvscale.laws.solver.sample import Sample

    Array = NDArray[np.float64]

# Resamples that are searched with everything, and the ratio of losses from which on E = 0 is out of play.
SCOUTS = 64
MOSTLY_EASY = 0.1
NEAR_ZERO = 1.03
# So few resamples have hardly any optima to exchange.
FEW = 48
# Of so few rows or fewer, resamples repeat: there are 462 ways to draw 6 of 6.
REPEATING = 12
# With so few resamples a search more costs as much as many, and E = 0 is solved at once.
SMALL = 64
# Resamples whose grid solutions make the dictionary.
PILOTS = 4
# Basins that each resample tries when optima are exchanged; more of them where the scouts had several minima. With
# fewer, more resamples of the published rows miss their best optimum; starts of the grid cost more and find less.
TRIED_BASINS, TRIED_OF_SEVERAL = 2, 5
# How near an optimum is found again where no scout had a second one: curves differ by a tenth of the residuals.
REACH_OF_ONE = 1e-2
# So many searches that end at one optimum leave little doubt about it.
TRUSTED = 2
# The convex line E = 0 is reached by letting the Huber threshold fall to its value.
CONTINUATION = (5.0,)
# Share of the level that E is lifted to where a law is entered from E = 0.
LIFT = 1e-4
# Grid starts of an E = 0 form that is not convex.
LINE_STARTS = 2


@dataclass
class Optima:
    """The best minimum found for each of B resamples.

    Attributes
    ----------
    theta
        Parameters of the interior form, shape (B, p); where ``at_zero``, those of the E = 0 form, padded
        with NaN.
    at_zero
        Whether the optimum lies on the boundary E = 0, shape (B,).
    loss
        Weighted sum of Huber losses, shape (B,).
    gradient
        Scaled largest free gradient component, shape (B,); see ``newton.Minima``.
    n_starts
        Starts tried per resample, shape (B,).
    n_agree
        Of them, how many ended within 1e-6 of the best loss, shape (B,).
    zero_loss
        Loss of the E = 0 form, shape (B,); infinite where it was not solved.
    """

    theta: Array
    at_zero: NDArray[np.bool_]
    loss: Array
    gradient: Array
    n_starts: NDArray[np.intp]
    n_agree: NDArray[np.intp]
    zero_loss: Array

    def take(self, rows: NDArray[np.intp] | slice) -> Optima:
        """Return some of the optima."""
        return Optima(*(getattr(self, name)[rows] for name in Optima.__dataclass_fields__))


def solve(
    interior: Form,
    boundary: Vanishing | None,
    sample: Sample,
    weights: Array,
    *,
    n_starts: int | None = None,
    negative: bool = False,
    starts: Array | None = None,
) -> Optima:
    """Fit a law to every row of ``weights``, globally.

    The first resamples are searched with everything; the others start from the optima of these, which are near
    theirs, and try several of them only if some of the first had several minima.

    Parameters
    ----------
    interior
        The law; a ``Plateau`` finds its own starts, any other form needs ``starts``.
    boundary
        Its E = 0 form, if E is bounded below by 0.
    sample
        The rows.
    weights
        Weight of each row in each resample, shape (B, n); the first resample should be the original data.
    n_starts
        Grid starts per resample; by default 2, and 4 if a term has a parameter besides its slope; for a few
        resamples, which have hardly any optima to exchange, 8 for all but the plain power law.
    negative
        Whether exponents may be negative.
    starts
        Starts for a form that has no grid, shape (k, p), tried by every resample.
    """
    distinct, place = _distinct(weights)
    if len(distinct) < len(weights):
        weights = weights[distinct]
    if n_starts is None:
        n_starts = _usual_starts(interior, few=len(weights) < FEW)
    # Curves may overflow far from the rows that they are for; they are then no candidates.
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        optima = _solve(_Search(interior, boundary, sample, weights, negative, starts), n_starts)
    return optima if len(distinct) == len(place) else optima.take(place)


def _distinct(weights: Array) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Rows of weights (B, n) that differ, the first of each in order, and which of them each row is, (B,)."""
    everyone = np.arange(len(weights))
    if weights.shape[1] > REPEATING:
        return everyone, everyone
    _, first, place = np.unique(weights, axis=0, return_index=True, return_inverse=True)
    order = np.argsort(first)
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    return first[order], rank[place.ravel()]


def _solve(search: _Search, n_starts: int) -> Optima:
    everyone = np.arange(len(search.weights))
    if len(everyone) <= 2 * SCOUTS:
        search.run(everyone, n_starts)
        return search.optima()
    has_several = search.run(everyone[:SCOUTS], n_starts)
    if not has_several:
        search.best.reach = REACH_OF_ONE
    search.follow(everyone[SCOUTS:])
    tried = TRIED_OF_SEVERAL if has_several else TRIED_BASINS
    exchange(search.best, search.interior, search.sample, search.weights, everyone, tried)
    recentre(search.best, search.interior, search.sample, search.weights, everyone)
    hard = search.reached_once()
    # Where most resamples have several minima the data do not identify the law, and no search mends that.
    if 0 < hard.size <= MOSTLY_EASY * len(everyone):
        search.run(hard, n_starts)
    return search.optima()


def _usual_starts(form: Form, *, few: bool) -> int:
    """Grid starts per resample unless the caller says otherwise."""
    simple = isinstance(form, Plateau) and all(term.size == 1 for term in form.terms)
    if few and not (simple and isinstance(form, Plateau) and len(form.terms) == 1):
        return 8
    return 2 if simple else 4


class _Search:
    """One law, one sample, all resamples; the state between the scouts and the rest."""

    def __init__(
        self,
        interior: Form,
        boundary: Vanishing | None,
        sample: Sample,
        weights: Array,
        negative: bool,
        starts: Array | None,
    ) -> None:
        self.interior, self.boundary = interior, boundary
        self.sample, self.weights = sample, weights
        self.negative = negative
        self.starts = np.empty((0, interior.size)) if starts is None else starts
        self.best = Best(len(weights), interior.size)
        self.line = Best(len(weights), boundary.size) if boundary is not None else None

    def run(self, rows: NDArray[np.intp], n_starts: int) -> bool:
        """Search for ``rows`` from everywhere; say whether any of them has several minima."""
        best, weights = self.best, self.weights
        ends: list[Array] = []
        smooth: list[NDArray[np.bool_]] = []

        def search_from(starts: Array) -> None:
            """Search from starts (s, len(rows), p), the first of each resample first."""
            problem = np.tile(rows, len(starts))
            theta = starts.reshape(-1, starts.shape[-1])
            minima = descend(self.interior, self.sample, weights, theta, problem, known=best.bar[problem])
            for part in minima.split(len(starts)):
                best.offer(part, rows)
                ends.append(part.loss)
                smooth.append(~self.interior.on_edge(part.theta))

        if isinstance(self.interior, Plateau):
            search_from(_grid_starts(self.interior, self.sample, weights, rows, n_starts, negative=self.negative))
        if len(self.starts):
            search_from(np.tile(self.starts[:, None], (1, len(rows), 1)))
        if self.boundary is not None and self.line is not None:
            self._solve_line(self.boundary, self.line, rows)
            best.bar[rows] = np.minimum(best.bar[rows], self.line.loss[rows])
            search_from(self.boundary.inside(self.line.theta[rows])[None])
        if isinstance(self.interior, Plateau) and rows[0] == 0 and self._is_doubtful(self.interior):
            self._refine_original(self.interior)
        exchanged = exchange(best, self.interior, self.sample, weights, rows, TRIED_BASINS)
        recentre(best, self.interior, self.sample, weights, rows)
        # A search that ended elsewhere than at the edge found a second minimum.
        reached = np.array(ends) <= best.bar[rows] * (1.0 + AGREE)
        return exchanged or bool((np.array(smooth) & ~reached).any())

    def follow(self, rows: NDArray[np.intp]) -> None:
        """Search for ``rows`` from the optima of the scouts, searched before."""
        best, sample, weights, interior = self.best, self.sample, self.weights, self.interior
        starts = [np.tile(start, (len(rows), 1)) for start in self.starts]
        if isinstance(interior, Plateau):
            starts = [self._nearest(interior, best, rows)[0]]
        if starts:
            everyone = np.arange(len(rows))
            best.descend(interior, sample, weights[rows], starts, [everyone] * len(starts), rows)
        if self.boundary is not None and self.line is not None:
            theta, bound = self._nearest(self.boundary, self.line, rows)
            near = (bound < NEAR_ZERO * best.loss[rows]) | interior.on_edge(best.theta[rows])
            self._follow_line(self.boundary, self.line, rows[near], theta[near])

    def _follow_line(self, form: Vanishing, line: Best, rows: NDArray[np.intp], starts: Array) -> None:
        """Solve the E = 0 form from ``starts``; where it is ahead, enter the law if its loss falls that way."""
        best, sample, weights = self.best, self.sample, self.weights
        line.offer(descend(form, sample, weights, starts, rows), rows)
        if not form.is_convex:
            exchange(line, form, sample, weights, rows, TRIED_BASINS)
        best.bar[rows] = np.minimum(best.bar[rows], line.loss[rows])
        rows = rows[line.loss[rows] <= best.loss[rows]]
        edge, inside = (form.inside(line.theta[rows], shrink) for shrink in (0.0, LIFT))
        falls = (slopes(self.interior, sample, weights[rows], edge) * (inside - edge)).sum(axis=1) < 0.0
        rows, starts = rows[falls], inside[falls]
        best.offer(descend(self.interior, sample, weights, starts, rows, known=best.bar[rows]), rows)

    def _nearest(self, form: Plateau | Vanishing, found: Best, rows: NDArray[np.intp]) -> tuple[Array, Array]:
        """For each of ``rows`` the scout's optimum of least loss there (len(rows), p), and that loss."""
        pool = found.theta[:SCOUTS][np.isfinite(found.loss[:SCOUTS])]
        losses = candidate_losses(form, self.sample, self.weights[rows], pool)
        first = losses.argmin(axis=1)
        return pool[first], losses[np.arange(len(rows)), first]

    def _solve_line(self, form: Vanishing, line: Best, rows: NDArray[np.intp]) -> None:
        """Solve the E = 0 form, from its grid with a falling Huber threshold."""
        n_starts = 1 if form.is_convex else LINE_STARTS
        starts = _grid_starts(form, self.sample, self.weights, rows, n_starts, negative=self.negative)
        theta, problem = starts.reshape(-1, form.size), np.tile(rows, n_starts)
        # One batch of few rows takes as long as its slowest search: more of them cost more than they save.
        for factor in CONTINUATION if len(rows) > SMALL else ():
            eased = replace(self.sample, delta=factor * self.sample.delta)
            theta = descend(form, eased, self.weights, theta, problem, coarse=True).theta
        ends = descend(form, self.sample, self.weights, theta, problem, known=line.bar[problem])
        for part in ends.split(n_starts):
            line.offer(part, rows)
        if not form.is_convex:
            exchange(line, form, self.sample, self.weights, rows, TRIED_BASINS)

    def _is_doubtful(self, interior: Plateau) -> bool:
        """Whether the optimum of the original rows was reached by few searches, or has a term that means nothing."""
        best, line = self.best, self.line
        at_zero = line is not None and line.loss[0] <= best.loss[0]
        form, found = (self.boundary, line) if at_zero and self.boundary is not None else (interior, best)
        assert found is not None
        _, n_agree = agreement(best.ends + (line.ends if line is not None else []), best.bar)
        return bool(n_agree[0] < TRUSTED or found.gradient[0] > STUCK or form.on_face(found.theta[:1])[0])

    def _refine_original(self, interior: Plateau) -> None:
        """Search the original rows term by term; the other resamples learn of what is found by exchange."""
        original = np.zeros(1, dtype=np.intp)
        options = {"sample": self.sample, "weights": self.weights[:1], "negative": self.negative}
        if self.boundary is not None and self.line is not None and not self.boundary.is_convex:
            for part in refine(self.boundary, theta=self.line.theta[0], **options).each():
                self.line.offer(part, original)
            self.best.bar[0] = min(self.best.bar[0], self.line.loss[0])
        for part in refine(interior, theta=self.best.theta[0], **options).each():
            self.best.offer(part, original)

    def reached_once(self) -> NDArray[np.intp]:
        """Resamples whose best interior optimum was reached by only one of several searches."""
        best = self.best
        n_starts, n_agree = agreement(best.ends, best.bar)
        return np.nonzero((n_starts > 1) & (n_agree == 1) & (best.loss <= best.bar))[0]

    def optima(self) -> Optima:
        """Weigh the interior against the boundary and close the books."""
        best = self.best
        at_zero, zero_loss = np.zeros(len(best.loss), dtype=bool), np.full(len(best.loss), np.inf)
        if self.line is not None:
            zero_loss = self.line.loss
            at_zero = self.line.loss < best.loss
            best.theta[at_zero] = np.nan
            best.theta[at_zero, : self.line.theta.shape[1]] = self.line.theta[at_zero]
            best.loss = np.where(at_zero, self.line.loss, best.loss)
            best.gradient = np.where(at_zero, self.line.gradient, best.gradient)
            best.ends += self.line.ends
        n_starts, n_agree = agreement(best.ends, best.loss)
        return Optima(best.theta, at_zero, best.loss, best.gradient, n_starts, n_agree, zero_loss)


def _grid_starts(
    form: Plateau | Vanishing,
    sample: Sample,
    weights: Array,
    rows: NDArray[np.intp],
    n_starts: int,
    *,
    negative: bool,
) -> Array:
    """Return starts (n_starts, len(rows), p), best first, no two from one corner of the grid."""
    theta, place = candidates(form, sample, weights[:PILOTS], negative=negative)
    picks = pick_apart(candidate_losses(form, sample, weights[rows], theta), place, n_starts)
    return theta[picks.T]
