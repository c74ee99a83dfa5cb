"""What a simulated ventral stream is shown, and what its higher areas know of it.

A world draws scenes: images, and for each of them the numbers that IT responds to. Of :data:`SHAPES` nobody can
know anything beforehand; of :data:`DIGITS` a network knows the more, the better it was trained on handwritten
digits. This module makes no responses.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import expit

from vvscale.errors import UsageError

if TYPE_CHECKING:
    from vvscale.data import ImageStore

# Shape legend: N images, O objects, H x H pixels, s x s pixels of a digit, k known numbers.

SIZE = 64
"""Width and height of an image in pixels."""


@dataclass(frozen=True, eq=False)
class Scenes:
    """Images with what is known of them.

    Attributes
    ----------
    luminance
        (N, H, H) in [0, 1], with H = :data:`SIZE`.
    object_of
        (N,) number of the object shown, in 0..O-1.
    known
        (N, k) what IT responds to mixtures of, and the observer judges by. Numbers of about 1 leave the linear
        range of a neuroid.
    labels
        Name -> (N,) values for the stimuli. There is ``object_name``; names in alphabetical order are those of objects
        0..O-1.
    """

    luminance: np.ndarray = field(repr=False)
    object_of: np.ndarray = field(repr=False)
    known: np.ndarray = field(repr=False)
    labels: Mapping[str, np.ndarray] = field(repr=False)


@dataclass(frozen=True)
class World:
    """A kind of scenes.

    Attributes
    ----------
    name
        Of the stimulus set, and first part of the benchmarks' names.
    draw
        From a generator, the number of objects and that of images per object to scenes, the objects in turn.
    n_objects
        Objects unless asked for otherwise.
    """

    name: str
    draw: Callable[[np.random.Generator, int, int], Scenes] = field(repr=False)
    n_objects: int


def draw_shapes(rng: np.random.Generator, n_objects: int, images_per_object: int) -> Scenes:
    """Draw blobs with random outlines, anywhere, at any angle, before clouds.

    Known are the object, one number each, and its pose: place, logarithm of the size, cosine and sine of the angle.
    """
    object_of = np.tile(np.arange(n_objects), images_per_object)
    # Cosine and sine amplitudes of the outline over the angle.
    outlines = rng.standard_normal((n_objects, 2, 6)) * 0.35 / np.arange(1, 7) ** 0.5
    turn = rng.uniform(-np.pi, np.pi, len(object_of))
    place = rng.uniform(-0.35, 0.35, (len(object_of), 2))
    size = rng.uniform(np.log(0.25), np.log(0.5), len(object_of))
    pose = np.column_stack((place, size, np.cos(turn), np.sin(turn)))
    luminance = np.stack([_shape(rng, outlines[one], at) for one, at in zip(object_of, pose, strict=True)])
    known = np.column_stack((2.0 * np.eye(n_objects)[object_of], pose))
    names = np.array([f"object{number:02d}" for number in object_of])
    return Scenes(luminance, object_of, known, {"object_name": names})


def _shape(rng: np.random.Generator, outline: np.ndarray, pose: np.ndarray) -> np.ndarray:
    """Draw one blob, brighter at its middle: (H, H) luminance in [0, 1]."""
    axis = np.linspace(-1, 1, SIZE)
    y, x = np.meshgrid(axis, axis, indexing="ij")
    dx, dy = x - pose[0], y - pose[1]
    angle = np.arctan2(dy, dx) - np.arctan2(pose[4], pose[3])
    waves = np.tensordot(angle, np.arange(1, 7), axes=0)
    radius = 1 + np.cos(waves) @ outline[0] + np.sin(waves) @ outline[1]
    distance = np.hypot(dx, dy) / (np.exp(pose[2]) * np.maximum(radius, 0.2))
    inside = expit(12 * (1 - distance))
    background = 0.4 + _clouds(rng, 0.12)
    return np.clip(inside * (0.95 - 0.3 * np.minimum(distance, 1)) + (1 - inside) * background, 0, 1)


def draw_digits(rng: np.random.Generator, n_objects: int, images_per_object: int) -> Scenes:
    """Draw handwritten digits of the held-out part, at varied place, size and contrast, on faint clouds.

    Known are the evidence for each of the ten digits, and the pose. The evidence is what a kernel classifier finds in
    the image itself, clouds and all, at 8 x 8 pixels. It learned all digits of the training part of
    :func:`vvscale.data.load_dataset`, drawn in the same manner, and is right in about 19 of 20 images. No network
    learns from the digits shown.

    Raises
    ------
    UsageError
        There are not so many digits, or not so many images of each are held out.
    """
    from vvscale.data import load_dataset

    digits = load_dataset("digits")
    n_digits, n_held_out = digits.val.n_classes, int(np.bincount(digits.val.labels).min())
    if n_objects > n_digits or images_per_object > n_held_out:
        raise UsageError(
            f"Got n_objects={n_objects} and images_per_object={images_per_object}; expected at most {n_digits} digits, "
            f"and {n_held_out} images of each, which are all that no network trains on."
        )
    of_class = [rng.permutation(np.flatnonzero(digits.val.labels == number)) for number in range(n_objects)]
    shown = np.stack([rows[:images_per_object] for rows in of_class], axis=1).ravel()
    luminance, pose = _write(rng, _grey(digits.val, shown))
    learned, _ = _write(rng, _grey(digits.train, range(len(digits.train))))
    evidence = _evidence(learned, digits.train.labels, luminance)
    known = np.column_stack((0.5 * _standardized(evidence), 0.2 * _standardized(pose)))
    object_of = digits.val.labels[shown]
    names = np.array([f"digit{number}" for number in object_of])
    return Scenes(luminance, object_of, known, {"object_name": names, "held_out_image": shown})


def _grey(store: ImageStore, rows: Iterable[int]) -> np.ndarray:
    """Return (N, s, s) images in [0, 1]."""
    return np.stack([store.image(row)[..., 0] for row in rows]) / 255


def _write(rng: np.random.Generator, digits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Draw (N, s, s) digits large: (N, H, H) luminance and the (N, 4) pose they got.

    The pose is row and column of the middle in pixels, logarithm of the size, and contrast.
    """
    n, side, _ = digits.shape
    place = rng.uniform(-4, 4, (n, 2))
    size = rng.uniform(np.log(0.8), np.log(1.03), n)
    contrast = rng.uniform(0.6, 1, n)
    # Bilinear interpolation, one matrix for the rows of an image and one for its columns.
    pixel = np.arange(SIZE) - (SIZE - 1) / 2
    at = (pixel - place.T[:, :, None]) * (side / SIZE / np.exp(size))[:, None] + (side - 1) / 2
    down, across = np.maximum(0, 1 - np.abs(at[..., None] - np.arange(side)))
    luminance = contrast[:, None, None] * (down @ digits @ across.transpose(0, 2, 1))
    luminance += [0.1 + _clouds(rng, 0.05) for _ in range(n)]
    return np.clip(luminance, 0, 1), np.column_stack((place, size, contrast))


def _evidence(learned: np.ndarray, labels: np.ndarray, luminance: np.ndarray) -> np.ndarray:
    """Return (N, 10) evidence for each class, of a kernel classifier that sees images in 8 x 8 pixels."""
    from sklearn.kernel_ridge import KernelRidge

    seen, tested = (pool(images[:, None], SIZE // 8).reshape(len(images), -1) for images in (learned, luminance))
    # scikit-learn's hint says that alpha is a whole number; its documentation and default say otherwise.
    classifier = KernelRidge(kernel="rbf", gamma=4 / seen.shape[1], alpha=0.01)  # pyright: ignore[reportArgumentType]
    return classifier.fit(seen, np.eye(10)[labels]).predict(tested)


def _standardized(table: np.ndarray) -> np.ndarray:
    return (table - table.mean(0)) / table.std(0)


def _clouds(rng: np.random.Generator, contrast: float) -> np.ndarray:
    """Return (H, H) noise that falls off with frequency; ``contrast`` is its standard deviation."""
    spectrum = np.fft.rfft2(rng.standard_normal((SIZE, SIZE))) / _frequency()
    clouds = np.fft.irfft2(spectrum, s=(SIZE, SIZE))
    return contrast * clouds / clouds.std()


@cache
def _frequency() -> np.ndarray:
    """Return the (H, H / 2 + 1) frequencies of a real image, infinite in place of 0, so that the mean vanishes."""
    frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(SIZE), np.fft.rfftfreq(SIZE), indexing="ij"))
    frequency[0, 0] = np.inf
    return frequency


def pool(maps: np.ndarray, width: int) -> np.ndarray:
    """Average (N, channels, H, H) maps over squares."""
    n, channels, size, _ = maps.shape
    return maps.reshape(n, channels, size // width, width, size // width, width).mean((3, 5))


SHAPES = World("simulated", draw_shapes, 8)
"""Made-up objects."""

DIGITS = World("simulated-digits", draw_digits, 10)
"""scikit-learn's handwritten digits, those of the embedded data set ``digits`` that no network trains on."""

WORLDS: Mapping[str, World] = MappingProxyType({world.name: world for world in (SHAPES, DIGITS)})
"""The worlds that have named benchmarks."""
