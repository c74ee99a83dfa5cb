"""Share of published row resamples whose loss a much denser search of the same solver does not improve.

    python benchmarks/dense_check.py [NAME ...] [--resamples 50]

For each experiment the first resamples are fitted as the product does it, among a thousand, and again densely: more
grid starts, a larger dictionary of starts, more basins exchanged, no source left out.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path
from unittest import mock

import numpy as np

from vvscale.laws.fit import Fit
from vvscale.laws.gokce2025.experiments import EXPERIMENTS
from vvscale.laws.solve_law import optimise
from vvscale.laws.solver import search as solver
from vvscale.laws.uncertainty.resample import resamples
from vvscale.scores import load_scores

NAMES = ("compute_neuro", "compute_behavior", "compute_chinchilla", "region_v1_group1", "model_vit_neuro")
REACHED = 1e-6


def dense_losses(fit: Fit, weights: np.ndarray, n_starts: int) -> np.ndarray:
    """Return losses (B,) of a search with everything raised."""
    interior, boundary = fit.forms()
    # No scouts: every resample is searched from everywhere.
    raised = {"PILOTS": 24, "TRIED_BASINS": 12, "BASINS": 32, "MAX_EXCHANGES": 8, "SCOUTS": 10**9}
    with mock.patch.multiple(solver, **raised):
        return solver.solve(
            interior,
            boundary,
            fit.problem.sample,
            weights[:, fit.problem.order],
            n_starts=n_starts,
            negative=fit.negative,
        ).loss


def main() -> None:
    """Compare and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", default=NAMES, help="experiments")
    parser.add_argument("--resamples", type=int, default=50, help="how many of the published resamples to check")
    parser.add_argument("--starts", type=int, default=12, help="grid starts of the dense search")
    args = parser.parse_args()
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    if beside.is_dir():
        os.environ.setdefault("VVSCALE_MIRROR", str(beside))
    scores = load_scores("gokce2025")
    print(f"{'experiment':<28} {'n':>4} {'checked':>7} {'reached':>8} {'worst':>9} {'ours s':>7} {'dense s':>8}")
    for name in args.names:
        fit = EXPERIMENTS[name].fit(scores)
        weights = np.concatenate([np.ones((1, fit.n)), resamples(fit.problem.frame, "row", 1000).weights])
        start = time.perf_counter()
        ours = optimise(fit.law, fit.problem, weights, offsets=fit.offsets, negative=fit.negative).loss
        middle = time.perf_counter()
        dense = dense_losses(fit, weights[: args.resamples + 1], args.starts)
        end = time.perf_counter()
        ours = ours[: args.resamples + 1]
        excess = (ours - dense) / np.maximum(dense, 1e-300)
        # Resamples that interpolate have a loss of nothing, of which no share means anything.
        excess = np.where(ours < 1e-12, 0.0, excess)
        share = (excess <= REACHED).mean()
        print(
            f"{name:<28} {fit.n:>4} {len(ours):>7} {share:>8.1%} {max(excess.max(), 0):>9.1e} "
            f"{middle - start:>7.2f} {end - middle:>8.2f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
