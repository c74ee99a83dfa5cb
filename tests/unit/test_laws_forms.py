"""Forms: derivatives and limits against mpmath, and the curve that the natural parameters describe."""

from __future__ import annotations

from itertools import product
from typing import Any

import mpmath as mp
import numpy as np
import pytest

from vvscale.laws.forms.others import Constant, Kaplan, Lifted, Logistic, LogLaw
from vvscale.laws.forms.plateau import Plateau, Vanishing
from vvscale.laws.forms.terms import Derivatives, Points, Term, decay, warp
from vvscale.laws.law import LAWS

U = np.array([-3.0, -0.4, 0.0, 0.002, 1.1, 4.0])
V = np.array([0.7, -2.0, 0.3, 0.0, 1.5, -0.9])
GROUP = np.array([0, 1, 2, 0, 2, 1])
POINTS = Points((U, V), GROUP, 3)


# The same curves, written once more and plainly, for numbers of any precision.
def mp_decay(s: Any, w: Any) -> Any:
    return -w if s == 0 else (mp.exp(-s * w) - 1) / s


def mp_warp(rho: Any, u: Any) -> Any:
    return mp.exp(u) - 1 if rho == 0 else mp.log1p(rho * mp.expm1(u)) / rho


def mp_coordinate(term: Term, own: list[Any], row: int) -> Any:
    if term.coordinate == "blend":
        return own[1] * mp.mpf(U[row]) + (1 - own[1]) * mp.mpf(V[row])
    u = mp.mpf((U, V)[term.column][row])
    if term.n_offsets and GROUP[row] > 0:
        u -= own[term.size - term.n_offsets + int(GROUP[row]) - 1]
    return u if term.coordinate == "log" else mp_warp(own[1], u)


def mp_curve(form: Any, theta: list[Any], row: int) -> Any:
    u, v = mp.mpf(U[row]), mp.mpf(V[row])
    if isinstance(form, Lifted):
        return mp.log(theta[-1] + mp.exp(mp_curve(form.base, theta[:-1], row)))
    if isinstance(form, Constant):
        return theta[0]
    if isinstance(form, LogLaw):
        return theta[0] + mp.log(1 - theta[1] * u)
    if isinstance(form, Logistic):
        _, height, k, rho = theta
        return theta[0] + mp.log(1 - height + height / (1 + rho * (mp.exp(k * u) - 1)))
    if isinstance(form, Kaplan):
        _, beta, share, a = theta
        return theta[0] + beta * mp.log(share * mp.exp(-a * u) + (1 - share) * mp.exp(-v))
    if isinstance(form, Plateau):
        total = mp.mpf(1)
        for term, at in form.slots():
            own = theta[at + 1 : at + 1 + term.size]
            total += theta[at] * mp_decay(own[0], mp_coordinate(term, own, row))
        return theta[0] + mp.log(total)
    assert isinstance(form, Vanishing)
    heights = [mp.exp(theta[0])] if len(form.terms) == 1 else theta[:2]
    total = mp.mpf(0)
    for height, (term, at) in zip(heights, form.slots(), strict=True):
        own = theta[at : at + term.size]
        total += height * mp.exp(-own[0] * mp_coordinate(term, own, row))
    return mp.log(total)


POWER, SHIFTED, BLEND = (Term(),), (Term("shifted"),), (Term("blend"),)
JOINT = (Term(), Term(column=1))
JOINT_OFFSETS = (Term(n_offsets=2), Term(column=1, n_offsets=2))
SHIFTED_OFFSETS = (Term("shifted", 0, 2),)
FORMS = {
    "power": (Plateau(POWER), [0.2, 0.1, 0.3]),
    "power, nearly log": (Plateau(POWER), [0.2, 1e-5, 1e-4]),
    "power, steep": (Plateau(POWER), [0.2, 0.5, 5.0]),
    "power, rising": (Plateau(POWER), [0.2, -0.05, -0.3]),
    "power, signed": (Plateau(POWER, signed=True), [0.2, 0.2, 0.1]),
    "power, offsets": (Plateau((Term(n_offsets=2),)), [0.2, 0.1, 0.3, 0.4, -0.7]),
    "shifted": (Plateau(SHIFTED), [-0.1, 0.2, 0.4, 0.3]),
    "shifted, exponential": (Plateau(SHIFTED), [-0.1, 0.01, 0.4, 0.0]),
    "shifted, power": (Plateau(SHIFTED), [-0.1, 0.1, 0.4, 1.0]),
    "shifted, offsets": (Plateau(SHIFTED_OFFSETS), [-0.1, 0.2, 0.4, 0.3, 0.5, -0.2]),
    "joint": (Plateau(JOINT), [0.3, 0.1, 0.3, 0.05, 0.2]),
    "joint, offsets": (Plateau(JOINT_OFFSETS), [0.3, 0.1, 0.3, 0.2, 0.1, 0.05, 0.2, -0.3, 0.6]),
    "product": (Plateau(BLEND), [0.3, 0.1, 0.3, 0.6]),
    "E = 0, power": (Vanishing(POWER), [0.3, 0.2]),
    "E = 0, power, offsets": (Vanishing((Term(n_offsets=2),)), [0.3, 0.2, 0.5, -0.2]),
    "E = 0, shifted": (Vanishing(SHIFTED), [0.3, 0.2, 0.6]),
    "E = 0, exponential": (Vanishing(SHIFTED), [0.3, 0.02, 0.0]),
    "E = 0, shifted, offsets": (Vanishing(SHIFTED_OFFSETS), [0.3, 0.2, 0.6, 0.5, -0.2]),
    "E = 0, joint": (Vanishing(JOINT), [0.3, 0.4, 0.2, 0.5]),
    "E = 0, joint, one height 0": (Vanishing(JOINT), [0.3, 0.0, 0.2, 0.5]),
    "E = 0, joint, offsets": (Vanishing(JOINT_OFFSETS), [0.3, 0.4, 0.2, 0.1, 0.3, 0.5, -0.4, 0.2]),
    "E = 0, product": (Vanishing(BLEND), [0.3, 0.2, 0.7]),
    "constant": (Constant(), [0.4]),
    "log": (LogLaw(), [0.4, 0.1]),
    "logistic": (Logistic(), [0.4, 0.6, 0.9, 0.4]),
    "logistic, E = 0": (Logistic(), [0.4, 1.0, 0.9, 0.4]),
    "logistic, rising": (Logistic(), [0.4, -0.3, 0.9, 0.4]),
    "kaplan": (Kaplan(), [0.4, 0.3, 0.4, 0.7]),
    "kaplan, only D": (Kaplan(), [0.4, 0.3, 0.0, 0.7]),
    "E given, power": (Lifted(Vanishing(POWER)), [0.3, 0.2, 0.4]),
    "E given, shifted": (Lifted(Vanishing(SHIFTED_OFFSETS)), [0.3, 0.2, 0.6, 0.5, -0.2, 0.4]),
    "E given, joint": (Lifted(Vanishing(JOINT)), [0.3, 0.4, 0.2, 0.5, 0.4]),
}


def hessian(d: Derivatives) -> np.ndarray:
    """Return the Hessian of log Y (b, p, p, m), as the docstring of ``Derivatives`` composes it."""
    b, p, m = d.jacobian.shape
    full = np.zeros((b, p, p, m))
    for i, j, second in d.curved:
        assert i <= j
        full[:, i, j] += second
        if i != j:
            full[:, j, i] += second
    if d.is_mixture:
        curved = d.jacobian[:, d.has_level :]
        full[:, d.has_level :, d.has_level :] -= curved[:, :, None] * curved[:, None]
    return full


@pytest.mark.parametrize("name", FORMS)
def test_value_gradient_and_hessian(name: str):
    form, theta = FORMS[name]
    assert len(theta) == form.size
    # The same parameters twice, to see that a batch does not mix.
    d = form.evaluate(np.array([theta, theta]), POINTS)
    # A given E does not move, so that no derivatives by it are asked for.
    p = form.size - isinstance(form, Lifted)
    with mp.workdps(40):
        for row in range(len(U)):

            def curve(*at: Any, row: int = row) -> Any:
                return mp_curve(form, list(at), row)

            exact = [mp.mpf(value) for value in theta]
            expected = [curve(*exact)]
            np.testing.assert_allclose(d.f[:, row], float(expected[0]), rtol=1e-13, atol=1e-14)
            for i, j in product(range(p), range(p)):
                order = [0] * form.size
                order[i] += 1
                if j == 0:
                    slope = float(mp.diff(curve, tuple(exact), tuple(order)))
                    np.testing.assert_allclose(d.jacobian[:, i, row], slope, rtol=1e-10, atol=1e-12)
                order[j] += 1
                bend = float(mp.diff(curve, tuple(exact), tuple(order)))
                np.testing.assert_allclose(hessian(d)[:, i, j, row], bend, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("s", [0.0, 1e-300, 1e-12, -1e-12, 1e-5, 0.01, -0.01, 0.3, -0.3, 2.0, 40.0, 60.0])
def test_decay_is_exact_through_zero(s: float):
    w = np.array([-10.0, -1.0, -0.0101, -0.0099, -1e-9, 0.0, 1e-9, 0.0099, 0.0101, 1.0, 10.0])
    h, h_s, h_ss, decayed = decay(np.array([[s]]), w)
    with mp.workdps(60):
        for at, width in enumerate(w):
            t, v = mp.mpf(s) * mp.mpf(width), mp.mpf(width)
            # Integrals of the decay over [0, w]: no cancellation and no division by s.
            moments = [mp.quad(lambda z, k=k: (-z) ** k * mp.exp(-mp.mpf(s) * z), [0, v]) for k in range(3)]
            for got, moment in zip((h, h_s, h_ss), moments, strict=True):
                np.testing.assert_allclose(got[0, at], float(-moment), rtol=2e-9, atol=1e-300)
            np.testing.assert_allclose(h[0, at], float(-moments[0]), rtol=3e-14, atol=1e-300)
            np.testing.assert_allclose(decayed[0, at], float(mp.exp(-t)), rtol=1e-13)


@pytest.mark.parametrize("rho", [0.0, 1e-300, 1e-9, 1e-4, 0.2, 0.5, 0.999, 1.0 - 1e-12, 1.0])
def test_warp_is_exact_at_both_ends(rho: float):
    u = np.array([-40.0, -25.0, -10.0, -1.0, -0.01, -0.0095, -1e-9, 0.0, 1e-9, 0.0095, 0.01, 1.0, 10.0, 25.0, 40.0])
    w, w_r, w_rr = warp(np.array([[rho]]), u)
    with mp.workdps(120):
        r = mp.mpf(rho)
        for at, value in enumerate(u):
            lift = mp.exp(mp.mpf(value)) - 1
            # w = integral over [0, lift] of 1 / (1 + rho z), differentiated in closed form.
            if rho < 1e-100:
                exact = (lift, -(lift**2) / 2, 2 * lift**3 / 3)
            else:
                q = r * lift
                share, log = q / (1 + q), mp.log(1 + q)
                exact = (log / r, (share - log) / r**2, (2 * (log - share) - share**2) / r**3)
            np.testing.assert_allclose(w[0, at], float(exact[0]), rtol=1e-13)
            np.testing.assert_allclose(w_r[0, at], float(exact[1]), rtol=1e-9)
            # Where the difference of the two logarithms would cancel a series stands in for it.
            is_near = abs(rho * float(lift)) < 0.01
            np.testing.assert_allclose(w_rr[0, at], float(exact[2]), rtol=1e-11 if is_near else 1e-6)


NATURAL = {
    "power": lambda p, x, z: p["E"] + p["A"] * x ** -p["alpha"],
    "shifted": lambda p, x, z: p["E"] + p["A"] * (x + 10 ** p["lambda"]) ** -p["alpha"],
    "joint": lambda p, x, z: p["E"] + p["A"] * x ** -p["alpha"] + p["B"] * z ** -p["beta"],
    "product": lambda p, x, z: p["E"] + p["A"] * x ** -p["alpha"] * z ** -p["beta"],
    "kaplan": lambda p, x, z: ((p["N_c"] / x) ** (p["alpha_N"] / p["alpha_D"]) + p["D_c"] / z) ** p["alpha_D"],
    "logistic": lambda p, x, z: p["E"] + p["A"] / (1 + (x / 10 ** p["midpoint"]) ** p["k"]),
    "pure-power": lambda p, x, z: p["A"] * x ** -p["alpha"],
    "log": lambda p, x, z: p["intercept"] - p["slope"] * np.log10(x),
    "constant": lambda p, x, z: p["E"] + 0 * x,
    "ccn": lambda p, x, z: p["E"] + p["A"] * x ** -p["alpha"],
    "ccn-joint": lambda p, x, z: p["E"] + p["A"] * x ** -p["alpha"] + p["B"] * z ** -p["beta"],
}
THETA = {
    "power": [[0.2, 0.1, 0.3], [0.1, 0.02, 0.02], [0.2, -0.05, -0.3]],
    "shifted": [[-0.1, 0.2, 0.4, 0.3], [-0.1, 0.2, 0.4, 1.0], [0.0, 0.1, 0.2, 0.01]],
    "joint": [[0.3, 0.1, 0.3, 0.05, 0.2]],
    "product": [[0.3, 0.1, 0.3, 0.6], [0.3, 0.1, 0.3, 1.0], [0.3, 0.1, 0.3, 0.0]],
    "kaplan": [[0.4, 0.3, 0.4, 0.7]],
    "logistic": [[0.4, 0.6, 0.9, 0.4], [0.4, 1.0, 0.9, 0.7], [0.4, -0.3, 0.9, 0.4]],
    "log": [[0.4, 0.1]],
    "pure-power": [[0.4, 0.3]],
    "constant": [[0.4]],
    "ccn": [[0.2, 0.3, 0.1]],
    "ccn-joint": [[0.3, 0.1, 0.3, 0.05, 0.2]],
}
CENTRE = (2.5, -1.2)


@pytest.mark.parametrize("name", list(LAWS))
def test_natural_parameters_draw_the_same_curve(name: str):
    law = LAWS[name]
    interior, boundary = law.forms()
    theta = np.array(THETA[name])
    params = interior.natural(theta, CENTRE)
    assert tuple(params) == law.parameters
    x, z = np.exp(U + CENTRE[0]), np.exp(V + CENTRE[1])
    f = interior.evaluate(theta, POINTS).f
    for row in range(len(theta)):
        own = {key: value[row] for key, value in params.items()}
        np.testing.assert_allclose(np.exp(f[row]), NATURAL[name](own, x, z), rtol=1e-11)
    if boundary is not None:
        line = np.array([[0.3, *([0.4] if len(law.terms) == 2 else []), *(0.3 for _ in range(boundary.size - 1))]])
        line = line[:, : boundary.size]
        params = boundary.natural(line, CENTRE)
        assert tuple(params) == law.parameters
        assert params["E"][0] == 0.0
        own = {key: value[0] for key, value in params.items()}
        np.testing.assert_allclose(np.exp(boundary.evaluate(line, POINTS).f[0]), NATURAL[name](own, x, z), rtol=1e-11)


@pytest.mark.parametrize(("name", "letter"), [("power", "A"), ("shifted", "A"), ("joint", "A"), ("joint", "B")])
def test_offset_ratios_are_ratios_of_amplitudes(name: str, letter: str):
    interior, boundary = LAWS[name].forms(3, (letter,))
    plain, at, second = THETA[name][0], 1 if letter == "A" else 3, [0.4, -0.3]
    after = at + 1 + interior.terms["AB".index(letter)].size - 2
    theta = np.array([plain[:after] + second + plain[after:]])
    x, z = np.exp(U + CENTRE[0]), np.exp(V + CENTRE[1])
    for form, row in ((interior, theta), (boundary, None)):
        if row is None:
            row = np.delete(theta, [1, 3 + 2 * (letter == "A")] if name == "joint" else [1], axis=1)
            row = np.insert(row, 1, 0.4, axis=1) if name == "joint" else row
        params = {key: value[0] for key, value in form.natural(row, CENTRE).items()}
        ratio = np.array([1.0, params.pop(f"{letter}_ratio_1"), params.pop(f"{letter}_ratio_2")])[GROUP]
        f = np.exp(form.evaluate(row, POINTS).f[0])
        if name == "shifted":
            # An offset moves log X, so the shift moves with it: (X e^-tau + 10^lambda)^-alpha.
            moved = x / ratio ** (1.0 / params["alpha"])
            expected = NATURAL[name](params, moved, z)
        else:
            expected = NATURAL[name]({**params, letter: params[letter] * ratio}, x, z)
        np.testing.assert_allclose(f, expected, rtol=1e-11)


def test_the_exponential_boundary_is_an_exponential_in_x():
    theta = np.array([[0.0, 0.02, 0.05, 0.0]])
    form = Plateau(SHIFTED)
    f = np.exp(form.evaluate(theta, POINTS).f[0])
    share = 0.02 / 0.05
    np.testing.assert_allclose(f, (1 - share) + share * np.exp(-0.05 * np.expm1(U)), rtol=1e-13)
    params = form.natural(theta, CENTRE)
    assert params["alpha"][0] == np.inf
    assert params["lambda"][0] == np.inf
    np.testing.assert_allclose(params["E"], 1 - share)
    assert Plateau(SHIFTED).natural(np.array([[0.0, 0.1, 0.4, 1.0]]), CENTRE)["lambda"][0] == -np.inf


@pytest.mark.parametrize("shift", [-4.0, 0.0, 0.3, 3.0])
def test_moved_keeps_the_curve(shift: float):
    form = Plateau(POWER)
    theta = np.array([[0.2, 0.1, 0.3], [0.2, 0.01, 0.9], [0.1, -0.05, -0.3]])
    there = form.moved(theta, shift)
    moved = Points((U - shift, V), GROUP, 3)
    np.testing.assert_allclose(form.evaluate(there, moved).f, form.evaluate(theta, POINTS).f, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(form.moved(there, -shift), theta, rtol=1e-10)


@pytest.mark.parametrize(
    ("terms", "theta"),
    [
        (POWER, [0.3, 0.2]),
        (SHIFTED, [0.3, 0.2, 0.6]),
        (BLEND, [0.3, 0.2, 0.6]),
        (JOINT, [0.3, 0.4, 0.2, 0.5]),
        (JOINT_OFFSETS, [0.3, 0.4, 0.2, 0.1, 0.3, 0.5, -0.4, 0.2]),
    ],
)
@pytest.mark.parametrize("shrink", [0.0, 1e-4, 0.1])
def test_inside_lifts_the_plateau_and_keeps_the_rest(terms: tuple[Term, ...], theta: list[float], shrink: float):
    line = np.array([theta])
    inside = Vanishing(terms).inside(line, shrink)
    curve = np.exp(Vanishing(terms).evaluate(line, POINTS).f)
    level = Vanishing(terms).heights(line).sum()
    expected = level * shrink + (1 - shrink) * curve
    np.testing.assert_allclose(np.exp(Plateau(terms).evaluate(inside, POINTS).f), expected, rtol=1e-12)
    np.testing.assert_allclose(Plateau(terms).plateau(inside), level * shrink, rtol=1e-9, atol=1e-12)
    assert Plateau(terms).on_edge(inside).tolist() == [shrink == 0.0]


@pytest.mark.parametrize("name", [name for name, (form, _) in FORMS.items() if not isinstance(form, Lifted)])
def test_projection_lands_where_the_law_means_something(name: str):
    form, theta = FORMS[name]
    rng = np.random.default_rng(1)
    wild = np.array(theta) + rng.normal(0, 3, (200, form.size))
    there = form.project(wild.copy())
    np.testing.assert_allclose(form.project(there.copy()), there, rtol=1e-8, atol=1e-8)
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        params = form.natural(there, CENTRE)
    if isinstance(form, Plateau | Vanishing):
        for letter in "AB":
            if letter in params:
                assert (params[letter][np.isfinite(params[letter])] >= 0).all()
    if "E" in params and not getattr(form, "signed", False):
        assert (params["E"] >= 0).all()
    inside = form.project(np.array([theta]))
    np.testing.assert_array_equal(inside, np.array([theta]), err_msg="an admissible point must stay")


def test_a_plateau_below_the_data_is_not_a_number():
    # Y = 1 - 2 (1 - exp(-u)) is negative to the right of log 2.
    f = Plateau(POWER, signed=True).evaluate(np.array([[0.0, 2.0, 1.0]]), POINTS).f[0]
    assert np.isnan(f).tolist() == (np.log(2) < U).tolist()


def test_a_line_in_log_x_stays_just_above_zero():
    # Y = 1 - u / 2 crosses 0 at u = 2.
    d = LogLaw().evaluate(np.array([[0.0, 0.5]]), POINTS)
    assert (np.exp(d.f[0]) > 0).all()
    assert (np.exp(d.f[0]) < 1e-11).tolist() == (U >= 2).tolist()
    # At the centre the slope has no lever.
    assert (d.jacobian[0, 1] == 0).tolist() == ((U >= 2) | (U == 0)).tolist()


def test_a_parameter_is_held_only_while_the_gradient_presses_it_out():
    theta = np.array([[0.0, 0.1, 0.4, rho] for rho in (0.0, 0.0, 0.5, 1.0, 1.0)])
    gradient = np.array([[1.0, 1.0, 1.0, sign] for sign in (1.0, -1.0, 1.0, 1.0, -1.0)])
    for terms in (SHIFTED, BLEND):
        held = Plateau(terms).held(theta, gradient)
        assert held[:, 3].tolist() == [True, False, False, False, True]
        assert not held[:, :3].any()
        held = Vanishing(terms).held(theta[:, [0, 2, 3]], gradient[:, [0, 2, 3]])
        assert held[:, 2].tolist() == [True, False, False, False, True]
        assert not held[:, :2].any()
    held = Vanishing(JOINT).held(np.array([[0.0, 0.0, 0.1, 0.1]] * 2), np.array([[1.0, 1.0, 1.0, 1.0], [-1.0] * 4]))
    assert held.tolist() == [[True] * 4, [False, False, True, True]]  # an absent term has no slope to move
    held = Logistic().held(np.array([[0.0, 1.0, 0.5, 0.5]] * 2), np.array([[-1.0] * 4, [1.0] * 4]))
    assert held.tolist() == [[False, True, False, False], [False] * 4]
    held = Lifted(Vanishing(POWER)).held(np.array([[0.0, 0.1, 0.4]]), np.ones((1, 3)))
    assert held.tolist() == [[False, False, True]]


def test_the_log_limit_of_a_signed_plateau_is_not_flat():
    # kappa stays finite as the slope goes to 0: E and A go to infinity with opposite signs, and their sum is a line.
    form = Plateau(POWER, signed=True, falling=True)
    theta = np.array([[-0.5, 0.05, 1e-12]])
    params = {name: float(value[0]) for name, value in form.natural(theta, CENTRE).items()}
    expected = np.exp(form.evaluate(theta, POINTS).f[0])
    np.testing.assert_allclose(expected, np.exp(-0.5) * (1 - 0.05 * U), rtol=1e-9)
    np.testing.assert_allclose(NATURAL["power"](params, np.exp(U + CENTRE[0]), None), expected, rtol=1e-4)
