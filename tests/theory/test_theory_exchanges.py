"""Exact dynamics under every exchange, against ensembles that list every outcome."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from theory_enumeration import Ensemble, estimates, measure, quadratic_samples
from theory_settings import FIRST, quadratic, setting, zeroth

from hzbench.core import registry
from hzbench.core.constants import Constants
from hzbench.core.setting import NetworkFacts
from hzbench.core.structure import Quadratic
from hzbench.theory.quadratic_dynamics import quadratic_dynamics
from hzbench.theory.weights import metropolis

N, D, STEPS = 3, 2, 2
PATH = ((0, 1), (1, 2))
RING = ((0, 1), (0, 2), (1, 2))


def along(pairs, w, n=N):
    W = np.eye(n)
    for i, j in pairs:
        W[i, i], W[j, j], W[i, j], W[j, i] = 1 - w, 1 - w, w, w
    return W


def failing(q):
    W, law = metropolis(RING, N), []
    for up in product((True, False), repeat=3):
        matrix = W.copy()
        for (i, j), works in zip(RING, up, strict=True):
            if not works:
                matrix[[i, j], [i, j]] += W[i, j]
                matrix[i, j] = matrix[j, i] = 0
        law.append((np.prod([1 - q if u else q for u in up]), matrix, range(N)))
    return law


def ahead(hop):
    return (np.eye(N) + np.eye(N)[(np.arange(N) + hop) % N]) / 2


def polynomial():
    """T_2(W/ρ)/T_2(1/ρ), T_2(z) = 2z² − 1, on the path's Metropolis matrix, ρ = 0.9."""
    W = metropolis(PATH, N) / 0.9
    return (2 * W @ W - np.eye(N)) / (2 / 0.81 - 1)


EXCHANGES = {  # protocol, words, the law at even and at odd steps
    "pair weight": (
        "pair",
        {"graph": "path", "pair_weight": 0.3},
        [[(0.5, along([e], 0.3), e) for e in PATH]] * 2,
    ),
    "matching weight": (
        "matching",
        {"graph": "complete", "pair_weight": 0.2},
        [[(1 / 3, along([e], 0.2), e) for e in RING]] * 2,
    ),
    "greedy": (
        "matching",
        {"graph": "path", "matching_law": "greedy", "pair_weight": 0.4},
        [[(0.5, along([e], 0.4), e) for e in PATH]] * 2,
    ),
    "failing": ("matrix", {"graph": "ring", "link_failure": 0.3}, [failing(0.3)] * 2),
    "one-peer": (
        "matrix",
        {"graph": "exponential", "weights": "one-peer-exponential"},
        [[(1.0, ahead(1), range(N))], [(1.0, ahead(2), range(N))]],
    ),
    "pauses": (
        "matrix",
        {"graph": "ring", "exchange_period": 2},
        [[(1.0, np.eye(N), range(N))], [(1.0, metropolis(RING, N), range(N))]],
    ),
    "coin": (
        "matrix",
        {"graph": "ring", "exchange_probability": 0.3},
        [[(0.3, metropolis(RING, N), range(N)), (0.7, np.eye(N), range(N))]] * 2,
    ),
    "failing coin": (
        "matrix",
        {"graph": "ring", "exchange_probability": 0.3, "link_failure": 0.3},
        [[(0.3 * p, W, range(N)) for p, W, _ in failing(0.3)] + [(0.7, np.eye(N), range(N))]] * 2,
    ),
    "chebyshev": (
        "matrix",
        {"graph": "path", "acceleration": "chebyshev", "rounds": 2, "rate": 0.9},
        [[(1.0, polynomial(), range(N))]] * 2,
    ),
}


@pytest.mark.parametrize("momentum", [0.0, 0.4])
@pytest.mark.parametrize("order", ["adapt-combine", "combine-adapt", "simultaneous"])
@pytest.mark.parametrize("name", EXCHANGES)
def test_dynamics_follow_every_outcome(name, order, momentum):
    protocol, words, law = EXCHANGES[name]
    if protocol != "matrix" and order != "adapt-combine":
        if protocol == "matching" or order == "simultaneous":
            pytest.skip("no method does so")
        law = [[(p, W, list(e)) for p, W, e in each] for each in law]
    rng = np.random.default_rng(7)
    structure, root = quadratic(rng, N, D)
    laws = (FIRST, zeroth(directions="rademacher"), FIRST)
    given = setting(
        structure,
        laws,
        protocol=protocol,
        order=order,
        momentum=momentum,
        network=NetworkFacts(**words),
        steps=STEPS,
    )
    samples = [
        quadratic_samples(structure.hessians[i], structure.linear[i], root[i]) for i in range(N)
    ]
    outcomes = [list(estimates(laws[i], samples[i], D)) for i in range(N)]
    ensemble = Ensemble(given.problem.initial)
    values = quadratic_dynamics(given).values
    for t in range(STEPS):
        exchange = [(p, W, list(active)) for p, W, active in law[t % 2]]
        ensemble.step(exchange, outcomes, given.step_sizes, momentum, order)
        found = measure(ensemble, structure.hessians, structure.linear)
        for observable, row in values.items():
            np.testing.assert_allclose(row[t + 1], found[observable], rtol=1e-9, atol=1e-12)


def test_idle_nodes_may_step():
    structure, root = quadratic(np.random.default_rng(3), N, D)
    words = NetworkFacts(graph="path", matching_law="greedy")
    given = setting(
        structure, (FIRST,) * N, protocol="matching", network=words, steps=2, idle_steps=True
    )
    samples = [
        quadratic_samples(structure.hessians[i], structure.linear[i], root[i]) for i in range(N)
    ]
    outcomes = [list(estimates(FIRST, samples[i], D)) for i in range(N)]
    ensemble = Ensemble(given.problem.initial)
    for _ in range(2):
        exchange = [(0.5, along([e], 0.5), list(range(N))) for e in PATH]
        ensemble.step(exchange, outcomes, given.step_sizes, 0.0, "adapt-combine")
    found = measure(ensemble, structure.hessians, structure.linear)
    for observable, row in quadratic_dynamics(given).values.items():
        np.testing.assert_allclose(row[2], found[observable], rtol=1e-9, atol=1e-12)


KNOWN = {  # theorems that hold whatever the exchange, or know it
    "quadratic_dynamics",
    "mean_dynamics",
    "path_dynamics",
    "decay_rate",
    "decay_slope",
    "gossip_contraction",
    "gossip_rate",
    "graph_spectrum",
    "step_invariants",
    "lemma2_martingale",
}
COMPLETE = ("pair", {"graph": "complete", "pair_weight": 0.3}, None)
CONSTANTS = Constants(
    smoothness=1.0, strong_convexity=1.0, noise=(0.2,) * 4, heterogeneity=0.0, minimum=0.0
)
OTHERS = {**EXCHANGES, "complete": COMPLETE}


@pytest.mark.parametrize("eta", [0.01, 0.3])
@pytest.mark.parametrize("name", OTHERS)
def test_theorems_of_plain_exchanges_do_not_apply_elsewhere(name, eta):
    """On equal isotropic quadratics, where most theorems apply under plain exchanges."""
    protocol, words, _ = OTHERS[name]
    equal = np.repeat(np.eye(D)[None], 4, 0)
    structure = Quadratic(hessians=equal, linear=np.zeros((4, D)), noise=0.1 * equal)
    given = setting(
        structure,
        (FIRST,) * 4,
        protocol=protocol,
        network=NetworkFacts(**words),
        steps=80,
        record=(0, 80),
        step_sizes=np.full(4, eta),
        constants=CONSTANTS,
        optimum=np.zeros(D),
    )
    basic = replace(given, network=NetworkFacts(graph="complete"))
    with np.errstate(all="ignore"):
        applying, plain = (
            {k for k, e in registry.entries("theorem").items() if e.target(each).applies}
            for each in (given, basic)
        )
    assert applying - KNOWN == set()
    assert plain - KNOWN


def test_the_step_size_limit_of_a_period_is_not_that_of_its_first_matrix():
    protocol, words, _ = EXCHANGES["one-peer"]
    structure, _ = quadratic(np.random.default_rng(5), N, D)
    given = setting(structure, (FIRST,) * N, protocol=protocol, network=NetworkFacts(**words))
    first = replace(given, network=NetworkFacts(matrix=ahead(1)))
    limit = registry.find("limit", "step_size").target
    assert limit(given)[0] != pytest.approx(limit(first)[0], rel=1e-3)
