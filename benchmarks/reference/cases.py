"""Seeded inputs for the comparison with the reference implementation.

Both environments and the oracle tests make the same numbers from the same seed. Products of matrices are
rounded to multiples of 1/1024, so that the last bits of one BLAS or another do not matter. Only NumPy may be
imported here.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

METRICS = ("i1", "i1n", "i2", "i2n")


@dataclass(frozen=True)
class Pls:
    """Features of a layer that partly explain responses.

    Attributes
    ----------
    n_images, n_features, n_neuroids, n_strata
        Shapes; images go through the strata in turn.
    constant_features, constant_responses
        Columns whose values are all equal.
    duplicates
        Whether the second half of the features repeats the first.
    predicts_itself
        Whether the responses are the features too.
    """

    n_images: int
    n_features: int
    n_neuroids: int
    n_strata: int = 2
    constant_features: tuple[int, ...] = ()
    constant_responses: tuple[int, ...] = ()
    duplicates: bool = False
    predicts_itself: bool = False

    def make(self):
        """Return (n_images, n_features) float32, (n_images, n_neuroids) float64 and (n_images,) labels."""
        rng = np.random.default_rng(self.n_images + self.n_features + self.n_neuroids)
        n_latents = min(self.n_images, self.n_features, 200)
        latents = rng.standard_normal((self.n_images, n_latents)) * np.arange(1, n_latents + 1) ** -0.6
        features = _rounded(latents @ rng.standard_normal((n_latents, self.n_features)))
        features = np.maximum(features + _rounded(0.2 * rng.standard_normal(features.shape)), 0)
        used = latents[:, : min(50, n_latents)]
        responses = _rounded(used @ rng.standard_normal((used.shape[1], self.n_neuroids)))
        responses += _rounded(1.5 * rng.standard_normal(responses.shape))
        for column in self.constant_features:
            features[:, column] = column / 7
        for column in self.constant_responses:
            responses[:, column] = 0.3
        if self.duplicates:
            half = self.n_features // 2
            features[:, half : 2 * half] = features[:, :half]
        if self.predicts_itself:
            features = responses
        strata = np.array([f"stratum{index % self.n_strata:02d}" for index in range(self.n_images)])
        return features.astype(np.float32), responses, strata


@dataclass(frozen=True)
class Ceiling:
    """Repeated noisy responses; images are not all shown equally often, and presentations are shuffled."""

    n_images: int
    n_presentations: int
    n_neuroids: int
    dtype: str = "float64"

    def make(self):
        """Return (n_presentations, n_neuroids) responses, then image and repetition of each presentation."""
        rng = np.random.default_rng(self.n_presentations)
        image = np.sort(np.arange(self.n_presentations) % self.n_images)
        repetition = np.concatenate([np.arange(n) for n in np.bincount(image)])
        order = np.argsort(rng.random(self.n_presentations))
        image, repetition = image[order], repetition[order]
        signal = _rounded(rng.standard_normal((self.n_images, self.n_neuroids)))
        noise = _rounded(2.0 * rng.standard_normal((self.n_presentations, self.n_neuroids)))
        return (signal[image] + noise).astype(self.dtype), np.array([_name(i) for i in image]), repetition


@dataclass(frozen=True)
class Behavior:
    """Choices of observers between the object in an image and a distractor, and a model's probabilities."""

    n_images: int
    n_objects: int
    n_trials: int

    def make(self):
        """Return (n_images, n_objects) probabilities, their labels, and columns of trials."""
        rng = np.random.default_rng(self.n_trials)
        objects = np.array([f"object{index:02d}" for index in range(self.n_objects)])
        truth = np.arange(self.n_images) % self.n_objects
        shared = _rounded(rng.standard_normal((self.n_images, self.n_objects)))
        shared[np.arange(self.n_images), truth] += 2.0
        model = np.exp(shared + _rounded(rng.standard_normal(shared.shape)))
        # Every image is shown at least once per distractor before the rest are drawn.
        every = np.arange(self.n_trials)
        image = every % self.n_images
        distractor = (truth[image] + 1 + (every // self.n_images) % (self.n_objects - 1)) % self.n_objects
        order = np.argsort(rng.random(self.n_trials))
        image, distractor = image[order], distractor[order]
        gap = shared[image, truth[image]] - shared[image, distractor]
        is_right = rng.random(self.n_trials) < _rounded(1 / (1 + np.exp(-gap)))
        choice = np.where(is_right, truth[image], distractor)
        trials = {
            "stimulus_id": np.array([_name(index) for index in image]),
            "sample_obj": objects[truth[image]],
            "dist_obj": objects[distractor],
            "truth": objects[truth[image]],
            "choice": objects[choice],
        }
        names = np.array([_name(index) for index in range(self.n_images)])
        return model / model.sum(1, keepdims=True), names, objects, trials


CASES = {
    "constant_features": Pls(135, 300, 40, constant_features=(0, 1, 2, 50, 299)),
    "constant_responses": Pls(135, 300, 40, constant_responses=(0, 7, 39)),
    "duplicate_features": Pls(135, 120, 30, duplicates=True),
    "itself": Pls(135, 102, 102, predicts_itself=True),
    "narrow": Pls(315, 60, 40),
    "one_neuroid": Pls(135, 400, 1),
    "v1_135x1000": Pls(135, 1000, 102),
    "v1_315x1000": Pls(315, 1000, 102),
    "it_2560x1000": Pls(2560, 1000, 168, n_strata=64),
    "it_2560x25088": Pls(2560, 25088, 168, n_strata=64),
    "ceiling_small": Ceiling(60, 700, 30),
    "ceiling_v1": Ceiling(135, 2700, 102),
    "ceiling_it": Ceiling(3200, 148480, 168),
    "ceiling_it_float32": Ceiling(3200, 148480, 168, dtype="float32"),
    "behavior_small": Behavior(96, 8, 12000),
    "behavior_public": Behavior(2160, 24, 585511),
}

LARGE = ("it_2560x25088",)
"""Cases that take the reference more than ten minutes."""


def _rounded(values):
    return np.round(values * 1024) / 1024


def _name(index):
    return f"image{index:05d}"
