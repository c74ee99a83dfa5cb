"""Where to start: variable projection on a grid of exponents, ranked for every resample by one matrix product.

Given its exponents (and shifts), a law is linear in E and the amplitudes. A coarse grid of exponents with the
best non-negative amplitudes at each node, for a handful of resamples, is a dictionary of candidate curves. The
loss of every candidate on every resample is then weights @ row losses, so that picking starts for a thousand
resamples costs as much as evaluating a few hundred curves.

This module must not iterate on the loss itself; that is ``newton``.
"""

from __future__ import annotations

from itertools import combinations, product
from typing import TYPE_CHECKING

import numpy as np

from vvscale.laws.forms.plateau import Plateau, Vanishing
from vvscale.laws.forms.terms import MAX_EXPONENT, decay

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from vvscale.laws.forms.form import Form
    from vvscale.laws.forms.terms import Points, Term
    from vvscale.laws.solver.sample import Sample

    Array = NDArray[np.float64]

# Exponents are gridded in units of 1 / (range of log X): a law that falls by exp(-slope) across the data.
SLOPES = (0.1, 0.35, 0.8, 1.5, 2.5, 4.0, 6.0, 9.0, 14.0, 24.0, 45.0)
SLOPES_OF_TWO = (0.35, 1.0, 2.0, 3.5, 6.0, 10.0, 18.0)
# Shifted law: where the bend lies (quantile of log X) and how sharp it is (1 / alpha; 0 is an exponential).
BENDS = (0.02, 0.15, 0.3, 0.5, 0.7, 0.85, 0.98)
SHARPNESS = (0.0, 0.15, 0.5, 1.2, 3.0, 8.0)
BLENDS = (0.0, 0.15, 0.3, 0.5, 0.7, 0.85, 1.0)
# How finely one term's slope is searched while the others stay; the steepest is a step between two points.
FINE_SLOPES = 40
# Rounds of reweighting that turn least squares into nearly least absolute residuals.
REWEIGHTINGS = 3
# A candidate curve this far below a row is as wrong as can be; its log must stay finite.
LOWEST_RATIO = 1e-6


def term_nodes(
    term: Term, points: Points, n_terms: int, *, negative: bool, slopes: Sequence[float] | Array | None = None
) -> tuple[Array, NDArray[np.intp]]:
    """Grid of one term's nonlinear parameters (k, term.size) and each node's place on it (k, 2)."""
    if slopes is None:
        slopes = SLOPES if n_terms == 1 else SLOPES_OF_TWO
    if term.coordinate == "shifted":
        u = points.u[term.column]
        places, nodes = [], []
        for (i, bend), (j, c) in product(enumerate(np.quantile(u, BENDS)), enumerate(SHARPNESS)):
            # The bend is where X = 10^lambda for finite alpha, and the scale of the exponential for infinite.
            grown = np.exp(np.clip(-bend - np.log1p(c), -30, 30))
            nodes.append((grown / (1 + c * grown), c * grown / (1 + c * grown)))
            places.append((i, j))
        reach = np.ptp(u)
        for j, slope in enumerate(slopes):
            nodes.append((slope / reach, 1.0))
            places.append((100, j))
        grid = np.array(nodes)
    else:
        rhos = BLENDS if term.coordinate == "blend" else (None,)
        reach = max(np.ptp(u) for u in points.u) if term.coordinate == "blend" else np.ptp(points.u[term.column])
        pairs = list(product(enumerate(slopes), enumerate(rhos)))
        places = [(i, j) for (i, _), (j, _) in pairs]
        grid = np.array([[s / reach] + ([] if rho is None else [rho]) for (_, s), (_, rho) in pairs])
    if negative and term.coordinate != "blend":
        kept = slice(None) if term.coordinate == "log" else slice(-len(slopes), None)
        mirrored = grid[kept].copy()
        mirrored[:, 0] *= -1.0
        places = places + [(i + 1000, j) for i, j in places[kept]]
        grid = np.concatenate([grid, mirrored])
    grid = np.concatenate([grid, np.zeros((len(grid), term.n_offsets))], axis=1)
    return grid, np.array(places)


def fine_nodes(term: Term, points: Points, *, negative: bool) -> tuple[Array, NDArray[np.intp]]:
    """Nodes of one term as ``term_nodes``, but fine, and up to the steepest slope that a law may have."""
    reach = max(np.ptp(u) for u in points.u) if term.coordinate == "blend" else np.ptp(points.u[term.column])
    slopes = np.geomspace(min(0.02 / reach, 1.0), MAX_EXPONENT, FINE_SLOPES)
    return term_nodes(term, points, 1, negative=negative, slopes=slopes * reach)


def candidates(
    form: Plateau | Vanishing,
    sample: Sample,
    weights: Array,
    *,
    negative: bool = False,
    nodes: Sequence[tuple[Array, NDArray[np.intp]]] | None = None,
) -> tuple[Array, NDArray[np.intp]]:
    """Candidate parameters (k, p) for a form, and the grid place (k, d) each came from.

    Parameters
    ----------
    weights
        Row weights of the few resamples whose best amplitudes make the dictionary, shape (P, n).
    negative
        Whether to offer rising laws (negative exponents) too.
    nodes
        Each term's nodes and their places; by default the coarse grid of ``term_nodes``.
    """
    per_term = nodes or [term_nodes(term, sample.points, len(form.terms), negative=negative) for term in form.terms]
    index = np.array(list(product(*(range(len(grid)) for grid, _ in per_term))))
    own = [grid[index[:, t]] for t, (grid, _) in enumerate(per_term)]
    place = np.concatenate([places[index[:, t]] for t, (_, places) in enumerate(per_term)], axis=1)
    columns = []
    for term, theta in zip(form.terms, own, strict=True):
        w, _, _ = term.coordinates(theta, sample.points)
        columns.append(1.0 + theta[:, :1] * decay(theta[:, :1], w)[0])
    with_plateau = isinstance(form, Plateau)
    if with_plateau:
        columns.insert(0, np.ones_like(columns[0]))
    design = np.stack([np.concatenate([c[:, :size] for size in sample.layers], axis=1) for c in columns], axis=1)
    made = [_amplitudes(design, sample, w, free_first=isinstance(form, Plateau) and form.signed) for w in weights]
    amplitude = np.concatenate(made)
    repeats = len(weights)
    own = [np.tile(theta, (repeats, 1)) for theta in own]
    peaks = np.stack([np.nan_to_num(c, posinf=1e100).max(axis=1) for c in columns], axis=1)
    return _assemble(form, amplitude, own, np.tile(peaks, (repeats, 1))), np.tile(place, (repeats, 1))


def _amplitudes(design: Array, sample: Sample, weights: Array, *, free_first: bool) -> Array:
    """Non-negative amplitudes (k, t) of the columns ``design`` (k, t, n), nearly least absolute residuals."""
    y = np.exp(sample.target) if sample.log else sample.target
    # Far outside the data a steep column overflows; no amplitude makes such a node a good start.
    design = np.nan_to_num(design / y if sample.log else design, posinf=1e100).clip(max=1e100)
    goal = np.ones_like(y) if sample.log else y
    near, goals = design, np.broadcast_to(goal, (len(design), len(y)))
    k, t, _ = design.shape
    row_weights = np.broadcast_to(weights, (k, len(y)))
    subsets = [c for size in range(1, t + 1) for c in combinations(range(t), size)]
    best = np.zeros((k, t))
    for _ in range(REWEIGHTINGS):
        weighted = near * row_weights[:, None]
        gram = weighted @ near.transpose(0, 2, 1)
        moment = np.einsum("ktn,kn->kt", weighted, goals)
        lowest = np.full(k, np.inf)
        for subset in subsets:
            pick = list(subset)
            block = gram[:, pick][:, :, pick]
            block = block + 1e-11 * np.einsum("kii->ki", block)[:, :, None] * np.eye(len(pick)) + 1e-300
            solved = np.linalg.solve(block, moment[:, pick, None])[:, :, 0]
            bounded = solved[:, 1:] if free_first and pick[0] == 0 else solved
            value = np.where((bounded >= 0).all(axis=1), -np.einsum("ki,ki->k", solved, moment[:, pick]), np.inf)
            better = value < lowest
            lowest = np.where(better, value, lowest)
            filled = np.zeros((k, t))
            filled[:, pick] = solved
            best = np.where(better[:, None], filled, best)
        curve = np.einsum("ktn,kt->kn", design, best)
        residual = curve - goal
        if sample.log:
            # Relative errors are blind to curves far too low; from here on the log is linearised about the curve.
            curve = np.maximum(curve, LOWEST_RATIO)
            residual = np.log(curve)
            near = design / curve[:, None]
            goals = 1.0 - np.clip(residual, -1.0, 1.0)
        row_weights = weights / np.maximum(np.abs(residual), 5.0 * sample.delta)
    return best


def _assemble(form: Plateau | Vanishing, amplitude: Array, own: list[Array], peaks: Array) -> Array:
    """Parameters of ``form`` from amplitudes at the centre (k, t) and the terms' own parameters.

    ``peaks`` (k, t) are the largest values of the columns that the amplitudes belong to.
    """
    # A curve may not be exactly zero, nor a term exactly absent: Newton could not bring it back. A millionth of the
    # curve where the term is largest; at the centre that may be next to nothing.
    highest = (amplitude * peaks).max(axis=1, keepdims=True)
    terms = np.maximum(amplitude, 1e-6 * highest / peaks + 1e-300)[:, -len(own) :]
    plateau = amplitude[:, :1] if isinstance(form, Plateau) else 0.0
    level = plateau + terms.sum(axis=1, keepdims=True)
    level = np.where(level > 0, level, terms.sum(axis=1, keepdims=True))
    if isinstance(form, Plateau):
        parts = [np.log(level)]
        for t, theta in enumerate(own):
            parts += [terms[:, t : t + 1] / level * theta[:, :1], theta]
    else:
        parts = [np.log(level) if len(own) == 1 else terms, *own]
    return np.concatenate(parts, axis=1)


def candidate_losses(form: Form, sample: Sample, weights: Array, theta: Array) -> Array:
    """Loss of every candidate on every resample, (B, k), by one matrix product; inf where a curve is invalid."""
    return curve_losses(sample, weights, curves(form, sample, theta))


def curves(form: Form, sample: Sample, theta: Array) -> Array:
    """Curves f (k, m) of many parameter vectors (k, p)."""
    return np.concatenate([form.evaluate(theta[i : i + 64], sample.points).f for i in range(0, len(theta), 64)])


def curve_losses(sample: Sample, weights: Array, f: Array) -> Array:
    """Loss of every curve of f (k, m) on every resample, (B, k); inf where a curve is invalid."""
    rows = np.concatenate([sample.losses(f[i : i + 64]) for i in range(0, len(f), 64)])
    valid: NDArray[np.bool_] = np.isfinite(rows.sum(axis=1))
    rows[~valid] = 0.0
    losses = weights @ rows.T
    losses[:, ~valid] = np.inf
    return losses


def pick_apart(losses: Array, place: NDArray[np.intp], n_starts: int) -> NDArray[np.intp]:
    """For each resample the best candidates that are no neighbours on the grid, shape (B, n_starts).

    Parameters
    ----------
    losses
        Loss of each candidate on each resample, shape (B, k); overwritten.
    place
        Grid place of each candidate, shape (k, d).
    """
    near: NDArray[np.bool_] = np.all(np.abs(place[:, None] - place[None]) <= 1, axis=2)
    picks = np.empty((len(losses), n_starts), dtype=np.intp)
    for start in range(n_starts):
        picks[:, start] = np.argmin(losses, axis=1)
        if start + 1 < n_starts:
            losses[near[picks[:, start]]] = np.inf
    return picks
