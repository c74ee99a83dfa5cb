"""Scaling laws: fit them, say how sure one can be, compare them, forecast, and plan compute from them.

``fit_law`` fits, ``bootstrap`` resamples; both return frozen values. Needs numpy, scipy and pandas only.
"""

from __future__ import annotations

from vvscale.laws.bootstrap import Bootstrap, bootstrap
from vvscale.laws.conclusions import Conclusions, conclusions
from vvscale.laws.conformal import Conformal, PredictionInterval, calibrate, prediction_interval
from vvscale.laws.coverage import Coverage, coverage
from vvscale.laws.fit import Fit, Status, fit_law
from vvscale.laws.forecast import HoldOut, hold_out
from vvscale.laws.law import LAWS, Law
from vvscale.laws.optimise import derive
from vvscale.laws.profile import Profile, profile
from vvscale.laws.resample import DesignEffect, Resamples, design_effect, resamples
from vvscale.laws.select import Comparison, compare

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
