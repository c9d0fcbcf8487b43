"""Push-sum as decentralized SGD in disguise, against messages, enumeration and dense algebra."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from theory_enumeration import estimates, measure, quadratic_samples
from theory_settings import FIRST, quadratic, setting, zeroth

from hzbench.core import registry
from hzbench.core.constants import Constants
from hzbench.core.setting import NetworkFacts, ScheduleFacts, UpdateFacts
from hzbench.core.structure import Quadratic
from hzbench.theory.dynamics import build_model
from hzbench.theory.push_sum import settled
from hzbench.theory.quadratic_dynamics import quadratic_dynamics
from hzbench.theory.stability import second_moment_radius, step_size_limit

PUSH = UpdateFacts(rule="push-sum")
PAIR = np.array([[0.6, 0.3], [0.4, 0.7]])
ARCS = ((0, 1), (1, 2), (2, 0), (0, 2))
THREE = NetworkFacts(graph="digraph", graph_parameters={"arcs": ARCS}, weights="push")
HALF, THIRD = 1 / 2, 1 / 3
STATIC = np.array([[THIRD, 0, HALF], [THIRD, HALF, 0], [THIRD, HALF, HALF]])
FIRST_PEER = np.array([[HALF, 0, HALF], [HALF, HALF, 0], [0, HALF, HALF]])
SECOND_PEER = np.array([[HALF, 0, HALF], [0, HALF, 0], [HALF, HALF, HALF]])
EXCHANGES = {  # words, W of the rounds in turn
    "pair": (NetworkFacts(matrix=PAIR), [PAIR]),
    "push": (THREE, [STATIC]),
    "one peer": (replace(THREE, weights="one-peer-push"), [FIRST_PEER, SECOND_PEER]),
}


class Shares:
    """Every outcome of a run in the form of the paper: numerators, shares, their ratio."""

    def __init__(self, start):
        self.w, self.mass = np.ones(1), np.array(start)[None]
        self.v, self.share = np.zeros_like(self.mass), np.ones(len(start))

    @property
    def x(self):
        return self.mass / self.share[:, None]

    def expect(self, values):
        assert abs(self.w.sum() - 1) < 1e-12
        return np.tensordot(self.w, values, axes=1)

    def step(self, oracles, eta, momentum, W):
        parts = []
        for choice in product(*oracles):
            weight = self.w * np.prod([w for w, _ in choice])
            g = np.stack([G(self.x[:, i]) for i, (_, G) in enumerate(choice)], axis=1)
            v = momentum * self.v + (1 - momentum) * g
            moved = np.einsum("ij,sjd->sid", W, self.mass - eta[:, None] * v)
            parts.append((weight, moved, v))
        self.w, self.mass, self.v = (np.concatenate(each) for each in zip(*parts, strict=True))
        self.share = W @ self.share


@pytest.mark.parametrize("momentum", [0.0, 0.4])
@pytest.mark.parametrize("name", EXCHANGES)
def test_moments_follow_every_outcome(name, momentum):
    network, cycle = EXCHANGES[name]
    n, steps = len(cycle[0]), 3
    structure, _ = quadratic(np.random.default_rng(4), n, 2, noise=0.0)
    root = np.zeros((n, 2, 1))
    laws = (FIRST, zeroth(directions="rademacher"), zeroth(directions="coordinate"))[:n]
    given = setting(
        structure,
        laws,
        update=PUSH,
        momentum=momentum,
        network=network,
        schedule=ScheduleFacts(name="inverse-time", offset=4.0),
        steps=steps,
    )
    values = quadratic_dynamics(given).values
    assert values
    A, b = structure.hessians, structure.linear
    samples = [quadratic_samples(*each) for each in zip(A, b, root, strict=True)]
    samples = [[(1.0, value, slope) for _, value, slope in each[:1]] for each in samples]
    listing = Shares(given.problem.initial)
    for t in range(steps):
        oracles = [list(estimates(law, s, 2)) for law, s in zip(laws, samples, strict=True)]
        eta = given.step_sizes / (1 + t / 4)
        listing.step(oracles, eta, momentum, cycle[t % len(cycle)])
        found = measure(listing, A, b)
        for observable, row in values.items():
            np.testing.assert_allclose(
                row[t + 1], found[observable], rtol=1e-10, atol=1e-12, err_msg=observable
            )


def test_data_noise_follows_a_dense_recursion():
    """One matrix for the numerators of all nodes and coordinates, gradients with noise Σ_i."""
    structure, _ = quadratic(np.random.default_rng(6), 3, 2)
    given = setting(structure, (FIRST,) * 3, update=PUSH, network=THREE, steps=6)
    best = np.linalg.solve(structure.hessians.mean(0), structure.linear.mean(0))
    A, Sigma = np.zeros((6, 6)), np.zeros((6, 6))
    for i in range(3):
        own = slice(2 * i, 2 * i + 2)
        A[own, own], Sigma[own, own] = structure.hessians[i], structure.noise[i]
    D = np.kron(np.diag(given.step_sizes), np.eye(2))
    mix, share = np.kron(STATIC, np.eye(2)), np.ones(3)
    mean, cov = given.problem.initial.ravel(), np.zeros((6, 6))
    values = quadratic_dynamics(given).values
    for t in range(6):
        T = mix @ (np.eye(6) - D @ A @ np.kron(np.diag(1 / share), np.eye(2)))
        mean = T @ mean + mix @ D @ structure.linear.ravel()
        cov = T @ cov @ T.T + mix @ D @ Sigma @ D @ mix.T
        share = STATIC @ share
        scale = np.repeat(1 / share, 2)
        away = scale * mean - np.tile(best, 3)
        moment = scale[:, None] * cov * scale + np.outer(away, away)
        assert values["node_distance"][t + 1] == pytest.approx(np.trace(moment) / 3, rel=1e-11)
        down = (scale * mean).reshape(3, 2).mean(0)
        np.testing.assert_allclose(values["mean_iterate"][t + 1], down, rtol=1e-11)


@pytest.mark.parametrize("name", EXCHANGES)
def test_without_noise_it_settles_where_dense_algebra_says(name):
    """A period of rounds with the settled shares has one fixed point; small steps shrink it."""
    network, cycle = EXCHANGES[name]
    n, last = len(cycle[0]), 2000
    structure, _ = quadratic(np.random.default_rng(9), n, 2, noise=0.0)
    away = {}
    for eta in (0.2, 0.02):
        given = setting(
            structure,
            (FIRST,) * n,
            update=PUSH,
            network=network,
            step_sizes=np.full(n, eta),
            steps=last,
            record=(last,),
        )
        power = np.linalg.matrix_power(np.linalg.multi_dot([np.eye(n), *cycle[::-1]]), 500)
        share, T, c = power @ np.ones(n), np.eye(2 * n), np.zeros(2 * n)
        for W in cycle:
            local = np.zeros((2 * n, 2 * n))
            for i, A in enumerate(structure.hessians):
                local[2 * i : 2 * i + 2, 2 * i : 2 * i + 2] = np.eye(2) - eta * A / share[i]
            mix = np.kron(W, np.eye(2))
            T = mix @ local @ T
            c = mix @ (local @ c + eta * structure.linear.ravel())
            share = W @ share
        mass = np.linalg.solve(np.eye(2 * n) - T, c).reshape(n, 2)
        z = mass / share[:, None]
        best = np.linalg.solve(structure.hessians.mean(0), structure.linear.mean(0))
        away[eta] = ((z - best) ** 2).sum(1).mean()
        values = quadratic_dynamics(given).values
        assert values["node_distance"][-1] == pytest.approx(away[eta], rel=1e-8)
        np.testing.assert_allclose(values["mean_iterate"][-1], z.mean(0), rtol=1e-9)
    assert away[0.02] < 0.05 * away[0.2]


@pytest.mark.parametrize("name", EXCHANGES)
def test_moments_shrink_below_the_limit_and_grow_above(name):
    network, cycle = EXCHANGES[name]
    n = len(cycle[0])
    structure, _ = quadratic(np.random.default_rng(2), n, 2, noise=0.0)
    structure = replace(structure, linear=0 * structure.linear)
    laws = (FIRST, zeroth(), zeroth(directions="rademacher"))[:n]
    given = setting(
        structure,
        laws,
        update=PUSH,
        network=network,
        step_sizes=np.linspace(0.1, 0.2, n),
        steps=900,
        record=(600, 900),
    )
    limit, sentence = step_size_limit(given)
    assert "spectral radius" in sentence
    for factor, grows in ((0.97, False), (1.03, True)):
        scaled = replace(given, step_sizes=factor * limit * given.step_sizes)
        before, after = quadratic_dynamics(scaled).values["node_distance"]
        assert (after > 1.1 * before) if grows else (after < 0.99 * before), (before, after)
        rate = second_moment_radius(scaled)[0]
        assert (after / before) ** (len(cycle) / 300) == pytest.approx(rate, rel=1e-4)


def test_settled_rounds_have_rows_that_sum_to_1():
    structure, _ = quadratic(np.random.default_rng(3), 3, 2)
    given = setting(structure, (FIRST,) * 3, update=PUSH, network=EXCHANGES["one peer"][0], steps=4)
    model = build_model(given)
    period = settled((model.system, *model.later))
    assert len(period) == 2
    for system in period:
        np.testing.assert_allclose(system.scenarios[0].mixing.mean.sum(1), 1, atol=1e-13)
        assert system.update.rule == "plain"
    shares = [given.step_sizes / system.step_sizes for system in period]
    np.testing.assert_allclose([w.sum() for w in shares], 3, atol=1e-12)
    np.testing.assert_allclose(FIRST_PEER @ shares[0], shares[1], atol=1e-12)
    np.testing.assert_allclose(SECOND_PEER @ shares[1], shares[0], atol=1e-12)


def test_what_push_sum_cannot_use_is_inapplicable_and_says_why():
    structure, _ = quadratic(np.random.default_rng(3), 2, 2)
    cases = {
        "weights are random": NetworkFacts(matrix=PAIR, exchange_probability=0.5),
        "link failure": NetworkFacts(graph="complete", link_failure=0.2),
        "deviation of a column sum = 0.1": NetworkFacts(matrix=PAIR.T),
        "least entry = -0.1": NetworkFacts(matrix=np.array([[1.1, 0.3], [-0.1, 0.7]])),
        "least share kept = 0": NetworkFacts(matrix=np.array([[0.0, 0.3], [1.0, 0.7]])),
    }
    for reason, network in cases.items():
        prediction = quadratic_dynamics(
            setting(structure, (FIRST,) * 2, update=PUSH, network=network)
        )
        failed = [a for a in prediction.assumptions if not a.holds]
        assert [reason in a.detail for a in failed] == [True], reason


def test_theorems_of_plain_rounds_do_not_apply():
    equal = np.repeat(np.eye(2)[None], 3, 0)
    structure = Quadratic(hessians=equal, linear=np.zeros((3, 2)), noise=0.1 * equal)
    given = setting(
        structure,
        (FIRST,) * 3,
        update=PUSH,
        network=THREE,
        steps=80,
        record=(0, 80),
        step_sizes=np.full(3, 0.05),
        constants=Constants(
            smoothness=1.0, strong_convexity=1.0, noise=(0.2,) * 3, heterogeneity=0.0, minimum=0.0
        ),
        optimum=np.zeros(2),
    )
    for changed in (given, replace(given, network=NetworkFacts(weights="uniform"))):
        theorems = registry.entries("theorem").items()
        applying = {k for k, e in theorems if e.target(changed).applies}
        closed = {"quadratic_dynamics", "mean_dynamics", "path_dynamics", "decay_rate"}
        assert closed - {"decay_rate"} <= applying
        assert applying <= closed | {"decay_slope", "graph_spectrum"}
