"""A simulated ventral stream: benchmarks without downloads whose right answers are known.

Nothing here was recorded. The package draws images of made-up objects, computes features of growing
abstraction from them or from the parameters of the scene, mixes those into responses of simulated neuroids,
and adds noise to every presentation; a simulated observer chooses between objects. So the features that made
the responses must score at the ceiling, shuffled images at zero, and the ceiling must be what the noise
implies. Every value is labelled as simulated.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from scipy.special import expit, softmax

from vvscale.brain.assembly import Assembly, StimulusSet
from vvscale.brain.benchmark import BehavioralBenchmark, Benchmark, NeuralBenchmark
from vvscale.brain.gram import Gram
from vvscale.brain.readout import readout_probabilities
from vvscale.brain.trials import Trials
from vvscale.errors import UsageError, unknown_name

# Shape legend: N images, O objects, H x H pixels, d features, q neuroids, P presentations, T trials.

NOISE = {"V1": 2.0, "V2": 2.5, "V4": 1.5, "IT": 2.0}
"""Standard deviation of the noise of one presentation, where the signal over images has 1."""

_ADVANTAGE = 1.5
"""Evidence for the object shown over others, in log-odds, where the spread over images is 1."""

SIZE = 64
"""Width and height of an image in pixels."""

N_OBJECTS = 8
IMAGES_PER_OBJECT = 40
N_NEUROIDS = 60
"""Size of the stream unless asked for otherwise."""

_N_FEATURES = 25
"""Dimensions of a population, no more than the components of the metric, which can then find all of the "
"signal."""


@dataclass(frozen=True, eq=False)
class SimulatedStream:
    """Simulated stimuli, populations and observer.

    Attributes
    ----------
    stimuli
        The images, with the label object_name.
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


def simulate(
    *,
    seed: int = 0,
    n_objects: int = N_OBJECTS,
    images_per_object: int = IMAGES_PER_OBJECT,
    n_neuroids: int = N_NEUROIDS,
    n_repetitions: int = 20,
    noise: float = 1.0,
    trials_per_pair: int = 20,
) -> SimulatedStream:
    """Make a simulated ventral stream.

    Parameters
    ----------
    seed
        State of the generator; the same arguments give the same stream, bit for bit on one machine.
    n_objects, images_per_object
        At least 2 objects and 2 images of each.
    n_neuroids, n_repetitions
        Neuroids per region, and how often each image is shown to them, at least 2.
    noise
        Multiplies the noise of :data:`NOISE`.
    trials_per_pair
        Trials of the observer for each image and distractor, at least 2.

    Examples
    --------
    >>> stream = simulate(images_per_object=4, n_repetitions=4)
    >>> stream.stimuli.pixels.shape
    (32, 64, 64, 3)
    >>> sorted(stream.benchmarks)[:2]
    ['simulated.IT-pls', 'simulated.V1-pls']
    """
    if min(n_objects, images_per_object, n_repetitions, trials_per_pair) < 2 or n_neuroids < 1:
        raise UsageError(
            "A simulated stream needs at least 2 objects, images per object, repetitions and trials per "
            "pair, and 1 neuroid."
        )
    # One generator per purpose: changing the number of trials must not change the images.
    drawing, mixing, recording, observing = (
        np.random.default_rng(child) for child in np.random.SeedSequence(seed).spawn(4)
    )
    scenes = _scenes(drawing, n_objects, images_per_object)
    luminance = _draw(drawing, scenes)
    stimuli = _stimulus_set(scenes, luminance)
    features = _features(mixing, scenes, luminance)
    benchmarks: dict[str, Benchmark] = {}
    for region, table in features.items():
        assembly = _record(recording, stimuli, region, table, n_neuroids, n_repetitions, noise * NOISE[region])
        identifier = f"simulated.{region}-pls"
        benchmarks[identifier] = NeuralBenchmark(identifier, 1, stimuli, assembly, "object_name")
    probabilities = _observe(stimuli, features["IT"])
    trials = _choose(observing, probabilities, scenes.object_of, trials_per_pair)
    identifier = "simulated.behavior-i2n"
    benchmarks[identifier] = BehavioralBenchmark(identifier, 1, stimuli, trials, "object_name")
    expected = {region: 1 / (1 + (noise * scale) ** 2 / n_repetitions) for region, scale in NOISE.items()}
    return SimulatedStream(stimuli, features, probabilities, benchmarks, expected)


@dataclass(frozen=True)
class _Scenes:
    object_of: np.ndarray  # (N,) number of the object
    outlines: np.ndarray  # (O, 2, 6) cosine and sine amplitudes of the outline over angle
    pose: np.ndarray  # (N, 5) x, y, log size, cosine and sine of the rotation


def _scenes(rng: np.random.Generator, n_objects: int, images_per_object: int) -> _Scenes:
    object_of = np.tile(np.arange(n_objects), images_per_object)
    outlines = rng.standard_normal((n_objects, 2, 6)) * 0.35 / np.arange(1, 7) ** 0.5
    turn = rng.uniform(-np.pi, np.pi, len(object_of))
    place = rng.uniform(-0.35, 0.35, (len(object_of), 2))
    size = rng.uniform(np.log(0.25), np.log(0.5), len(object_of))
    return _Scenes(object_of, outlines, np.column_stack((place, size, np.cos(turn), np.sin(turn))))


def _draw(rng: np.random.Generator, scenes: _Scenes) -> np.ndarray:
    """Draw each object, brighter at its middle, before a cloudy background: (N, H, H) luminance in [0, 1]."""
    axis = np.linspace(-1, 1, SIZE)
    y, x = np.meshgrid(axis, axis, indexing="ij")
    frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(SIZE), np.fft.rfftfreq(SIZE), indexing="ij"))
    frequency[0, 0] = np.inf
    order = np.arange(1, 7)
    images = np.empty((len(scenes.object_of), SIZE, SIZE))
    for image, (shape, pose) in enumerate(zip(scenes.object_of, scenes.pose, strict=True)):
        dx, dy = x - pose[0], y - pose[1]
        angle = np.arctan2(dy, dx) - np.arctan2(pose[4], pose[3])
        waves = np.tensordot(angle, order, axes=0)
        outline = 1 + np.cos(waves) @ scenes.outlines[shape, 0] + np.sin(waves) @ scenes.outlines[shape, 1]
        distance = np.hypot(dx, dy) / (np.exp(pose[2]) * np.maximum(outline, 0.2))
        noise = np.fft.rfft2(rng.standard_normal((SIZE, SIZE))) / frequency
        clouds = np.fft.irfft2(noise, s=(SIZE, SIZE))
        inside = expit(12 * (1 - distance))
        images[image] = inside * (0.95 - 0.3 * np.minimum(distance, 1)) + (1 - inside) * (
            0.4 + 0.12 * clouds / clouds.std()
        )
    return np.clip(images, 0, 1)


def _stimulus_set(scenes: _Scenes, luminance: np.ndarray) -> StimulusSet:
    names = [f"object{number:02d}" for number in scenes.object_of]
    identifiers = [f"simulated{number:05d}" for number in range(len(names))]
    table = pd.DataFrame({"object_name": names}, index=pd.Index(identifiers, name="stimulus_id"))
    pixels = np.repeat(np.round(255 * luminance).astype(np.uint8)[..., None], 3, axis=3)
    return StimulusSet("simulated", table, degrees=8.0, pixels=pixels, is_simulated=True)


def _features(rng: np.random.Generator, scenes: _Scenes, luminance: np.ndarray) -> dict[str, np.ndarray]:
    """Compute what populations respond to: energies, mixtures, their mixtures, and the scene itself."""
    energy = _oriented_energy(luminance)  # (N, 12, H, H)
    energy /= energy.mean((0, 2, 3), keepdims=True)
    texture = _mix(rng, _pool(energy, 4), 24)
    shape = _mix(rng, _pool(texture, 2), 32)
    n_objects = len(scenes.outlines)
    scene = np.column_stack((2.0 * np.eye(n_objects)[scenes.object_of], scenes.pose))
    tuned = np.tanh(scene @ rng.standard_normal((scene.shape[1], 200)) + rng.standard_normal(200))
    maps = {"V1": _pool(energy, 8), "V2": _pool(texture, 4), "V4": _pool(shape, 4), "IT": tuned}
    return {region: _compress(table.reshape(len(table), -1)) for region, table in maps.items()}


def _oriented_energy(luminance: np.ndarray) -> np.ndarray:
    """Return local energy at 3 scales and 4 orientations, (N, 12, H, H).

    A filter on half of the frequency plane is a quadrature pair, and its absolute value the energy.
    """
    fy, fx = np.meshgrid(np.fft.fftfreq(SIZE), np.fft.fftfreq(SIZE), indexing="ij")
    radius, angle = np.hypot(fx, fy), np.arctan2(fy, fx)
    radius[0, 0] = 1e-9
    spectrum = np.fft.fft2(luminance)
    energy = []
    for centre in (0.06, 0.12, 0.24):
        for direction in np.arange(4) * np.pi / 4:
            turn = np.angle(np.exp(1j * (angle - direction)))
            gain = np.exp(-0.5 * (np.log(radius / centre) / 0.55) ** 2 - 0.5 * (turn / 0.4) ** 2)
            energy.append(np.abs(np.fft.ifft2(spectrum * gain)))
    return np.stack(energy, axis=1)


def _pool(maps: np.ndarray, width: int) -> np.ndarray:
    """Average (N, channels, H, H) maps over squares."""
    n, channels, size, _ = maps.shape
    return maps.reshape(n, channels, size // width, width, size // width, width).mean((3, 5))


def _mix(rng: np.random.Generator, maps: np.ndarray, n_channels: int) -> np.ndarray:
    """Mix channels of neighbouring places at random and keep what exceeds the mean over images."""
    near = np.concatenate((maps, np.roll(maps, 1, axis=2), np.roll(maps, 1, axis=3)), axis=1)
    weights = rng.standard_normal((n_channels, near.shape[1]))
    mixed = np.einsum("oc,nchw->nohw", weights, near, optimize=True)
    return np.maximum(mixed - mixed.mean(0), 0)


def _compress(table: np.ndarray) -> np.ndarray:
    """Return the leading principal components, (N, d), with a spectrum like that of cortical responses."""
    u, values, _ = np.linalg.svd(table - table.mean(0), full_matrices=False)
    n_kept = min(_N_FEATURES, int((values > 1e-9 * values[0]).sum()))
    return u[:, :n_kept] * np.sqrt(len(u)) * np.arange(1, n_kept + 1) ** -0.5


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
        assembly_id=f"simulated.{region}",
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
    evidence = evidence / evidence.to_numpy().std() + _ADVANTAGE * is_shown
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
