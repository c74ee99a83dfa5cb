"""The result of a fit: status and edges, units, residuals, and what is written to disk."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from vvscale.errors import UnknownNameError, UsageError
from vvscale.laws import LAWS, Fit, Status, fit_law
from vvscale.laws.status import ADVICE, CONVERGED

RNG = np.random.default_rng(3)
X = np.geomspace(1.0, 1e5, 60)
D = np.exp(RNG.uniform(0, 8, 60))
NOISE = np.exp(RNG.normal(0, 0.02, 60))
XY = {"x": "x", "y": "y"}


def table(y: np.ndarray, **more: object) -> pd.DataFrame:
    return pd.DataFrame({"x": X[: len(y)], "d": D[: len(y)], "y": y, **more})


POWER = table((0.3 + 0.5 * X**-0.4) * NOISE)
JOINT = table((0.3 + 0.4 * X**-0.4 + 0.5 * D**-0.6) * NOISE)


def test_converged():
    fit = fit_law(POWER, **XY)
    assert fit.status is Status.CONVERGED
    assert fit.edges == ()
    assert fit.gradient < CONVERGED
    assert 0 < fit.agreement <= 1
    assert fit.advice == ADVICE[Status.CONVERGED]


# law -> outcome, options, edges expected
AT_EDGE = {
    "E = 0": ("power", (0.8 - 0.05 * np.log(X)) * NOISE, {}, ("E = 0",)),
    "joint, E = 0": ("joint", (0.9 - 0.04 * np.log(X) - 0.03 * np.log(D)) * NOISE, {}, ("E = 0",)),
    "least squares, E = 0": ("power", (0.8 - 0.05 * np.log(X)) * NOISE, {"delta": None}, ("E = 0",)),
    "logistic, E = 0": ("logistic", (1 / (1 + (X / 3e3) ** 0.5) - 0.1) * NOISE, {}, ("E = 0",)),
    "logistic, only a tail": ("logistic", (0.3 + 0.5 * X**-0.4) * NOISE, {}, ("midpoint outside the data",)),
    "product of D alone": ("product", (0.3 + 0.5 * D**-0.5 * X**0.02) * NOISE, {}, ("alpha = 0",)),
    "product of N alone": ("product", (0.3 + 0.5 * X**-0.5 * D**0.02) * NOISE, {}, ("beta = 0",)),
}


@pytest.mark.parametrize("name", AT_EDGE)
def test_at_boundary(name: str):
    law, y, options, edges = AT_EDGE[name]
    x = ["x", "d"][: len(LAWS[law].inputs)]
    fit = fit_law(table(y), law=law, x=x, y="y", **options)
    assert fit.edges == edges
    assert fit.status is Status.AT_BOUNDARY
    assert edges[0] in fit.advice
    if "E = 0" in edges:
        assert fit.params["E"] == pytest.approx(0, abs=1e-12)


def test_a_shift_of_nothing_is_an_edge():
    # A truth that bends the other way has no room for a shift.
    y = (0.3 + 0.5 / (X**0.4 - 0.5)) * NOISE
    fit = fit_law(table(y), law="shifted", **XY)
    assert fit.params["lambda"] == -np.inf
    assert "lambda = -inf" in fit.edges
    np.testing.assert_allclose(fit.loss, fit_law(table(y), **XY).loss, rtol=1e-9)


def test_unidentified():
    # A narrow range of X tells no exponent from half or twice it.
    x = np.linspace(1.0, 2.0, 60)
    y = (0.3 + 0.5 * x**-0.8) * np.exp(np.random.default_rng(0).normal(0, 0.1, 60))
    fit = fit_law(pd.DataFrame({"x": x, "y": y}), **XY)
    assert fit.status is Status.UNIDENTIFIED
    assert "range of x" in fit.advice


@pytest.mark.parametrize("scale", [3e2, 3e3])
def test_an_exponential_has_no_exponent(scale: float):
    fit = fit_law(table((0.3 + 0.5 * np.exp(-X / scale)) * NOISE), law="shifted", **XY)
    assert fit.edges == ("alpha = inf",)
    assert fit.params["alpha"] == fit.params["lambda"] == np.inf
    assert fit.status is Status.UNIDENTIFIED
    assert fit.params["E"] == pytest.approx(0.3, rel=0.02)
    np.testing.assert_allclose(fit.predict(scale), 0.3 + 0.5 / np.e, rtol=0.02)


def test_an_input_that_says_nothing_has_an_exponent_of_zero():
    fit = fit_law(table(0.3 + 0.5 * X**-0.4), law="joint", x=["x", "d"], y="y")
    assert fit.loss < 1e-12
    if fit.params["beta"] == pytest.approx(0, abs=1e-9):
        # B then stands in for E.
        assert "beta = 0" in fit.edges
        assert fit.params["E"] + fit.params["B"] == pytest.approx(0.3)
    else:
        assert fit.params["B"] == pytest.approx(0, abs=1e-6)


def test_too_few_points():
    fit = fit_law(POWER[:4], **XY)
    assert fit.status is Status.TOO_FEW_POINTS
    assert "4 distinct points for 3 parameters" in fit.advice
    assert fit_law(POWER[:5], **XY).status is not Status.TOO_FEW_POINTS
    repeated = pd.concat([POWER[:4]] * 5)
    assert fit_law(repeated, **XY).status is Status.TOO_FEW_POINTS


def test_not_converged(monkeypatch: pytest.MonkeyPatch):
    from vvscale.laws.solver import newton

    # A search cut off after its first evaluation is where a search that got stuck is.
    defaults = {**newton.minimise.__kwdefaults__, "max_steps": 1}
    monkeypatch.setattr(newton.minimise, "__kwdefaults__", defaults)
    fit = fit_law(POWER, **XY)
    assert fit.status is Status.NOT_CONVERGED
    assert f"{fit.gradient:.1e}" in fit.advice


@pytest.mark.parametrize("constant", [True, False])
@pytest.mark.parametrize("delta", [1e-3, None])
@pytest.mark.parametrize("law", list(LAWS))
def test_data_without_noise_give_no_warning_and_a_plain_result(law: str, delta: float | None, constant: bool):
    x = ["x", "d"][: len(LAWS[law].inputs)]
    y = np.full(60, 0.5) if constant else 0.3 + 0.5 * X**-0.4 + (0.2 * D**-0.3 if len(x) == 2 else 0)
    fit = fit_law(table(y), law=law, x=x, y="y", delta=delta)
    if law != "kaplan" and (constant or law not in {"constant", "log", "product", "pure-power"}):
        assert fit.loss < 1e-8
    json.dumps(fit.to_dict(), allow_nan=False)


@pytest.mark.parametrize(
    ("law", "data"),
    [(law, JOINT if len(LAWS[law].inputs) == 2 else POWER) for law in LAWS]
    + [("shifted", table((0.3 + 0.5 * np.exp(-X / 3e3)) * NOISE)), ("shifted", table(0.5 * np.exp(-X / 3e4) * NOISE))],
)
def test_prediction_residuals_and_loss_are_one_story(law: str, data: pd.DataFrame):
    x = ["x", "d"][: len(LAWS[law].inputs)]
    shuffled = data.sample(frac=1, random_state=0)
    for delta in (1e-3, 0.05, None):
        fit = fit_law(shuffled, law=law, x=x, y="y", delta=delta)
        predicted = fit.predict(*(shuffled[column] for column in x))
        y = shuffled["y"].to_numpy()
        expected = np.log(y) - np.log(predicted) if LAWS[law].log_residuals else y - predicted
        np.testing.assert_allclose(fit.residuals(), expected, atol=1e-12)
        r, d = np.abs(fit.residuals()), delta or np.inf
        loss = np.where(r <= d, r**2 / 2, (r - d / 2) * d if delta else 0).sum()
        np.testing.assert_allclose(fit.loss, loss, rtol=1e-9)
        r2 = 1 - ((y - predicted) ** 2).sum() / ((y - y.mean()) ** 2).sum()
        np.testing.assert_allclose(fit.r2, r2, rtol=1e-9, atol=1e-12)


def test_to_dict_holds_only_what_json_has():
    for fit in (
        fit_law(POWER, **XY),
        fit_law(table((0.3 + 0.5 * np.exp(-X / 3e3)) * NOISE), law="shifted", **XY),
        fit_law(POWER, delta=None, **XY),
        fit_law(POWER.assign(y=0.5), law="constant", **XY),
    ):
        plain = fit.to_dict()
        back = json.loads(json.dumps(plain, allow_nan=False))
        assert back == plain
        assert back["n"] == 60
        assert back["status"] == fit.status.value
        assert set(back["params"]) == set(fit.law.parameters)
    exponential = fit_law(table((0.3 + 0.5 * np.exp(-X / 3e3)) * NOISE), law="shifted", **XY).to_dict()
    assert exponential["params"]["alpha"] is None
    assert exponential["edges"] == ["alpha = inf"]


@pytest.mark.parametrize("factor", [1e-3, 10.0, 1e13])
def test_parameters_follow_the_units(factor: float):
    one, other = fit_law(POWER, **XY), fit_law(POWER, units={"x": factor}, **XY)
    np.testing.assert_allclose(other.loss, one.loss, rtol=1e-9)
    np.testing.assert_allclose(other.params["E"], one.params["E"], rtol=1e-6)
    np.testing.assert_allclose(other.params["alpha"], one.params["alpha"], rtol=1e-6)
    np.testing.assert_allclose(other.params["A"], one.params["A"] * factor ** -one.params["alpha"], rtol=1e-4)
    np.testing.assert_allclose(other.predict([3.0, 7e6]), one.predict([3.0, 7e6]), rtol=1e-6)
    shifted = (0.3 + 3.0 * (X + 400) ** -0.4) * NOISE
    one = fit_law(table(shifted), law="shifted", **XY)
    other = fit_law(table(shifted), law="shifted", units={"x": factor}, **XY)
    np.testing.assert_allclose(other.params["lambda"], one.params["lambda"] - np.log10(factor), rtol=1e-4, atol=1e-3)


def test_the_formula_carries_the_numbers():
    fit = fit_law(table(0.25 + 0.5 * X**-0.4), **XY)
    assert fit.formula == "0.25 + 0.5 X^-0.4"
    joint = fit_law(table(0.25 + 0.5 * X**-0.4 + 0.125 * D**-0.75), law="joint", x=["x", "d"], y="y")
    assert joint.formula == "0.25 + 0.5 N^-0.4 + 0.125 D^-0.75"
    assert "0.25 + 0.5 X^-0.4" in fit._repr_html_()
    assert fit.table()["parameter"].tolist() == ["E", "A", "alpha"]


@pytest.mark.parametrize(
    ("law", "offsets"), [("power", "A"), ("joint", "B"), ("joint", "A"), ("joint", "AB"), ("shifted", "A")]
)
def test_offset_groups(law: str, offsets: str):
    group = np.array(["main", "main", "other", "third"] * 15)
    ratio = np.select([group == "other", group == "third"], [1.5, 0.7], 1.0)
    a, b = (ratio if "A" in offsets else 1.0), (ratio if "B" in offsets else 1.0)
    if law == "power":
        y = 0.3 + 0.5 * a * X**-0.4
    elif law == "joint":
        y = 0.3 + 0.5 * a * X**-0.4 + 0.4 * b * D**-0.6
    else:
        y = 0.3 + 3.0 * (X / a ** (1 / 0.4) + 40) ** -0.4
    x = ["x", "d"][: len(LAWS[law].inputs)]
    data = table(y, g=group)
    fit = fit_law(data, law=law, x=x, y="y", offsets=list(offsets), offset_by="g")
    assert fit.problem.groups == ("main", "other", "third")
    assert fit.loss < 1e-12
    for letter in offsets:
        assert fit.params[f"{letter}[other]/{letter}[main]"] == pytest.approx(1.5, rel=1e-4)
        assert fit.params[f"{letter}[third]/{letter}[main]"] == pytest.approx(0.7, rel=1e-4)
    assert fit.params["alpha"] == pytest.approx(0.4, rel=1e-4)
    for name in ("main", "other", "third"):
        rows = data[group == name]
        np.testing.assert_allclose(fit.predict(*(rows[c] for c in x), group=name), rows["y"], rtol=1e-6)
    of_each = [fit.predict(*(data[c][:1] for c in x), group=name) for name in fit.problem.groups]
    np.testing.assert_allclose(fit.predict(*(data[c][:1] for c in x)), np.exp(np.mean(np.log(of_each), axis=0)))
    assert fit.offset_by == "g"
    assert len(fit.params) == LAWS[law].n_parameters + 2 * len(offsets)
    json.dumps(fit.to_dict(), allow_nan=False)


def test_prediction_refuses_what_it_cannot_do():
    fit = fit_law(POWER, **XY)
    with pytest.raises(UsageError, match=r"1 input\(s\) \(x\), got 2"):
        fit.predict(1.0, 2.0)
    with pytest.raises(UsageError, match="x = 0"):
        fit.predict([1.0, 0.0])
    with pytest.raises(UsageError, match="x = nan"):
        fit.predict(np.nan)
    grouped = fit_law(POWER.assign(g=["a", "b", "b"] * 20), offsets=["A"], offset_by="g", **XY)
    with pytest.raises(UnknownNameError, match="offset group 'c'"):
        grouped.predict(1.0, group="c")
    assert grouped.predict(1.0, group="a").shape == (1,)


def test_a_fit_is_frozen():
    fit = fit_law(POWER, **XY)
    with pytest.raises(AttributeError):
        fit.loss = 0.0  # type: ignore[misc]
    assert isinstance(fit, Fit)


def test_a_law_may_be_given_as_a_value():
    assert fit_law(POWER, law=LAWS["log"], **XY).params == fit_law(POWER, law="log", **XY).params


def test_a_steep_exponential_to_zero_gives_no_warning():
    # E = 0 and alpha = inf at once.
    fit = fit_law(table(0.5 * np.exp(-((X / 3e4) ** 1.5)) * NOISE), law="shifted", **XY)
    assert fit.edges == ("E = 0", "alpha = inf")
    assert fit.params["E"] == 0.0
