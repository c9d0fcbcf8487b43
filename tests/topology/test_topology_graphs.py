"""Graph families against networkx and against spectra known in closed form."""

from functools import partial

import networkx as nx
import numpy as np
import pytest
from topology_cases import FAMILIES, network

from hzbench.core.errors import UserMistakeError
from hzbench.core.registry import entries
from hzbench.core.setting import NetworkFacts
from hzbench.topology.build import build_network


def pairs(net):
    return {tuple(edge) for edge in net.edges.tolist()}


def named(graph):
    number = {label: index for index, label in enumerate(sorted(graph))}
    return {tuple(sorted((number[i], number[j]))) for i, j in graph.edges if i != j}


@pytest.mark.parametrize(("graph", "parameters", "nodes"), FAMILIES)
def test_every_family_gives_a_connected_simple_graph(graph, parameters, nodes):
    net = network(graph, nodes, parameters)
    assert net.nodes == nodes
    assert (net.edges[:, 0] < net.edges[:, 1]).all()
    assert net.edges.tolist() == [list(edge) for edge in sorted(pairs(net))]
    assert nx.is_connected(nx.from_numpy_array(net.adjacency))
    assert net.edge_probabilities * len(net.edges) == pytest.approx(np.ones(len(net.edges)))


def test_all_families_are_covered_by_the_cases():
    directed = {"directed-ring", "directed-exponential", "digraph"}  # test_topology_digraphs.py
    assert {case[0] for case in FAMILIES} | directed == set(entries("graph"))


@pytest.mark.parametrize(
    ("graph", "parameters", "nodes", "reference"),
    [
        ("ring", {}, 9, nx.cycle_graph(9)),
        ("path", {}, 7, nx.path_graph(7)),
        ("star", {}, 8, nx.star_graph(7)),
        ("complete", {}, 6, nx.complete_graph(6)),
        ("grid", {"rows": 3, "columns": 4}, 12, nx.grid_2d_graph(3, 4)),
        ("torus", {"rows": 3, "columns": 4}, 12, nx.grid_2d_graph(3, 4, periodic=True)),
        ("torus", {"rows": 2, "columns": 5}, 10, nx.grid_2d_graph(2, 5, periodic=True)),
        ("hypercube", {}, 16, nx.hypercube_graph(4)),
        ("complete-bipartite", {"left": 3}, 8, nx.complete_bipartite_graph(3, 5)),
        ("circulant", {"hops": (1, 3, 4)}, 8, nx.circulant_graph(8, [1, 3, 4])),
        ("exponential", {}, 16, nx.circulant_graph(16, [1, 2, 4, 8])),
        ("exponential", {}, 11, nx.circulant_graph(11, [1, 2, 4, 8])),
    ],
)
def test_labels_and_edges_equal_networkx(graph, parameters, nodes, reference):
    assert pairs(network(graph, nodes, parameters)) == named(reference)


@pytest.mark.parametrize(
    ("graph", "nodes", "spectrum"),
    [
        ("ring", 8, lambda n: 2 - 2 * np.cos(2 * np.pi * np.arange(n) / n)),
        ("path", 7, lambda n: 2 - 2 * np.cos(np.pi * np.arange(n) / n)),
        ("star", 9, lambda n: [0, *[1] * (n - 2), n]),
        ("complete", 5, lambda n: [0, *[n] * (n - 1)]),
        ("hypercube", 8, lambda _: [0, 2, 2, 2, 4, 4, 4, 6]),
        ("complete-bipartite", 6, lambda _: [0, 3, 3, 3, 3, 6]),
    ],
)
def test_laplacian_spectra(graph, nodes, spectrum):
    got = network(graph, nodes).laplacian_spectrum
    assert got == pytest.approx(np.sort(spectrum(nodes)), abs=1e-12)


def test_rows_default_to_the_largest_divisor_below_the_root():
    assert pairs(network("grid", 12)) == pairs(network("grid", 12, {"rows": 3, "columns": 4}))
    assert pairs(network("torus", 7, {"rows": 1})) == pairs(network("ring", 7))


@pytest.mark.parametrize("first", range(8))
@pytest.mark.parametrize(
    ("graph", "parameters", "draw"),
    [
        ("erdos-renyi", {"probability": 0.15}, partial(nx.gnp_random_graph, 12, 0.15)),
        ("random-regular", {"degree": 2}, partial(nx.random_regular_graph, 2, 12)),
    ],
)
def test_random_graphs_are_the_first_connected_draw(graph, parameters, draw, first):
    seed = next(s for s in range(first, 1000) if nx.is_connected(draw(seed=s)))
    assert pairs(network(graph, 12, {**parameters, "seed": first})) == named(draw(seed=seed))


def test_some_first_draws_are_not_connected():
    assert not nx.is_connected(nx.gnp_random_graph(12, 0.15, seed=0))
    assert not nx.is_connected(nx.random_regular_graph(2, 12, seed=0))


def test_random_regular_graphs_are_regular():
    degrees = network("random-regular", 10, {"degree": 3, "seed": 7}).adjacency.sum(axis=0)
    assert (degrees == 3).all()


def test_karate_club_is_zacharys():
    net = network("networkx", 34, {"generator": "karate_club_graph"})
    assert len(net.edges) == 78
    assert net.adjacency.sum(axis=0)[[0, 33]].tolist() == [16, 17]


def test_listed_edges_keep_their_order():
    facts = NetworkFacts(graph="explicit", edges=((2, 3), (1, 0), (1, 2)))
    assert build_network(facts, 4).edges.tolist() == [[2, 3], [0, 1], [1, 2]]


@pytest.mark.parametrize(
    ("graph", "parameters", "nodes", "words"),
    [
        ("hypercube", {}, 9, ["got 9 nodes", "power of 2", "take 8 or 16"]),
        ("networkx", {"generator": "karate_club_graph"}, 33, ["got 33", "expected 34", "declare"]),
        ("networkx", {"generator": "karate_club"}, 34, ["did you mean 'karate_club_graph'"]),
        ("networkx", {"generator": "path_graph"}, 34, ["needs n", "without arguments"]),
        ("networkx", {"generator": "read_gml"}, 34, ["expected a graph of networkx"]),
        ("ring", {}, 2, ["got 2 nodes for a ring", "at least 3"]),
        ("path", {}, 0, ["got 0 nodes", "at least 1"]),
        ("grid", {"rows": 3, "columns": 3}, 8, ["got 8 nodes for 3 rows and 3 columns"]),
        ("torus", {"rows": 3}, 8, ["rows · columns = nodes"]),
        ("torus", {}, 7, ["got 7 nodes, a prime number", "rows = 1"]),
        ("grid", {}, 5, ["got 5 nodes, a prime number", "rows = 1"]),
        ("torus", {"columns": 16}, 8, ["rows · columns = nodes"]),
        ("complete-bipartite", {"left": 8}, 8, ["at least one node on each side"]),
        ("random-regular", {"degree": 3}, 9, ["got degree 3 on 9 nodes", "even"]),
        ("random-regular", {"degree": 1}, 4, ["2 <= degree"]),
        ("random-regular", {}, 4, ["degree: got nothing"]),
        ("erdos-renyi", {"probability": 1e-6}, 9, ["none connected", "raise"]),
        ("erdos-renyi", {"probability": 1.5}, 9, ["probability: got 1.5"]),
        ("ring", {"sides": 3}, 9, ["sides: got an unknown key"]),
        ("circulant", {"hops": (2, 4)}, 8, ["2 components"]),
        ("circulant", {"hops": (9,)}, 8, ["got hops [9] on 8 nodes"]),
        ("exponential", {}, 1, ["at least 2"]),
        ("rin", {}, 9, ["did you mean 'ring'"]),
        ("explicit", {}, 3, ["without edges"]),
    ],
)
def test_impossible_graphs_say_what_to_do(graph, parameters, nodes, words):
    with pytest.raises(UserMistakeError) as caught:
        network(graph, nodes, parameters)
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize(
    ("edges", "words"),
    [
        (((0, 1), (2, 3)), ["2 components", "connected"]),
        (((0, 1), (1, 2), (2, 4)), ["[2, 4]", "0 ... 3"]),
        (((0, 0), (1, 2)), ["[0, 0]", "two different nodes"]),
        (((0, 1), (1, 0), (1, 2), (2, 3)), ["more than once"]),
        (((0, 1, 2),), ["a pair of nodes"]),
    ],
)
def test_bad_edge_lists(edges, words):
    with pytest.raises(UserMistakeError) as caught:
        build_network(NetworkFacts(graph="explicit", edges=edges), 4)
    for word in words:
        assert word in str(caught.value)
