"""Noise ceilings in percent of variance, as prepared files keep them."""

from __future__ import annotations

import numpy as np

from vvscale.errors import ShapeError

# Shape legend: N stimuli, R repetitions, u units.

NSD_REPETITIONS = 3
"""What the ceilings of NSD are of: means of three repetitions."""


def variance_ceiling_percent(responses: np.ndarray) -> np.ndarray:
    """Return how much of the variance of a mean over repetitions is signal.

    Parameters
    ----------
    responses
        (N, R, ...) numbers in any unit, at least two stimuli and two repetitions.

    Returns
    -------
    numpy.ndarray
        (...) percent, 0 to 100; 0 where a unit does not vary.

    Notes
    -----
    Each repetition is z-scored over stimuli; noise is the variance over repetitions (one degree of freedom lost),
    averaged over stimuli; signal is what is left of 1, not below 0; the mean of R repetitions has the ratio
    snr / (snr + 1 / R).

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
    n_repetitions = table.shape[1]
    spread = table.std(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        z = (table - table.mean(axis=0)) / spread
    noise = z.var(axis=1, ddof=1).mean(axis=0)
    signal = np.maximum(0.0, 1.0 - noise)
    # The floor keeps units without noise finite, as the study has it.
    ratio = signal / np.maximum(noise, 1e-12)
    percent = 100.0 * ratio / (ratio + 1.0 / n_repetitions)
    return np.where((spread > 0).all(axis=0), percent, 0.0)


def nsd_ceiling_percent(ncsnr: np.ndarray) -> np.ndarray:
    """Return the ceilings of NSD from its shipped ratio of signal to noise.

    Examples
    --------
    >>> float(nsd_ceiling_percent(np.array([1.0]))[0])
    75.0
    """
    squared = np.asarray(ncsnr, dtype=np.float64) ** 2
    return 100.0 * squared / (squared + 1.0 / NSD_REPETITIONS)
