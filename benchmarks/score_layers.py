"""All layers of a ResNet-18 on five benchmarks of the public sizes, with made-up data.

Run it with ``python benchmarks/score_layers.py [--share 1.0] [--layers N]``; it prints the images that went through
the model, the peak memory, and the time of each stage. Nothing about the scores means anything: images, responses
and trials are noise of the public shapes.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import pandas as pd
import torch
import torchvision

from vvscale.brain.behavior.trials import Trials
from vvscale.brain.benchmarks.behavior import BehavioralBenchmark
from vvscale.brain.benchmarks.benchmark import Benchmark
from vvscale.brain.benchmarks.neural import NeuralBenchmark
from vvscale.brain.inputs.preprocess import Preprocessing
from vvscale.brain.inputs.stimuli import StimulusSet
from vvscale.brain.recordings.assembly import Assembly
from vvscale.brain.scoring.layers import default_layers
from vvscale.brain.scoring.session import score_layers

SIDE = 128
"""Pixels of a made-up image before it is resized; decoding files is measured elsewhere."""


def made_up(share: float, seed: int = 0) -> list[Benchmark]:
    """Return benchmarks with the images, neuroids, objects and trials of the public five, or a share of the images."""
    rng = np.random.default_rng(seed)
    benchmarks: list[Benchmark] = []
    for name, n_images, n_strata, regions, n_repetitions in (
        ("texture", 135, 2, {"V1": 102, "V2": 103}, 20),
        ("objects", round(3200 * share), max(2, round(64 * share)), {"V4": 88, "IT": 168}, 46),
    ):
        stimuli = _stimuli(rng, name, n_images, n_strata)
        latent = rng.standard_normal((n_images, 40)) / np.arange(1, 41) ** 0.5
        for region, n_neuroids in regions.items():
            signal = latent @ rng.standard_normal((40, n_neuroids))
            responses = np.tile(signal, (n_repetitions, 1)).astype(np.float32)
            responses += 3 * rng.standard_normal(responses.shape, dtype=np.float32)
            assembly = Assembly(
                f"made-up.{region}",
                region,
                responses,
                np.tile(stimuli.stimulus_id, n_repetitions),
                np.repeat(np.arange(n_repetitions), n_images),
                np.array([f"{region}-{number}" for number in range(n_neuroids)]),
            )
            benchmarks.append(NeuralBenchmark(f"made-up.{region}-pls", 1, stimuli, assembly, "label"))
    stimuli = _stimuli(rng, "choices", round(2160 * share), 24)
    return [*benchmarks, BehavioralBenchmark("made-up.behavior-i2n", 1, stimuli, _trials(rng, stimuli, share), "label")]


def _stimuli(rng: np.random.Generator, name: str, n_images: int, n_labels: int) -> StimulusSet:
    small = rng.integers(0, 256, (n_images, SIDE // 16, SIDE // 16, 3), dtype=np.uint8)
    pixels = np.repeat(np.repeat(small, 16, axis=1), 16, axis=2)
    labels = [f"label{number % n_labels:02d}" for number in range(n_images)]
    index = pd.Index([f"{name}{number:05d}" for number in range(n_images)], name="stimulus_id")
    return StimulusSet(name, pd.DataFrame({"label": labels}, index=index), 8.0, pixels, is_simulated=True)


def _trials(rng: np.random.Generator, stimuli: StimulusSet, share: float) -> Trials:
    n_trials = round(585_511 * share)
    objects, truth = np.unique(stimuli.labels("label").to_numpy(), return_inverse=True)
    image = rng.permutation(np.arange(n_trials) % len(stimuli))
    sample = truth[image]
    distractor = (sample + rng.integers(1, len(objects), n_trials)) % len(objects)
    choice = np.where(rng.random(n_trials) < 0.7, sample, distractor)
    return Trials(stimuli.stimulus_id, objects, truth, image, sample, distractor, choice)


def main() -> None:
    """Measure, and print one JSON document."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--share", type=float, default=1.0, help="share of the images")
    parser.add_argument("--layers", type=int, default=0, help="every so many layers only; 0 for all")
    parser.add_argument("--memory", default="4GB")
    parser.add_argument("--projection", default="none")
    parser.add_argument("--threads", type=int, default=2, help="threads of the inner products")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--scratch", type=Path, default=None)
    arguments = parser.parse_args()
    torch.manual_seed(0)
    model = torchvision.models.resnet18()
    layers = default_layers(model)[:: max(1, arguments.layers)]
    scores = score_layers(
        model,
        benchmarks=made_up(arguments.share),
        layers=layers,
        preprocessing=Preprocessing(),
        memory=arguments.memory,
        projection=arguments.projection,
        device=arguments.device,
        threads=arguments.threads,
        scratch=arguments.scratch,
    )
    usage = scores.to_dict()["usage"]
    print(
        json.dumps({"layers": len(layers), "scores": len(scores.scores), "share": arguments.share, **usage}, indent=2)
    )


if __name__ == "__main__":
    main()
