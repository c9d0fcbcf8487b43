"""Stochastic gradient push against messages sent node by node, and what it must conserve."""

import numpy as np
import pytest
import torch

from hzbench.core.errors import SpecError
from hzbench.core.spec import Spec
from hzbench.engine.torch_executor import execute
from hzbench.harness.build import build, build_plan
from hzbench.harness.simulate import simulate

N, D, T, ETA = 5, 3, 12, 0.3
ARCS = [[0, 1], [1, 2], [2, 3], [3, 4], [4, 0], [0, 2], [0, 3], [3, 0]]
IRREGULAR = {"name": "digraph", "arcs": ARCS}


def spec_of(network, name="push_sum", nodes=N, steps=T, problem=(), **method):
    quadratic = {"name": "quadratic", "dimension": D, "heterogeneity": 1.5, "initial_spread": 1.0}
    return Spec.parse(
        {
            "problem": quadratic | dict(problem),
            "nodes": [{"count": nodes, "batch_size": "full"}],
            "network": {"gossip": "matrix"} | network,
            "method": {"name": name, "step_size": ETA} | method,
            "run": {"steps": steps, "replicas": 2, "record": [steps]},
        }
    )


class Path:
    """A recorder that keeps every state."""

    watch = None

    def __init__(self, steps):
        self.boundaries, self.states = tuple(range(steps + 1)), []

    def record(self, state):
        kept = {name: value.numpy().copy() for name, value in state.arrays.items()}
        self.states.append(kept)
        self.sent = state.counters["floats_sent"].numpy().copy()


def run(spec):
    parts = build(spec)
    path = Path(spec.run.steps)
    start = torch.as_tensor(parts.problem.initial)
    plan = build_plan(parts, range(spec.run.replicas))
    execute(plan, start, parts.problem, parts.population, parts.method, path)
    return parts.problem, path


def receivers(one_peer, t):
    """Who node i sends to in round t."""
    for i in range(N):
        ends = sorted((j for k, j in ARCS if k == i), key=lambda j, i=i: (j - i) % N)
        yield i, [ends[t % len(ends)]] if one_peer else ends


@pytest.mark.parametrize("momentum", [0.0, 0.4])
@pytest.mark.parametrize("weights", ["push", "one-peer-push"])
def test_every_message_by_hand(weights, momentum):
    problem, path = run(spec_of({"graph": IRREGULAR, "weights": weights}, momentum=momentum))
    A, b = problem.structure.hessians, problem.structure.linear
    mass, share = problem.initial.copy(), np.ones(N)
    v, sent = np.zeros((N, D)), 0
    for t in range(T):
        before = mass.sum(0)
        z = mass / share[:, None]
        np.testing.assert_allclose(path.states[t]["x"][0], z, atol=1e-12)
        np.testing.assert_allclose(path.states[t]["weight"][0, :, 0], share, atol=1e-13)
        moved, inbox, shares = np.zeros((N, D)), np.zeros((N, D)), np.zeros(N)
        for i in range(N):
            v[i] = momentum * v[i] + (1 - momentum) * (A[i] @ z[i] - b[i])
            moved[i] = mass[i] - ETA * v[i]
        for i, ends in receivers(weights == "one-peer-push", t):
            for j in (i, *ends):
                inbox[j] += moved[i] / (1 + len(ends))
                shares[j] += share[i] / (1 + len(ends))
            sent += len(ends) * (D + 1)
        mass, share = inbox, shares
        np.testing.assert_allclose(mass.sum(0), before - ETA * v.sum(0), atol=1e-12)
    assert (path.sent == sent).all()
    assert np.ptp(share) > 0.3


@pytest.mark.parametrize("weights", ["push", "one-peer-push"])
def test_mass_and_weights_are_conserved_and_nodes_agree(weights):
    problem, path = run(spec_of({"graph": IRREGULAR, "weights": weights}, step_size=0.0, steps=80))
    for state in path.states:
        assert state["weight"].sum(1) == pytest.approx(N, abs=1e-12)
        total = (state["weight"] * state["x"]).sum(1)
        np.testing.assert_allclose(total[0], problem.initial.sum(0), atol=1e-12)
    mean = problem.initial.mean(0)
    np.testing.assert_allclose(path.states[-1]["x"][0], np.tile(mean, (N, 1)), atol=1e-8)


@pytest.mark.parametrize(
    ("network", "other", "nodes"),
    [
        ({"graph": "ring"}, {"graph": "ring"}, 5),
        ({"graph": "ring", "weights": "push"}, {"graph": "ring"}, 5),
        ({"graph": "star"}, {"graph": "star"}, 5),
        (
            {"graph": "complete", "weights": "push"},
            {"graph": "complete", "weights": "uniform"},
            4,
        ),
        (
            {"graph": "directed-exponential", "weights": "push"},
            {"matrix": (np.eye(4) + np.roll(np.eye(4), 1, 0) + np.roll(np.eye(4), 2, 0)) / 3},
            4,
        ),
    ],
)
def test_with_a_doubly_stochastic_matrix_it_is_decentralized_sgd(network, other, nodes):
    if "matrix" in other:
        other = {"matrix": other["matrix"].tolist()}
    found, plain = run(spec_of(network, nodes=nodes))[1], run(spec_of(other, "dsgd", nodes))[1]
    for one, two in zip(found.states, plain.states, strict=True):
        assert one["weight"] == pytest.approx(1.0, abs=1e-14)
        np.testing.assert_allclose(one["x"], two["x"], atol=1e-13)


@pytest.mark.parametrize("network", [{"graph": IRREGULAR}, {"graph": "directed-ring"}])
@pytest.mark.parametrize("weights", ["push", "one-peer-push"])
def test_the_optimum_of_equal_nodes_is_a_fixed_point(network, weights):
    alike = {"heterogeneity": 0.0, "initial_spread": 0.0, "initial": 0.0}
    spec = spec_of(network | {"weights": weights}, problem=alike)
    assert simulate(spec, ["node_distance"]).at("node_distance", T).max() == 0


def test_small_steps_reach_the_optimum_of_all_nodes_where_undivided_shares_do_not():
    """Where the optimum is not 0: shares of 0 are right whatever the shares."""
    terms = [[3 + 2 * (i == 1), 2, i / 4] for i in range(N)]  # node 1 holds the least share
    far = {"heterogeneity": 0.0, "spectrum": "isotropic", "linear_terms": terms}
    network = {"graph": IRREGULAR, "weights": "push"}
    spec = spec_of(network, steps=2000, step_size=0.01, problem=far)
    right = simulate(spec, ["node_distance"]).at("node_distance", 2000).max()
    for mutant in ("undivided_push", "transposed_weights"):
        wrong = simulate(spec.replace(mutant=mutant), ["node_distance"])
        assert wrong.at("node_distance", 2000).min() > 20 * right
    assert right < 1e-2


TURNED = [[0.5, 0.5, 0], [0.25, 0.25, 0.5], [0.5, 0, 0.5]]
MISTAKES = {
    "not strongly connected": (
        {"graph": {"name": "digraph", "arcs": [[0, 1], [1, 2]]}, "weights": "push"},
        "push_sum",
        "got a directed graph with 3 strongly connected components",
    ),
    "an undirected method": (
        {"graph": "directed-ring", "weights": "push"},
        "dsgd",
        "got the directed graph 'directed-ring' with a method that needs edges both ways",
    ),
    "undirected weights": (
        {"graph": "directed-ring"},
        "push_sum",
        "got weights 'metropolis' on the directed graph 'directed-ring'",
    ),
    "rows for columns": (
        {"matrix": TURNED},
        "push_sum",
        "column 0 sums to 1.25, though its rows sum to 1; expected columns that sum to 1",
    ),
    "neither": (
        {"matrix": [[0.5, 0.5, 0], [0.25, 0.25, 0.5], [0.25, 0, 0.6]]},
        "push_sum",
        "column 1 sums to 0.75; expected columns that sum to 1",
    ),
    "a negative share": (
        {"matrix": [[1.2, 0.2, 0.2], [-0.1, 0.6, 0.2], [-0.1, 0.2, 0.6]]},
        "push_sum",
        "got a W with an entry -0.1",
    ),
    "a node that keeps nothing": (
        {"matrix": [[0.0, 0.5, 0.5], [0.5, 0.5, 0.0], [0.5, 0.0, 0.5]]},
        "push_sum",
        "a diagonal from 0; expected non-negative shares of which every node keeps one",
    ),
    "a matrix that never returns": (
        {"matrix": [[0.5, 0, 0], [0.5, 0.5, 0.5], [0, 0.5, 0.5]]},
        "push_sum",
        "got a W with 2 strongly connected parts",
    ),
    "an arc twice": (
        {"graph": {"name": "digraph", "arcs": [[0, 1], [1, 2], [2, 0], [2, 0]]}, "weights": "push"},
        "push_sum",
        "got the arcs [[2, 0]]; expected different pairs",
    ),
    "an arc out of range": (
        {"graph": {"name": "digraph", "arcs": [[0, 1], [1, 3]]}, "weights": "push"},
        "push_sum",
        "got the arcs [[1, 3]]",
    ),
    "failing links": (
        {"graph": "directed-ring", "weights": "push", "link_failure": 0.2},
        "push_sum",
        "got links that fail with weights that are not symmetric",
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_bad_networks_get_one_clear_message(name):
    network, method, words = MISTAKES[name]
    with pytest.raises(SpecError) as caught:
        build(spec_of(network, method, nodes=3))
    assert [words in mistake for mistake in caught.value.mistakes] == [True]
    assert "expected" in caught.value.mistakes[0]


def test_pairs_need_edges_both_ways():
    spec = spec_of({"graph": "directed-ring", "gossip": "pair"}, "hdo")
    with pytest.raises(SpecError, match="needs edges both ways"):
        build(spec)
