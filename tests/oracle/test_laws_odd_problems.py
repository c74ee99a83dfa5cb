"""Odd random problems against an independent search: none worse by a millionth without a flag.

The losses in ``data/odd_problems.json`` are the best of 30 random starts each of scipy's L-BFGS-B in (log E, log
amplitudes, exponents), the Huber threshold falling from 30 times its value. All 200 problems hold them; every sixth is
fitted here.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from vvscale.laws import fit_law
from vvscale.laws.status import Status

LAWS = ("power", "shifted", "joint", "product")
LOSSES = json.loads((Path(__file__).parent / "data" / "odd_problems.json").read_text())["losses"]
# Says that the rows leave the law open, or that the search did not end at a minimum.
FLAGS = {Status.NOT_CONVERGED, Status.UNIDENTIFIED, Status.TOO_FEW_POINTS, Status.AT_BOUNDARY}
# Where the coarse grid alone ended at an absent term, or short of a minimum.
ONCE_MISSED = (5, 7, 12, 37, 39)


def problem(seed: int) -> tuple[str, pd.DataFrame, float | None]:
    """Few rows or many, a narrow range or a wide one, five sizes, collinear inputs, noise alone, a step, shuffled."""
    rng = np.random.default_rng(1000 + seed)
    law = LAWS[seed % 4] if seed % 8 < 4 else "joint"
    n = int(rng.choice([9, 14, 20, 35, 80, 200]))
    reach = rng.choice([0.7, 3.0, 8.0, 14.0])
    x, d = np.exp(rng.uniform(0, reach, n)), np.exp(rng.uniform(0, rng.choice([0.7, 3.0, 9.0]), n))
    kind = seed % 7
    if kind == 1:
        x = rng.choice(np.geomspace(1, np.exp(reach), 5), n)
    if kind == 2:
        d = x * np.exp(rng.normal(0, 0.1, n))
    plateau, a, b = rng.uniform(0, 1) * rng.integers(0, 2), rng.uniform(0.1, 3), rng.uniform(0.1, 3)
    alpha, beta = rng.uniform(0.02, 2, 2)
    y = plateau + a * x**-alpha + (b * d**-beta if law == "joint" else 0)
    if law == "product":
        y = plateau + a * x**-alpha * d**-beta
    if kind == 3:
        y = np.exp(rng.normal(0, 1, n))
    if kind == 4:
        y = plateau + 0.3 + np.where(x > np.median(x), 0, 1.0)
    if kind == 5:
        y = y[::-1].copy()
    y = np.clip(y * np.exp(rng.choice([0.003, 0.1, 0.5]) * rng.standard_t(2, n)), 1e-6, 1e6)
    delta = [1e-3, 1e-3, 0.1, None][rng.integers(0, 4)]
    return law, pd.DataFrame({"a": x, "b": d, "y": y}), delta


def fit(seed: int) -> Any:
    law, table, delta = problem(seed)
    return fit_law(table, law, x="a" if law in {"power", "shifted"} else ["a", "b"], y="y", delta=delta)


@pytest.mark.parametrize("seed", [*range(0, 200, 6), *ONCE_MISSED])
def test_none_is_worse_without_a_flag(seed: int):
    made = fit(seed)
    if made.loss > LOSSES[seed] * (1 + 1e-6):
        assert made.status in FLAGS
    if seed in ONCE_MISSED:
        assert made.loss <= LOSSES[seed] * (1 + 1e-6)


def test_a_term_that_is_a_spike_at_one_end_is_found():
    """Height 1e-30 at the centre of the data, and yet the better law than one without the term."""
    rng = np.random.default_rng(8)
    a, b = np.exp(rng.uniform(0, 7, 600)), 1 + np.exp(rng.uniform(-4, 8, 600))
    y = (1.3 * a**-0.25 + 0.4 * b**-20.0) * np.exp(rng.normal(0, 0.02, 600))
    table = pd.DataFrame({"a": a, "b": b, "y": y})
    for delta in (1e-3, None):
        made = fit_law(table, "joint", x=["a", "b"], y="y", delta=delta)
        without = fit_law(table, "pure-power", x="a", y="y", delta=delta)
        assert made.loss < 0.95 * without.loss
        assert made.params["B"] == pytest.approx(0.4, rel=0.1)
        assert made.params["beta"] == pytest.approx(20.0, rel=0.2)


def test_an_absent_term_has_no_exponent():
    x = np.geomspace(1, 1e4, 40)
    rng = np.random.default_rng(3)
    table = pd.DataFrame({"a": x, "b": rng.permutation(x), "y": 2.0 * x**-0.3})
    made = fit_law(table, "joint", x=["a", "b"], y="y")
    assert made.loss < 1e-12
    assert made.params["B"] * made.problem.x[1].min() ** -made.params["beta"] < 1e-6
    assert abs(made.params["beta"]) < 1e-9 or made.params["B"] > 0
