"""From a raw score and a ceiling to the number that goes into the table, with its interval.

Two formulas are in use for neural scores and differ by a factor of the ceiling, so a score always names its
own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from vvscale.brain.metrics.ceiling import Ceiling
from vvscale.brain.metrics.checks import median_over_neuroids
from vvscale.brain.metrics.i2n import BehavioralConsistency, correlate_sums
from vvscale.brain.metrics.pls import Predictivity
from vvscale.errors import DataError, ShapeError, UsageError, unknown_name

# Shape legend: S splits, N images, q neuroids, D bootstrap draws, R repetitions of the halving.

FORMULAS: dict[str, Callable[[Any, Any], Any]] = {
    "r^2/c": lambda raw, ceiling: raw**2 / ceiling,
    "(r/c)^2": lambda raw, ceiling: (raw / ceiling) ** 2,
    "r/sqrt(c)": lambda raw, ceiling: raw / np.sqrt(ceiling),
}
"""Ceiled score from raw score and ceiling.

The first is the reference for neural scores since January 2026, the second was before and is in the published
tables, the third is the reference for behaviour.
"""


@dataclass(frozen=True)
class Score:
    """A score relative to its ceiling.

    Attributes
    ----------
    score, low, high
        Ceiled score and the ends of its interval; 1 is as good as the data allow.
    raw_score, raw_low, raw_high, raw_error
        The correlation before the ceiling, its interval, and the reference's error of it.
    ceiling
        What the raw score is compared with, a correlation.
    formula
        How the score follows from them, a key of :data:`FORMULAS`.
    level, n_resamples
        Coverage of the intervals in (0, 1) and number of bootstrap draws.
    """

    score: float
    low: float
    high: float
    raw_score: float
    raw_low: float
    raw_high: float
    raw_error: float
    ceiling: float
    formula: str
    level: float
    n_resamples: int

    @property
    def misalignment(self) -> float:
        """One minus the score."""
        return 1.0 - self.score

    def to_dict(self) -> dict[str, Any]:
        """Return all fields."""
        return asdict(self)

    def __str__(self) -> str:
        """Show the formula with the numbers in it."""
        return formula_text(self.formula, self.raw_score, self.ceiling, self.score, self.low, self.high, self.level)


def formula_text(
    formula: str,
    raw_score: float,
    ceiling: float,
    score: float,
    low: float | None = None,
    high: float | None = None,
    level: float = 0.95,
) -> str:
    """Return a formula with its numbers, and the interval where it is known.

    Examples
    --------
    >>> formula_text("r^2/c", 0.5, 0.8, 0.3125)
    'r^2/c = 0.5000^2/0.8000 = 0.3125'
    """
    if formula == "r/sqrt(c)":
        numbers = f"{raw_score:.4f}/sqrt({ceiling:.4f})"
    else:
        numbers = formula.replace("r", f"{raw_score:.4f}", 1).replace("c", f"{ceiling:.4f}")
    text = f"{formula} = {numbers} = {score:.4f}"
    return text if low is None or high is None else f"{text}, {100 * level:g}% interval {low:.4f} to {high:.4f}"


def ceiled_score(raw_score: Any, ceiling: Any, formula: str = "r^2/c") -> Any:
    """Relate raw scores to ceilings.

    A negative correlation gives a positive score under both squared formulas, as in the reference.

    Examples
    --------
    >>> ceiled_score(0.5, 0.8), ceiled_score(0.5, 0.8, "(r/c)^2")
    (0.3125, 0.390625)
    """
    if formula not in FORMULAS:
        raise unknown_name("formula", formula, FORMULAS)
    if not np.all(np.asarray(ceiling) > 0):
        raise DataError(
            f"The ceiling is {np.min(ceiling):.4g}; expected a number above 0. Responses that do not agree "
            "with themselves cannot be predicted; check the repetitions, or leave this region out."
        )
    return FORMULAS[formula](raw_score, ceiling)


def neural_score(
    predictivity: Predictivity,
    ceiling: Ceiling | float,
    *,
    formula: str = "r^2/c",
    n_resamples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> Score:
    """Relate predictivity to the ceiling, with an interval over images and neuroids.

    Each bootstrap draw takes neuroids and images with replacement: the fitted regressions stay, test images
    are weighted by how often they were drawn, and the ceiling is that of the neuroids drawn. Drawing an image
    twice leaves fewer different ones, which raises medians of correlations over small test sets, so draws are
    moved to have the score as their median before the interval is read off.

    Parameters
    ----------
    predictivity
        Of (n_splits, n_neuroids).
    ceiling
        Of the same neuroids in the same order, or one number, which is then taken as known.
    formula
        ``"r^2/c"`` or ``"(r/c)^2"``.
    n_resamples, level, seed
        Number of draws, coverage of the percentile interval in (0, 1), state of the generator.

    Raises
    ------
    ShapeError
        The ceiling is of another number of neuroids.
    DataError
        The ceiling is not above 0.
    """
    n_neuroids = predictivity.r.shape[1]
    if isinstance(ceiling, Ceiling) and ceiling.r.shape[1] != n_neuroids:
        raise ShapeError(f"The ceiling is of {ceiling.r.shape[1]} neuroids and the score of {n_neuroids}.")
    known = ceiling.ceiling if isinstance(ceiling, Ceiling) else float(ceiling)
    _refuse_settings(n_resamples, level)
    neuroids, images = _draw(seed, n_resamples, n_neuroids, len(predictivity.responses))
    raw = np.zeros(n_resamples)
    for train, predicted in zip(predictivity.is_train, predictivity.predictions, strict=True):
        r = _weighted_pearson(predicted, predictivity.responses[~train], images[:, ~train])
        raw += median_over_neuroids(np.take_along_axis(r, neuroids, 1)) / len(predictivity.is_train)
    ceilings = np.full(n_resamples, known)
    if isinstance(ceiling, Ceiling):
        ceilings = np.mean([median_over_neuroids(r[neuroids]) for r in ceiling.r], axis=0)
    raw, ceilings = _moved(raw, predictivity.raw_score), _moved(ceilings, known)
    score = float(ceiled_score(predictivity.raw_score, known, formula))
    return _score(predictivity, known, score, raw, _ceil_draws(raw, ceilings, formula), formula, level)


def behavioral_score(
    consistency: BehavioralConsistency,
    *,
    formula: str = "r/sqrt(c)",
    n_resamples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> Score:
    """Relate behavioural consistency to its ceiling, with an interval over images.

    Each repetition of the halving is related to its own ceiling, then their mean is taken.

    Parameters
    ----------
    consistency, formula
        What to relate and how.
    n_resamples, level, seed
        Number of bootstrap draws over images, coverage of the percentile interval, state of the generator.
    """
    _refuse_settings(n_resamples, level)
    _, images = _draw(seed, n_resamples, 0, consistency.sums.shape[1])
    raw = _moved(correlate_sums(images @ consistency.sums).T, consistency.r)  # (D, R)
    ceilings = _moved(correlate_sums(images @ consistency.ceiling_sums).T, consistency.ceiling_r)
    score = float(np.mean(ceiled_score(consistency.r, consistency.ceiling_r, formula)))
    drawn = _ceil_draws(raw, ceilings, formula).mean(1)
    return _score(consistency, consistency.ceiling, score, raw.mean(1), drawn, formula, level)


def _moved(draws: np.ndarray, value: Any) -> np.ndarray:
    """Move draws so that their median over the first axis is the value."""
    return draws + (value - np.nanmedian(draws, axis=0))


def _ceil_draws(raw: np.ndarray, ceilings: np.ndarray, formula: str) -> np.ndarray:
    """Relate bootstrap draws to their ceilings; a draw whose ceiling is not above 0 has no score."""
    return FORMULAS[formula](raw, np.where(ceilings > 0, ceilings, np.nan))


def _score(
    result: Predictivity | BehavioralConsistency,
    ceiling: float,
    score: float,
    raw: np.ndarray,
    drawn: np.ndarray,
    formula: str,
    level: float,
) -> Score:
    ends = (1 - level) / 2, (1 + level) / 2
    low, high = np.nanquantile(drawn, ends)
    raw_low, raw_high = np.nanquantile(raw, ends)
    return Score(
        score=score,
        low=float(low),
        high=float(high),
        raw_score=result.raw_score,
        raw_low=float(raw_low),
        raw_high=float(raw_high),
        raw_error=result.error,
        ceiling=ceiling,
        formula=formula,
        level=level,
        n_resamples=len(raw),
    )


def _refuse_settings(n_resamples: int, level: float) -> None:
    if n_resamples < 1 or not 0 < level < 1:
        raise UsageError(f"Got n_resamples={n_resamples}, level={level}; expected at least 1, and a level in (0, 1).")


def _draw(seed: int, n_resamples: int, n_neuroids: int, n_images: int) -> tuple[np.ndarray, np.ndarray]:
    """Return (D, q) the neuroids drawn, and (D, N) how often each image is."""
    neuroids, counts = _draws(seed, n_resamples, n_neuroids, n_images)
    return neuroids, counts.astype(np.float64)


@lru_cache(maxsize=4)
def _draws(seed: int, n_resamples: int, n_neuroids: int, n_images: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw once for all layers and models that are scored alike; held as small integers."""
    rng = np.random.default_rng(seed)
    neuroids = rng.integers(0, max(n_neuroids, 1), (n_resamples, n_neuroids))
    counts = rng.multinomial(n_images, np.full(n_images, 1 / n_images), n_resamples)
    return neuroids, counts.astype(np.uint16 if n_images < 1 << 16 else np.int64)


def _weighted_pearson(predicted: np.ndarray, measured: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Correlate (N, q) tables under each of (D, N) weights: (D, q); NaN where a side is constant."""
    # Sums of equal numbers with whole weights are exact, so constant columns give 0 / 0 and not rounding
    # noise.
    a, b = predicted - predicted.mean(0), measured - measured.mean(0)
    sums = np.stack(
        [np.broadcast_to(weights.sum(1)[:, None], (len(weights), a.shape[1]))]
        + [weights @ table for table in (a, b, a * a, b * b, a * b)]
    )
    with np.errstate(invalid="ignore", divide="ignore"):
        # Each sum lies in one piece, which is several times faster to go through than six side by side.
        return correlate_sums(np.moveaxis(sums, 0, -1))
