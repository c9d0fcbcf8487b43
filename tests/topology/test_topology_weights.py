"""Weights: small matrices by hand, and what every W and every law of edges must satisfy."""

import numpy as np
import pytest
from topology_cases import FAMILIES, network

from hzbench.core.errors import UserMistakeError
from hzbench.core.registry import entries

THIRD = 1 / 3
SPARSE = ["metropolis", "max-degree", "lazy", "best-constant"]


@pytest.mark.parametrize("rule", SPARSE)
@pytest.mark.parametrize(("graph", "parameters", "nodes"), FAMILIES)
def test_every_w_is_symmetric_doubly_stochastic_on_the_graph(rule, graph, parameters, nodes):
    net = network(graph, nodes, parameters, weights=rule)
    w = net.weights
    assert w.shape == (nodes, nodes)
    assert np.abs(w - w.T).max() <= 1e-15
    assert w.sum(axis=0) == pytest.approx(np.ones(nodes), abs=1e-12)
    assert (w[net.adjacency + np.eye(nodes) == 0] == 0).all()
    assert net.slem < 1
    if rule != "best-constant":
        assert w.min() >= -1e-15
    if rule == "lazy":
        assert np.linalg.eigvalsh(w).min() >= -1e-12


def test_all_rules_are_covered():
    directed = {"static-exponential", "one-peer-exponential"}
    push = {"push", "one-peer-push"}  # test_topology_digraphs.py
    assert {*SPARSE, *directed, *push, "uniform", "fastest-mixing"} == set(entries("weights"))


@pytest.mark.parametrize(
    ("graph", "nodes", "rule", "expected"),
    [
        (
            "ring",
            4,
            "metropolis",
            [
                [THIRD, THIRD, 0, THIRD],
                [THIRD, THIRD, THIRD, 0],
                [0, THIRD, THIRD, THIRD],
                [THIRD, 0, THIRD, THIRD],
            ],
        ),
        (
            "path",
            3,
            "metropolis",
            [[2 / 3, THIRD, 0], [THIRD, THIRD, THIRD], [0, THIRD, 2 / 3]],
        ),
        ("path", 3, "max-degree", [[2 / 3, THIRD, 0], [THIRD, THIRD, THIRD], [0, THIRD, 2 / 3]]),
        ("path", 3, "lazy", [[5 / 6, 1 / 6, 0], [1 / 6, 2 / 3, 1 / 6], [0, 1 / 6, 5 / 6]]),
        ("path", 3, "best-constant", [[0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0.5]]),
        (
            "star",
            4,
            "metropolis",
            [[0.25, 0.25, 0.25, 0.25], [0.25, 0.75, 0, 0], [0.25, 0, 0.75, 0], [0.25, 0, 0, 0.75]],
        ),
        (
            "star",
            4,
            "best-constant",
            [[-0.2, 0.4, 0.4, 0.4], [0.4, 0.6, 0, 0], [0.4, 0, 0.6, 0], [0.4, 0, 0, 0.6]],
        ),
        ("complete", 3, "metropolis", np.full((3, 3), THIRD)),
        ("complete", 3, "uniform", np.full((3, 3), THIRD)),
        ("complete", 2, "uniform", np.full((2, 2), 0.5)),
        ("complete", 1, "metropolis", [[1]]),
        ("complete", 1, "best-constant", [[1]]),
        ("complete", 1, "uniform", [[1]]),
    ],
)
def test_small_matrices_by_hand(graph, nodes, rule, expected):
    assert network(graph, nodes, weights=rule).weights == pytest.approx(np.array(expected))


@pytest.mark.parametrize(
    ("graph", "nodes", "rule", "slem"),
    [
        ("ring", 9, "metropolis", (1 + 2 * np.cos(2 * np.pi / 9)) / 3),
        ("path", 9, "metropolis", (1 + 2 * np.cos(np.pi / 9)) / 3),
        ("star", 9, "metropolis", 1 - 1 / 9),
        ("complete", 9, "metropolis", 0.0),
        ("hypercube", 16, "metropolis", 3 / 5),
        ("path", 9, "best-constant", np.cos(np.pi / 9)),
        ("star", 8, "best-constant", 7 / 9),
        ("hypercube", 16, "best-constant", 3 / 5),
        ("complete-bipartite", 8, "best-constant", 1 / 3),
    ],
)
def test_second_eigenvalues_known_in_closed_form(graph, nodes, rule, slem):
    assert network(graph, nodes, weights=rule).slem == pytest.approx(slem, abs=1e-12)


def test_a_given_matrix_is_taken_and_checked():
    w = np.array([[0.5, 0.5, 0], [0.5, 0.25, 0.25], [0, 0.25, 0.75]])
    net = network("path", 3, weights="explicit", matrix=w)
    assert (net.weights == w).all()
    with pytest.raises(UserMistakeError, match="not symmetric"):
        network("path", 3, weights="explicit", matrix=w + np.eye(3)[::-1] * [[1], [0], [0]])
    with pytest.raises(UserMistakeError, match="row 0 sums to 1"):
        network("path", 3, weights="explicit", matrix=w + 0.5 * np.eye(3))
    with pytest.raises(UserMistakeError, match="without an edge"):
        network("path", 3, weights="explicit", matrix=np.full((3, 3), THIRD))
    with pytest.raises(UserMistakeError, match="shape"):
        network("path", 3, weights="explicit", matrix=np.eye(2))


def test_rules_that_do_not_suit():
    with pytest.raises(UserMistakeError, match="expected the complete graph"):
        network("ring", 5, weights="uniform")
    with pytest.raises(UserMistakeError, match="without a matrix"):
        network("ring", 5, weights="explicit")
    with pytest.raises(UserMistakeError, match="did you mean 'metropolis'"):
        network("ring", 5, weights="metropolys")


def test_laws_of_edges():
    star = network("star", 4, edge_law="node-neighbour")
    assert star.edge_probabilities == pytest.approx(np.full(3, (1 + 1 / 3) / 4))
    path = network("path", 4, edge_law="node-neighbour")
    assert path.edge_probabilities == pytest.approx(np.array([1.5, 1.0, 1.5]) / 4)
    listed = network(
        "explicit", 3, edges=((1, 2), (0, 1)), edge_law="explicit", edge_probabilities=(0.9, 0.1)
    )
    assert listed.edge_probabilities.tolist() == [0.9, 0.1]
    assert network("complete", 1, edge_law="node-neighbour").edge_probabilities.shape == (0,)


@pytest.mark.parametrize(
    ("edges", "probabilities", "message"),
    [
        (((0, 1), (1, 2)), (1.0,), "one an edge"),
        (((0, 1), (1, 2)), (0.7, 0.7), "sum to 1.4"),
        (((0, 1), (1, 2)), (1.5, -0.5), "non-negative"),
        ((), (0.5, 0.5), "without a list of edges"),
    ],
)
def test_bad_laws(edges, probabilities, message):
    graph = "explicit" if edges else "path"
    with pytest.raises(UserMistakeError, match=message):
        network(graph, 3, edges=edges, edge_law="explicit", edge_probabilities=probabilities)
