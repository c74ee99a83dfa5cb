"""Scaling laws: fit them, say how sure one can be, compare them, forecast, and plan compute from them.

``fit_law`` fits, ``bootstrap`` resamples; both return frozen values. Needs numpy, scipy and pandas only.
"""

from __future__ import annotations

from vvscale.laws.comparison.compare import Comparison, compare
from vvscale.laws.comparison.coverage import Coverage, coverage
from vvscale.laws.comparison.holdout import HoldOut, hold_out
from vvscale.laws.comparison.sensitivity import Conclusions, conclusions
from vvscale.laws.fit import Fit, Status, fit_law
from vvscale.laws.law import LAWS, Law
from vvscale.laws.solve_law import derive
from vvscale.laws.uncertainty.bootstrap import Bootstrap, bootstrap
from vvscale.laws.uncertainty.conformal import Conformal, PredictionInterval, calibrate, prediction_interval
from vvscale.laws.uncertainty.profile import Profile, profile
from vvscale.laws.uncertainty.resample import DesignEffect, Resamples, design_effect, resamples

__all__ = [
    "LAWS",
    "Bootstrap",
    "Comparison",
    "Conclusions",
    "Conformal",
    "Coverage",
    "DesignEffect",
    "Fit",
    "HoldOut",
    "Law",
    "PredictionInterval",
    "Profile",
    "Resamples",
    "Status",
    "bootstrap",
    "calibrate",
    "compare",
    "conclusions",
    "coverage",
    "derive",
    "design_effect",
    "fit_law",
    "hold_out",
    "prediction_interval",
    "profile",
    "resamples",
]
