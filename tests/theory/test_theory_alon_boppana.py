"""The bound of Alon and Boppana against dense eigenvalues of many regular graphs."""

import networkx as nx
import numpy as np
import pytest
from theory_settings import FIRST, setting

from hzbench.core.setting import NetworkFacts
from hzbench.theory.alon_boppana import alon_boppana, connectivity_bound, regular_degree


def connectivity(graph):
    return np.linalg.eigvalsh(nx.laplacian_matrix(graph).toarray().astype(float))[1]


def distances(graph):
    """Of every two edges."""
    far = dict(nx.all_pairs_shortest_path_length(graph))
    edges = list(graph.edges)
    return {min(far[a][b] for a in e for b in f) for e in edges for f in edges}


def graphs():
    yield from (nx.cycle_graph(n) for n in range(6, 40, 3))
    yield from (nx.hypercube_graph(k) for k in range(3, 8))
    yield from (nx.circulant_graph(n, [1, 2]) for n in (9, 17, 40))
    yield from (
        nx.random_regular_graph(degree, n, seed=seed)
        for degree in (3, 4, 6)
        for n in (20, 60, 200)
        for seed in range(6)
    )
    yield from (nx.petersen_graph(), nx.heawood_graph(), nx.desargues_graph(), nx.tutte_graph())


def test_no_regular_graph_is_better_connected():
    ratios = []
    for found in graphs():
        graph = nx.convert_node_labels_to_integers(found)
        if not nx.is_connected(graph):
            continue
        degree, distance = regular_degree(tuple(graph.edges), len(graph))
        assert degree == graph.degree[0]
        if len(graph) <= 40:
            assert distance in distances(graph)
        if distance >= 2:
            assert connectivity(graph) <= connectivity_bound(degree, distance) + 1e-12
            ratios.append(connectivity(graph) / connectivity_bound(degree, distance))
    assert len(ratios) > 50
    assert max(ratios) > 0.8


def given(graph="random-regular", weights="metropolis", **parameters):
    words = NetworkFacts(graph=graph, graph_parameters=parameters, weights=weights)
    return setting(None, (FIRST,) * 100, network=words)


@pytest.mark.parametrize(("weights", "alpha"), [("metropolis", 1 / 5), ("lazy", 1 / 10)])
def test_the_rate_of_a_random_graph_is_above_its_bound_and_near_the_limit(weights, alpha):
    prediction = alon_boppana(given(weights=weights, degree=4, seed=1))
    graph = nx.random_regular_graph(4, 100, seed=1)
    rate = 1 - alpha * connectivity(graph)
    assert prediction.kind == "lower"
    assert prediction.values["slem"][0] < rate
    assert rate == pytest.approx(1 - alpha * (4 - 2 * np.sqrt(3)), rel=0.05)  # Friedman, n = 100


@pytest.mark.parametrize("graph", ["star", "complete", "nowhere"])
def test_other_graphs_are_refused(graph):
    assert not alon_boppana(given(graph)).applies
    assert not alon_boppana(given("ring", "best-constant")).applies
