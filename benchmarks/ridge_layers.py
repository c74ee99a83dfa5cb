"""Ridge regression of all layers of a ResNet-18 on a session of macaque V4, beside scikit-learn's ``RidgeCV``.

Run it with ``python benchmarks/ridge_layers.py [--every 6]``. Ours scores every layer in ten splits, reading images and
forward passes included. scikit-learn fits every sixth layer in one split, on features that are there already, and is
taken ten times; layers between two that were timed are taken for the mean of all. Both have two threads.
"""

from __future__ import annotations

import argparse
import json
import time
from functools import partial

import numpy as np
import torch
import torchvision
from sklearn.linear_model import RidgeCV
from threadpoolctl import threadpool_limits

from vvscale.brain import load_benchmark
from vvscale.brain.benchmarks.neural import NeuralBenchmark
from vvscale.brain.catalogue import with_metrics
from vvscale.brain.inputs.preprocess import Preprocessing
from vvscale.brain.metrics.ridge import ALPHAS
from vvscale.brain.scoring.session import score_layers
from vvscale.train.neural.decoders import features_of

N_SPLITS, THREADS = 10, 2


def timed(work):
    """Return what a function gives, its wall time and its CPU time."""
    wall, cpu = time.perf_counter(), time.process_time()
    found = work()
    return found, time.perf_counter() - wall, time.process_time() - cpu


def main() -> None:
    """Measure, and print one JSON document."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--every", type=int, default=6, help="scikit-learn fits every so many layers")
    asked = parser.parse_args()
    [benchmark] = with_metrics(load_benchmark("cowley2023.210325-pls"), ["ridge-cv"])
    torch.manual_seed(0)
    network = torchvision.models.resnet18().eval()
    preprocessing = Preprocessing()
    scores, ours, ours_cpu = timed(
        lambda: score_layers(
            network, benchmarks=[benchmark], preprocessing=preprocessing, resamples=100, threads=THREADS
        )
    )
    layers = scores.table()["layer"].tolist()
    chosen = layers[:: asked.every]
    assert isinstance(benchmark, NeuralBenchmark)
    target = benchmark.parts[0].target
    is_train = target.is_train[0]
    walls, cpus = [], []
    with threadpool_limits(THREADS):
        for layer in chosen:
            table = features_of(network, [layer], benchmark.stimuli, np.flatnonzero(is_train), preprocessing)[layer]
            features = table.astype(np.float64)
            _, wall, cpu = timed(partial(RidgeCV(ALPHAS).fit, features, target.responses[is_train]))
            walls.append(wall)
            cpus.append(cpu)
    theirs, theirs_cpu = (N_SPLITS * len(layers) * float(np.mean(one)) for one in (walls, cpus))
    print(
        json.dumps(
            {
                "layers": len(layers), "timed by scikit-learn": chosen, "ours, s": ours, "ours, CPU-s": ours_cpu,
                "scikit-learn, s": theirs, "scikit-learn, CPU-s": theirs_cpu, "ratio": theirs / ours,
                "CPU ratio": theirs_cpu / ours_cpu,
            },
            indent=2,
        )
    )  # fmt: skip


if __name__ == "__main__":
    main()
