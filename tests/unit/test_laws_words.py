"""What results of laws say in words is what their numbers say."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from vvscale.laws import fit_law, sensitivity
from vvscale.laws.direction import Direction
from vvscale.laws.planning.design import Design
from vvscale.laws.uncertainty.mixed import MixedFit
from vvscale.laws.verdict import Known, Verdict


def test_a_design_names_how_much_the_interval_narrows():
    runs = pd.DataFrame({"train_flop": [1e15, 2e15], "count": [2, 3]})
    made = Design(runs, "E", 0.4, (0.3, 0.5), (0.34, 0.46), 0.6, (0.45, 0.7), 0.9, 1e16, 8e15, "arch")
    assert made.sentence == (
        "5 runs for 8e+15 FLOP are expected to narrow the interval of E by 40% (30% to 55% over resamples of the law). "
        "As many at the middle of the rows: by 10%."
    )


@pytest.mark.parametrize(
    ("value", "is_outside"), [(0.29, True), (0.3, False), (0.4, False), (0.5, False), (0.51, True)]
)
def test_a_mixed_model_names_the_estimates_outside_its_intervals_alone(value: float, is_outside: bool):
    made = MixedFit("power", {"E": 0.4}, {"E": (0.3, 0.5)}, {"cell": 0.01}, 60, {"arch": 12}, 1.0, {"E": value})
    assert made.sentence.startswith("Random intercepts of 12 arch over 60 cells")
    outside = f" The fit's E {value:.3g} (here 0.4, 0.3 to 0.5) lies outside these intervals."
    assert made.sentence.endswith(outside) is is_outside
    assert ("outside" in made.sentence) is is_outside


def test_a_verdict_names_the_exponents_that_are_not_known_and_no_other():
    exponents = {"alpha": Known.IDENTIFIED, "beta": Known.NOT_IDENTIFIED}
    made = Verdict(Known.IDENTIFIED, Direction.FALLS, exponents, 0.4, (0.3, 0.5), "arch", 12)
    assert made.lines() == (
        "Plateau identified: score 0.600, 0.500 to 0.700 (t interval over 12 arch).", "Exponent not identified: beta.",
    )  # fmt: skip


def test_choices_that_change_the_conclusion_are_told_from_those_that_do_not():
    """The rows of two kinds of network have two limits; form and loss hardly matter."""
    rng = np.random.default_rng(0)
    x = np.tile(np.geomspace(1, 1e6, 40), 2)
    limit = np.repeat([0.2, 0.5], 40)
    y = (limit + 0.5 * x**-0.3) * np.exp(0.005 * rng.standard_normal(80))
    table = pd.DataFrame({"x": x, "misalignment": y, "arch": [f"a{k % 8}" for k in range(80)]})
    one = fit_law(table[limit == 0.2], x="x")
    made = sensitivity(one, deltas=[None], by=["row"], rows={"the other kind": table[limit == 0.5]}, n=10)
    assert made.changes == ("rows",)
    changed, _, kept = made.sentence.partition(" It does not with ")
    assert changed.startswith("Yes, the conclusion changes with the choice of rows (")
    assert kept.startswith("the form (")
    assert "nor with the loss (" in kept
    assert "the choice of rows" not in kept
    alone = sensitivity(one, deltas=[None], by=["row"], n=10)
    assert alone.changes == ()
    assert "It does not with" not in alone.sentence
