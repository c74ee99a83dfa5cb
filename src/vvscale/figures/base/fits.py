"""Fitted laws as figures need them, kept on disk by the content of everything that they depend on.

Every fit is an ``Experiment`` of ``vvscale.laws``, resampled by its default unit; nothing is fitted by other means.
The name of a kept file is the sha256 of the rows, the law, the resampling and the source code of ``vvscale.laws``, so
that a file can be out of date only by being unreadable, and is then made again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vvscale.core.files import write_json
from vvscale.core.hashing import source_digest
from vvscale.errors import ShapeError, UsageError
from vvscale.figures.base.law_curve import LawCurve, interpolates
from vvscale.figures.base.tables import Source, frame_digest
from vvscale.figures.drawing.values import plain
from vvscale.laws.comparison.sensitivity import verdict as limit_verdict
from vvscale.laws.fit import Status
from vvscale.laws.gokce2025.experiments import Experiment
from vvscale.laws.gokce2025.reproduction import Reproduction, reproduce
from vvscale.laws.planning.cost import fit_cost
from vvscale.laws.planning.joint import JointLaw
from vvscale.laws.planning.plan import plan
from vvscale.laws.uncertainty.conformal import calibrate
from vvscale.laws.uncertainty.resample import default_unit
from vvscale.scores.published import cache_folder

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from vvscale.laws.fit import Fit
    from vvscale.laws.uncertainty.bootstrap import Bootstrap

    Array = NDArray[np.float64]

FOLDER = "fits"
# Points of a drawn curve, and how far beyond the data it goes.
GRID, BEYOND = 81, 10.0
# Level of prediction intervals, and of everything else.
NEW_MODEL = 0.9
# How a verdict of ``vvscale.laws`` begins where nothing speaks against the plateau.
IDENTIFIED = "plateau identified"
# Columns that a fit depends on, where the table has them.
ROW_COLUMNS = ("model_id", "misalignment", "arch", "parent_family", "dataset", "samples_per_class", "train_flop")


@dataclass(frozen=True)
class Fits:
    """Fits of one source, each made once per content.

    Attributes
    ----------
    source
        The tables.
    n_resamples, seed
        Of every bootstrap.
    folder
        Where fits are kept; by default in vvscale's cache folder.
    """

    source: Source
    n_resamples: int = 1000
    seed: int = 42
    folder: Path | None = None

    def curve(self, experiment: Experiment) -> LawCurve:
        """Return a fitted experiment, from the disk if it was fitted to these very rows before."""
        adapted = self.source.adapt(experiment)
        request = {
            "experiment": {key: plain(value) for key, value in asdict(adapted).items() if key != "summary"},
            "rows": self.digest(experiment),
            "n_resamples": self.n_resamples,
            "seed": self.seed,
        }
        made = self.kept("curve", request, lambda: self._fit(adapted).to_dict())
        return LawCurve.from_dict(made)

    def fit(self, experiment: Experiment) -> Fit:
        """Fit an experiment without resampling; takes milliseconds to a second and is not kept."""
        return self.source.adapt(experiment).fit(self.source.tables)

    def digest(self, experiment: Experiment) -> str:
        """Return sha256 of the rows of an experiment."""
        adapted = self.source.adapt(experiment)
        return _rows_digest(adapted.rows(self.source.tables)[0], adapted.x)

    def kept(self, kind: str, request: dict[str, Any], make: Callable[[], Any]) -> Any:
        """Return the JSON value of a request, made and written if it is not on disk.

        Parameters
        ----------
        kind, request
            What it depends on besides the code.
        make
            Makes it.
        """
        text = json.dumps([kind, request, code_digest()], sort_keys=True)
        folder = self.folder or cache_folder() / FOLDER
        path = folder / f"{kind}-{hashlib.sha256(text.encode()).hexdigest()[:32]}.json"
        try:
            return json.loads(path.read_text())
        except (OSError, ValueError):
            value = plain(make())
            write_json(path, value)
            return value

    def _fit(self, experiment: Experiment) -> LawCurve:
        unit = default_unit(experiment.rows(self.source.tables)[0])
        done = reproduce(experiment, self.source.tables)
        # Where the search did not end, resamples would not end either, and their interval would mean nothing.
        if self.n_resamples and done.fit.status is not Status.NOT_CONVERGED:
            done = reproduce(
                experiment, self.source.tables, n_resamples=self.n_resamples, units=(unit,), seed=self.seed
            )
        facts = _facts(done, unit)
        resampled = done.resamples.get(unit)
        if len(done.fit.law.inputs) == 2:
            return _joint_curve(done.fit, resampled, facts)
        return _curve(done.fit, resampled, facts)


def _facts(done: Reproduction, unit: str) -> dict[str, Any]:
    entry = done.to_dict()
    made = entry["intervals"].get(unit)
    ends = made["ci"]["E"] if made else []
    # JSON has no infinity; an interval without an end says nothing of a plateau.
    is_bounded = bool(ends) and None not in ends
    interval = [1.0 - end for end in reversed(ends)] if is_bounded else None
    verdict = done.verdict
    if ends and not is_bounded and verdict.startswith(IDENTIFIED):
        verdict = "plateau not identified" + verdict.removeprefix(IDENTIFIED)
    if made and interval and verdict.startswith(IDENTIFIED):
        # A plateau counts as known only if its interval says where it is.
        known = limit_verdict(entry["S_inf"], interval[0], interval[1], made["share_at_zero"])
        verdict = known + verdict.removeprefix(IDENTIFIED)
    return {
        **entry,
        "formula": done.fit.law.formula,
        "s_inf": entry["S_inf"],
        "s_inf_interval": interval,
        "verdict": verdict,
        "is_identified": " identified" in verdict and "not identified" not in verdict,
        "unit": unit if made else "",
        "n_units": made["n_units"] if made else 0,
        "is_range": bool(made and made["leaves_one_out"]),
        "gain": _with_interval(done.fit, made, "gain"),
    }


def _with_interval(fit: Fit, made: dict[str, Any] | None, name: str) -> list[float] | None:
    """Value and interval of a derived quantity."""
    derived = fit.derived()
    if name not in derived:
        return None
    ends = made["ci"][name] if made else [np.nan, np.nan]
    return [float(derived[name][0]), *ends]


def _curve(fit: Fit, resampled: Bootstrap | None, facts: dict[str, Any]) -> LawCurve:
    values = fit.problem.x[0] * fit.problem.units[0]
    x = np.geomspace(values.min(), values.max() * BEYOND, GRID)
    missing = np.full(GRID, np.nan)
    low, high = missing, missing
    if resampled is not None and not interpolates(facts):
        low, high = 1.0 - np.stack(resampled.curve(x)[::-1])
    inside = x <= values.max() * (1 + 1e-9)
    return LawCurve(facts, x, inside, 1.0 - fit.predict(x), low, high, *_predicted(fit, [x]))


def _predicted(fit: Fit, x: list[Array]) -> tuple[Array, Array]:
    """Conformal interval of the score of a new architecture; NaN where there are too few to say."""
    if fit.status is Status.NOT_CONVERGED:
        return np.full(len(x[0]), np.nan), np.full(len(x[0]), np.nan)
    try:
        interval = calibrate(fit).interval(x, level=NEW_MODEL)
    except (ShapeError, UsageError):
        return np.full(len(x[0]), np.nan), np.full(len(x[0]), np.nan)
    return 1.0 - interval.upper, 1.0 - interval.lower


def _joint_curve(fit: Fit, resampled: Bootstrap | None, facts: dict[str, Any]) -> LawCurve:
    law, cost = JointLaw.from_fit(fit, resampled), fit_cost(fit.problem.frame)
    flop = np.asarray(fit.problem.frame["train_flop"], float)
    budgets = np.geomspace(np.nanmin(flop), np.nanmax(flop) * BEYOND, GRID)
    plans = [plan(law, float(budget), cost) for budget in budgets]
    nothing = (np.nan, np.nan)
    low, high = np.array([each.score_interval or nothing for each in plans]).T
    n_low, n_high = np.array([each.n_interval or nothing for each in plans]).T
    d_low, d_high = np.array([each.d_interval or nothing for each in plans]).T
    path = {
        "n_params": np.array([each.n_params for each in plans]), "n_low": n_low, "n_high": n_high,
        "samples_seen": np.array([each.samples_seen for each in plans]), "d_low": d_low, "d_high": d_high,
    }  # fmt: skip
    raw = {name: getattr(law, name) for name in ("E", "A", "alpha", "B", "beta")}
    exponents = {"n_exponent": plans[0].n_exponent, "d_exponent": plans[0].d_exponent}
    facts = {**facts, "raw": raw, "cost": dict(cost.__dict__), **exponents}
    inside = budgets <= np.nanmax(flop) * (1 + 1e-9)
    score = np.array([each.score for each in plans])
    predicted = _predicted(fit, [path["n_params"], path["samples_seen"]])
    return LawCurve(facts, budgets, inside, score, low, high, *predicted, path, dict(law.draws))


def _rows_digest(rows: pd.DataFrame, x: tuple[str, ...]) -> str:
    columns = dict.fromkeys([*ROW_COLUMNS, *x])
    return frame_digest(rows[[name for name in columns if name in rows.columns]])


@cache
def code_digest() -> str:
    """Return the digest of the source code that fits depend on."""
    return source_digest(Path(import_module("vvscale.laws").__path__[0]), Path(__file__))
