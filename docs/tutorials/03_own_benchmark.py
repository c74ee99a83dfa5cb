"""
Your own recordings as a benchmark
==================================

A benchmark is a value: images, responses, a metric and a ceiling. Yours needs no registration: one Python file
that makes it is enough, and every command takes ``mine.py:MINE`` where it takes a name.
"""

# %%
# Images and responses
# --------------------
# Replace both blocks of made-up numbers by your own arrays: images (or their paths), and one row per presentation
# with one column per neuroid.

import numpy as np
import pandas as pd

from vvscale.brain import Assembly, NeuralBenchmark, StimulusSet, check_benchmark

rng = np.random.default_rng(0)
n_images, n_neuroids, n_repetitions = 90, 20, 6
pixels = rng.integers(0, 256, (n_images, 32, 32, 3), dtype=np.uint8)
labels = pd.DataFrame(
    {"category": [f"category {number % 6}" for number in range(n_images)]},
    index=pd.Index([f"image{number:04d}" for number in range(n_images)], name="stimulus_id"),
)
stimuli = StimulusSet("Lab2026", labels, degrees=8.0, pixels=pixels)

tuning = rng.standard_normal((n_images, 40)) @ rng.standard_normal((40, n_neuroids))
responses = np.tile(tuning, (n_repetitions, 1)) + 2 * rng.standard_normal((n_images * n_repetitions, n_neuroids))
assembly = Assembly(
    assembly_id="Lab2026.IT",
    region="IT",
    responses=responses,
    stimulus_id=np.tile(stimuli.stimulus_id, n_repetitions),
    repetition=np.repeat(np.arange(n_repetitions), n_images),
    neuroid_id=np.array([f"IT-{number:02d}" for number in range(n_neuroids)]),
)

# %%
# The benchmark
# -------------

MINE = NeuralBenchmark("Lab2026.IT-pls", 1, stimuli, assembly, stratify_by="category")
print(MINE.region, MINE.benchmark_id)

# %%
# Check it
# --------
# The check runs the benchmark on features that are known to be good and on noise, and says what is wrong with the
# data.

check_benchmark(MINE).table()

# %%
# Score features, or a network
# ----------------------------
# Features of a layer are an array with one row per image, in the order of the stimuli.

features = rng.standard_normal((n_images, 64))
features[:, :20] += tuning
result = MINE.score(features)
result.score
