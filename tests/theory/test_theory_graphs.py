"""Graphs, weights, spectra and gossip against networkx, dense eigenvalues and enumeration."""

import networkx as nx
import numpy as np
import pytest
from theory_enumeration import exchanges, perfect_matchings
from theory_settings import FIRST, setting

from hzbench.core.setting import NetworkFacts
from hzbench.theory.gossip_moments import gossip_contraction
from hzbench.theory.graphs import GraphError, edge_law, edge_list, laplacian
from hzbench.theory.matchings import swapped_moment
from hzbench.theory.spectra import graph_spectrum
from hzbench.theory.weights import contraction, doubly_stochastic_residual, mixing_matrix


def facts(graph, weights="metropolis", **parameters):
    return NetworkFacts(graph=graph, weights=weights, graph_parameters=parameters)


def reference(graph, n, p):
    """The same graph by another hand, nodes 0..n-1."""
    if graph in {"grid", "torus"}:
        rows, columns = p["rows"], p["columns"]
        made = nx.Graph()
        made.add_nodes_from(range(n))
        for r in range(rows):
            for c in range(columns):
                for down, right in ((r + 1, c), (r, c + 1)):
                    r2 = down % rows if graph == "torus" else down
                    c2 = right % columns if graph == "torus" else right
                    if r2 < rows and c2 < columns and (r, c) != (r2, c2):
                        made.add_edge(r * columns + c, r2 * columns + c2)
        return made
    if graph == "hypercube":
        made = nx.Graph()
        made.add_nodes_from(range(n))
        made.add_edges_from((i, j) for i in range(n) for j in range(i) if (i ^ j).bit_count() == 1)
        return made
    if graph == "ring":
        return nx.cycle_graph(n) if n > 2 else nx.path_graph(n)
    return {
        "path": nx.path_graph,
        "star": lambda k: nx.star_graph(k - 1),
        "complete": nx.complete_graph,
        "complete-bipartite": lambda k: nx.complete_bipartite_graph(p["left"], k - p["left"]),
    }[graph](n)


FAMILIES = [
    *((g, n, {}) for g in ("ring", "path", "star", "complete") for n in (2, 3, 4, 5, 8, 9)),
    *(("hypercube", n, {}) for n in (2, 4, 8, 16)),
    *(("complete-bipartite", n, {"left": k}) for n, k in ((2, 1), (5, 1), (5, 2), (6, 3), (9, 4))),
    *(
        (g, r * c, {"rows": r, "columns": c})
        for g in ("grid", "torus")
        for r, c in ((1, 2), (1, 5), (2, 2), (2, 3), (3, 2), (3, 3), (2, 5), (4, 3), (4, 5), (5, 1))
    ),
]


def slem(W):
    n = len(W)
    return np.abs(np.linalg.eigvals(W - np.full((n, n), 1 / n))).max()


def own_weights(graph, rule):
    """W from the rule's definition, entry by entry."""
    n = graph.number_of_nodes()
    W = np.zeros((n, n))
    degree = dict(graph.degree())
    spectrum = np.sort(nx.laplacian_spectrum(graph))
    for i, j in graph.edges():
        W[i, j] = W[j, i] = {
            "metropolis": 1 / (1 + max(degree[i], degree[j])),
            "lazy": 0.5 / (1 + max(degree[i], degree[j])),
            "max-degree": 1 / (1 + max(degree.values())),
            "best-constant": 2 / (spectrum[1] + spectrum[-1]),
        }[rule]
    for i in range(n):
        W[i, i] = 1 - W[i].sum()
    return W


@pytest.mark.parametrize(("graph", "n", "parameters"), FAMILIES)
def test_spectra_and_rates(graph, n, parameters):
    made = reference(graph, n, parameters)
    dense = nx.laplacian_matrix(made, nodelist=range(n)).toarray()
    network = facts(graph, **parameters)
    np.testing.assert_array_equal(laplacian(edge_list(network, n), n), dense)
    for rule in ("metropolis", "lazy", "max-degree", "best-constant"):
        network = facts(graph, rule, **parameters)
        W = own_weights(made, rule)
        np.testing.assert_allclose(mixing_matrix(network, n), W, rtol=0, atol=1e-12)
        given = setting(None, (FIRST,) * n, network=network)
        prediction = graph_spectrum(given)
        assert prediction.applies
        assert prediction.steps == (0,)
        spectrum = prediction.values["laplacian_spectrum"]
        assert spectrum.shape == (1, n)
        np.testing.assert_allclose(spectrum[0], np.linalg.eigvalsh(dense), rtol=0, atol=1e-12)
        irregular = graph == "grid" and min(parameters.values()) > 1 and n > 4
        if irregular and rule in {"metropolis", "lazy"}:
            assert "slem" not in prediction.values
        else:
            np.testing.assert_allclose(prediction.values["slem"], [slem(W)], rtol=0, atol=1e-12)
        pair = setting(None, (FIRST,) * n, network=network, protocol="pair")
        assert set(graph_spectrum(pair).values) == {"laplacian_spectrum"}


def test_uniform_weights_average_at_once():
    given = setting(None, (FIRST,) * 5, network=facts("complete", "uniform"))
    assert graph_spectrum(given).values["slem"] == [0.0]
    np.testing.assert_array_equal(mixing_matrix(given.network, 5), np.full((5, 5), 0.2))
    with pytest.raises(GraphError):
        mixing_matrix(facts("ring", "uniform"), 5)


@pytest.mark.parametrize(
    ("graph", "n", "parameters"),
    [
        ("star", 6, {}),
        ("ring", 6, {}),
        ("hypercube", 8, {}),
        ("complete-bipartite", 6, {"left": 3}),
        ("complete-bipartite", 6, {"left": 2}),
        ("path", 5, {}),
    ],
)
def test_fastest_mixing_is_the_optimum_of_its_program(graph, n, parameters):
    """B4: min |W − J/n|_2 over symmetric non-negative W on the graph with rows of sum 1."""
    cvxpy = pytest.importorskip("cvxpy")
    network = facts(graph, "fastest-mixing", **parameters)
    W = cvxpy.Variable((n, n), symmetric=True)
    allowed = np.eye(n)
    for i, j in edge_list(network, n):
        allowed[i, j] = allowed[j, i] = 1.0
    limits = [W >= 0, W @ np.ones(n) == 1, cvxpy.multiply(1 - allowed, W) == 0]
    program = cvxpy.Problem(cvxpy.Minimize(cvxpy.norm(W - 1.0 / n, 2)), limits)
    program.solve(solver=cvxpy.CLARABEL)
    found = graph_spectrum(setting(None, (FIRST,) * n, network=network)).values["slem"]
    assert found[0] == pytest.approx(program.value, abs=1e-6)
    if graph != "path":
        assert slem(mixing_matrix(network, n)) == pytest.approx(program.value, abs=1e-6)


def test_contraction_and_sums_of_a_matrix():
    assert contraction(np.full((5, 5), 0.2)) == pytest.approx(0.0, abs=1e-12)
    W = np.array([[0.5, 0.5, 0.0], [0.5, 0.25, 0.25], [0.0, 0.25, 0.75]])
    assert contraction(W) == pytest.approx(slem(W), rel=1e-12)
    assert doubly_stochastic_residual(W) == 0.0
    assert doubly_stochastic_residual(W + 0.1 * np.eye(3)) == pytest.approx(0.1)


def test_default_sides_of_a_grid():
    assert edge_list(facts("grid"), 12) == edge_list(facts("grid", rows=3, columns=4), 12)
    assert edge_list(facts("torus", rows=2), 6) == edge_list(facts("torus", columns=3), 6)
    assert edge_list(facts("grid"), 7) == edge_list(facts("path"), 7)


def test_random_graphs_are_the_first_connected_draw():
    for graph, draw, p in (
        ("random-regular", lambda s: nx.random_regular_graph(2, 9, seed=s), {"degree": 2}),
        ("erdos-renyi", lambda s: nx.gnp_random_graph(9, 0.2, seed=s), {"probability": 0.2}),
    ):
        seed = 3
        while not nx.is_connected(draw(seed)):
            seed += 1
        got = nx.Graph(edge_list(facts(graph, seed=3, **p), 9))
        assert nx.is_isomorphic(got, draw(seed))
    karate = edge_list(facts("networkx", generator="karate_club_graph"), 34)
    assert set(karate) == {tuple(sorted(e)) for e in nx.karate_club_graph().edges()}


@pytest.mark.parametrize(
    ("network", "n"),
    [
        (facts("moebius"), 4),
        (facts("grid", rows=3, columns=3), 8),
        (facts("grid", rows=0), 4),
        (facts("hypercube"), 6),
        (facts("complete-bipartite", left=4), 4),
        (facts("networkx", generator="no_such_graph"), 4),
        (facts("networkx", generator="path_graph"), 4),
        (facts("networkx", generator="karate_club_graph"), 4),
        (facts("random-regular", degree=3), 5),
        (facts("erdos-renyi", probability=0.0), 5),
        (NetworkFacts(graph="explicit"), 3),
        (NetworkFacts(graph="explicit", edges=((0, 3),)), 3),
        (NetworkFacts(graph="explicit", edges=((0, 1), (1, 0))), 3),
        (NetworkFacts(graph="ring", weights="magic"), 3),
        (NetworkFacts(matrix=np.eye(2)), 3),
    ],
)
def test_words_that_fit_no_graph(network, n):
    with pytest.raises(GraphError):
        mixing_matrix(network, n)
    matrix = setting(None, (FIRST,) * n, network=network, step_sizes=np.zeros(n))
    assert not gossip_contraction(matrix).applies


def test_graphs_without_a_closed_form_are_inapplicable():
    edges = NetworkFacts(graph="explicit", edges=((0, 1), (1, 2)))
    for network in (facts("erdos-renyi"), edges, facts("hypercube")):
        prediction = graph_spectrum(setting(None, (FIRST,) * 3, network=network))
        assert not prediction.applies
        assert not prediction.values
    assert not graph_spectrum(setting(None, (FIRST,), network=facts("path"))).applies
    unseen = setting(None, (FIRST,) * 3, network=facts("path"), record=(1, 2))
    assert not graph_spectrum(unseen).applies


@pytest.mark.parametrize("n", [2, 4, 6, 8])
def test_moment_of_a_swapped_matrix(n):
    M = np.random.default_rng(n).normal(size=(2, n, n))
    listed = []
    for pairs in perfect_matchings(list(range(n))):
        P = np.zeros((n, n))
        for i, j in pairs:
            P[i, j] = P[j, i] = 1.0
        listed.append(P @ M @ P.T)
    np.testing.assert_allclose(swapped_moment(M), np.mean(listed, axis=0), rtol=0, atol=1e-12)


def potential(X):
    return ((X - X.mean(0)) ** 2).sum() / len(X)


def enumerated(X, exchange, steps):
    """E Γ_0, ..., E Γ_T by listing every sequence of exchanges."""
    states, means = [(1.0, X)], [potential(X)]
    for _ in range(steps):
        states = [(w * p, W @ Y) for w, Y in states for p, W, _ in exchange]
        means.append(sum(w * potential(Y) for w, Y in states))
    return np.array(means)


def still(n, protocol, network, steps, **changes):
    return setting(
        None,
        (FIRST,) * n,
        protocol=protocol,
        network=network,
        steps=steps,
        step_sizes=np.zeros(n),
        **changes,
    )


@pytest.mark.parametrize(
    ("n", "protocol", "steps"),
    [
        (2, "pair", 3),
        (3, "pair", 4),
        (5, "pair", 3),
        (2, "matching", 3),
        (4, "matching", 4),
        (3, "matching", 4),
        (5, "matching", 3),
        (6, "matching", 2),
        (7, "matching", 1),
    ],
)
@pytest.mark.parametrize("law", ["uniform", "node-neighbour"])
def test_contraction_on_the_complete_graph(n, protocol, steps, law):
    network = NetworkFacts(graph="complete", edge_law=law)
    given = still(n, protocol, network, steps)
    edges = tuple((i, j) for i in range(n) for j in range(i + 1, n))
    chances = (1 / len(edges),) * len(edges)
    exchange = exchanges(protocol, n, edges=edges, probabilities=chances)
    exact = enumerated(given.problem.initial, exchange, steps)
    prediction = gossip_contraction(given)
    assert prediction.applies
    got = prediction.values["consensus_potential"]
    np.testing.assert_allclose(got, exact, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("law", ["uniform", "node-neighbour", "explicit"])
def test_one_pair_on_other_graphs(law):
    edges = ((0, 1), (1, 2), (2, 3), (1, 3), (3, 4))
    degrees = np.array([1, 3, 2, 3, 1])
    chances = {
        "uniform": (0.2,) * 5,
        "node-neighbour": tuple((1 / degrees[i] + 1 / degrees[j]) / 5 for i, j in edges),
        "explicit": (0.1, 0.2, 0.3, 0.15, 0.25),
    }[law]
    network = NetworkFacts(
        graph="explicit",
        edges=edges,
        edge_law=law,
        edge_probabilities=chances if law == "explicit" else (),
    )
    assert edge_law(network, 5)[0] == edges
    np.testing.assert_allclose(edge_law(network, 5)[1], chances)
    given = still(5, "pair", network, 3)
    prediction = gossip_contraction(given)
    exact = enumerated(
        given.problem.initial, exchanges("pair", 5, edges=edges, probabilities=chances), 3
    )
    got = prediction.values["consensus_potential"]
    np.testing.assert_allclose(got, exact, rtol=1e-12, atol=0)
    late = gossip_contraction(still(5, "pair", network, 3, record=(2, 3)))
    np.testing.assert_allclose(late.values["consensus_potential"], exact[2:], rtol=1e-12)


def test_a_fixed_matrix_is_followed():
    network = facts("path")
    given = still(4, "matrix", network, 5)
    W = own_weights(nx.path_graph(4), "metropolis")
    exact = enumerated(given.problem.initial, [(1.0, W, None)], 5)
    got = gossip_contraction(given).values["consensus_potential"]
    np.testing.assert_allclose(got, exact, rtol=1e-11)


def test_where_gossip_does_not_apply():
    complete = NetworkFacts(graph="complete")
    one_sided = NetworkFacts(matrix=np.array([[0.5, 0.5], [0.2, 0.8]]))
    short = NetworkFacts(graph="ring", edge_law="explicit", edge_probabilities=(1.0,))
    assert gossip_contraction(still(4, "pair", complete, 2)).applies
    for given in (
        setting(None, (FIRST,) * 4, protocol="pair", network=complete),
        still(4, "pair", complete, 2, moves=False),
        still(4, "matching", facts("ring"), 2),
        still(2, "matrix", one_sided, 2),
        still(4, "pair", short, 2),
        still(1, "pair", complete, 2),
    ):
        prediction = gossip_contraction(given)
        assert not prediction.applies
        assert not prediction.values
