"""Ticks: on every axis at least two that carry a number, and no more than fit."""

from __future__ import annotations

import numpy as np

# More labels than this run into each other at column width.
MOST = 6
# Steps within a decade, coarsest first, tried where powers of ten are too few.
STEPS = ((1.0,), (1.0, 3.0), (1.0, 2.0, 5.0), (1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0))


def log_ticks(low: float, high: float, most: int = MOST) -> tuple[list[float], list[str]]:
    """Places and labels of the ticks of a logarithmic axis.

    Examples
    --------
    >>> log_ticks(0.03, 0.2)[1]
    ['0.03', '0.1']
    >>> log_ticks(1e14, 1e20)[1][0]
    '$10^{14}$'
    """
    room = 1e-9 * np.log10(high / low)
    first, last = np.floor(np.log10(low)), np.ceil(np.log10(high))
    powers = np.arange(first, last + 1)
    for steps in STEPS:
        places = np.sort((10.0 ** powers[:, None] * np.array(steps)).ravel())
        inside = places[(np.log10(places) >= np.log10(low) - room) & (np.log10(places) <= np.log10(high) + room)]
        if len(inside) >= 2:
            break
    else:
        # Less than a step in view: as on a linear axis.
        from matplotlib.ticker import MaxNLocator

        inside = np.array([each for each in MaxNLocator(4).tick_values(low, high) if low <= each <= high])
    # Every second or third power of ten where there are many.
    if len(inside) > most:
        every = int(np.ceil(len(inside) / most))
        exponents = np.round(np.log10(inside)).astype(int)
        inside = inside[exponents % every == exponents[-1] % every]
    return [float(each) for each in inside], [tick_label(float(each)) for each in inside]


def tick_label(value: float) -> str:
    """Write a number of a logarithmic axis: a power of ten, or a short decimal."""
    exponent = int(np.floor(np.log10(value) + 1e-9))
    factor = value / 10.0**exponent
    if -3 <= exponent <= 3:
        return f"{value:.6g}"
    if abs(factor - 1.0) < 1e-6:
        return f"$10^{{{exponent}}}$"
    return rf"${factor:.2g}\times10^{{{exponent}}}$"


def minor_ticks(low: float, high: float) -> list[float]:
    """Unlabelled ticks between the powers of ten, where there are few enough to be told apart."""
    if high / low > 1e4:
        return []
    powers = np.arange(np.floor(np.log10(low)), np.ceil(np.log10(high)) + 1)
    places = (10.0 ** powers[:, None] * np.arange(1, 10)).ravel()
    return [float(each) for each in places if low <= each <= high]
