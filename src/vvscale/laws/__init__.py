"""Scaling laws: fit them, say how sure one can be, compare them, forecast, and plan compute from them.

``fit_law`` fits, ``bootstrap`` resamples; both return frozen values. Needs numpy, scipy and pandas only.
"""

from __future__ import annotations

from vvscale.laws.bootstrap import Bootstrap, bootstrap
from vvscale.laws.fit import Fit, Status, derive, fit_law
from vvscale.laws.law import LAWS, Law
from vvscale.laws.profile import Profile, profile
from vvscale.laws.resample import DesignEffect, Resamples, design_effect, resamples

__all__ = [
    "LAWS",
    "Bootstrap",
    "DesignEffect",
    "Fit",
    "Law",
    "Profile",
    "Resamples",
    "Status",
    "bootstrap",
    "derive",
    "design_effect",
    "fit_law",
    "profile",
    "resamples",
]
