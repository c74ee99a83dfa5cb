"""From a raw score and a ceiling to the number that goes into the table, with its interval.

Several formulas are in use and differ by a factor of the ceiling, so a score always names its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from vvscale.brain.behavior.i2n import BehavioralConsistency
from vvscale.brain.ceilings.ceiling import Ceiling
from vvscale.brain.metrics.checks import correlate_sums, over_neuroids, over_splits
from vvscale.brain.metrics.metric import Outcome
from vvscale.brain.metrics.outcome import Averaged
from vvscale.core.options import SEED
from vvscale.errors import DataError, ShapeError, UsageError, unknown_name

# Shape legend: S splits, N images, q neuroids, D bootstrap draws, R repetitions of the halving.

FORMULAS: dict[str, Callable[[Any, Any], Any]] = {
    "r^2/c": lambda raw, ceiling: raw**2 / ceiling,
    "(r/c)^2": lambda raw, ceiling: (raw / ceiling) ** 2,
    "r/sqrt(c)": lambda raw, ceiling: raw / np.sqrt(ceiling),
    "r/c": lambda raw, ceiling: raw / ceiling,
    "r": lambda raw, ceiling: raw,
}
"""Ceiled score from raw score and ceiling, a reliability.

The first is the reference for neural scores since January 2026, the second was before and is in the published
tables, the third is the reference for behaviour and the formula of the 2026 study, the fourth relates similarities
to that between subjects, the last takes no ceiling.
"""

BY_NEUROID: dict[str, tuple[str, str]] = {
    f"{how}({formula})": (how, formula) for how in ("mean", "median") for formula in ("r/sqrt(c)", "r^2/c", "r/c")
}
"""Formulas that relate each neuroid to its own ceiling first -> how neuroids are then averaged, and the formula."""

ABOVE_ONE = ("keep", "clip")
"""What may happen to a score above 1: a ceiling is an estimate, so a good model can exceed it."""


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
    level, resamples
        Coverage of the intervals in (0, 1) and number of bootstrap draws.
    rule
        How the ceiling was estimated and applied: what is left out where it is near 0, and what is done above 1.
    note
        What a reader should know of the fit, such as a penalty at an end of its grid; or "".
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
    resamples: int
    rule: str = ""
    note: str = ""

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
    refuse_formula(formula)
    if formula != "r" and not np.all(np.asarray(ceiling) > 0):
        raise DataError(
            f"The ceiling is {np.min(ceiling):.4g}; expected a number above 0. Responses that do not agree "
            "with themselves cannot be predicted; check the repetitions, leave out unreliable neuroids with "
            "min_ceiling, or leave this region out."
        )
    return FORMULAS[BY_NEUROID.get(formula, ("", formula))[1]](raw_score, ceiling)


def refuse_formula(formula: str) -> None:
    """Raise unless there is such a formula."""
    if formula not in FORMULAS and formula not in BY_NEUROID:
        raise unknown_name("formula", formula, [*FORMULAS, *BY_NEUROID])


def neural_score(
    outcome: Outcome | Sequence[Outcome],
    ceiling: Ceiling | float | Sequence[Ceiling],
    *,
    formula: str = "r^2/c",
    epsilon: float = 0.0,
    above_one: str = "keep",
    resamples: int = 1000,
    level: float = 0.95,
    seed: int = SEED,
) -> Score:
    """Relate what a metric gave to the ceiling, with an interval over images and neuroids.

    Each bootstrap draw takes neuroids and images with replacement: the fitted regressions stay, test images
    are weighted by how often they were drawn, and the ceiling is that of the neuroids drawn. Drawing an image
    twice leaves fewer different ones, which raises medians of correlations over small test sets, so draws are
    moved to have the score as their median before the interval is read off.

    Parameters
    ----------
    outcome
        Of (n_splits, n_neuroids); or one for each subject, whose scores are then averaged.
    ceiling
        Of the same neuroids in the same order, or one number, which is then taken as known; or one for each subject.
    formula
        A key of :data:`FORMULAS`, or of :data:`BY_NEUROID`: then neuroids whose ceiling is not above 0 are left out.
    epsilon
        Added to each ceiling, at least 0. The 2026 study has 1e-6, which makes neuroids without signal explode
        instead of leaving them out; pass 0 unless that is to be reproduced.
    above_one
        ``keep`` scores above 1, or ``clip`` them to 1; intervals likewise.
    resamples, level, seed
        Number of draws (0: no interval), coverage of the percentile interval in (0, 1), state of the generator.

    Raises
    ------
    ShapeError
        The ceiling is of another number of neuroids.
    DataError
        The ceiling is not above 0.
    """
    _refuse_settings(resamples, level, above_one)
    refuse_formula(formula)
    outcomes = list(outcome) if isinstance(outcome, Sequence) else [outcome]
    ceilings = list(ceiling) if isinstance(ceiling, Sequence) else [ceiling] * len(outcomes)
    known, scores, raws, draws = [], [], [], []
    for one, of_one in zip(outcomes, ceilings, strict=True):
        held = of_one if isinstance(of_one, Ceiling) else Ceiling(np.full((1, 1), float(of_one)))
        if held.r.shape[1] not in (1, one.r.shape[1]):
            raise ShapeError(f"The ceiling is of {held.r.shape[1]} neuroids and the score of {one.r.shape[1]}.")
        held = Ceiling(held.r + epsilon, aggregate=one.aggregate)
        score, raw, drawn = _drawn(one, held, formula, resamples, seed)
        if np.isnan(score):
            raise DataError(
                "No neuroid with a ceiling has both responses and predictions that differ between the test images of "
                "any split, so nothing can be correlated. Test on more images, or leave this region out."
            )
        for values, value in ((known, held.ceiling), (scores, score), (raws, raw), (draws, drawn)):
            values.append(value)
    score, drawn = float(np.mean(scores)), np.mean(draws, axis=0)
    if above_one == "clip":
        score, drawn = min(score, 1.0), np.minimum(drawn, 1.0)
    whole = outcomes[0] if len(outcomes) == 1 else Averaged(tuple(outcomes))
    return _score(whole, float(np.mean(known)), score, np.mean(raws, axis=0), drawn, formula, level)


def _drawn(
    outcome: Outcome, ceiling: Ceiling, formula: str, resamples: int, seed: int
) -> tuple[float, np.ndarray, np.ndarray]:
    """Return the score of one subject, and (D,) draws of the raw score and of the score."""
    neuroids, images = _draw(seed, resamples, outcome.r.shape[1], outcome.n_images)
    r = list(outcome.draws(images))
    raw = over_splits(np.stack([over_neuroids(_taken(one, neuroids), outcome.aggregate) for one in r]))
    raw = _moved(raw, outcome.raw_score)
    if formula in BY_NEUROID:
        score, drawn = _by_neuroid(outcome.r, r, neuroids, ceiling, formula)
        return score, raw, drawn
    ceilings = np.full(resamples, ceiling.ceiling)
    if ceiling.r.shape[1] > 1:
        ceilings = over_splits(np.stack([over_neuroids(one[neuroids], ceiling.aggregate) for one in ceiling.r]))
    score = float(ceiled_score(outcome.raw_score, ceiling.ceiling, formula))
    return score, raw, _ceil_draws(raw, _moved(ceilings, ceiling.ceiling), formula)


def _by_neuroid(
    r: np.ndarray, draws: list[np.ndarray], neuroids: np.ndarray, ceiling: Ceiling, formula: str
) -> tuple[float, np.ndarray]:
    """Return the score and its (D,) draws where each neuroid is related to its own ceiling first."""
    how, single = BY_NEUROID[formula]
    own = np.broadcast_to(ceiling.by_neuroid, r.shape[1:])
    if not (own > 0).any():
        ceiled_score(0.0, float(np.nanmax(own)) if np.isfinite(own).any() else 0.0, single)
    with np.errstate(invalid="ignore"):
        own = np.where(own > 0, own, np.nan)

    def relate(table: np.ndarray) -> np.ndarray:
        return FORMULAS[single](table, own)

    score = float(over_splits(over_neuroids(relate(r), how)))
    drawn = over_splits(np.stack([over_neuroids(_taken(relate(one), neuroids), how) for one in draws]))
    return score, _moved(drawn, score)


def _taken(table: np.ndarray, neuroids: np.ndarray) -> np.ndarray:
    """Return the drawn neuroids of each draw, or the only one."""
    return table if table.shape[1] == 1 else np.take_along_axis(table, neuroids, 1)


def behavioral_score(
    consistency: BehavioralConsistency,
    *,
    formula: str = "r/sqrt(c)",
    resamples: int = 1000,
    level: float = 0.95,
    seed: int = SEED,
) -> Score:
    """Relate behavioural consistency to its ceiling, with an interval over images.

    Each repetition of the halving is related to its own ceiling, then their mean is taken.

    Parameters
    ----------
    consistency, formula
        What to relate and how.
    resamples, level, seed
        Number of bootstrap draws over images, coverage of the percentile interval, state of the generator.
    """
    _refuse_settings(resamples, level)
    _, images = _draw(seed, resamples, 0, consistency.sums.shape[1])
    raw = _moved(correlate_sums(images @ consistency.sums).T, consistency.r)  # (D, R)
    ceilings = _moved(correlate_sums(images @ consistency.ceiling_sums).T, consistency.ceiling_r)
    score = float(np.mean(ceiled_score(consistency.r, consistency.ceiling_r, formula)))
    drawn = _ceil_draws(raw, ceilings, formula).mean(1)
    return _score(consistency, consistency.ceiling, score, raw.mean(1), drawn, formula, level)


def _moved(draws: np.ndarray, value: Any) -> np.ndarray:
    """Move draws so that their median over the first axis is the value."""
    if np.isnan(draws).all():
        return draws
    return draws + (value - np.nanmedian(draws, axis=0))


def _ceil_draws(raw: np.ndarray, ceilings: np.ndarray, formula: str) -> np.ndarray:
    """Relate bootstrap draws to their ceilings; a draw whose ceiling is not above 0 has no score."""
    return FORMULAS[formula](raw, np.where(ceilings > 0, ceilings, np.nan))


def _score(
    result: Outcome | Averaged | BehavioralConsistency,
    ceiling: float,
    score: float,
    raw: np.ndarray,
    drawn: np.ndarray,
    formula: str,
    level: float,
) -> Score:
    low, high = interval_ends(drawn, level)
    raw_low, raw_high = interval_ends(raw, level)
    return Score(
        score=score,
        low=low,
        high=high,
        raw_score=result.raw_score,
        raw_low=raw_low,
        raw_high=raw_high,
        raw_error=result.error,
        ceiling=ceiling,
        formula=formula,
        level=level,
        resamples=len(raw),
        note=getattr(result, "note", ""),
    )


def interval_ends(draws: np.ndarray, level: float) -> tuple[float, float]:
    """Return the ends of the percentile interval; NaN where no draw has a value."""
    # A draw of a single test image has no correlation: its variance is 0 up to rounding, and r NaN or infinite.
    known = draws[np.isfinite(draws)]
    if not len(known):
        return float("nan"), float("nan")
    low, high = np.quantile(known, ((1 - level) / 2, (1 + level) / 2))
    return float(low), float(high)


def _refuse_settings(resamples: int, level: float, above_one: str = "keep") -> None:
    if above_one not in ABOVE_ONE:
        raise unknown_name("rule for scores above 1", above_one, ABOVE_ONE)
    if resamples < 0 or not 0 < level < 1:
        raise UsageError(f"Got resamples={resamples}, level={level}; expected at least 0, and a level in (0, 1).")


def _draw(seed: int, resamples: int, n_neuroids: int, n_images: int) -> tuple[np.ndarray, np.ndarray]:
    """Return (D, q) the neuroids drawn, and (D, N) how often each image is."""
    neuroids, counts = _draws(seed, resamples, n_neuroids, n_images)
    return neuroids, counts.astype(np.float64)


@lru_cache(maxsize=4)
def _draws(seed: int, resamples: int, n_neuroids: int, n_images: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw once for all layers and models that are scored alike; held as small integers."""
    rng = np.random.default_rng(seed)
    neuroids = rng.integers(0, max(n_neuroids, 1), (resamples, n_neuroids))
    counts = rng.multinomial(n_images, np.full(n_images, 1 / n_images), resamples)
    return neuroids, counts.astype(np.uint16 if n_images < 1 << 16 else np.int64)
