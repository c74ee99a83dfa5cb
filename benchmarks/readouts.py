"""Readouts that subjects share against one each and against linear ones, on made-up subjects of three kinds.

Run it with ``python benchmarks/readouts.py [--seeds 8]``. Intervals are Student's t over seeds, each a world of its
own, of differences within a world. Tokens are noise; what differs is what subjects respond to:

- same: three properties of the images, the same for all subjects, which their units mix
- own: three properties of the images, drawn for each subject by itself
- places: as same, but each property lies at one place, so that a linear readout of all places has most to ignore
"""

from __future__ import annotations

import argparse
import dataclasses
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from scipy import stats

from vvscale.brain import Assembly, NeuralBenchmark, StimulusSet
from vvscale.brain.benchmarks.design import TrainTest
from vvscale.train.readouts.fit import train_readout

N_IMAGES, N_TOKENS, N_CHANNELS, N_SUBJECTS, N_UNITS = 280, 16, 12, 6, 8
HOW = {"width": 32, "n_queries": 4, "n_heads": 4, "dropout": 0.1, "batch_size": 32, "lr": 3e-3, "epochs": 20}


def made_up(kind: str, seed: int, noise: float) -> tuple[torch.Tensor, NeuralBenchmark]:
    """Return tokens and a benchmark of several subjects."""
    rng = np.random.default_rng(seed)
    tokens = rng.standard_normal((N_IMAGES, N_TOKENS, N_CHANNELS)).astype(np.float32)

    def properties() -> np.ndarray:
        if kind == "places":
            places = rng.choice(N_TOKENS, 3, replace=False)
            return np.stack([tokens[:, one] @ rng.standard_normal(N_CHANNELS) for one in places], axis=1)
        return np.stack([tokens.mean(1) @ rng.standard_normal(N_CHANNELS) for _ in range(3)], axis=1)

    shared = properties()
    ids = [f"i{n:03d}" for n in range(N_IMAGES)]
    split = ["test" if n % 7 == 0 else "train" for n in range(N_IMAGES)]
    stimuli = StimulusSet(
        "made", pd.DataFrame({"split": split}, index=pd.Index(ids, name="stimulus_id")), 8.0,
        pixels=np.zeros((N_IMAGES, 2, 2, 3), np.uint8),
    )  # fmt: skip
    assemblies = []
    for number in range(N_SUBJECTS):
        hidden = properties() if kind == "own" else shared
        signal = hidden @ rng.standard_normal((3, N_UNITS))
        responses = signal / signal.std(0) + noise * rng.standard_normal(signal.shape)
        one = Assembly.from_means(f"s{number}", "V4", responses, ids, [f"{number}.{unit}" for unit in range(N_UNITS)])
        assemblies.append(dataclasses.replace(one, reliability=np.full(N_UNITS, 1 / (1 + noise**2))))
    benchmark = NeuralBenchmark(
        "made.V4", 1, stimuli, tuple(assemblies), metric="ridge-cv", design=TrainTest(), ceiling="shipped",
        formula="mean(r/sqrt(c))",
    )  # fmt: skip
    return torch.as_tensor(tokens), benchmark


def scores_of(kind: str, seed: int, noise: float) -> dict[str, float]:
    """Return the scores of the three readouts in one world."""
    tokens, benchmark = made_up(kind, seed, noise)
    features = tokens.flatten(1).double().numpy()
    found = {"linear": benchmark.score(features, resamples=0).score.score}
    for name in ("individual", "shared"):
        with tempfile.TemporaryDirectory() as out:
            made = train_readout(tokens, benchmark, out=Path(out), kind=f"attention-{name}", seed=seed, **HOW)
        found[name] = made.score.score
    return found


def interval(values: pd.Series) -> str:
    """Return a mean with its 95 % interval over seeds."""
    reach = stats.t.ppf(0.975, len(values) - 1) * stats.sem(values)
    return f"{values.mean():+.3f} [{values.mean() - reach:+.3f}, {values.mean() + reach:+.3f}]"


def main() -> None:
    """Train, score, and print means and differences with intervals, as a table of Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--noise", type=float, default=1.0)
    arguments = parser.parse_args()
    if arguments.seeds < 5:
        parser.error(f"--seeds is {arguments.seeds}; an interval over worlds needs at least 5.")
    torch.set_num_threads(1)
    start = time.process_time()
    print("| subjects | linear | individual | shared | shared - individual | shared - linear | shared is higher |")
    print("|---|---|---|---|---|---|---|")
    for kind in ("same", "own", "places"):
        table = pd.DataFrame([scores_of(kind, seed, arguments.noise) for seed in range(arguments.seeds)])
        gain = table["shared"] - table["individual"]
        means = " | ".join(f"{table[name].mean():.3f}" for name in ("linear", "individual", "shared"))
        more = f"{interval(gain)} | {interval(table['shared'] - table['linear'])}"
        print(f"| {kind} | {means} | {more} | {int((gain > 0).sum())} of {len(gain)} |", flush=True)
    print(f"{time.process_time() - start:.0f} CPU-s")


if __name__ == "__main__":
    main()
