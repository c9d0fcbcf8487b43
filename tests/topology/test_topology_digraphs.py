"""Directed graphs and push weights: small ones by hand, all by what they must satisfy."""

import networkx as nx
import numpy as np
import pytest

from hzbench.core.errors import UserMistakeError
from hzbench.core.setting import NetworkFacts
from hzbench.theory.weights import declared_weights
from hzbench.topology.build import build_network

ARCS = ((0, 1), (1, 2), (2, 3), (3, 0), (0, 2))
CASES = [
    ("directed-ring", {}, 2, nx.cycle_graph(2, create_using=nx.DiGraph)),
    ("directed-ring", {}, 5, nx.cycle_graph(5, create_using=nx.DiGraph)),
    *(
        (
            "directed-exponential",
            {},
            n,
            nx.DiGraph((i, (i + h) % n) for i in range(n) for h in hops),
        )
        for n, hops in ((2, (1,)), (6, (1, 2, 4)), (8, (1, 2, 4)))
    ),
    ("digraph", {"arcs": ARCS}, 4, nx.DiGraph(ARCS)),
]
UNDIRECTED = [("path", {}, 5), ("star", {}, 6), ("ring", {}, 5), ("complete", {}, 1)]


def network(graph, parameters, nodes, weights):
    facts = NetworkFacts(
        graph=graph, graph_parameters=parameters, weights=weights, column_stochastic=True
    )
    return build_network(facts, nodes)


@pytest.mark.parametrize(("graph", "parameters", "nodes", "reference"), CASES)
def test_arcs_equal_networkx(graph, parameters, nodes, reference):
    net = network(graph, parameters, nodes, "push")
    assert net.directed
    assert {tuple(arc) for arc in net.edges.tolist()} == set(reference.edges)
    np.testing.assert_array_equal(
        net.adjacency, nx.to_numpy_array(reference, nodelist=range(nodes), weight=None)
    )
    both = nx.laplacian_matrix(reference.to_undirected(), nodelist=range(nodes)).toarray()
    np.testing.assert_allclose(net.laplacian_spectrum, np.linalg.eigvalsh(both), atol=1e-12)


@pytest.mark.parametrize("weights", ["push", "one-peer-push"])
@pytest.mark.parametrize(
    ("graph", "parameters", "nodes"), [case[:3] for case in CASES] + UNDIRECTED
)
def test_push_weights_keep_mass_and_mix(graph, parameters, nodes, weights):
    net = network(graph, parameters, nodes, weights)
    joined = net.adjacency.T + np.eye(nodes) > 0
    product = np.eye(nodes)
    for W in net.weights.reshape(-1, nodes, nodes):
        np.testing.assert_allclose(W.sum(0), 1, atol=1e-14)
        assert W.min() >= 0
        assert W.diagonal().min() > 0
        assert not (W[~joined] != 0).any()
        if weights == "one-peer-push" and nodes > 1:
            assert (np.count_nonzero(W, axis=0) == 2).all()
        product = W @ product
    settled = np.linalg.matrix_power(product, 400)
    np.testing.assert_allclose(settled, np.tile(settled[:, :1], nodes), atol=1e-10)


@pytest.mark.parametrize("weights", ["push", "one-peer-push"])
@pytest.mark.parametrize(
    ("graph", "parameters", "nodes"), [case[:3] for case in CASES] + UNDIRECTED
)
def test_theory_rebuilds_them_from_their_words(graph, parameters, nodes, weights):
    built = network(graph, parameters, nodes, weights).weights.reshape(-1, nodes, nodes)
    words = NetworkFacts(graph=graph, graph_parameters=parameters, weights=weights)
    np.testing.assert_allclose(declared_weights(words, nodes), built, atol=1e-15)


def test_push_weights_by_hand():
    third, half = 1 / 3, 1 / 2
    expected = [
        [third, 0, 0, half],
        [third, half, 0, 0],
        [third, half, half, 0],
        [0, 0, half, half],
    ]
    np.testing.assert_array_equal(network("digraph", {"arcs": ARCS}, 4, "push").weights, expected)
    one_peer = network("digraph", {"arcs": ARCS}, 4, "one-peer-push").weights
    assert one_peer.shape == (2, 4, 4)  # node 0 has two receivers, 1 before 2
    np.testing.assert_array_equal(one_peer[:, :, 0], [[half, half, 0, 0], [half, 0, half, 0]])
    np.testing.assert_array_equal(one_peer[0][:, 1:], one_peer[1][:, 1:])


def test_one_peer_push_on_exponential_graphs_averages_in_one_period():
    cycle = network("directed-exponential", {}, 8, "one-peer-push").weights
    np.testing.assert_allclose(cycle[2] @ cycle[1] @ cycle[0], np.full((8, 8), 1 / 8), atol=1e-15)


def test_long_periods_are_refused():
    degrees = (2, 3, 5, 7, 11)  # lcm 2310
    arcs = [(i, (i + 1 + hop) % 13) for i, k in enumerate(degrees) for hop in range(k)]
    arcs += [(i, (i + 1) % 13) for i in range(len(degrees), 13)]
    with pytest.raises(UserMistakeError, match="repeat after 2310"):
        network("digraph", {"arcs": arcs}, 13, "one-peer-push")
    with pytest.raises(UserMistakeError, match="at least 2"):
        network("directed-ring", {}, 1, "push")
