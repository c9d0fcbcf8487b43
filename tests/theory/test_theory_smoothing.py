"""Bounds on bias and second moment: their constants by integration, and that they hold."""

from dataclasses import replace
from itertools import product
from math import inf, sqrt

import numpy as np
import pytest
from scipy.integrate import quad
from test_theory_estimators import EVERY_LAW, failing
from test_theory_separable import expected, quadrature, separable, value
from theory_enumeration import direction_points
from theory_settings import FIRST, quadratic, setting, zeroth

from hzbench.core.constants import Constants
from hzbench.core.structure import CoordinateLaw, OnePointLaw
from hzbench.theory.gradients import sample_gradients
from hzbench.theory.smoothing import Curvature, bias_limit, local_curvature
from hzbench.theory.smoothing_bounds import (
    estimate_power_bound,
    nesterov_spokoiny_bias,
    nesterov_spokoiny_power,
    smoothing_bias_bound,
)

NU = 0.7


def mean_length(law, d, power):
    """E|v|^p (rounded up to its root for the Gaussian) of the smoothing variable of a law."""
    if law == "gaussian":
        return float(d) ** (power / 2)
    return quad(lambda r: r**power * d * r ** (d - 1), 0, 1)[0] * d ** (power / 2)


def length_moment(law, d, power):
    points = direction_points(law, d)
    return sum(w * (u @ u) ** (power / 2) for w, u in points)


@pytest.mark.parametrize("law", EVERY_LAW)
@pytest.mark.parametrize("d", [2, 3])
def test_constants_of_the_bias_bounds(law, d):
    """Each bound alone, by switching the other constant off, then both."""
    declared = zeroth(directions=law, smoothing=NU)
    for L, rho in ((1.3, inf), (inf, 0.6), (1.3, 0.6)):
        limits = []
        if np.isfinite(L):
            limits.append(L * NU / 2 * sqrt(length_moment(law, d, 4)))
            if law in ("gaussian", "sphere"):
                limits.append(L * NU * mean_length(law, d, 1))
        if np.isfinite(rho):
            limits.append(rho * NU**2 / 6 * sqrt(length_moment(law, d, 6)))
            if law in ("gaussian", "sphere"):
                limits.append(rho * NU**2 / 2 * mean_length(law, d, 2))
        got = bias_limit(declared, d, Curvature(smoothness=L, hessian_lipschitz=rho))
        assert got == pytest.approx(min(limits), rel=1e-9)


@pytest.mark.parametrize(
    ("law", "smooth", "curved"),
    [
        ("gaussian", sqrt(30), 15.0),
        ("sphere", sqrt(30) * 30 / 31, 15.0 * 30 / 32),
        ("rademacher", 15.0, 30**1.5 / 6),
        ("coordinate", 15.0, 30**1.5 / 6),
    ],
)
def test_in_high_dimension_smoothing_beats_cauchy_schwarz(law, smooth, curved):
    one = Curvature(smoothness=1.0, hessian_lipschitz=inf)
    two = Curvature(smoothness=inf, hessian_lipschitz=1.0)
    declared = zeroth(directions=law, smoothing=1.0)
    other = OnePointLaw(directions=law, samples=2, smoothing=1.0, batch_size=1, baseline="none")
    for each in (declared, other, replace(declared, difference="forward")):
        assert bias_limit(each, 30, one) == pytest.approx(smooth)
        assert bias_limit(each, 30, two) == pytest.approx(curved)
    assert bias_limit(replace(declared, difference="directional_derivative"), 30, one) == 0.0
    assert bias_limit(FIRST, 30, one) == 0.0
    assert bias_limit(declared, 30, replace(one, smoothness=inf)) == inf


@pytest.mark.parametrize("difference", ["central", "forward"])
def test_coordinate_differences_attain_their_bounds(difference):
    """A quadratic attains ½Lν sqrt(d) going forward, a cubic ρν²/6 sqrt(d) in the centre."""
    d, x = 3, np.array([0.4, -1.0, 2.0])
    law = CoordinateLaw(difference=difference, smoothing=NU, batch_size=1)
    power = 3 if difference == "central" else 2
    f = lambda y: (y**power).sum(-1) / power  # noqa: E731
    low = x - NU * np.eye(d) if difference == "central" else x[None]
    slope = (f(x + NU * np.eye(d)) - f(low)) / (2 * NU if difference == "central" else NU)
    bias = np.linalg.norm(slope - x ** (power - 1))
    rho = 2.0 if difference == "central" else inf
    L = inf if difference == "central" else 1.0
    got = bias_limit(law, d, Curvature(smoothness=L, hessian_lipschitz=rho))
    assert got == pytest.approx(bias, rel=1e-12)


def cosine(n=2, d=3, **changes):
    structure = separable("cosine", n, d, seed=3, **changes)
    c, a = np.abs(structure.coefficients), np.abs(structure.rates)
    constants = Constants(
        smoothness=float((c * a**2).max()),
        hessian_lipschitz=float((c * a**3).max()),
        noise=tuple(structure.noise.sum(1)),
    )
    return structure, constants


@pytest.mark.parametrize("law", EVERY_LAW)
@pytest.mark.parametrize("nu", [0.05, 0.5, 2.0])
def test_the_bias_stays_below_its_bounds(law, nu):
    structure, constants = cosine()
    laws = (zeroth(directions=law, smoothing=nu),) * 2
    given = setting(structure, laws, moves=False, dimension=3, constants=constants)
    x = given.problem.initial
    h = sample_gradients(structure, x)[0]
    bias = [expected(structure, i, x[i], law, nu, "central") - h[i] for i in range(2)]
    seen = bias[0] @ bias[1]
    own, printed = smoothing_bias_bound(given), nesterov_spokoiny_bias(given)
    (limit,) = set(own.values["estimate_bias_square"])
    curvature = Curvature(
        smoothness=constants.smoothness, hessian_lipschitz=constants.hessian_lipschitz
    )
    assert limit == pytest.approx(bias_limit(laws[0], 3, curvature) ** 2)
    assert max(np.linalg.norm(b) for b in bias) <= sqrt(limit)
    assert seen <= limit
    assert printed.applies == (law == "gaussian")
    if printed.applies:
        L, rho = constants.smoothness, constants.hessian_lipschitz
        quoted = min(nu / 2 * L * 6**1.5, nu**2 / 6 * rho * 49)
        np.testing.assert_allclose(printed.values["estimate_bias_square"], quoted**2, rtol=1e-12)
        assert limit <= quoted**2


def test_the_product_of_bounds_is_over_pairs():
    structure, constants = cosine(n=3)
    laws = (zeroth(smoothing=0.1), FIRST, zeroth(smoothing=0.3))
    given = setting(structure, laws, moves=False, dimension=3, constants=constants)
    curvature = local_curvature(given, 0)
    beta = [bias_limit(law, 3, curvature) for law in laws]
    got = smoothing_bias_bound(given).values["estimate_bias_square"][0]
    assert got == pytest.approx(2 * beta[0] * beta[2] / 6)


@pytest.mark.parametrize("term", ["exponential", "quartic"])
@pytest.mark.parametrize("law", ["sphere", "rademacher", "coordinate"])
def test_local_constants_of_the_box(term, law):
    """The largest second derivative on a grid of the box, and a bound that holds there."""
    structure, d = separable(term, 2, 2, seed=6), 2
    laws = (zeroth(directions=law, smoothing=NU),) * 2
    constants = Constants(smoothness=inf, hessian_lipschitz=inf)
    given = setting(structure, laws, moves=False, dimension=2, constants=constants)
    x, reach = given.problem.initial, NU * (1 if law == "rademacher" else sqrt(d))
    h = sample_gradients(structure, x)[0]
    for node in range(2):
        found = local_curvature(given, node)
        y = x[node] + reach * np.linspace(-1, 1, 2001)[:, None]
        c, a = structure.coefficients[node], structure.rates
        z = a * y
        second = c * a**2 * (np.exp(z) if term == "exponential" else 3 * z**2)
        third = c * np.abs(a) ** 3 * (np.exp(z) if term == "exponential" else 6 * np.abs(z))
        assert found.smoothness == pytest.approx(second.max(), rel=1e-12)
        assert found.hessian_lipschitz == pytest.approx(third.max(), rel=1e-12)
        bias = expected(structure, node, x[node], law, NU, "central") - h[node]
        assert np.linalg.norm(bias) <= bias_limit(laws[0], d, found)
    assert smoothing_bias_bound(given).applies
    assert estimate_power_bound(given).applies
    unbounded = replace(given, laws=(zeroth(directions="gaussian"),) * 2)
    text = "a bound is known for the estimator and the smoothness of every node"
    for theorem in (smoothing_bias_bound, estimate_power_bound, nesterov_spokoiny_power):
        assert failing(theorem(unbounded)) == [text]


@pytest.mark.parametrize("law", EVERY_LAW)
@pytest.mark.parametrize("difference", ["central", "forward"])
def test_second_moments_stay_below_their_bounds(law, difference):
    structure, constants = cosine(noise=np.zeros((2, 3)))
    laws = (zeroth(directions=law, difference=difference, smoothing=NU), FIRST)
    given = setting(structure, laws, moves=False, dimension=3, constants=constants)
    x = given.problem.initial
    h = sample_gradients(structure, x)[0]
    w, u = quadrature(law, 3)
    ahead, here = value(structure, 0, x[0] + NU * u), value(structure, 0, x[0])
    back = value(structure, 0, x[0] - NU * u)
    slope = (ahead - back) / (2 * NU) if difference == "central" else (ahead - here) / NU
    seen = w @ (slope**2 * (u**2).sum(1))
    own, printed = estimate_power_bound(given), nesterov_spokoiny_power(given)
    omega = sum(v * (p @ p) * p[0] ** 2 for v, p in direction_points(law, 3))
    sixth, L = length_moment(law, 3, 6), constants.smoothness
    limit = 2 * omega * (h[0] @ h[0]) + NU**2 * L**2 * sixth / 2
    got = own.values["estimate_power"][0]
    assert got == pytest.approx((limit + h[1] @ h[1]) / 2, rel=1e-10)
    assert seen <= limit
    assert printed.applies == (law == "gaussian")
    if printed.applies:
        quoted = NU**2 / 2 * L**2 * 9**3 + 14 * (h[0] @ h[0])
        assert printed.values["estimate_power"][0] == pytest.approx((quoted + h[1] @ h[1]) / 2)


def test_data_and_call_noise_enter_the_second_moment():
    """On a quadratic with noise the bound lies above the exact moment by Young's factor 2."""
    structure, _ = quadratic(np.random.default_rng(2), 1, 3, evaluation_noise=0.4)
    L = float(np.linalg.eigvalsh(structure.hessians[0]).max())
    law = zeroth(directions="rademacher", smoothing=NU, samples=2, batch_size=4)
    given = setting(structure, (law,), moves=False, constants=Constants(smoothness=L))
    h, S = sample_gradients(structure, given.problem.initial)
    expected_ = 2 * 3 * (h[0] @ h[0] + np.trace(S[0]) / 4) + NU**2 * L**2 * 27 / 2
    expected_ += 3 * 0.16 / (2 * NU**2 * 2)
    assert estimate_power_bound(given).values["estimate_power"][0] == pytest.approx(expected_)


def test_where_the_bounds_do_not_apply():
    structure, constants = cosine()
    laws = (zeroth(directions="gaussian"),) * 2
    base = setting(structure, laws, moves=False, dimension=3, constants=constants)
    for theorem, change in product(
        (smoothing_bias_bound, nesterov_spokoiny_bias), ({"moves": True}, {"record": (0,)})
    ):
        assert len(failing(theorem(replace(base, **change)))) == 2
    one = cosine(n=1)
    alone = setting(one[0], laws[:1], moves=False, dimension=3, constants=one[1])
    assert "there are pairs of nodes" in failing(smoothing_bias_bound(alone))
    text = "a bound is known for the estimator and the smoothness of every node"
    coordinate = CoordinateLaw(difference="central", smoothing=0.1, batch_size=1)
    other = replace(base, laws=(coordinate, laws[0]))
    assert smoothing_bias_bound(other).applies
    for theorem in (nesterov_spokoiny_bias, estimate_power_bound, nesterov_spokoiny_power):
        assert failing(theorem(other)) == [text]
