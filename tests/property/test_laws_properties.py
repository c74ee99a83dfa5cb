"""What holds for every table: units, copies of rows, and that nothing beats the optimum."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

from vvscale.laws import LAWS, bootstrap, fit_law
from vvscale.laws.solver.sample import Sample

SEEDS = st.integers(0, 10_000)
SIMPLE = st.sampled_from(["power", "joint", "log", "constant"])
DELTAS = st.sampled_from([1e-3, 0.05, None])


def table(seed: int, n: int = 25) -> pd.DataFrame:
    """Return noisy rows of a law with a plateau, or with none."""
    rng = np.random.default_rng(seed)
    x, d = np.exp(rng.uniform(0, 9, n)), np.exp(rng.uniform(0, 7, n))
    y = rng.choice([0.0, 0.4]) + 0.4 * x ** -rng.uniform(0.1, 0.6) + 0.3 * d ** -rng.uniform(0.1, 0.6)
    return pd.DataFrame({"x": x, "d": d, "y": y * np.exp(rng.normal(0, 0.1, n))})


def options(law: str, delta: float | None) -> dict[str, Any]:
    return {"law": law, "x": ["x", "d"][: len(LAWS[law].inputs)], "y": "y", "delta": delta}


@settings(deadline=None, max_examples=12)
@given(SEEDS, SIMPLE, DELTAS, st.sampled_from([1e-13, 0.1, 7.0, 1e6]))
def test_units_of_x_change_amplitudes_alone(seed: int, law: str, delta: float | None, factor: float):
    data = table(seed)
    one, other = fit_law(data, **options(law, delta)), fit_law(data.assign(x=data["x"] * factor), **options(law, delta))
    np.testing.assert_allclose(other.loss, one.loss, rtol=1e-8)
    np.testing.assert_allclose(other.residuals(), one.residuals(), atol=2e-3)
    if law == "power" and one.status == "converged":
        np.testing.assert_allclose(other.params["E"], one.params["E"], rtol=1e-3)
        amplitude = one.params["A"] * factor ** one.params["alpha"]
        np.testing.assert_allclose(np.log(other.params["A"]), np.log(amplitude), atol=1e-2)


@settings(deadline=None, max_examples=12)
@given(SEEDS, SIMPLE, DELTAS, st.sampled_from([1e-3, 0.5, 40.0]))
def test_units_of_y_scale_the_prediction(seed: int, law: str, delta: float | None, factor: float):
    data = table(seed)
    one, other = fit_law(data, **options(law, delta)), fit_law(data.assign(y=data["y"] * factor), **options(law, delta))
    # Log residuals do not know the unit of y.
    np.testing.assert_allclose(other.loss, one.loss, rtol=1e-8)
    if "E" in one.params and one.status == "converged":
        np.testing.assert_allclose(other.params["E"], one.params["E"] * factor, rtol=1e-3)


@settings(deadline=None, max_examples=12)
@given(SEEDS, SIMPLE, DELTAS, st.integers(2, 12))
def test_copies_of_all_rows_multiply_the_loss_and_keep_the_law(seed: int, law: str, delta: float | None, copies: int):
    data = table(seed)
    one = fit_law(data, **options(law, delta))
    many = fit_law(pd.concat([data] * copies, ignore_index=True), **options(law, delta))
    np.testing.assert_allclose(many.loss, copies * one.loss, rtol=1e-8)
    assert many.problem.n_distinct == one.problem.n_distinct
    np.testing.assert_allclose(many.residuals()[: len(data)], one.residuals(), atol=2e-3)


def total(sample: Sample, f: np.ndarray) -> np.ndarray:
    return np.where(np.isfinite(f).all(axis=1), np.nan_to_num(sample.losses(f)).sum(axis=1), np.inf)


@settings(deadline=None, max_examples=30)
@given(SEEDS, st.sampled_from(list(LAWS)), DELTAS)
def test_no_other_parameters_fit_better(seed: int, law: str, delta: float | None):
    data = table(seed)
    fit = fit_law(data, **options(law, delta))
    form, boundary = fit.forms()
    rng = np.random.default_rng(seed)
    sample = fit.problem.sample
    # Anywhere, and around the optimum.
    anywhere = rng.normal(0, 1, (25, form.size))
    anywhere[:, 0] = rng.normal(np.log(data["y"].median()), 0.3, 25)
    base, theta = (
        (boundary, fit.optima.theta[:, : boundary.size]) if fit.optima.at_zero[0] else (form, fit.optima.theta)
    )
    around = theta + rng.normal(0, 1, (25, theta.shape[1])) * 10.0 ** rng.uniform(-7, -1, (25, 1))
    # Laws that may not rise are compared with laws that do not.
    if LAWS[law].terms:
        for _, at in form.slots():
            anywhere[:, at + 1] = np.abs(anywhere[:, at + 1])
        for _, at in base.slots():
            place = at + (base is form)
            around[:, place] = np.where(theta[:, place] > 0, np.abs(around[:, place]), around[:, place])
    with np.errstate(all="ignore"):
        # The optimum of the others may lie at infinity: a step between two points, a log law with E of minus infinity.
        nearby = [] if law in {"logistic", "kaplan", "ccn", "ccn-joint"} else [(base, around)]
        for shape, points in [(form, anywhere), *nearby]:
            losses = total(sample, shape.evaluate(shape.project(points), sample.points).f)
            # A search that stopped short says so.
            assert losses.min() >= fit.loss * (1 - 1e-6) - 1e-15 or fit.status == "not_converged"


@settings(deadline=None, max_examples=6)
@given(SEEDS, st.sampled_from(["power", "log"]))
def test_every_resample_is_at_least_as_good_as_the_fit_itself(seed: int, law: str):
    fit = fit_law(table(seed), **options(law, 1e-3))
    boot = bootstrap(fit, 12, by="row", seed=seed)
    rows = np.abs(fit.residuals())
    rows = np.where(rows < 1e-3, rows**2 / 2, 1e-3 * (rows - 5e-4))
    assert (boot.loss <= boot.resamples.weights @ rows * (1 + 1e-9)).all()
    for name in fit.params:
        low, high = boot.interval(name)
        values = boot.params[name][boot.usable]
        # An interval reaches as far as the estimate, where all resamples lie on one side of it.
        reach = [*values, fit.params[name]]
        assert min(reach) <= low <= np.median(values) <= high <= max(reach)


@settings(deadline=None, max_examples=12)
@given(SEEDS, SIMPLE, st.randoms(use_true_random=False))
def test_order_and_names_of_rows_do_not_matter(seed: int, law: str, random: Any):
    data = table(seed)
    order = list(range(len(data)))
    random.shuffle(order)
    one, other = fit_law(data, **options(law, 1e-3)), fit_law(data.iloc[order], **options(law, 1e-3))
    np.testing.assert_allclose(other.loss, one.loss, rtol=1e-8)
    np.testing.assert_allclose(other.residuals(), one.residuals()[order], atol=2e-3)
