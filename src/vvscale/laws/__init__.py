"""Scaling laws: fit them, say how sure one can be, compare them, forecast, and plan compute from them.

A law is named and added in ``law.py``. ``fit_law`` fits, ``bootstrap`` resamples; both return frozen values. Needs
numpy, scipy and pandas only.

Importing this package loads no submodule; the public names below are imported on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vvscale.core.imports import lazy

if TYPE_CHECKING:
    from vvscale.laws.comparison.compare import Comparison as Comparison
    from vvscale.laws.comparison.compare import compare_laws as compare_laws
    from vvscale.laws.comparison.coverage import Coverage as Coverage
    from vvscale.laws.comparison.coverage import coverage as coverage
    from vvscale.laws.comparison.holdout import HoldOut as HoldOut
    from vvscale.laws.comparison.holdout import hold_out as hold_out
    from vvscale.laws.comparison.sensitivity import Sensitivity as Sensitivity
    from vvscale.laws.comparison.sensitivity import sensitivity as sensitivity
    from vvscale.laws.fit import Fit as Fit
    from vvscale.laws.fit import Status as Status
    from vvscale.laws.fit import fit_law as fit_law
    from vvscale.laws.law import LAWS as LAWS
    from vvscale.laws.law import Law as Law
    from vvscale.laws.solve_law import derive as derive
    from vvscale.laws.uncertainty.bootstrap import Bootstrap as Bootstrap
    from vvscale.laws.uncertainty.bootstrap import bootstrap as bootstrap
    from vvscale.laws.uncertainty.conformal import Conformal as Conformal
    from vvscale.laws.uncertainty.conformal import PredictionInterval as PredictionInterval
    from vvscale.laws.uncertainty.conformal import calibrate as calibrate
    from vvscale.laws.uncertainty.conformal import predict_interval as predict_interval
    from vvscale.laws.uncertainty.profile import Profile as Profile
    from vvscale.laws.uncertainty.profile import profile as profile
    from vvscale.laws.uncertainty.resample import DesignEffect as DesignEffect
    from vvscale.laws.uncertainty.resample import Resamples as Resamples
    from vvscale.laws.uncertainty.resample import design_effect as design_effect
    from vvscale.laws.uncertainty.resample import resamples as resamples

__getattr__, __dir__ = lazy(__name__)
