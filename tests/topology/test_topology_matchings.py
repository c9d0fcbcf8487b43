"""Matchings on graphs, failing links, exponential graphs and fastest mixing weights."""

from itertools import permutations

import networkx as nx
import numpy as np
import pytest
from scipy.stats import chisquare
from topology_cases import network

from hzbench.core.errors import UserMistakeError
from hzbench.core.streams import replica_keys
from hzbench.topology import gossip
from hzbench.topology.fastest_mixing import FastestMixing
from hzbench.topology.gossip import draw_links
from hzbench.topology.graph_matchings import draw_alternating_matchings, draw_greedy_matchings

LEAST = 1e-3  # p-value; the seeds are fixed, so a pass stays a pass


def greedy(order, nodes):
    """Partners after going through the edges in this order."""
    partner = list(range(nodes))
    for i, j in order:
        if partner[i] == i and partner[j] == j:
            partner[i], partner[j] = j, i
    return tuple(partner)


@pytest.mark.parametrize(
    ("graph", "nodes", "parameters"),
    [("path", 5, {}), ("ring", 6, {}), ("star", 4, {}), ("grid", 6, {"rows": 2}), ("ring", 5, {})],
)
def test_greedy_matchings_follow_every_order_of_the_edges(graph, nodes, parameters):
    net = network(graph, nodes, parameters)
    edges = [tuple(edge) for edge in net.edges.tolist()]
    every = [greedy(order, nodes) for order in permutations(edges)]
    kinds = sorted(set(every))
    drawn = draw_greedy_matchings(net, replica_keys(5, range(300)), 40)
    assert drawn.shape == (300, 40, nodes)
    number = {matching: index for index, matching in enumerate(kinds)}
    found = [number[tuple(row)] for row in drawn.reshape(-1, nodes).tolist()]
    expected = np.array([every.count(kind) for kind in kinds]) / len(every) * len(found)
    assert chisquare(np.bincount(found, minlength=len(kinds)), expected).pvalue > LEAST


def test_greedy_matchings_are_maximal_on_a_larger_graph():
    net = network("networkx", 34, {"generator": "karate_club_graph"})
    drawn = draw_greedy_matchings(net, replica_keys(1, range(3)), 7)
    assert (np.take_along_axis(drawn, drawn, axis=2) == np.arange(34)).all()
    free = drawn == np.arange(34)
    i, j = net.edges.T
    assert not (free[:, :, i] & free[:, :, j]).any()
    for a, b in np.argwhere(~free[0]).tolist():
        assert net.adjacency[b, drawn[0, a, b]]


@pytest.mark.parametrize("nodes", [4, 6, 10])
def test_alternating_matchings_toss_a_fair_coin(nodes):
    drawn = draw_alternating_matchings(nodes, replica_keys(2, range(200)), 50)
    ahead = drawn[:, :, 0] == 1
    for t, r in ((0, 0), (3, 7), (11, 100)):
        pairs = {tuple(sorted((i, int(p)))) for i, p in enumerate(drawn[r, t])}
        start = 0 if ahead[r, t] else 1
        wanted = {tuple(sorted((i, (i + 1) % nodes))) for i in range(start, nodes, 2)}
        assert pairs == wanted
    assert abs(ahead.mean() - 0.5) < 4 * 0.5 / np.sqrt(ahead.size)
    assert abs((ahead[:, 1:] == ahead[:, :-1]).mean() - 0.5) < 4 * 0.5 / np.sqrt(ahead.size)


def test_links_fail_independently():
    net = network("ring", 5, link_failure=0.3)
    up = draw_links(net, replica_keys(7, range(300)), 60)
    assert up.shape == (300, 60, 5)
    flat = up.reshape(-1, 5).astype(float)
    slack = 4.5 / np.sqrt(len(flat))
    assert np.abs(flat.mean(0) - 0.7).max() < slack * np.sqrt(0.21)
    correlation = np.corrcoef(flat.T) - np.eye(5)
    assert np.abs(correlation).max() < slack
    assert abs(np.corrcoef(up[:, 1:, 0].ravel(), up[:, :-1, 0].ravel())[0, 1]) < slack
    assert draw_links(network("ring", 5), replica_keys(7, range(3)), 4).all()


@pytest.mark.parametrize("words", [1, 64])
def test_chunking_changes_no_draw(words, monkeypatch):
    net, keys = network("ring", 6, link_failure=0.4), replica_keys(8, range(12))
    draws = (
        lambda k, t, s: draw_greedy_matchings(net, k, t, s),
        lambda k, t, s: draw_alternating_matchings(6, k, t, s),
        lambda k, t, s: draw_links(net, k, t, s),
    )
    whole = [draw(keys, 30, 0) for draw in draws]
    monkeypatch.setattr(gossip, "_WORDS", words)
    for draw, all_ in zip(draws, whole, strict=True):
        assert (draw(keys, 30, 0) == all_).all()
        assert (draw(keys[3:5], 30, 0) == all_[3:5]).all()
        assert (draw(keys, 10, 20) == all_[:, 20:]).all()


@pytest.mark.parametrize("n", [2, 3, 5, 8, 12, 16])
def test_exponential_weights_look_ahead(n):
    hops = [2**k for k in range(10) if 2**k < n]
    cycle = network("exponential", n, weights="one-peer-exponential").weights
    assert cycle.shape == (len(hops), n, n)
    values = np.arange(n, dtype=float)
    for W, hop in zip(cycle, hops, strict=True):
        assert (W @ values == (values + (values + hop) % n) / 2).all()
    net = network("exponential", n, weights="static-exponential")
    ahead = sum((values + hop) % n for hop in hops)
    assert net.weights @ values == pytest.approx((values + ahead) / (1 + len(hops)))
    assert network("complete", n, weights="static-exponential").weights == pytest.approx(
        net.weights
    )
    if n & (n - 1) == 0:
        assert network("exponential", n, weights="one-peer-exponential").slem < 1e-12


def test_a_directed_matrix_is_taken_when_it_is_doubly_stochastic():
    shift = np.eye(4)[[1, 2, 3, 0]]
    net = network("ring", 4, weights="explicit", matrix=(np.eye(4) + shift) / 2)
    assert net.slem == pytest.approx(np.cos(np.pi / 4))
    rows = np.array([[0.5, 0.5, 0], [0, 0.5, 0.5], [0, 0.5, 0.5]])
    with pytest.raises(UserMistakeError, match=r"column 0 sums to 0\.5"):
        network("complete", 3, weights="explicit", matrix=rows)
    with pytest.raises(UserMistakeError, match="links that fail"):
        network("exponential", 5, weights="static-exponential", link_failure=0.1)
    with pytest.raises(UserMistakeError, match="without the edges"):
        network("ring", 8, weights="one-peer-exponential")


def slem(W):
    return np.abs(np.linalg.eigvalsh(W - 1 / len(W))).max()


def test_fastest_mixing_beats_every_other_non_negative_rule_on_small_graphs():
    every = [g for g in nx.graph_atlas_g() if len(g) == 5 and nx.is_connected(g)]
    for graph in every:
        W = FastestMixing().build(graph)
        A = nx.to_numpy_array(graph, nodelist=range(5))
        assert W.min() >= 0
        assert np.abs(W - W.T).max() < 1e-15
        assert np.abs(W.sum(0) - 1).max() < 1e-12
        assert (W[A + np.eye(5) == 0] == 0).all()
        edges = [tuple(edge) for edge in graph.edges]
        for rule in ("metropolis", "max-degree", "lazy"):
            other = network("explicit", 5, edges=tuple(edges), weights=rule)
            assert slem(W) <= other.slem + 1e-7


def test_no_feasible_neighbour_mixes_faster():
    """The program is convex, so a local optimum is a global one."""
    for graph in (nx.path_graph(6), nx.star_graph(5), nx.cycle_graph(7), nx.petersen_graph()):
        n = len(graph)
        W = FastestMixing().build(graph)
        rng = np.random.default_rng(n)
        for scale in (1e-1, 1e-2, 1e-3):
            for _ in range(60):
                V = W.copy()
                for i, j in graph.edges:
                    change = max(scale * rng.normal(), -V[i, j])
                    V[i, j] += change
                    V[j, i] += change
                    V[i, i] -= change
                    V[j, j] -= change
                if V.min() >= 0:
                    assert slem(V) >= slem(W) - 1e-8


@pytest.mark.parametrize(
    ("graph", "expected"),
    [
        (nx.star_graph(5), 0.8),
        (nx.cycle_graph(8), None),
        (nx.cycle_graph(7), None),
        (nx.complete_graph(5), 0.0),
        (nx.complete_bipartite_graph(3, 3), 1 / 3),
        (nx.complete_bipartite_graph(2, 4), None),
        (nx.petersen_graph(), None),
        (nx.path_graph(6), np.cos(np.pi / 6)),
        (nx.path_graph(2), 0.0),
    ],
)
def test_fastest_mixing_where_it_is_known(graph, expected):
    values = np.linalg.eigvalsh(nx.laplacian_matrix(graph).toarray().astype(float))
    degree = max(d for _, d in graph.degree)
    weight = min(1 / degree, 2 / (values[1] + values[-1]))
    closed = np.abs(1 - weight * values[1:]).max()
    found = slem(FastestMixing().build(graph))
    assert found == pytest.approx(closed if expected is None else expected, abs=2e-9)


def test_fastest_mixing_of_a_torus_beats_the_best_constant():
    torus = network("torus", 12, {"rows": 3, "columns": 4}, weights="fastest-mixing")
    constant = network("torus", 12, {"rows": 3, "columns": 4}, weights="best-constant")
    assert torus.slem == pytest.approx(0.5, abs=1e-8)
    assert constant.slem == pytest.approx(5 / 9)
    assert FastestMixing().build(nx.empty_graph(1)).tolist() == [[1.0]]
    with pytest.raises(UserMistakeError, match="at most 50"):
        network("ring", 51, weights="fastest-mixing")
