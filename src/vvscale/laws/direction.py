"""What the outcome does along the inputs, whatever the law says; and columns that look like something else.

Laws here fall with every input. An outcome that rises, or falls and rises again, is fitted without complaint and
described by none of them, so that it has to be looked at by itself.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

import numpy as np

from vvscale.errors import VvscaleError
from vvscale.laws.problem import LARGEST_SCORE
from vvscale.laws.uncertainty.folds import clustered_covariance
from vvscale.laws.uncertainty.resample import FEW_CLUSTERS, clusters, default_unit

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from vvscale.laws.fit import Fit

    Array = NDArray[np.float64]

# A slope is one if it is this sure not to be noise: the question is put to every fit, and is to be answered rarely.
SURE = 0.999
# Where an outcome may turn: these quantiles of log X, with a trend on either side of at least this share of its range.
TURNS_AT, SHARE = (0.3, 0.5, 0.7), 0.1
# Rows on a side that a trend can be read off.
FEWEST_ROWS = 6
# An input that spans less than this factor within numbers that logarithms have is most likely one already.
NARROW_SPAN, LARGEST_LOG = 3.0, 60.0
# Means of two objectives' residuals that differ by so many standard errors are apart; with so few rows nothing is said.
CLEARLY_APART, FEWEST_OF_OBJECTIVE = 3.3, 4


class Direction(StrEnum):
    """What the outcome does as the inputs grow."""

    FALLS = "falls"
    RISES = "rises"
    FLAT = "flat"
    TURNS = "turns"


def direction_of(fit: Fit) -> Direction:
    """Say what the outcome does along the inputs of a fit.

    Slopes of the outcome against the logs of the inputs, with errors that know of dependent rows. Of one input, an
    outcome turns if it clearly falls on one side of some point and clearly rises on the other; of several, if it
    clearly falls with one and clearly rises with another.
    """
    problem = fit.problem
    group = _groups(fit)
    logs = [np.log(value) for value in problem.x]
    y = problem.y
    if len(logs) == 1 and _turns(logs[0], y, group):
        return Direction.TURNS
    signs = set(_signs(np.stack(logs), y, group).tolist()) - {0}
    if len(signs) == 2:
        return Direction.TURNS
    return {1: Direction.RISES, -1: Direction.FALLS}[signs.pop()] if signs else Direction.FLAT


def notes_on(fit: Fit, direction: Direction) -> tuple[str, ...]:
    """Sentences on columns that are most likely not what a law expects, each with what to do."""
    problem = fit.problem
    made = []
    for column, raw in zip(problem.columns, problem.raw, strict=True):
        span = raw.max() / raw.min()
        if span < NARROW_SPAN and raw.min() > 1.0 and raw.max() <= LARGEST_LOG:
            made.append(
                f"`{column}` spans only a factor of {span:.1f} ({raw.min():.3g} to {raw.max():.3g}) and looks like a "
                "logarithm already: laws take the log themselves, so give raw values (10 to that power)."
            )
    if problem.outcome == "misalignment" and problem.y.max() > LARGEST_SCORE:
        made.append(
            f"`misalignment` from {problem.y.min():.3g} to {problem.y.max():.3g} looks like percent: divide by 100."
        )
    where = " and ".join(problem.columns)
    if direction is Direction.RISES and not fit.negative:
        falling = "misalignment" if problem.outcome == "score" else f"1-{problem.outcome}"
        is_percent = problem.y.max() > LARGEST_SCORE and problem.y.min() >= 0
        first = " If it is in percent, divide the column by 100 in the file first." if is_percent else ""
        made.append(
            f"`{problem.outcome}` rises with {where}, and this law only falls: it does not describe these rows. Of a "
            f"score fit what is missing to 1: `y={falling}`.{first}"
        )
    if direction is Direction.TURNS:
        made.append(
            f"`{problem.outcome}` falls and rises again along {where}: a law that only falls does not describe these "
            "rows. Fit the falling part alone (`where`), or look at what changes there."
        )
    if _is_apart(fit):
        made.append(
            "Self-supervised rows lie apart from supervised ones, so that one law for both describes neither: fit each "
            "by itself, such as `where=is_ssl=false`."
        )
    return tuple(made)


def _is_apart(fit: Fit) -> bool:
    """Whether the residuals of the two objectives, where a table has both, clearly have different means."""
    frame = fit.problem.frame
    if "is_ssl" not in frame.columns:
        return False
    is_ssl = frame["is_ssl"].fillna(value=False).to_numpy(bool)
    residual = fit.residuals()
    parts = residual[is_ssl], residual[~is_ssl]
    if min(map(len, parts)) < FEWEST_OF_OBJECTIVE:
        return False
    error = np.sqrt(sum(part.var(ddof=1) / len(part) for part in parts))
    return bool(abs(parts[0].mean() - parts[1].mean()) > CLEARLY_APART * error)


def _groups(fit: Fit) -> NDArray[np.intp]:
    frame = fit.problem.frame
    try:
        code, names = clusters(frame, default_unit(frame))
    except VvscaleError:
        code, names = np.arange(len(frame)), ()
    # With few groups their errors say little, and here rows will do: nothing is concluded but that a warning is due.
    return code if len(names) >= FEW_CLUSTERS else np.arange(len(frame))


def _turns(u: Array, y: Array, group: NDArray[np.intp]) -> bool:
    """Whether y clearly falls on one side of some point and clearly rises on the other."""
    low, high = np.quantile(y, (0.025, 0.975))
    for at in np.quantile(u, TURNS_AT):
        sides = []
        for part in (u <= at, u >= at):
            if part.sum() < FEWEST_ROWS or np.ptp(u[part]) == 0:
                break
            slope = np.polyfit(u[part], y[part], 1)[0]
            is_large = abs(slope) * np.ptp(u[part]) >= SHARE * (high - low)
            sides.append(int(_signs(u[part][None], y[part], group[part])[0]) if is_large else 0)
        if len(sides) == 2 and sides[0] * sides[1] < 0:
            return True
    return False


def _signs(x: Array, y: Array, group: NDArray[np.intp]) -> NDArray[np.intp]:
    """Sign of each slope of y (n,) on x (k, n), 0 where it may be noise, shape (k,)."""
    varies = np.ptp(x, axis=1) > 0
    signs = np.zeros(len(x), dtype=np.intp)
    design = np.concatenate([np.ones((1, len(y))), x[varies] - x[varies].mean(axis=1, keepdims=True)])
    _, code = np.unique(group, return_inverse=True)
    n_groups = int(code.max()) + 1
    if n_groups <= len(design) or not varies.any():
        return signs
    inverse = np.linalg.pinv(design @ design.T)
    slope = inverse @ design @ y
    spread = clustered_covariance(inverse, design, y - slope @ design, code)
    from scipy import special

    # Rounding leaves an exact line without residuals.
    error = np.sqrt(np.maximum(np.diag(spread), 0.0)) + 1e-9 * np.abs(y).max()
    is_sure = np.abs(slope) > special.stdtrit(n_groups - 1, 0.5 + SURE / 2) * error
    signs[varies] = np.where(is_sure, np.sign(slope), 0)[1:]
    return signs
