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
from vvscale.laws.forms.terms import decay

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from vvscale.laws.forms.form import Form
    from vvscale.laws.forms.terms import Points, Term
    from vvscale.laws.solver.newton import Sample

    Array = NDArray[np.float64]

# Exponents are gridded in units of 1 / (range of log X): a law that falls by exp(-slope) across the data.
SLOPES = (0.1, 0.35, 0.8, 1.5, 2.5, 4.0, 6.0, 9.0, 14.0, 24.0, 45.0)
SLOPES_OF_TWO = (0.35, 1.0, 2.0, 3.5, 6.0, 10.0, 18.0)
# Shifted law: where the bend lies (quantile of log X) and how sharp it is (1 / alpha; 0 is an exponential).
BENDS = (0.02, 0.15, 0.3, 0.5, 0.7, 0.85, 0.98)
SHARPNESS = (0.0, 0.15, 0.5, 1.2, 3.0, 8.0)
BLENDS = (0.0, 0.15, 0.3, 0.5, 0.7, 0.85, 1.0)
# Rounds of reweighting that turn least squares into nearly least absolute residuals.
REWEIGHTINGS = 3


def term_nodes(term: Term, points: Points, n_terms: int, *, negative: bool) -> tuple[Array, NDArray[np.intp]]:
    """Grid of one term's nonlinear parameters (k, term.size) and each node's place on it (k, 2)."""
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


def candidates(
    form: Plateau | Vanishing, sample: Sample, weights: Array, *, negative: bool = False
) -> tuple[Array, NDArray[np.intp]]:
    """Candidate parameters (k, p) for a form, and the grid place (k, d) each came from.

    Parameters
    ----------
    weights
        Row weights of the few resamples whose best amplitudes make the dictionary, shape (P, n).
    negative
        Whether to offer rising laws (negative exponents) too.
    """
    per_term = [term_nodes(term, sample.points, len(form.terms), negative=negative) for term in form.terms]
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
    return _assemble(form, amplitude, own), np.tile(place, (repeats, 1))


def _amplitudes(design: Array, sample: Sample, weights: Array, *, free_first: bool) -> Array:
    """Non-negative amplitudes (k, t) of the columns ``design`` (k, t, n), nearly least absolute residuals."""
    y = np.exp(sample.target) if sample.log else sample.target
    # Far outside the data a steep column overflows; no amplitude makes such a node a good start.
    design = np.nan_to_num(design / y if sample.log else design, posinf=1e100).clip(max=1e100)
    goal = np.ones_like(y) if sample.log else y
    k, t, _ = design.shape
    row_weights = np.broadcast_to(weights, (k, len(y)))
    subsets = [c for size in range(1, t + 1) for c in combinations(range(t), size)]
    best = np.zeros((k, t))
    for _ in range(REWEIGHTINGS):
        weighted = design * row_weights[:, None]
        gram = weighted @ design.transpose(0, 2, 1)
        moment = weighted @ goal
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
        residual = np.abs(np.einsum("ktn,kt->kn", design, best) - goal)
        row_weights = weights / np.maximum(residual, 5.0 * sample.delta)
    return best


def _assemble(form: Plateau | Vanishing, amplitude: Array, own: list[Array]) -> Array:
    """Parameters of ``form`` from amplitudes at the centre and the terms' own parameters."""
    # A curve may not be exactly zero, nor a term exactly absent: Newton could not bring it back.
    least = 1e-6 * np.abs(amplitude).sum(axis=1, keepdims=True) + 1e-300
    terms = np.maximum(amplitude[:, -len(own) :], least)
    plateau = amplitude[:, :1] if isinstance(form, Plateau) else 0.0
    level = plateau + terms.sum(axis=1, keepdims=True)
    level = np.where(level > 0, level, terms.sum(axis=1, keepdims=True))
    share = terms / level
    parts = [np.log(level)]
    if isinstance(form, Plateau):
        for t, theta in enumerate(own):
            parts += [share[:, t : t + 1] * theta[:, :1], theta]
    else:
        if len(own) == 2:
            parts.append(share[:, :1])
        parts += own
    return np.concatenate(parts, axis=1)


def candidate_losses(form: Form, sample: Sample, weights: Array, theta: Array) -> Array:
    """Loss of every candidate on every resample, (B, k), by one matrix product; inf where a curve is invalid."""
    rows = np.empty((len(theta), len(sample.target)))
    for at in range(0, len(theta), 64):
        rows[at : at + 64] = sample.losses(form.evaluate(theta[at : at + 64], sample.points).f)
    valid: NDArray[np.bool_] = np.all(np.isfinite(rows), axis=1)
    losses = weights @ np.where(valid[:, None], rows, 0.0).T
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
