"""Readouts that subjects share against one each and against linear ones, on made-up subjects of three kinds.

Run it with ``python benchmarks/readouts.py [--seeds 5]``. Tokens are noise; what differs is what subjects respond to:

- same: three properties of the images, the same for all subjects, which their units mix
- own: three properties of the images, drawn for each subject by itself
- places: as same, but each property lies at one place, so that a linear readout of all places has most to ignore
"""

from __future__ import annotations

import argparse
import dataclasses
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import torch

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


def main() -> None:
    """Train, score, and print means with standard errors over seeds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--noise", type=float, default=1.0)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    for kind in ("same", "own", "places"):
        for seed in range(arguments.seeds):
            tokens, benchmark = made_up(kind, seed, arguments.noise)
            found = {"subjects": kind, "linear": benchmark.score(tokens.flatten(1).double().numpy(), resamples=0)}
            found["linear"] = found["linear"].score.score  # type: ignore[union-attr]
            for readout in ("attention-individual", "attention-shared"):
                with tempfile.TemporaryDirectory() as out:
                    made = train_readout(tokens, benchmark, out=Path(out), kind=readout, seed=seed, **HOW)
                found[readout] = made.score.score
            rows.append(found)
    table = pd.DataFrame(rows)
    table["shared - individual"] = table["attention-shared"] - table["attention-individual"]
    told = table.groupby("subjects", sort=False).agg(["mean", "sem"]).round(3)
    print(told.to_string())


if __name__ == "__main__":
    main()
