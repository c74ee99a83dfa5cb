"""A simulated ventral stream: benchmarks without downloads whose right answers are known.

Nothing here was recorded. A world draws images; of these, and of what is known of the scenes, the package computes
features of growing abstraction, mixes those into responses of simulated neuroids, and adds noise to every
presentation; a simulated observer chooses between objects. So the features that made the responses must score at
the ceiling, shuffled images at zero, and the ceiling must be what the noise implies. Every value is labelled as
simulated.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from scipy.special import softmax
from threadpoolctl import threadpool_limits

from vvscale.brain.behavior.readout import readout_probabilities
from vvscale.brain.behavior.trials import Trials
from vvscale.brain.benchmarks.behavior import BehavioralBenchmark
from vvscale.brain.benchmarks.benchmark import Benchmark
from vvscale.brain.benchmarks.neural import NeuralBenchmark
from vvscale.brain.inputs.stimuli import StimulusSet
from vvscale.brain.metrics.gram import Gram
from vvscale.brain.recordings.assembly import Assembly
from vvscale.brain.simulated.populations import population_features
from vvscale.brain.simulated.worlds import SHAPES, Scenes, World
from vvscale.errors import UsageError, unknown_name

# Shape legend: N images, O objects, d features.

NOISE = {"V1": 2.0, "V2": 2.5, "V4": 1.5, "IT": 2.0}
"""Standard deviation of the noise of one presentation, where the signal over images has 1."""

_ADVANTAGE = 1.5
"""Evidence for the object shown over others, in log-odds, where the spread over images is 1."""

_ROUNDING = 1e-9
"""Spread of the evidence, in log-odds, below which images do not differ."""

IMAGES_PER_OBJECT = 40
N_NEUROIDS = 60
"""Size of the stream unless asked for otherwise."""


@dataclass(frozen=True, eq=False)
class SimulatedStream:
    """Simulated stimuli, populations and observer.

    Attributes
    ----------
    stimuli
        The images, with the label object_name and those of the world.
    features
        For V1, V2, V4 and IT the (N, d) features that the responses were made from, one row per image.
    probabilities
        (N, O) probabilities of the objects that the observer's choices were drawn from.
    benchmarks
        Benchmarks by identifier, such as ``"simulated.V1-pls"``.
    expected_ceiling
        For each region the reliability of the mean over repetitions that the noise implies.
    """

    stimuli: StimulusSet
    features: Mapping[str, np.ndarray] = field(repr=False)
    probabilities: pd.DataFrame = field(repr=False)
    benchmarks: Mapping[str, Benchmark] = field(repr=False)
    expected_ceiling: Mapping[str, float] = field(repr=False)

    def benchmark(self, region: str) -> Benchmark:
        """Return the benchmark of V1, V2, V4, IT or behavior."""
        by_region = {benchmark.region: benchmark for benchmark in self.benchmarks.values()}
        if region not in by_region:
            raise unknown_name("region", region, by_region)
        return by_region[region]


@threadpool_limits.wrap(limits=1)  # sums of several threads differ in the last digit
def simulate(
    world: World = SHAPES,
    *,
    seed: int = 0,
    n_objects: int | None = None,
    images_per_object: int = IMAGES_PER_OBJECT,
    n_neuroids: int = N_NEUROIDS,
    n_repetitions: int = 20,
    noise: float = 1.0,
    trials_per_pair: int = 20,
) -> SimulatedStream:
    """Make a simulated ventral stream.

    V1, V2 and V4 respond to the image alone, whatever it shows: local energies, and random mixtures of those. IT
    responds to what is known of the scene, and the observer judges by a readout of IT. So it is the world that decides
    what a network must know to score on IT and behaviour:

    - :data:`SHAPES`: which blob is shown, and its pose. No training on photographs or digits teaches that.
    - :data:`DIGITS`: the evidence for each digit in the image, by a classifier of all training digits, and a little of
      the pose. It was built so that a network scores the higher there, the better it knows digits; that alignment
      rises with training on digits is put in, and no finding. V1 does not depend on it.

    Parameters
    ----------
    world
        What is shown: :data:`SHAPES`, :data:`DIGITS`, or one of your own.
    seed
        State of the generator; the same arguments give the same stream, bit for bit on one machine, whatever the number
        of threads.
    n_objects, images_per_object
        At least 2 objects, by default as many as the world has, and 2 images of each.
    n_neuroids, n_repetitions
        Neuroids per region, and how often each image is shown to them, at least 2.
    noise
        Multiplies the noise of :data:`NOISE`.
    trials_per_pair
        Trials of the observer for each image and distractor, at least 2.

    Raises
    ------
    UsageError
        A number is too small, or the world has not so many objects or images.

    Examples
    --------
    >>> stream = simulate(images_per_object=4, n_repetitions=4)
    >>> stream.stimuli.pixels.shape
    (32, 64, 64, 3)
    >>> sorted(stream.benchmarks)[:2]
    ['simulated.IT-pls', 'simulated.V1-pls']
    """
    n_objects = world.n_objects if n_objects is None else n_objects
    if min(n_objects, images_per_object, n_repetitions, trials_per_pair) < 2 or n_neuroids < 1:
        raise UsageError(
            "A simulated stream needs at least 2 objects, images per object, repetitions and trials per "
            "pair, and 1 neuroid."
        )
    # One generator per purpose: changing the number of trials must not change the images.
    drawing, mixing, recording, observing = (
        np.random.default_rng(child) for child in np.random.SeedSequence(seed).spawn(4)
    )
    scenes = world.draw(drawing, n_objects, images_per_object)
    stimuli = _stimulus_set(world.name, scenes)
    features = population_features(mixing, scenes)
    benchmarks: dict[str, Benchmark] = {}
    for region, table in features.items():
        assembly = _record(recording, stimuli, region, table, n_neuroids, n_repetitions, noise * NOISE[region])
        identifier = f"{world.name}.{region}-pls"
        benchmarks[identifier] = NeuralBenchmark(identifier, 1, stimuli, assembly, "object_name")
    probabilities = _observe(stimuli, features["IT"])
    trials = _choose(observing, probabilities, scenes.object_of, trials_per_pair)
    identifier = f"{world.name}.behavior-i2n"
    benchmarks[identifier] = BehavioralBenchmark(identifier, 1, stimuli, trials, "object_name")
    expected = {region: 1 / (1 + (noise * scale) ** 2 / n_repetitions) for region, scale in NOISE.items()}
    return SimulatedStream(stimuli, features, probabilities, benchmarks, expected)


def _stimulus_set(name: str, scenes: Scenes) -> StimulusSet:
    identifiers = [f"{name}{number:05d}" for number in range(len(scenes.object_of))]
    table = pd.DataFrame(dict(scenes.labels), index=pd.Index(identifiers, name="stimulus_id"))
    pixels = np.repeat(np.round(255 * scenes.luminance).astype(np.uint8)[..., None], 3, axis=3)
    return StimulusSet(name, table, degrees=8.0, pixels=pixels, is_simulated=True)


def _record(
    rng: np.random.Generator,
    stimuli: StimulusSet,
    region: str,
    features: np.ndarray,
    n_neuroids: int,
    n_repetitions: int,
    noise: float,
) -> Assembly:
    signal = features @ rng.standard_normal((features.shape[1], n_neuroids))
    signal /= signal.std(0)
    responses = np.tile(signal, (n_repetitions, 1))
    responses += noise * rng.standard_normal(responses.shape)
    return Assembly(
        assembly_id=f"{stimuli.identifier}.{region}",
        region=region,
        responses=responses,
        stimulus_id=np.tile(stimuli.stimulus_id, n_repetitions),
        repetition=np.repeat(np.arange(n_repetitions), len(stimuli)),
        neuroid_id=np.array([f"{region}-{number:03d}" for number in range(n_neuroids)]),
    )


def _observe(stimuli: StimulusSet, features: np.ndarray) -> pd.DataFrame:
    """Return the observer's probability of each object.

    A readout of IT-like features says which images of an object are confused with which others. Its
    differences between images are made large enough to be seen in choices, and all objects equally hard.
    """
    names = stimuli.labels("object_name")
    readout = readout_probabilities(Gram.from_features(features, standardize=True), names, stimuli.stimulus_id)
    evidence = pd.DataFrame(np.log(readout.to_numpy()), index=readout.index, columns=readout.columns)
    evidence -= evidence.groupby(names.to_numpy()).transform("mean")
    is_shown = names.to_numpy()[:, None] == readout.columns.to_numpy()
    # As few images as features are all equally apart: what differs between them is rounding.
    spread = evidence.to_numpy().std()
    evidence = (evidence / spread if spread > _ROUNDING else 0 * evidence) + _ADVANTAGE * is_shown
    return pd.DataFrame(softmax(evidence.to_numpy(), axis=1), index=readout.index, columns=readout.columns)


def _choose(rng: np.random.Generator, probabilities: pd.DataFrame, truth: np.ndarray, trials_per_pair: int) -> Trials:
    """Let the observer choose between the object shown and each other one, in random order of trials."""
    n_images, n_objects = probabilities.shape
    image, distractor = np.nonzero(np.arange(n_objects) != truth[:, None])
    order = rng.permutation(len(image) * trials_per_pair) % len(image)
    image, distractor = image[order], distractor[order]
    P = probabilities.to_numpy()
    right = P[np.arange(n_images), truth][image]
    is_right = rng.random(len(image)) < right / (right + P[image, distractor])
    return Trials(
        stimulus_id=probabilities.index.to_numpy(),
        objects=probabilities.columns.to_numpy(),
        truth=truth,
        image=image,
        sample=truth[image],
        distractor=distractor,
        choice=np.where(is_right, truth[image], distractor),
    )
