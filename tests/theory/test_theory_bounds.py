"""Bounds: the formula by another hand, a simulation below it, and every assumption's failure."""

from dataclasses import replace

import numpy as np
import pytest
from theory_settings import FIRST, setting, zeroth

from hzbench.core.constants import Constants
from hzbench.core.setting import NetworkFacts, ScheduleFacts
from hzbench.core.structure import GeneralizedLinear, Quadratic
from hzbench.theory.bounds import (
    BoundInputs,
    dsgd_bound,
    dsgd_nonconvex_bound,
    dsgd_step_limits,
    pair_bound,
    pair_nonconvex_bound,
    pair_step_limits,
)
from hzbench.theory.estimator_bounds import (
    EstimatorBounds,
    bias_bound,
    estimator_bounds,
    objective,
)

N, D = 4, 3
A = np.array([np.diag([1.0, 0.5, 0.2])] * N)
B = np.array([[0.4, 0, 0], [-0.4, 0, 0], [0, 0.3, 0], [0, -0.3, 0.0]])
STRUCTURE = Quadratic(
    hessians=A, linear=B, noise=np.array([0.01 * np.eye(D)] * N), evaluation_noise=0.02
)
CONSTANTS = Constants(smoothness=1.0, noise=(0.03,) * N, heterogeneity=0.125, minimum=0.0)
LAWS = (
    FIRST,
    FIRST,
    zeroth(smoothing=0.1, samples=2),
    zeroth(smoothing=0.1, directions="coordinate"),
)
START = np.array([[1.0, 2.0, 0.0], [1.0, 2.0, 0.5], [0.5, 2.0, 0.0], [1.0, 1.0, 0.0]])


def base(**changes):
    words = {
        "constants": CONSTANTS,
        "initial": START,
        "step_sizes": np.full(N, 0.01),
        "protocol": "matching",
        "steps": 400,
        "record": (0, 400),
    }
    return setting(STRUCTURE, LAWS, **(words | changes))


def test_bias_bounds_dominate_a_known_bias():
    """f = Σ z|z|/2 is 1-smooth; at 0 the coordinate law's central difference is off by ν d/2."""
    d, nu = 9, 0.1
    off = np.zeros(d)
    for i in range(d):
        for sign in (1.0, -1.0):
            u = np.zeros(d)
            u[i] = sign * np.sqrt(d)
            value = lambda x: 0.5 * (x * np.abs(x)).sum()  # noqa: E731
            off += u * (value(nu * u) - value(-nu * u)) / (2 * nu) / (2 * d)
    bias = np.linalg.norm(off)
    law = zeroth(directions="coordinate", smoothing=nu)
    assert bias == pytest.approx(bias_bound(law, d, 1.0), rel=1e-12)
    assert bias > nu * np.sqrt(d)
    assert bias_bound(zeroth(smoothing=nu), d, 2.0) == pytest.approx(2 * nu * 3)
    assert bias_bound(zeroth(difference="directional_derivative"), d, 2.0) == 0


def oracle_numbers():
    """(B, b2, s2, τ) written out for the four nodes of `base`."""
    sphere_b, coordinate_b = 0.1 * np.sqrt(3), 0.1 * 3 / 2
    sphere = 0.03 * (1 + 2 * 3 / 2) + 0.01 * 27 / 4 + 3 * 0.02**2 / (2 * 0.01 * 2)
    coordinate = 0.03 * (1 + 2 * 3 / 1) + 0.01 * 27 / 2 + 3 * 0.02**2 / (2 * 0.01)
    mean_b = (sphere_b + coordinate_b) / 4
    square = (sphere_b**2 + coordinate_b**2) / 4
    return mean_b, square, (0.03 + 0.03 + sphere + coordinate) / 4, 6.0


def start_numbers():
    mean = START.mean(0)
    return 0.5 * mean @ np.diag([1.0, 0.5, 0.2]) @ mean, ((START - mean) ** 2).sum() / 4


@pytest.mark.parametrize("protocol", ["matching", "matrix", "odd"])
def test_rounds_formula(protocol):
    given, p, n = base(), 4 / 6, 4
    if protocol == "matrix":
        given = base(protocol="matrix", network=NetworkFacts(graph="ring"))
        p = 1 - (1 / 3) ** 2
    b, b2, s2, tau = oracle_numbers()
    gap, potential = start_numbers()
    zeta, eta, T = 0.125, 0.01, 400
    if protocol == "odd":
        n, p = 3, 0.5
        first = setting(
            replace(STRUCTURE, hessians=A[:3], linear=B[:3], noise=STRUCTURE.noise[:3]),
            (FIRST,) * 3,
            constants=replace(CONSTANTS, noise=(0.03,) * 3),
            initial=START[:3],
            step_sizes=np.full(3, 0.01),
            protocol="matching",
            idle_steps=True,
            steps=400,
        )
        given, (b, b2, s2, tau) = first, (0.0, 0.0, 0.03, 0.0)
        mean, c = START[:3].mean(0), B[:3].mean(0)
        gap = 0.5 * mean @ A[0] @ mean - c @ mean
        potential = ((START[:3] - mean) ** 2).sum() / 3
    noise = s2 + 2 * tau * zeta
    Q = 6 * (zeta + b2) / p + (1 - p) * noise
    halves = [4 * gap / eta / T, 4 * b**2, 2 * eta * noise / n, 20 * eta**2 * Q / p]
    halves.append(20 * potential / p / T)
    prediction = dsgd_nonconvex_bound(given)
    assert prediction.applies, [a for a in prediction.assumptions if not a.holds]
    assert prediction.steps == (400,)
    np.testing.assert_allclose(
        prediction.values["path_gradient_norm"], [2 * sum(halves)], rtol=1e-12
    )


def test_pair_formula():
    b, b2, s2, tau = oracle_numbers()
    gap, potential = start_numbers()
    zeta, eta, T = 0.125, 0.01, 400
    K = s2 + 2 * b2 + (4 + 2 * tau) * zeta
    expected = 16 * gap / eta / T + 160 * potential / T + 160 * eta**2 * K + 8 * b**2 + 2 * eta * K
    prediction = pair_nonconvex_bound(base(protocol="pair"))
    assert prediction.applies
    np.testing.assert_allclose(prediction.values["path_gradient_norm"], [expected], rtol=1e-12)


def simulate(given, replicas=300):
    """Mean over replicas of the path's mean squared gradient, by plain loops."""
    rng = np.random.default_rng(5)
    x = np.repeat(START[None], replicas, 0)
    hessian, total = np.diag([1.0, 0.5, 0.2]), 0.0
    for _ in range(given.steps):
        total += ((x.mean(1) @ hessian) ** 2).sum(1).mean()
        g = x @ hessian - B + 0.1 * rng.normal(size=x.shape)
        for i, m in ((2, 2), (3, 1)):
            u = rng.normal(size=(replicas, m, D))
            u *= np.sqrt(D) / np.linalg.norm(u, axis=2, keepdims=True)
            if i == 3:
                u = np.sqrt(D) * np.eye(D)[rng.integers(0, D, (replicas, m))]
            noise = 0.02 * rng.normal(size=(2, replicas, m)) / (2 * 0.1)
            slope = np.einsum("rmk,rk->rm", u, g[:, i]) + noise[0] - noise[1]
            g[:, i] = (slope[:, :, None] * u).mean(1)
        order = rng.permuted(np.tile(np.arange(N), (replicas, 1)), axis=1)
        rows = np.arange(replicas)
        pairs = [(order[:, 0], order[:, 1]), (order[:, 2], order[:, 3])]
        for i, j in pairs[: 1 if given.protocol == "pair" else 2]:
            mean = 0.5 * (x[rows, i] + x[rows, j]) - 0.005 * (g[rows, i] + g[rows, j])
            x[rows, i] = x[rows, j] = mean
    return total / given.steps


@pytest.mark.parametrize(
    ("protocol", "theorem"), [("matching", dsgd_nonconvex_bound), ("pair", pair_nonconvex_bound)]
)
def test_a_simulation_stays_below(protocol, theorem):
    given = base(protocol=protocol)
    bound = theorem(given).values["path_gradient_norm"][0]
    measured = simulate(given)
    assert 0 < measured < bound < 200 * measured


def failed(prediction):
    assert not prediction.values
    return [a.text for a in prediction.assumptions if not a.holds]


SMALL = "the step size is below every limit of the theorem"
FAILURES = {
    "the iterates move by local steps and exchanges alone, in every round": {"moves": False},
    "adapt, then combine": {"order": "simultaneous"},
    "momentum = 0": {"momentum": 0.5},
    "the step size is constant in time": {"schedule": ScheduleFacts(name="inverse-time")},
    "all nodes have one positive step size": {"step_sizes": np.array([0.01, 0.01, 0.01, 0.02])},
    "every node declares the law of its estimator": {"laws": (None, *LAWS[1:])},
    "every smoothing radius is positive": {"laws": (*LAWS[:3], zeroth(smoothing=0.0))},
    "the last step is recorded": {"record": (0, 10)},
    "every f_i is L-smooth": {"constants": replace(CONSTANTS, smoothness=np.inf)},
    "gradient noise is bounded everywhere": {
        "constants": replace(CONSTANTS, noise_holds="|x| ≤ 1")
    },
    "heterogeneity is bounded everywhere": {"constants": replace(CONSTANTS, heterogeneity=np.nan)},
    "f* is known": {"constants": replace(CONSTANTS, minimum=np.nan)},
}


@pytest.mark.parametrize("protocol", ["matching", "pair"])
@pytest.mark.parametrize("text", FAILURES)
def test_each_assumption_fails_alone(protocol, text):
    theorem = dsgd_nonconvex_bound if protocol == "matching" else pair_nonconvex_bound
    change = dict(FAILURES[text])
    given = base(protocol=protocol, constants=change.pop("constants", CONSTANTS))
    assert failed(theorem(replace(given, **change))) == [text, SMALL]


def test_exchange_assumptions():
    assert failed(pair_nonconvex_bound(base()))[0] == "one pair acts at each tick"
    ring = failed(pair_nonconvex_bound(base(protocol="pair", network=NetworkFacts(graph="ring"))))
    assert ring[0] == "all pairs of nodes are equally likely (complete graph, uniform edges)"
    assert (
        failed(dsgd_nonconvex_bound(base(protocol="pair")))[0] == "every node steps in every round"
    )
    lonely = NetworkFacts(matrix=np.eye(N))
    assert len(failed(dsgd_nonconvex_bound(base(protocol="matrix", network=lonely)))) == 2
    matching_on_ring = failed(dsgd_nonconvex_bound(base(network=NetworkFacts(graph="ring"))))
    assert matching_on_ring[0] == "W is a uniform matching of all nodes"


@pytest.mark.parametrize("protocol", ["matching", "matrix", "pair"])
def test_step_limits(protocol):
    """The largest step allowed, found from outside, is the smallest of the limits."""
    p, tau, n = 2 / 3, 6.0, 4
    limits = [1, n / 4 / tau, np.sqrt(p**2 / 4 / (6 + 2 * tau * p * (1 - p)))]
    limits.append(np.sqrt(p / (80 * tau * (1 - p))))
    if protocol == "pair":
        limits = [n / 8 / (2 + tau), 1 / np.sqrt(320 * (2 + tau))]
    network = NetworkFacts()
    if protocol == "matrix":
        limits, network = [1, n / 4 / tau, 1 / np.sqrt(24)], NetworkFacts(graph="complete")
    theorem = pair_nonconvex_bound if protocol == "pair" else dsgd_nonconvex_bound
    for factor, applies in ((1 - 1e-9, True), (1 + 1e-9, False)):
        eta = np.full(N, factor * min(limits))
        given = base(protocol=protocol, step_sizes=eta, network=network)
        assert theorem(given).applies is applies


@pytest.mark.parametrize("which", range(4))
def test_each_round_limit_by_itself(which):
    L, n, p, tau = 3.0, 7, 0.2, 5.0
    assert dsgd_step_limits(L, n, p, tau)[which] == pytest.approx(
        [
            1 / 3,
            7 / 60,
            np.sqrt(0.04 / (4 * 9 * (6 + 2 * 5 * 0.2 * 0.8))),
            np.sqrt(0.2 / (80 * 9 * 5 * 0.8)),
        ][which],
        rel=1e-12,
    )
    expected = (7 / (24 * 7), 1 / (3 * np.sqrt(320 * 7)))
    assert pair_step_limits(L, n, tau) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("batch", [2, "full"])
def test_logistic_loss_with_rows(batch):
    rng = np.random.default_rng(2)
    structure = GeneralizedLinear(
        features=rng.normal(size=(8, 3)),
        targets=np.where(rng.random(8) < 0.5, -1.0, 1.0),
        members=tuple(np.array_split(np.arange(8), 4)),
        loss="logistic",
        regularization=0.1,
    )
    L = 1.0
    constants = Constants(smoothness=L, noise=(0.2,) * 4, heterogeneity=0.3, minimum=0.1)
    law = zeroth(directions="gaussian", smoothing=0.05, batch_size=batch, samples=3)
    given = setting(
        structure,
        (law,) * 4,
        constants=constants,
        initial=START,
        step_sizes=np.full(4, 1e-3),
        protocol="pair",
        steps=10,
    )
    prediction = pair_nonconvex_bound(given)
    assert prediction.applies
    tr = 0.0 if batch == "full" else 0.2 / batch
    noises = []
    for m in structure.members:
        rows = structure.features[m]
        rough = L if batch == "full" else max(L, (rows**2).sum(1).max() / 4 + 0.1)
        own = (np.sqrt(tr) + 0.05 * np.sqrt(3) * rough) ** 2 if tr else 0.0
        noises.append(own + tr * 2 * 5 / 3 + 0.05**2 * rough**2 * 3 * 5 * 7 / 6)
    tau, b = 2 * 5 / 3, 0.05 * np.sqrt(3)
    mean = START.mean(0)
    losses = [
        np.mean(np.log(1 + np.exp(-structure.targets[m] * (structure.features[m] @ mean))))
        for m in structure.members
    ]
    gap = np.mean(losses) + 0.05 * mean @ mean - 0.1
    K = np.mean(noises) + 2 * b**2 + 2 * (2 + tau) * 0.3
    potential = ((START - mean) ** 2).sum() / 4
    expected = 8 * gap / 1e-3 / 10 + 80 * potential / 10 + 80e-6 * K + 4 * b**2 + 1e-3 * K
    np.testing.assert_allclose(prediction.values["path_gradient_norm"], [2 * expected], rtol=1e-12)


def test_no_structure_is_inapplicable():
    given = setting(None, (FIRST,) * 4, protocol="pair", constants=CONSTANTS, dimension=3)
    assert "f can be evaluated from the declared structure" in failed(pair_nonconvex_bound(given))


def test_formulas_with_every_number_different():
    numbers = BoundInputs(
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
    rounds = 4 * 1.7 / 2.1 + 0.0484 + 0.036 * spread + 20 * 9 * 0.0009 * Q / 0.4 + 180 * 0.9 / 28
    assert dsgd_bound(numbers) == pytest.approx(2 * rounds, rel=1e-12)
    K = 0.6 + 0.04 + 9 * 0.2
    pairs = 17 / 2.1 + 900 * 0.9 / 70 + 720 * 0.0009 * K + 0.0484 + 0.072 * K
    assert pair_bound(numbers) == pytest.approx(2 * pairs, rel=1e-12)


def test_exact_derivatives_and_the_squared_loss():
    rng = np.random.default_rng(6)
    structure = GeneralizedLinear(
        features=2 * rng.normal(size=(5, 3)),
        targets=rng.normal(size=5),
        members=(np.array([0, 1, 2]), np.array([3, 4])),
        loss="squared",
        regularization=0.2,
    )
    constants = Constants(smoothness=0.5, noise=(0.3, 0.4))
    laws = (
        zeroth(difference="directional_derivative", samples=2, batch_size=2),
        zeroth(difference="forward", samples=3, batch_size=2, smoothing=0.1),
    )
    given = setting(structure, laws, constants=constants)
    L = (structure.features[3:] ** 2).sum(1).max() + 0.2
    exact = 0.15 * (1 + 2 * 3 / 2)
    forward = 0.2 * (1 + 2 * 3 / 3) + 0.01 * L**2 * 27 / 6
    got = estimator_bounds(given)
    assert got.noise == pytest.approx((exact + forward) / 2, rel=1e-12)
    assert got.growth == pytest.approx(3.0, rel=1e-12)
    assert got.bias == pytest.approx(0.5 * 0.1 * np.sqrt(3) / 2, rel=1e-12)
    x = np.array([0.3, -1.0, 2.0])
    squares = (structure.features @ x - structure.targets) ** 2
    expected = (squares[:3].mean() + squares[3:].mean()) / 4 + 0.1 * x @ x
    assert objective(given, x) == pytest.approx(expected, rel=1e-12)
