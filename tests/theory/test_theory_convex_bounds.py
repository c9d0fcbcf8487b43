"""Bounds E2 and E3: the formula by another hand, a simulation below, every assumption's failure."""

from dataclasses import replace
from math import e, inf, sqrt

import numpy as np
import pytest
from theory_settings import FIRST, setting, zeroth

from hzbench.core.constants import Constants
from hzbench.core.setting import NetworkFacts
from hzbench.core.structure import GeneralizedLinear, Quadratic
from hzbench.theory.bound_checks import BoundInputs
from hzbench.theory.convex_bounds import (
    convex_bound,
    convex_step_limits,
    dsgd_convex_bound,
    dsgd_pl_bound,
    pl_bound,
    pl_step_limits,
)
from hzbench.theory.estimator_bounds import EstimatorBounds

N, D = 4, 2
A = np.diag([1.0, 0.5])
B = np.array([[0.3, 0.0], [-0.3, 0.0], [0.0, 0.2], [0.0, -0.2]])
STRUCTURE = Quadratic(hessians=np.array([A] * N), linear=B, noise=np.array([0.01 * np.eye(D)] * N))
CONSTANTS = Constants(
    smoothness=1.0, strong_convexity=0.5, noise=(0.02,) * N, heterogeneity=0.065, minimum=0.0
)
LAWS = (FIRST, FIRST, zeroth(smoothing=0.1), zeroth(smoothing=0.1))
START = np.array([[1.0, 2.0], [1.0, 2.5], [0.5, 2.0], [1.0, 1.0]])
THEOREMS = {"pl": dsgd_pl_bound, "convex": dsgd_convex_bound}


def base(**changes):
    words = {
        "constants": CONSTANTS,
        "initial": START,
        "optimum": np.zeros(D),
        "step_sizes": np.full(N, 0.01),
        "protocol": "matching",
        "steps": 60,
        "record": (0, 1, 20, 60),
    }
    return setting(STRUCTURE, LAWS, **(words | changes))


def numbers():
    """(p, B, b2, s2, τ, ζ², gap, Γ_0, |x̄_0|²) of `base`, written out."""
    b = 0.1 * sqrt(2)
    noise = 0.02 * (1 + 2 * 2) + 0.01 * 8 / 2
    mean = START.mean(0)
    gap, potential = 0.5 * mean @ A @ mean, ((START - mean) ** 2).sum() / 4
    return 2 / 3, b / 2, b**2 / 2, (0.04 + 2 * noise) / 4, 4.0, 0.065, gap, potential, mean @ mean


def test_strongly_convex_formula():
    p, bias, b2, s2, tau, zeta, gap, potential, _ = numbers()
    spread = s2 + 2 * tau * zeta
    Q = 9 * (zeta + b2) + spread / 3
    c, r = 0.1 / p, min(0.01 * 0.5 / 4, p / 8)
    floor = 0.01 * bias**2 + 1e-4 / 8 * spread + c * 1e-4 * Q
    value, expected = gap + c * potential, []
    for t in range(61):
        if t in (1, 20, 60):
            expected.append(value)
        value = (1 - r) * value + floor
    found = dsgd_pl_bound(base())
    assert found.applies, [a for a in found.assumptions if not a.holds]
    assert found.steps == (1, 20, 60)
    np.testing.assert_allclose(found.values["objective_gap"], expected, rtol=1e-11)


def test_convex_formula():
    p, bias, b2, s2, tau, zeta, _, potential, distance = numbers()
    spread = s2 + 2 * tau * zeta
    Q = 9 * (zeta + b2) + spread / 3
    terms = [distance / 0.6, 1.5 * (4 * potential / 60 + 4e-4 * Q) / p]
    terms += [0.01 * bias**2 * 62, 0.01 / 4 * spread]
    found = dsgd_convex_bound(base())
    assert found.applies
    np.testing.assert_allclose(found.values["path_objective_gap"], [2 * e * sum(terms)], rtol=1e-12)


def test_formulas_with_every_number_different():
    given = BoundInputs(
        eta=0.03,
        nodes=5,
        steps=70,
        smoothness=3.0,
        heterogeneity=0.2,
        gap=1.7,
        potential=0.9,
        contraction=0.4,
        oracle=EstimatorBounds(bias=0.11, bias_square=0.02, noise=0.6, growth=2.5),
    )
    spread = 0.6 + 5 * 0.2
    Q = 15 * 0.22 + 0.6 * spread
    c, r = 10 * 0.03 * 9 / 0.4, 0.03 * 0.7 / 4
    floor = 0.03 * 0.0121 + 3 * 0.0009 / 10 * spread + c * 0.0009 * Q
    expected = [(1 - r) ** t * (1.7 + c * 0.9) + floor * (1 - (1 - r) ** t) / r for t in (2, 70)]
    np.testing.assert_allclose(pl_bound(given, 0.7, np.array([2.0, 70.0])), expected, rtol=1e-12)
    fast = pl_bound(given, 9.0, np.array([1.0]))
    np.testing.assert_allclose(fast, [0.95 * (1.7 + c * 0.9) + floor], rtol=1e-12)
    inside = 2.3 / 2.1 + 4.5 * (3.6 / 28 + 0.0036 * Q / 0.4) + 0.03 * 0.0121 * 72 + 0.006 * spread
    assert convex_bound(given, 2.3) == pytest.approx(2 * e * inside, rel=1e-12)
    unbiased = replace(given, oracle=EstimatorBounds(bias=0, bias_square=0, noise=0.6, growth=2.5))
    Q = 15 * 0.2 + 0.6 * spread
    inside = 2.3 / 2.1 + 4.5 * (3.6 / 28 + 0.0036 * Q / 0.4) + 0.006 * spread
    assert convex_bound(unbiased, 2.3) == pytest.approx(2 * inside, rel=1e-12)


def test_step_limits():
    L, n, p, tau = 3.0, 7, 0.2, 5.0
    consensus = sqrt(0.04 / (4 * 9 * (6 + 2 * 5 * 0.2 * 0.8)))
    expected = (1 / 3, 7 / 60, consensus, sqrt(0.2 / (160 * 9 * 5 * 0.8)))
    assert pl_step_limits(L, n, p, tau) == pytest.approx(expected, rel=1e-12)
    expected = (1 / 48, 7 / 120, consensus, sqrt(0.2 / (131 * 9 * 5 * 0.8)))
    assert convex_step_limits(L, n, p, tau) == pytest.approx(expected, rel=1e-12)
    assert pl_step_limits(L, n, 1.0, 0.0)[1::2] == (inf, inf)


@pytest.mark.parametrize("which", THEOREMS)
def test_the_step_size_is_checked(which):
    limits = (pl_step_limits if which == "pl" else convex_step_limits)(1.0, 4, 2 / 3, 4.0)
    for factor, applies in ((1 - 1e-9, True), (1 + 1e-9, False)):
        given = base(step_sizes=np.full(N, factor * min(limits)))
        assert THEOREMS[which](given).applies is applies


def test_a_simulation_stays_below():
    """Plain loops over matchings: the gap at steps 20 and 60, and its mean over the path."""
    rng = np.random.default_rng(3)
    x = np.repeat(START[None], 400, 0)
    rows, gaps = np.arange(400), []
    for _ in range(61):
        mean = x.mean(1)
        gaps.append((0.5 * (mean @ A) * mean).sum(1).mean())
        g = x @ A - B + 0.1 * rng.normal(size=x.shape)
        for i in (2, 3):
            angle = 2 * np.pi * rng.random(400)
            u = sqrt(2) * np.stack([np.cos(angle), np.sin(angle)], 1)
            g[:, i] = (u * g[:, i]).sum(1)[:, None] * u
        x = x - 0.01 * g
        order = rng.permuted(np.tile(np.arange(N), (400, 1)), axis=1)
        for i, j in ((order[:, 0], order[:, 1]), (order[:, 2], order[:, 3])):
            x[rows, i] = x[rows, j] = 0.5 * (x[rows, i] + x[rows, j])
    bound = dsgd_pl_bound(base()).values["objective_gap"]
    assert gaps[20] < bound[1] < 200 * gaps[20]
    assert gaps[60] < bound[2] < 200 * gaps[60]
    path = dsgd_convex_bound(base()).values["path_objective_gap"][0]
    assert np.mean(gaps[:60]) < path < 200 * np.mean(gaps[:60])


def failed(prediction):
    assert not prediction.values
    return [a.text for a in prediction.assumptions if not a.holds]


SMALL = "the step size is below every limit of the theorem"


@pytest.mark.parametrize("which", THEOREMS)
def test_exchange_and_law_assumptions(which):
    theorem = THEOREMS[which]
    assert failed(theorem(base(protocol="pair")))[0] == "every node steps in every round"
    tilted = NetworkFacts(pair_weight=0.4)
    text = "partners average equally and no exchange fails or is accelerated"
    assert failed(theorem(base(network=tilted))) == [text, SMALL]
    failing = NetworkFacts(graph="ring", link_failure=0.1)
    assert text in failed(theorem(base(protocol="matrix", network=failing)))
    haar = (*LAWS[:3], zeroth(smoothing=0.1, samples=2, sampling="orthonormal"))
    text = "estimates are gradients or differences along independent vectors"
    assert failed(theorem(replace(base(), laws=haar))) == [text, SMALL]
    assert failed(theorem(base(constants=replace(CONSTANTS, minimum=np.nan)))) == [
        "f* is known",
        SMALL,
    ]


def test_curvature_assumptions():
    flat = replace(CONSTANTS, strong_convexity=0.0)
    assert failed(dsgd_pl_bound(base(constants=flat))) == ["f is strongly convex", SMALL]
    assert dsgd_convex_bound(base(constants=flat)).applies
    bent = np.array([A] * N)
    bent[0, 1, 1], bent[1, 1, 1] = -0.1, 1.1
    given = base()
    problem = replace(given.problem, structure=replace(STRUCTURE, hessians=bent))
    assert failed(dsgd_convex_bound(replace(given, problem=problem))) == [
        "every f_i is convex",
        SMALL,
    ]
    assert failed(dsgd_convex_bound(base(optimum=np.empty(0)))) == ["x* is known", SMALL]


def test_logistic_losses_are_convex():
    rng = np.random.default_rng(1)
    structure = GeneralizedLinear(
        features=rng.normal(size=(4, D)),
        targets=np.array([1.0, -1.0, 1.0, -1.0]),
        members=tuple(np.arange(4)[:, None]),
        loss="logistic",
        regularization=0.0,
    )
    given = base()
    problem = replace(given.problem, structure=structure)
    laws = (replace(FIRST, batch_size="full"),) * N
    assert dsgd_convex_bound(replace(given, problem=problem, laws=laws)).applies
