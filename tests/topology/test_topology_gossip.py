"""Draws of edges and matchings: the law, the independence, and no effect of chunking."""

from itertools import combinations

import numpy as np
import pytest
from scipy.stats import chi2_contingency, chisquare
from topology_cases import network

from hzbench.core.errors import UserMistakeError
from hzbench.core.registry import entries
from hzbench.core.streams import replica_keys
from hzbench.topology import gossip
from hzbench.topology.gossip import draw_edges, draw_matchings

LEAST = 1e-3  # p-value; the seeds are fixed, so a pass stays a pass


@pytest.mark.parametrize(
    ("graph", "nodes", "words"),
    [
        ("ring", 8, {}),
        ("complete", 5, {}),
        ("star", 6, {"edge_law": "node-neighbour"}),
        ("path", 6, {"edge_law": "node-neighbour"}),
        (
            "explicit",
            3,
            {
                "edges": ((1, 2), (0, 1), (0, 2)),
                "edge_law": "explicit",
                "edge_probabilities": (0.7, 0.0, 0.3),
            },
        ),
    ],
)
def test_edges_follow_their_law(graph, nodes, words):
    net = network(graph, nodes, **words)
    drawn = draw_edges(net, replica_keys(11, range(200)), 100)
    assert drawn.shape == (200, 100)
    assert drawn.dtype == np.int64
    counts = np.bincount(drawn.ravel(), minlength=len(net.edges))
    possible = net.edge_probabilities > 0
    assert counts[~possible].sum() == 0
    expected = net.edge_probabilities[possible] * drawn.size
    assert chisquare(counts[possible], expected).pvalue > LEAST


def test_node_neighbour_is_a_uniform_node_then_a_uniform_neighbour():
    net = network("networkx", 34, {"generator": "karate_club_graph"}, edge_law="node-neighbour")
    by_hand = np.zeros((34, 34))
    for node in range(34):
        neighbours = np.flatnonzero(net.adjacency[node])
        by_hand[node, neighbours] = 1 / 34 / len(neighbours)
    by_hand += by_hand.T
    assert net.edge_probabilities == pytest.approx(by_hand[net.edges[:, 0], net.edges[:, 1]])


def test_successive_edges_are_independent():
    drawn = draw_edges(network("ring", 4), replica_keys(3, range(400)), 60)
    table = np.zeros((4, 4))
    np.add.at(table, (drawn[:, :-1:2].ravel(), drawn[:, 1::2].ravel()), 1)
    assert chi2_contingency(table).pvalue > LEAST
    table = np.zeros((4, 4))
    np.add.at(table, (drawn[::2].ravel(), drawn[1::2].ravel()), 1)
    assert chi2_contingency(table).pvalue > LEAST


def perfect_matchings(nodes):
    if nodes % 2:
        rest = [[v for v in range(nodes) if v != idle] for idle in range(nodes)]
        return [m for idle, left in enumerate(rest) for m in _pairings(left, {idle: idle})]
    return list(_pairings(list(range(nodes)), {}))


def _pairings(left, chosen):
    if not left:
        yield tuple(chosen[v] for v in sorted(chosen))
        return
    first, *others = left
    for other in others:
        yield from _pairings(
            [v for v in others if v != other], {**chosen, first: other, other: first}
        )


@pytest.mark.parametrize(("nodes", "count"), [(2, 1), (3, 3), (4, 3), (5, 15), (6, 15)])
def test_matchings_are_uniform_over_all_perfect_matchings(nodes, count):
    every = perfect_matchings(nodes)
    assert len(set(every)) == count
    drawn = draw_matchings(nodes, replica_keys(5, range(300)), 50)
    assert drawn.shape == (300, 50, nodes)
    assert drawn.dtype == np.int64
    number = {matching: index for index, matching in enumerate(every)}
    counts = np.bincount(
        [number[tuple(row)] for row in drawn.reshape(-1, nodes).tolist()], minlength=count
    )
    assert chisquare(counts).pvalue > LEAST or count == 1


@pytest.mark.parametrize("nodes", [1, 2, 7, 33, 64])
def test_a_matching_is_an_involution_with_one_idle_node_if_odd(nodes):
    drawn = draw_matchings(nodes, replica_keys(1, range(5)), 20)
    assert (np.take_along_axis(drawn, drawn, axis=2) == np.arange(nodes)).all()
    assert ((drawn == np.arange(nodes)).sum(axis=2) == nodes % 2).all()


def test_every_pair_is_equally_likely_among_many_nodes():
    nodes = 9
    drawn = draw_matchings(nodes, replica_keys(2, range(200)), 40).reshape(-1, nodes)
    counts = [(drawn[:, i] == j).sum() for i, j in combinations(range(nodes), 2)]
    assert np.abs(np.array(counts) / len(drawn) - 1 / nodes).max() < 5 / np.sqrt(9 * len(drawn))


def test_ties_are_broken_by_index():
    assert gossip._pair_up(np.array([[7, 7, 7, 7, 7]])).tolist() == [[1, 0, 3, 2, 4]]
    assert gossip._pair_up(np.array([[9, 2**32 - 1, 9, 0]])).tolist() == [[3, 2, 1, 0]]


@pytest.mark.parametrize("words", [1, 64, 1 << 20])
def test_chunking_changes_no_draw(words, monkeypatch):
    net, keys = network("ring", 6), replica_keys(8, range(12))
    edges, matchings = draw_edges(net, keys, 30), draw_matchings(7, keys, 30)
    monkeypatch.setattr(gossip, "_WORDS", words)
    assert (draw_edges(net, keys, 30) == edges).all()
    assert (draw_matchings(7, keys, 30) == matchings).all()
    assert (draw_edges(net, keys[3:5], 30) == edges[3:5]).all()
    assert (draw_matchings(7, keys[3:5], 30) == matchings[3:5]).all()
    assert (draw_edges(net, keys, 10) == edges[:, :10]).all()
    assert (draw_edges(net, keys, 10, start=20) == edges[:, 20:]).all()
    assert (draw_matchings(7, keys, 10, start=20) == matchings[:, 20:]).all()


def test_a_single_node_has_no_edge_to_draw():
    with pytest.raises(UserMistakeError, match="without edges"):
        draw_edges(network("complete", 1), replica_keys(0, range(2)), 3)
    assert (draw_matchings(1, replica_keys(0, range(2)), 3) == 0).all()


def test_protocols_fill_the_plan():
    net, keys = network("ring", 5), replica_keys(0, range(3))
    known = {name: entry.target(net, keys, 4) for name, entry in entries("gossip").items()}
    assert set(known) == {"pair", "matching", "matrix", "server"}
    assert known["server"] == {}  # its schedule follows from clock and method
    assert (known["pair"]["pairs"] == net.edges[draw_edges(net, keys, 4)]).all()
    assert known["pair"]["pairs"].shape == (3, 4, 2)
    assert known["matching"]["partners"].shape == (3, 4, 5)
    assert (known["matrix"]["matrix"] == net.weights).all()
