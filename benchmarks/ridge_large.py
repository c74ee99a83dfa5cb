"""Ridge regression at the size of TVSD: 22,248 training and 100 test images, 30,000 features, 1,704 neuroids.

Run it with ``python benchmarks/ridge_large.py [--share 1.0] [--memory 16GB]``; it prints time and peak memory. Images
and responses are made up, and so is the network: one convolution of small pictures with 30,000 outputs.
"""

from __future__ import annotations

import argparse
import json

import numpy as np
import pandas as pd
import torch
from torch import nn

from vvscale.brain.benchmarks.design import TrainTest
from vvscale.brain.benchmarks.neural import NeuralBenchmark
from vvscale.brain.inputs.preprocess import Preprocessing
from vvscale.brain.inputs.stimuli import StimulusSet
from vvscale.brain.recordings.assembly import Assembly
from vvscale.brain.scoring.session import score_layers

N_TRAIN, N_TEST, N_FEATURES, N_NEUROIDS, N_REPETITIONS = 22_248, 100, 30_000, 1_704, 30
SIDE = 20


def made_up(share: float) -> NeuralBenchmark:
    """Return a benchmark of that size, or a share of its images, whose responses depend on the pixels."""
    rng = np.random.default_rng(0)
    n_train = round(N_TRAIN * share)
    n = n_train + N_TEST
    pixels = rng.integers(0, 256, (n, SIDE, SIDE, 3), dtype=np.uint8)
    index = pd.Index([f"image{number:05d}" for number in range(n)], name="stimulus_id")
    stimuli = StimulusSet(
        "made-up",
        pd.DataFrame({"split": np.where(np.arange(n) < n_train, "train", "test")}, index=index),
        8.0,
        pixels,
        is_simulated=True,
    )
    tuning = rng.standard_normal((SIDE * SIDE * 3, N_NEUROIDS), dtype=np.float32) / SIDE
    signal = (pixels.reshape(n, -1).astype(np.float32) / 128 - 1) @ tuning
    rows = np.concatenate([np.arange(n_train), np.repeat(np.arange(n_train, n), N_REPETITIONS)])
    responses = signal[rows] + rng.standard_normal((len(rows), N_NEUROIDS), dtype=np.float32)
    repetition = np.concatenate([np.zeros(n_train, int), np.tile(np.arange(N_REPETITIONS), N_TEST)])
    neuroids = np.array([f"V4-{number}" for number in range(N_NEUROIDS)])
    assembly = Assembly("made-up.V4", "V4", responses, stimuli.stimulus_id[rows], repetition, neuroids)
    return NeuralBenchmark("made-up.V4-ridge-cv", 1, stimuli, assembly, metric="ridge-cv", design=TrainTest())


def network() -> nn.Module:
    """Return a network whose only layer has 30,000 features."""
    torch.manual_seed(0)
    places = (SIDE - 4) ** 2
    channels = round(N_FEATURES / places)
    return nn.Sequential(nn.Conv2d(3, channels, 5), nn.ReLU())


def main() -> None:
    """Measure, and print one JSON document."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--share", type=float, default=1.0, help="share of the training images")
    parser.add_argument("--memory", default="16GB")
    parser.add_argument("--threads", type=int, default=2)
    asked = parser.parse_args()
    found = score_layers(
        network(), benchmarks=[made_up(asked.share)], layers=["1"], resamples=100, memory=asked.memory,
        threads=asked.threads, preprocessing=Preprocessing(image_size=SIDE),
    )  # fmt: skip
    row = found.table().iloc[0]
    told = {name: row[name] for name in ("n_features", "score", "raw_score", "ceiling") if name in row}
    print(
        json.dumps(
            {"share": asked.share, **{k: float(v) for k, v in told.items()}, **found.to_dict()["usage"]}, indent=2
        )
    )


if __name__ == "__main__":
    main()
