"""Exchanges of the engine against plain numpy: weights, failing links, periods, acceleration."""

import numpy as np
import pytest
import torch
from engine_reference import EXACT, execute_spec, spec_of

from hzbench.engine.mixing import Mixing
from hzbench.harness.build import build, build_plan
from hzbench.mutants.gossip import DroppedLinkWeight

ETA = 0.21
NODES = [{**EXACT, "count": 6}]


def run(gossip, method, network, steps=9):
    spec = spec_of(NODES, gossip, method, steps=steps, network=network)
    recorder, plan = execute_spec(spec)
    found = np.stack([recorder.states[t]["x"].numpy() for t in range(steps + 1)])
    return build(spec).problem, plan, found, recorder


def gradient(problem, x):
    A, b = problem.structure.hessians, problem.structure.linear
    return np.einsum("nkl,nl->nk", A, x) - b


@pytest.mark.parametrize("weight", [0.2, 0.5, 0.9])
def test_pairs_average_with_their_weight(weight):
    problem, plan, found, _ = run("pair", "hdo", {"pair_weight": weight, "graph": "star"}, 30)
    for replica in range(plan.replicas):
        x = problem.initial.copy()
        for t in range(30):
            i, j = plan.pairs[replica, t]
            y = x - ETA * gradient(problem, x)
            x[i], x[j] = (1 - weight) * y[i] + weight * y[j], (1 - weight) * y[j] + weight * y[i]
        assert np.abs(found[-1, replica] - x).max() < 1e-12


@pytest.mark.parametrize("idle_steps", [False, True])
@pytest.mark.parametrize("law", ["greedy", "alternating"])
def test_matchings_average_with_their_weight_and_the_others_idle(law, idle_steps):
    network = {"graph": "ring", "matching_law": law, "pair_weight": 0.3, "idle_steps": idle_steps}
    problem, plan, found, _ = run("matching", "hdo", network)
    idle = 0
    for replica in range(plan.replicas):
        x = problem.initial.copy()
        for t in range(9):
            y, partner = x - ETA * gradient(problem, x), plan.partners[replica, t]
            alone = partner == np.arange(6)
            idle += alone.sum()
            kept = y if idle_steps else x
            x = np.where(alone[:, None], kept, 0.7 * y + 0.3 * y[partner])
            assert np.abs(found[t + 1, replica] - x).max() < 1e-12
    assert (idle > 0) == (law == "greedy")


def lossy(W, edges, up):
    """W with the weight of failed edges back on the diagonal."""
    W = W.copy()
    for (i, j), works in zip(edges, up, strict=True):
        if not works:
            W[i, i] += W[i, j]
            W[j, j] += W[j, i]
            W[i, j] = W[j, i] = 0
    return W


def test_failed_links_return_their_weight():
    network = {"graph": "ring", "link_failure": 0.4}
    problem, plan, found, recorder = run("matrix", "dsgd", network)
    method_eta, sent = ETA, np.zeros(plan.replicas)
    assert plan.varies
    assert 0.2 < 1 - plan.links.mean() < 0.6
    for replica in range(plan.replicas):
        x = problem.initial.copy()
        for t in range(9):
            W = lossy(plan.matrix, plan.edges, plan.links[replica, t])
            assert np.abs(W - plan.mixing(t)[replica]).max() < 1e-15
            x = W @ (x - method_eta * gradient(problem, x))
            sent[replica] += 2 * plan.links[replica, t].sum() * problem.dimension
        assert np.abs(found[-1, replica] - x).max() < 1e-12
    assert (recorder.counters[9]["floats_sent"].numpy() == sent).all()


def test_a_period_of_matrices_is_gone_through():
    network = {"graph": "exponential", "weights": "one-peer-exponential"}
    problem, _, found, recorder = run("matrix", "dsgd", network)
    x = problem.initial.copy()
    for t in range(9):
        hop = (1, 2, 4)[t % 3]
        y = x - ETA * gradient(problem, x)
        x = (y + np.roll(y, -hop, axis=0)) / 2
        assert np.abs(found[t + 1] - x).max() < 1e-12
    assert (recorder.counters[9]["floats_sent"] == 9 * 6 * problem.dimension).all()


@pytest.mark.parametrize(("rounds", "rate"), [(1, 0.9), (2, 0.7), (5, 0.8)])
def test_chebyshev_multiplies_by_its_polynomial(rounds, rate):
    method = {"name": "chebyshev", "rounds": rounds, "rate": rate}
    problem, plan, found, recorder = run("matrix", method, {"graph": "path"})
    series = np.polynomial.chebyshev.Chebyshev.basis(rounds)
    values, vectors = np.linalg.eigh(plan.matrix)
    W = (vectors * (series(values / rate) / series(1 / rate))) @ vectors.T
    x = problem.initial.copy()
    for t in range(9):
        x = W @ (x - ETA * gradient(problem, x))
        assert np.abs(found[t + 1] - x).max() < 1e-12
    assert (recorder.counters[9]["floats_sent"] == 9 * rounds * 10 * problem.dimension).all()


def test_second_order_gossip_remembers_one_exchange():
    """The local step moves both remembered states: x_{t+1} = γ W (x_t − δ) + (1−γ)(x_{t−1} − δ)."""
    problem, plan, found, _ = run(
        "matrix", {"name": "second_order", "rate": 0.8}, {"graph": "path"}
    )
    gamma = 2 / (1 + 0.6)
    x = before = problem.initial.copy()
    for t in range(9):
        step = ETA * gradient(problem, x)
        before, x = x - step, gamma * plan.matrix @ (x - step) + (1 - gamma) * (before - step)
        assert np.abs(found[t + 1] - x).max() < 1e-12


def test_failing_links_in_single_precision_stay_single():
    spec = spec_of(
        NODES,
        "matrix",
        "dsgd",
        steps=3,
        network={"graph": "ring", "link_failure": 0.3},
        run={"dtype": "float32"},
    )
    recorder, _ = execute_spec(spec)
    assert recorder.states[3]["x"].dtype == torch.float32


NETWORKS = [
    {"graph": "complete", "link_failure": 0.4},
    {"graph": "star", "exchange_probability": 0.4, "silent_rounds": 2},
    {"graph": "ring", "link_failure": 0.3, "exchange_probability": 0.5},
]


@pytest.mark.parametrize("network", NETWORKS)
def test_a_device_makes_the_matrices_of_the_plan(network):
    """From tables of links and coins, at a step that is a number there; silent rounds have none."""
    spec = spec_of([{**EXACT, "count": 9}], "matrix", "dsgd", steps=8, network=network)
    plan = build_plan(build(spec), range(3))
    mixing = Mixing(plan, torch.zeros(1, dtype=torch.float64))
    for step in range(8):
        matrix, links = mixing.of_step(step, torch.tensor(step))
        if step < plan.silent:
            assert (matrix, links) == (None, 0)
            continue
        expected = plan.mixing(step)
        np.testing.assert_allclose(matrix.numpy(), expected, rtol=0, atol=1e-15)
        off = (expected != 0) & ~np.eye(9, dtype=bool)
        assert links.tolist() == off.sum((1, 2)).tolist()


def test_a_plan_that_is_extended_says_its_matrices_itself():
    spec = spec_of(NODES, "matrix", "dsgd", network={"graph": "ring", "link_failure": 0.4})
    plan = DroppedLinkWeight().plan(build_plan(build(spec), range(3)))
    matrix, _ = Mixing(plan, torch.zeros(1, dtype=torch.float64)).of_step(4, torch.tensor(4))
    assert (matrix.numpy() == plan.mixing(4)).all()
    assert (matrix.sum(-1) < 0.99).any()
