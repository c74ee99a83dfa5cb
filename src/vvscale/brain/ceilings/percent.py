"""Noise ceilings in percent of variance, as prepared files keep them."""

from __future__ import annotations

import numpy as np

from vvscale.brain.ceilings.ceiling import signal_to_noise
from vvscale.errors import ShapeError

# Shape legend: N stimuli, R repetitions, u units.

NSD_REPETITIONS = 3
"""What the ceilings of NSD are of: means of three repetitions."""


def variance_ceiling_percent(responses: np.ndarray) -> np.ndarray:
    """Return how much of the variance of a mean over repetitions is signal, as :func:`variance_ceiling` estimates it.

    Parameters
    ----------
    responses
        (N, R, ...) numbers in any unit, at least two stimuli and two repetitions.

    Returns
    -------
    numpy.ndarray
        (...) percent, 0 to 100; 0 where a unit does not vary.

    Source
    ------
    Gokce, Tang and Schrimpf (2026), data preparation.

    Examples
    --------
    >>> signal = np.arange(6.0)[:, None, None]
    >>> float(variance_ceiling_percent(np.repeat(signal, 2, axis=1))[0].round(6))
    100.0
    """
    table = np.asarray(responses, dtype=np.float64)
    if table.ndim < 2 or table.shape[0] < 2 or table.shape[1] < 2:
        raise ShapeError(f"A variance ceiling needs (stimuli, repetitions, units), two each; got {table.shape}.")
    ratio = signal_to_noise(table.swapaxes(0, 1))
    percent = 100.0 * ratio / (ratio + 1.0 / table.shape[1])
    return np.where(np.isnan(percent), 0.0, percent)


def nsd_ceiling_percent(ncsnr: np.ndarray) -> np.ndarray:
    """Return the ceilings of NSD from its shipped ratio of signal to noise.

    Examples
    --------
    >>> float(nsd_ceiling_percent(np.array([1.0]))[0])
    75.0
    """
    squared = np.asarray(ncsnr, dtype=np.float64) ** 2
    return 100.0 * squared / (squared + 1.0 / NSD_REPETITIONS)
