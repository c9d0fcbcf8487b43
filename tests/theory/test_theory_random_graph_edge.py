"""The second eigenvalue of random graphs: dense eigenvalues, the bound, and the limit of B13."""

import networkx as nx
import numpy as np
import pytest
from theory_settings import FIRST, setting

from hzbench.core.setting import NetworkFacts
from hzbench.harness.recorder import adjacency_slem
from hzbench.theory.random_graph_edge import random_graph_edge, spectral_deviation


def normalised(graph):
    """Eigenvalues of I minus networkx's normalised Laplacian, ascending."""
    dense = nx.normalized_laplacian_matrix(graph).toarray()
    return np.sort(1 - np.linalg.eigvalsh(dense))


@pytest.mark.parametrize("probability", [0.1, 0.3, 0.8])
@pytest.mark.parametrize("n", [12, 40, 150])
def test_the_bound_is_the_deviation_of_all_other_eigenvalues(n, probability):
    found = 0
    for seed in range(8):
        graph = nx.gnp_random_graph(n, probability, seed=seed)
        if not nx.is_connected(graph):
            continue
        spectrum = normalised(graph)
        bound = spectral_deviation(tuple(graph.edges), n)
        assert bound == pytest.approx(np.sqrt((spectrum[:-1] ** 2).mean()), rel=1e-10)
        second = adjacency_slem(nx.to_numpy_array(graph))
        assert second == pytest.approx(np.abs(spectrum[:-1]).max(), rel=1e-10)
        assert bound <= second
        found += 1
    assert found >= (8 if n > 100 else 0)


@pytest.mark.parametrize("probability", [0.2, 0.5])
def test_at_400_nodes_the_limit_is_near(probability):
    words = {"probability": probability, "seed": 3}
    network = NetworkFacts(graph="erdos-renyi", graph_parameters=words)
    prediction = random_graph_edge(setting(None, (FIRST,) * 400, network=network))
    limit = 2 * np.sqrt((1 - probability) / (400 * probability))
    second = np.abs(normalised(nx.gnp_random_graph(400, probability, seed=3))[:-1]).max()
    assert prediction.kind == "lower"
    assert prediction.values["adjacency_slem"][0] == pytest.approx(limit / 2, rel=0.05)
    assert second == pytest.approx(limit, rel=0.08)
    assert f"{limit:.3g}" in prediction.statement


def test_other_graphs_are_refused():
    for words in (
        {"graph": "ring"},
        {"graph": "erdos-renyi", "graph_parameters": {"probability": 1.0}},
    ):
        assert not random_graph_edge(
            setting(None, (FIRST,) * 9, network=NetworkFacts(**words))
        ).applies
