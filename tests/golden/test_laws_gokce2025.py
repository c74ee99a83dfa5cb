"""The published laws, from the published table: losses, parameters and intervals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from vvscale.laws import Fit, Status, bootstrap, design_effect, fit_law, profile
from vvscale.laws.solve_law import optimise
from vvscale.scores import model_table, select

CORE: dict[str, Any] = {
    "dataset": ["imagenet", "ecoset"],
    "is_pretrained": False,
    "is_random": False,
    "is_ssl": False,
    "is_ablation": False,
    "is_adv": False,
}
SIZES = ["n_params", "samples_seen"]


def core(scores: pd.DataFrame, regions: str) -> pd.DataFrame:
    return select(model_table(scores, regions).frame, **CORE)


@pytest.fixture
def neural(gokce2025: pd.DataFrame) -> Fit:
    return fit_law(core(gokce2025, "neural"))


@pytest.fixture
def chinchilla(gokce2025: pd.DataFrame) -> Fit:
    table = core(gokce2025, "all")
    some = table["parent_family"].isin(["ConvNeXt", "ViT"]) & ~table["samples_per_class"].isin([0, 300])
    return fit_law(table[~some], law="joint", x=SIZES)


def check(fit: Fit, n: int, loss: float, params: dict[str, float]) -> None:
    assert fit.n == n
    assert fit.loss <= loss * (1 + 1e-6)
    assert fit.loss == pytest.approx(loss, rel=1e-6)
    assert fit.params == pytest.approx(params, rel=1e-3, abs=1e-9)


def test_compute_neuro(neural: Fit):
    check(neural, 620, 0.07267738306, {"E": 0.52268, "A": 0.54911, "alpha": 0.15693})
    assert neural.status is Status.CONVERGED
    assert neural.r2 == pytest.approx(0.098, abs=5e-4)
    assert np.abs(neural.residuals()).mean() == pytest.approx(0.118, abs=5e-4)


def test_compute_behavior(gokce2025: pd.DataFrame):
    fit = fit_law(core(gokce2025, "behavior"))
    check(fit, 620, 0.0699723621, {"E": 0.0, "A": 1.4030, "alpha": 0.06223})
    assert fit.status is Status.AT_BOUNDARY
    assert fit.edges == ("E = 0",)


def test_compute_chinchilla(chinchilla: Fit):
    published = {"E": 0.51719, "A": 0.18134, "alpha": 0.57966, "B": 0.49912, "beta": 0.22247}
    check(chinchilla, 444, 0.01517811193807, published)
    assert chinchilla.status is Status.CONVERGED


def test_intervals_of_the_chinchilla_fit(chinchilla: Fit):
    boot = bootstrap(chinchilla, 500, by="row")
    # Half of the published resamples: their ends are known to a few hundredths.
    assert boot.interval("alpha") == pytest.approx((0.476, 0.730), abs=0.03)
    assert boot.interval("beta") == pytest.approx((0.196, 0.254), abs=0.005)
    assert boot.interval("n_exponent") == pytest.approx((0.227, 0.325), abs=0.01)


def test_the_published_row_resamples(neural: Fit):
    boot = bootstrap(neural, 1000, by="row")
    # The published first bootstrap is that of the first draw.
    assert boot.loss[0] == pytest.approx(0.0755656, abs=5e-8)
    assert 1 - boot.params["E"][0] == pytest.approx(0.536, abs=5e-4)
    assert boot.interval("E") == pytest.approx((0.47162, 0.55352), abs=2e-5)
    assert boot.interval("alpha") == pytest.approx((0.11026, 0.21276), abs=2e-5)
    assert np.median(boot.params["E"]) == pytest.approx(0.52593, abs=2e-5)
    assert np.median(boot.params["alpha"]) == pytest.approx(0.15966, abs=2e-5)
    assert boot.share_at_zero() == 0.0


def test_the_honest_intervals(neural: Fit):
    boot = bootstrap(neural, 1000)
    assert boot.resamples.unit == "arch"
    # ResNet-18 has two published names.
    assert boot.resamples.n_units == 59
    # Few resamples end between E = 0 and .4, so that the lower end of E depends on the draw.
    low, high = boot.interval("E")
    assert low == pytest.approx(0.211, abs=0.08)
    assert high == pytest.approx(0.573, abs=0.02)
    assert boot.interval("alpha") == pytest.approx((0.049, 0.290), abs=0.02)
    assert boot.share_at_zero() == pytest.approx(0.015, abs=0.01)


def test_rows_of_one_architecture_are_not_independent(neural: Fit):
    frame, residuals = neural.problem.frame, neural.residuals()
    arch = design_effect(frame, residuals, "arch")
    assert arch.intraclass == pytest.approx(0.62, abs=0.005)
    # Kish's size; with the smaller one that the correlation is estimated with it was 6.6 and 93.
    assert arch.effect == pytest.approx(16.6, abs=0.4)
    assert arch.n_effective == pytest.approx(37, abs=1)
    cell = design_effect(frame, residuals, "cell")
    assert cell.intraclass == pytest.approx(0.99, abs=0.005)
    family = design_effect(frame, residuals, "family")
    assert family.n_effective == pytest.approx(6.9, abs=0.1)


def test_leaving_resnets_out_takes_the_plateau_away(neural: Fit):
    boot = bootstrap(neural, by="family")
    plateau = dict(zip(boot.resamples.labels, boot.params["E"], strict=True))
    assert len(plateau) == 6
    assert plateau["ResNet"] == 0.0
    assert plateau["ViT"] == pytest.approx(0.55, abs=0.006)
    assert plateau["ConvNeXt"] == pytest.approx(0.55, abs=0.006)


def test_profile_of_the_exponent(neural: Fit):
    # Known to a grid of .006: the last grid values inside. The crossing lies up to one step beyond them.
    step = 0.006
    low, high = profile(neural, "alpha", np.arange(0.06, 0.32, step)).interval
    assert 0.108 - step < low <= 0.108
    assert 0.210 <= high < 0.210 + 1.1 * step
    squares = fit_law(neural.problem.frame, delta=None)
    low, high = profile(squares, "alpha", np.arange(0.018, 0.2, step)).interval
    assert 0.030 - step < low <= 0.030
    assert 0.084 <= high < 0.084 + step


def test_the_plateau_depends_on_the_loss(neural: Fit):
    frame = neural.problem.frame
    assert fit_law(frame, delta=1e-4).params["E"] == pytest.approx(0.5255, abs=0.003)
    wide = fit_law(frame, delta=0.1).params
    assert wide["E"] == pytest.approx(0.495, abs=1e-3)
    assert wide["alpha"] == pytest.approx(0.123, abs=1e-3)
    squares = fit_law(frame, delta=None)
    assert squares.edges == ("E = 0",)
    assert squares.params["alpha"] == pytest.approx(0.032, abs=5e-4)


def test_a_mean_in_place_of_the_sum_is_the_same_optimum(neural: Fit):
    # A search that stops on the size of the loss or its gradient ends early when the loss is divided by n.
    weights = np.full((1, neural.n), 1 / neural.n)
    optima = optimise(neural.law, neural.problem, weights)
    assert optima.loss[0] * neural.n == pytest.approx(neural.loss, rel=1e-9)
    assert neural.optima is not None
    np.testing.assert_allclose(optima.theta, neural.optima.theta, rtol=1e-5)


# law -> inputs, mean |log residual| of the same form elsewhere
OTHER_FORMS = {
    "shifted": (["train_flop"], 0.114),
    "logistic": (["train_flop"], 0.114),
    "log": (["train_flop"], 0.122),
    "constant": (["train_flop"], 0.157),
    "kaplan": (SIZES, 0.094),
}


@pytest.mark.parametrize("law", OTHER_FORMS)
def test_other_forms(neural: Fit, law: str):
    x, deviation = OTHER_FORMS[law]
    fit = fit_law(neural.problem.frame, law=law, x=x)
    assert np.abs(fit.residuals()).mean() == pytest.approx(deviation, abs=6e-4)
    assert fit.status in {Status.CONVERGED, Status.AT_BOUNDARY, Status.UNIDENTIFIED}


def test_families_differ_most_in_what_samples_are_worth(neural: Fit):
    frame = neural.problem.frame
    plain = fit_law(frame, law="joint", x=SIZES)
    offset = fit_law(frame, law="joint", x=SIZES, offsets=["B"], offset_by="parent_family")
    assert np.abs(plain.residuals()).mean() == pytest.approx(0.095, abs=1.5e-3)
    assert np.abs(offset.residuals()).mean() == pytest.approx(0.0515, abs=8e-4)
    assert offset.problem.groups[0] == "ResNet"
    assert offset.params["B[ViT]/B[ResNet]"] > 2
