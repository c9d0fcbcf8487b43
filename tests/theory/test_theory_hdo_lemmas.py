"""The lemmas of the HDO paper: right sides by hand on enumerated states, left sides below them."""

from dataclasses import replace
from itertools import combinations, product
from math import sqrt

import numpy as np
import pytest
from theory_settings import setting, zeroth

from hzbench.core.constants import Constants
from hzbench.core.setting import NetworkFacts
from hzbench.core.structure import GeneralizedLinear, GradientLaw, Quadratic
from hzbench.theory.hdo_constants import HdoConstants, hdo_constants
from hzbench.theory.hdo_lemmas import (
    consensus_step,
    hdo_consensus_step,
    hdo_estimate_power,
    hdo_mean_recursion,
    hdo_mean_step,
    hdo_second_moment,
    mean_recursion,
    mean_step,
)
from hzbench.theory.hdo_states import MeanState

N, D, ETA, NU = 3, 2, 0.1, 0.01
A = np.diag([1.0, 0.5])
B = np.array([[0.5, 0.1], [-0.3, 0.2], [0.1, -0.3]])
EXACT = GradientLaw(batch_size="full")
LAWS = (EXACT, EXACT, zeroth(directions="coordinate", smoothing=NU, batch_size="full"))
START = np.array([[1.0, 2.0], [1.5, 1.0], [0.5, 2.0]])
OPTIMUM = np.linalg.solve(A, B.mean(0))
ZETA = float(((B - B.mean(0)) ** 2).sum(1).mean())
CONSTANTS = Constants(
    smoothness=1.0,
    strong_convexity=0.5,
    noise=(0.0,) * N,
    heterogeneity=ZETA,
    minimum=float(-0.5 * B.mean(0) @ OPTIMUM),
)
STRUCTURE = Quadratic(hessians=np.array([A] * N), linear=B, noise=np.zeros((N, D, D)))


def base(**changes):
    words = {
        "constants": CONSTANTS,
        "initial": START,
        "optimum": OPTIMUM,
        "step_sizes": np.full(N, ETA),
        "protocol": "pair",
        "steps": 2,
    }
    return setting(STRUCTURE, LAWS, **(words | changes))


def outcomes(i, x):
    """All equally likely values of G_i: gradients are certain, coordinate differences are not."""
    g = A @ x - B[i]
    if i < 2:
        return [g]
    return [D * g[k] * np.eye(D)[k] for k in range(D)]


def power(X):
    return np.mean([np.mean([g @ g for g in outcomes(i, X[i])]) for i in range(N)])


def step(X):
    """(probability, next state) of one tick, enumerated."""
    for i, j in combinations(range(N), 2):
        options = list(product(outcomes(i, X[i]), outcomes(j, X[j])))
        for gi, gj in options:
            Y = X.copy()
            Y[i] = Y[j] = 0.5 * (X[i] + X[j] - ETA * (gi + gj))
            yield 1 / (3 * len(options)), Y


def potential(X):
    return ((X - X.mean(0)) ** 2).sum(1).mean()


def distance(X):
    return ((X.mean(0) - OPTIMUM) ** 2).sum()


def gap(X):
    offset = X.mean(0) - OPTIMUM
    return 0.5 * offset @ A @ offset


FIRST_STATES = list(step(START))


def mean_over(states, value):
    return sum(p * value(X) for p, X in states)


@pytest.mark.parametrize("t", [1, 2])
def test_one_step_bounds_on_enumerated_states(t):
    """Right sides from enumeration, and enumerated left sides below them."""
    before = [(1.0, START)] if t == 1 else FIRST_STATES
    after = [(p * q, Y, X) for p, X in before for q, Y in step(X)]
    M, G = mean_over(before, power), mean_over(before, potential)
    dist, f = mean_over(before, distance), mean_over(before, gap)
    right = 5 / 6 * G + 4 / 3 * ETA**2 * M
    found = hdo_consensus_step(base())
    assert found.steps == (1, 2)
    assert found.values["consensus_potential"][t - 1] == pytest.approx(right, rel=1e-12)
    assert sum(p * potential(Y) for p, Y, _ in after) < right
    right = 4 * ETA**2 * M / 9
    found = hdo_mean_step(base())
    assert found.values["mean_shift"][t - 1] == pytest.approx(right, rel=1e-12)
    moved = sum(p * ((Y.mean(0) - X.mean(0)) ** 2).sum() for p, Y, X in after)
    assert moved < right
    bias = NU / 2 * 5**1.5 / 3
    right = (1 - ETA * 0.5 / 6) * dist - 4 * ETA / 3 * f + 2 * ETA / 3 * G
    right += 8 * ETA / (3 * 0.5) * bias**2 + 4 * ETA**2 * M / 9
    found = hdo_mean_recursion(base())
    assert found.values["mean_distance"][t - 1] == pytest.approx(right, rel=1e-12)
    assert sum(p * distance(Y) for p, Y, _ in after) < right


def test_formulas_with_every_number_different():
    c = HdoConstants(
        nodes=5,
        smoothness=3.0,
        convexity=0.7,
        consensus=31.0,
        gradient=17.0,
        variance=0.6,
        smoothing=0.04,
        bias=0.11,
    )
    state = MeanState(gap=1.7, potential=0.9, distance=2.3, power=4.1)
    assert consensus_step(state, 0.03, c) == pytest.approx(0.81 + 0.8 * 0.0009 * 4.1, rel=1e-12)
    assert mean_step(state, 0.03, c) == pytest.approx(0.0036 * 4.1 / 25, rel=1e-12)
    right = (1 - 0.0021) * 2.3 - 0.024 * 1.7 + 0.012 * 3 * 0.9 + 0.24 / 3.5 * 0.0121
    right += 0.0036 * 4.1 / 25
    assert mean_recursion(state, 0.03, c) == pytest.approx(right, rel=1e-12)


def test_a_drift_bound_is_tight_for_one_smooth_function():
    """f = |x|²/2 at consensus: −4η/n of the drift against −4η/n·½ − ηl/2n in the bound."""
    ones = Quadratic(
        hessians=np.array([np.eye(D)] * N), linear=np.zeros((N, D)), noise=np.zeros((N, D, D))
    )
    constants = Constants(
        smoothness=1.0, strong_convexity=1.0, noise=(0.0,) * N, heterogeneity=0.0, minimum=0.0
    )
    x = np.tile([1.0, 2.0], (N, 1))
    given = setting(
        ones,
        (EXACT,) * N,
        constants=constants,
        initial=x,
        optimum=np.zeros(D),
        step_sizes=np.full(N, 1e-6),
        protocol="pair",
        steps=1,
    )
    fall = (5 - hdo_mean_recursion(given).values["mean_distance"][0]) / 1e-6
    assert fall == pytest.approx(5 * (0.5 / 3 + 2 / 3), rel=1e-5)


def rows(**changes):
    """Logistic losses, one first-order and one zeroth-order node, batches of 2 of 3 rows."""
    rng = np.random.default_rng(4)
    structure = GeneralizedLinear(
        features=rng.normal(size=(6, D)),
        targets=np.array([1.0, -1.0, 1.0, 1.0, -1.0, -1.0]),
        members=(np.arange(3), np.arange(3, 6)),
        loss="logistic",
        regularization=0.2,
    )
    words = {
        "constants": Constants(
            smoothness=0.9,
            strong_convexity=0.2,
            noise=(0.3, 0.5),
            heterogeneity=0.25,
            minimum=0.1,
        ),
        "initial": START[:2],
        "optimum": np.array([0.2, -0.1]),
        "step_sizes": np.full(2, ETA),
        "protocol": "pair",
        "steps": 4,
    }
    laws = (GradientLaw(batch_size=2), zeroth(directions="gaussian", batch_size=2, smoothing=NU))
    return setting(structure, laws, **(words | changes)), structure


def logistic_gradient(structure, i, x):
    a, y = structure.features[structure.members[i]], structure.targets[structure.members[i]]
    return -(a * (y / (1 + np.exp(y * (a @ x))))[:, None]).mean(0) + 0.2 * x


def row_bounds(structure, L=0.9):
    """Lemma 5 at the start of `rows`, both nodes."""
    own = structure.features[3:]
    rough = max(L, (own**2).sum(1).max() / 4 + 0.2)
    g = [logistic_gradient(structure, i, START[i]) for i in (0, 1)]
    first = g[0] @ g[0] + 0.15
    second = 12 * (g[1] @ g[1] + 0.25) + (NU * rough) ** 2 * 8**3 / 2
    return first, second, rough


def test_other_losses_are_bounded_at_the_first_step_by_lemma_5():
    given, structure = rows()
    first, second, _ = row_bounds(structure)
    M = (first + second) / 2
    found = hdo_consensus_step(given)
    assert found.steps == (1,)
    expected = 0.75 * potential(START[:2]) + 2 * ETA**2 * M
    assert found.values["consensus_potential"][0] == pytest.approx(expected, rel=1e-12)
    late = hdo_consensus_step(replace(given, record=(0, 2)))
    assert [a.text for a in late.assumptions if not a.holds] == [
        "the state before some recorded step is known (the start, or any step of a quadratic)"
    ]


def test_lemmas_3_and_5_at_fixed_points():
    given, structure = rows(protocol="matrix", moves=False)
    first, second, rough = row_bounds(structure)
    found = hdo_estimate_power(given).values["estimate_power"]
    np.testing.assert_allclose(found, [(first + second) / 2] * 4, rtol=1e-12)
    mean = START[:2].mean(0)
    losses = np.logaddexp(0, -structure.targets * (structure.features @ mean))
    f = losses.mean() + 0.1 * mean @ mean - 0.1
    right = 36 * 0.81 * potential(START[:2]) + 6 * 13 * 0.9 * f + 3 * 12 * 0.25
    right += (0.15 + 12 * 0.25) / 2 + (NU * rough) ** 2 * 8**3 / 4
    found = hdo_second_moment(given).values["estimate_power"]
    np.testing.assert_allclose(found, [right] * 4, rtol=1e-12)


def test_second_moments_are_below_their_bounds():
    """Plain Monte Carlo of Gaussian forward differences of a logistic loss, one row a batch."""
    rng = np.random.default_rng(8)
    a, x, nu = np.array([1.0, 2.0]), np.array([0.3, -0.4]), 0.5
    f = lambda z: np.logaddexp(0, z @ a) + 0.1 * (z**2).sum(-1)  # noqa: E731
    u = rng.normal(size=(200_000, 2))
    squares = ((f(x + nu * u) - f(x)) / nu) ** 2 * (u**2).sum(1)
    g = a / (1 + np.exp(-x @ a)) + 0.2 * x
    L = 5 / 4 + 0.2
    assert squares.mean() + 6 * squares.std() / sqrt(len(u)) < 12 * g @ g + (nu * L) ** 2 * 256
    assert squares.mean() > g @ g


def test_heterogeneity_is_counted_node_by_node_where_it_is_known():
    c = hdo_constants(base())
    own = ((B - B.mean(0)) ** 2).sum(1)
    assert c.variance == pytest.approx(own[0] + own[1] + 12 * own[2], rel=1e-12)
    assert (c.consensus, c.gradient) == pytest.approx((36.0, 3 * 14 / 3), rel=1e-12)
    assert c.smoothing == pytest.approx(NU**2 * 8**3 / 2 / 3, rel=1e-12)
    assert c.bias == pytest.approx(NU / 2 * 5**1.5 / 3, rel=1e-12)
    assert c.convexity == 0.5
    skewed = np.array([A, A, A + 0.1 * np.eye(D)])
    given = base()
    problem = replace(given.problem, structure=replace(STRUCTURE, hessians=skewed))
    known = hdo_constants(replace(given, problem=problem))
    assert known.variance == pytest.approx(36 * ZETA, rel=1e-12)


FAILURES = {
    "one pair acts at each tick": {"protocol": "matrix"},
    "all pairs of nodes are equally likely (complete graph, uniform edges)": {
        "network": NetworkFacts(graph="path")
    },
    "momentum = 0": {"momentum": 0.5},
    "f* is known": {"constants": replace(CONSTANTS, minimum=np.nan)},
    "gradient noise is bounded everywhere": {"constants": replace(CONSTANTS, noise=())},
}


@pytest.mark.parametrize("theorem", [hdo_consensus_step, hdo_mean_step, hdo_mean_recursion])
@pytest.mark.parametrize("text", FAILURES)
def test_each_assumption_fails_alone(theorem, text):
    found = theorem(base(**FAILURES[text]))
    assert not found.values
    assert [a.text for a in found.assumptions if not a.holds] == [text]


def test_assumptions_of_single_lemmas():
    noisy = replace(STRUCTURE, evaluation_noise=0.1)
    given = base()
    given = replace(given, problem=replace(given.problem, structure=noisy))
    failed = [a.text for a in hdo_consensus_step(given).assumptions if not a.holds]
    assert failed == ["function values carry no noise but that of their data sample"]
    alone = hdo_mean_step(base(record=(0, 2)))
    assert [a.text for a in alone.assumptions if not a.holds] == [
        "some two consecutive steps are recorded"
    ]
    flat = replace(STRUCTURE, hessians=np.array([np.diag([1.0, 0.0]), A, A]))
    problem = replace(base().problem, structure=flat)
    bent = hdo_mean_recursion(replace(base(), problem=problem))
    assert [a.text for a in bent.assumptions if not a.holds] == ["every f_i is l-strongly convex"]
    for theorem in (hdo_estimate_power, hdo_second_moment):
        moving = theorem(base(protocol="matrix"))
        assert [a.text for a in moving.assumptions if not a.holds] == [
            "the iterates stay at the start"
        ]
        pairs = theorem(base(moves=False))
        assert [a.text for a in pairs.assumptions if not a.holds] == [
            "every node draws an estimate at every step"
        ]
