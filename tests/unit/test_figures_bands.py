"""What a curve is drawn with: bands whose ends are two, and on the right sides."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from vvscale.figures.base.curves import curve_of
from vvscale.laws import fit_law


@pytest.mark.parametrize("is_score", [False, True])
def test_the_band_of_a_new_architecture_lies_around_the_curve(is_score: bool):
    rng = np.random.default_rng(0)
    x = np.repeat(np.geomspace(1e14, 1e18, 30), 2)
    y = 0.3 + 5.0 * x**-0.08 * np.exp(rng.normal(0, 0.02, len(x)))
    arch = [f"a{k:02d}" for k in range(30) for _ in range(2)]
    table = pd.DataFrame({"train_flop": x, "misalignment": y, "arch": arch, "model_id": [f"m{k}" for k in range(60)]})
    curve = curve_of(fit_law(table, x="train_flop"), is_score=is_score)
    inside = curve.inside
    assert (curve.predicted_low[inside] < curve.y[inside]).all()
    assert (curve.y[inside] < curve.predicted_high[inside]).all()
    drawn = 1 - y if is_score else y
    low, high = (np.interp(np.log(x), np.log(curve.x), band) for band in (curve.predicted_low, curve.predicted_high))
    assert 0.8 < np.mean((low < drawn) & (drawn < high)) < 1.0
