"""How often the interval of a mapping law holds the true limit: made-up curves whose law is known.

Run it with ``python benchmarks/mapping_coverage.py [--sets 200] [--models 6]``. Misalignment is E + A n^-alpha at
nested sizes, three subsets each, for several networks. The noise is of three kinds:

- rows: every score by itself
- models: each network is better or worse at all sizes alike
- subsets: what is drawn into a subset stays in the larger ones, so that errors along a curve go together
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import pandas as pd

from vvscale.laws import bootstrap, fit_law

SIZES = np.array([20, 50, 120, 300, 800, 2000, 6000])
E, A, ALPHA = 0.25, 1.8, 0.35
N_SEEDS = 3


def curves(kind: str, rng: np.random.Generator, n_models: int) -> pd.DataFrame:
    """Return rows of one made-up set."""
    loss = np.broadcast_to(E + A * SIZES**-ALPHA, (n_models, N_SEEDS, len(SIZES)))
    logs = 0.02 * rng.standard_normal(loss.shape)
    if kind == "models":
        logs = logs + 0.05 * rng.standard_normal((n_models, 1, 1))
    if kind == "subsets":
        # A mean over n images moves by what is added; differences between sizes are independent.
        steps = rng.standard_normal((1, N_SEEDS, len(SIZES))) * np.sqrt(np.diff(SIZES, prepend=0))
        logs = logs + 0.5 * steps.cumsum(-1) / SIZES
    rows = [
        (f"m{model}", size, seed, value)
        for model, of_model in enumerate(loss * np.exp(logs))
        for seed, of_seed in enumerate(of_model)
        for size, value in zip(SIZES, of_seed, strict=True)
    ]
    return pd.DataFrame(rows, columns=["model_id", "mapping_samples", "mapping_seed", "misalignment"])


def main() -> None:
    """Simulate, fit, and print coverage with its binomial error."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sets", type=int, default=200)
    parser.add_argument("--models", type=int, default=6)
    arguments = parser.parse_args()
    start = time.process_time()
    for kind, units in (
        ("rows", ("row", "model_id")),
        ("models", ("model_id",)),
        ("subsets", ("model_id", "mapping_seed")),
    ):
        inside = dict.fromkeys(units, 0)
        widths: dict[str, list[float]] = {unit: [] for unit in units}
        for number in range(arguments.sets):
            fit = fit_law(curves(kind, np.random.default_rng(number), arguments.models), x="mapping_samples")
            for unit in units:
                low, high = bootstrap(fit, 200, by=unit, seed=0).interval("E")
                inside[unit] += low <= E <= high
                widths[unit].append(high - low)
        for unit in units:
            rate = inside[unit] / arguments.sets
            error = np.sqrt(0.95 * 0.05 / arguments.sets)
            told = f"noise of {kind}, intervals by {unit}: {rate:.3f} of {arguments.sets}"
            print(f"{told} (.95 +- {1.96 * error:.3f}), median width {np.median(widths[unit]):.3f}", flush=True)
    print(f"{time.process_time() - start:.0f} CPU-s")


if __name__ == "__main__":
    main()
