"""What simulated populations respond to: energies of an image, mixtures of them, and what is known of the scene."""

from __future__ import annotations

import numpy as np

from vvscale.brain.simulated.worlds import SIZE, Scenes, pool

# Shape legend: N images, H x H pixels, d features.

_N_FEATURES = 25
"""Dimensions of a population, no more than the components of the metric, which can then find all of the signal."""


def population_features(rng: np.random.Generator, scenes: Scenes) -> dict[str, np.ndarray]:
    """Compute the (N, d) features of V1, V2, V4 and IT.

    V1 has local energies at three scales and four orientations; V2 rectified random mixtures of neighbouring energies,
    V4 such mixtures of V2's, both of the image alone. IT has saturating random mixtures of what is known of the scene.
    """
    energy = _oriented_energy(scenes.luminance)  # (N, 12, H, H)
    energy /= energy.mean((0, 2, 3), keepdims=True)
    texture = _mix(rng, pool(energy, 4), 24)
    shape = _mix(rng, pool(texture, 2), 32)
    known = scenes.known
    tuned = np.tanh(known @ rng.standard_normal((known.shape[1], 200)) + rng.standard_normal(200))
    maps = {"V1": pool(energy, 8), "V2": pool(texture, 4), "V4": pool(shape, 4), "IT": tuned}
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
