"""Gossip laws against dense algebra and enumeration, on every connected graph up to 7 nodes."""

from dataclasses import replace
from decimal import Decimal, localcontext
from functools import cache
from itertools import permutations, product

import networkx as nx
import numpy as np
import pytest
from theory_settings import FIRST, setting

from hzbench.core.setting import NetworkFacts, UpdateFacts
from hzbench.theory.gossip_moments import (
    contraction_factor,
    gossip_contraction,
    gossip_rate,
    second_order_polynomials,
)
from hzbench.theory.graphs import GraphError, edge_transitive
from hzbench.theory.mixing_laws import mean_square, mixing_phases
from hzbench.theory.random_matchings import inclusion_probabilities, matching_law, ring_inclusion
from hzbench.theory.spectra import graph_spectrum
from hzbench.theory.weights import chebyshev_ratio, mixing_matrix


@cache
def atlas():
    """Every connected graph on 2 to 7 nodes: (n, edges)."""
    every = [g for g in nx.graph_atlas_g() if len(g) > 1 and nx.is_connected(g)]
    assert len(every) == 1 + 2 + 6 + 21 + 112 + 853
    return tuple((len(g), tuple(sorted((min(e), max(e)) for e in g.edges))) for g in every)


def facts(edges=(), **words):
    graph = {"graph": "explicit", "edges": tuple(edges)} if edges else {}
    return NetworkFacts(**(graph | words))


def still(n, protocol, network, steps=1, **changes):
    changes = {"step_sizes": np.zeros(n), "steps": steps} | changes
    return setting(None, (FIRST,) * n, protocol=protocol, network=network, **changes)


def along(n, pairs, w=0.5):
    """Partners average with weight w, entry by entry."""
    W = np.eye(n)
    for i, j in pairs:
        W[i, i], W[j, j], W[i, j], W[j, i] = 1 - w, 1 - w, w, w
    return W


def centred(matrix):
    return matrix - np.full(matrix.shape, 1 / len(matrix))


def spread(X):
    return ((X - X.mean(0)) ** 2).sum() / len(X)


def check_law(given, law, *, exact=True):
    """E W'W, its worst factor on its eigenvector, and E Γ against a listed law [(p, W)]."""
    assert sum(p for p, _ in law) == pytest.approx(1.0)
    squares = sum(p * W.T @ W for p, W in law)
    np.testing.assert_allclose(mean_square(given), squares, rtol=0, atol=1e-12)
    values, vectors = np.linalg.eigh(centred(squares))
    assert contraction_factor(given) == pytest.approx(max(values[-1], 0), abs=1e-12)
    worst = vectors[:, -1:]
    after = sum(p * spread(W @ worst) for p, W in law)
    assert after <= contraction_factor(given) * spread(worst) + 1e-12
    assert after >= contraction_factor(given) * spread(worst) - 1e-12
    if exact:
        X, states = given.problem.initial, [(1.0, given.problem.initial)]
        means = [spread(X)]
        for _ in range(given.steps):
            states = [(w * p, W @ Y) for w, Y in states for p, W in law]
            means.append(sum(w * spread(Y) for w, Y in states))
        prediction = gossip_contraction(given)
        assert prediction.applies
        assert prediction.steps == tuple(range(given.steps + 1))
        np.testing.assert_allclose(
            prediction.values["consensus_potential"], means, rtol=1e-10, atol=1e-14
        )
        bound = gossip_rate(given).values["consensus_potential"]
        assert (bound >= np.array(means) - 1e-12).all()


def test_random_edges_on_every_small_graph():
    """B5, B6, B8: one tick of a random edge, by listing the edges."""
    for n, edges in atlas():
        degree = np.bincount(np.ravel(edges), minlength=n)
        for law, w in (("uniform", 0.5), ("uniform", 0.3), ("node-neighbour", 0.8)):
            chance = [1 / len(edges)] * len(edges)
            if law == "node-neighbour":
                chance = [(1 / degree[i] + 1 / degree[j]) / n for i, j in edges]
            given = still(n, "pair", facts(edges, edge_law=law, pair_weight=w))
            listed = [(p, along(n, [e], w)) for p, e in zip(chance, edges, strict=True)]
            check_law(given, listed, exact=n < 7 or law == "node-neighbour")


@pytest.mark.parametrize("rule", ["metropolis", "max-degree", "lazy", "best-constant"])
def test_fixed_weights_on_every_small_graph(rule):
    for n, edges in atlas():
        network = facts(edges, weights=rule)
        W = mixing_matrix(network, n)
        assert np.abs(W.sum(0) - 1).max() < 1e-12
        assert np.abs(W - W.T).max() == 0
        support = {(i, j) for i in range(n) for j in range(i + 1, n) if W[i, j]}
        assert support <= set(edges)
        assert rule == "best-constant" or W.min() > -1e-15
        slem = np.abs(np.linalg.eigvals(centred(W))).max()
        assert contraction_factor(still(n, "matrix", network)) == pytest.approx(slem**2, abs=1e-12)
    check_law(still(n, "matrix", network, 3), [(1.0, W)])


def orders(edges):
    """The greedy matching of every order of the edges, by going through the order."""
    for order in permutations(edges):
        used, taken = set(), []
        for edge in order:
            if not used & set(edge):
                used |= set(edge)
                taken.append(edge)
        yield tuple(sorted(taken))


def listed_greedy(edges):
    every = list(orders(edges))
    return {pairs: every.count(pairs) / len(every) for pairs in set(every)}


def test_greedy_matchings_by_listing_every_order():
    """B9, B10 on every connected graph with at most 6 edges."""
    for n, edges in atlas():
        if len(edges) > 6:
            continue
        network = facts(edges, matching_law="greedy", pair_weight=0.4)
        by_order = listed_greedy(edges)
        law = matching_law(network, n)
        assert set(law) == set(by_order)
        for pairs, chance in by_order.items():
            assert law[pairs] == pytest.approx(chance, abs=1e-12)
        chances = [sum(p for m, p in by_order.items() if e in m) for e in edges]
        got, found = inclusion_probabilities(network, n)
        assert got == edges
        np.testing.assert_allclose(found, chances, rtol=0, atol=1e-12)
    given = still(n, "matching", network, 2)
    check_law(given, [(p, along(n, pairs, 0.4)) for pairs, p in by_order.items()])


def test_inclusion_and_listing_agree_on_every_small_graph():
    for n, edges in atlas()[::7]:
        network = facts(edges, matching_law="greedy")
        chances = np.zeros(len(edges))
        law = matching_law(network, n)
        assert sum(law.values()) == pytest.approx(1.0)
        for pairs, p in law.items():
            assert len({k for e in pairs for k in e}) == 2 * len(pairs)
            chances[[edges.index(e) for e in pairs]] += p
        np.testing.assert_allclose(inclusion_probabilities(network, n)[1], chances, atol=1e-12)


def test_greedy_on_a_ring():
    """B10: the recursion against the enumeration, and its limit (1 − e⁻²)/2."""
    for n in range(3, 11):
        ring = tuple(tuple(sorted((i, (i + 1) % n))) for i in range(n))
        listed = inclusion_probabilities(facts(ring, matching_law="greedy"), n)[1]
        np.testing.assert_allclose(listed, ring_inclusion(n), rtol=0, atol=1e-12)
        words = NetworkFacts(graph="ring", matching_law="greedy")
        np.testing.assert_allclose(inclusion_probabilities(words, n)[1], listed, atol=1e-12)
    assert ring_inclusion(400) == pytest.approx((1 - np.exp(-2)) / 2, abs=1e-12)


def test_alternating_matchings_of_a_ring():
    for n in (4, 6, 10):
        network = NetworkFacts(graph="ring", matching_law="alternating")
        even = [(i, i + 1) for i in range(0, n, 2)]
        odd = [(i, (i + 1) % n) for i in range(1, n, 2)]
        given = still(n, "matching", network, 3)
        check_law(given, [(0.5, along(n, even)), (0.5, along(n, odd))])
        assert contraction_factor(given) == pytest.approx(np.cos(np.pi / n) ** 2)
    for graph, n in (("ring", 5), ("path", 4)):
        with pytest.raises(GraphError, match="even ring"):
            matching_law(NetworkFacts(graph=graph, matching_law="alternating"), n)


@pytest.mark.parametrize("n", [2, 3, 4, 5, 6])
def test_uniform_matchings_of_any_weight(n):
    """B9: every perfect matching of K_n, by listing them."""
    network = NetworkFacts(graph="complete", pair_weight=0.2)
    listed = set()
    for order in permutations(range(n)):
        pairs = sorted(tuple(sorted(order[k : k + 2])) for k in range(0, n - 1, 2))
        listed.add(tuple(pairs))
    law = [(1 / len(listed), along(n, pairs, 0.2)) for pairs in listed]
    check_law(still(n, "matching", network, 2 if n < 6 else 1), law)


@pytest.mark.parametrize("q", [0.25, 0.7])
def test_failing_links_by_listing_every_outcome(q):
    for n, edges in atlas():
        if len(edges) > 6 or n > 6:
            continue
        W = mixing_matrix(facts(edges, weights="max-degree"), n)
        law = []
        for up in product((0, 1), repeat=len(edges)):
            matrix = W.copy()
            for (i, j), works in zip(edges, up, strict=True):
                if not works:
                    matrix[i, i] += matrix[i, j]
                    matrix[j, j] += matrix[i, j]
                    matrix[i, j] = matrix[j, i] = 0.0
            law.append((np.prod([1 - q if works else q for works in up]), matrix))
        given = still(n, "matrix", facts(edges, weights="max-degree", link_failure=q))
        check_law(given, law)
        (scenario,) = mixing_phases(given)[0]
        np.testing.assert_allclose(
            scenario.mixing.mean, sum(p * M for p, M in law), rtol=0, atol=1e-12
        )
        M = np.random.default_rng(n).normal(size=(2, n, n))
        expected = sum(p * matrix @ M @ matrix.T for p, matrix in law)
        got = scenario.mixing.mean @ M @ scenario.mixing.mean.T + scenario.mixing.excess(M)
        np.testing.assert_allclose(got, expected, rtol=0, atol=1e-12)


def test_exponential_graphs():
    """B11: a period of one-peer matrices averages exactly iff n is a power of 2."""
    for n in range(2, 21):
        network = NetworkFacts(graph="exponential", weights="one-peer-exponential")
        hops = [2**k for k in range(20) if 2**k < n]
        rounds = [(np.eye(n) + np.eye(n)[(np.arange(n) + h) % n]) / 2 for h in hops]
        X = np.random.default_rng(n).normal(size=(n, 2))
        path = [X]
        for t in range(2 * len(hops)):
            path.append(rounds[t % len(hops)] @ path[-1])
        given = still(n, "matrix", network, 2 * len(hops), initial=X)
        got = gossip_contraction(given).values["consensus_potential"]
        np.testing.assert_allclose(got, [spread(x) for x in path], rtol=1e-9, atol=1e-14)
        assert (got[len(hops)] < 1e-14) == (n & (n - 1) == 0)
        product_ = np.linalg.multi_dot(rounds[::-1]) if len(rounds) > 1 else rounds[0]
        norm = np.linalg.norm(centred(product_), 2)
        assert graph_spectrum(given).values["slem"] == pytest.approx(norm, abs=1e-9)
        static = NetworkFacts(graph="exponential", weights="static-exponential")
        W = (np.eye(n) + sum(2 * r - np.eye(n) for r in rounds)) / (1 + len(hops))
        np.testing.assert_allclose(mixing_matrix(static, n), W, rtol=0, atol=1e-12)
        rate = graph_spectrum(still(n, "matrix", static)).values["slem"]
        assert rate == pytest.approx(np.linalg.norm(centred(W), 2), abs=1e-12)
        if n % 2 == 0:
            assert rate == pytest.approx(1 - 2 / (1 + np.ceil(np.log2(n))), abs=1e-12)
        assert not gossip_rate(given).applies or len(hops) == 1


@pytest.mark.parametrize(
    ("graph", "n", "parameters"),
    [("circulant", 9, {"hops": (1, 2)}), ("circulant", 8, {"hops": (4, 7, 2)})]
    + [("exponential", n, {}) for n in (2, 3, 6, 8, 13)],
)
def test_spectra_of_circulants(graph, n, parameters):
    hops = parameters.get("hops") or [2**k for k in range(9) if 2**k < n]
    dense = nx.laplacian_matrix(nx.circulant_graph(n, list(hops)), nodelist=range(n)).toarray()
    for rule in ("metropolis", "max-degree", "lazy", "best-constant"):
        network = NetworkFacts(graph=graph, graph_parameters=parameters, weights=rule)
        values = graph_spectrum(still(n, "matrix", network)).values
        np.testing.assert_allclose(
            values["laplacian_spectrum"][0], np.linalg.eigvalsh(dense), rtol=0, atol=1e-12
        )
        slem = np.abs(np.linalg.eigvalsh(centred(mixing_matrix(network, n)))).max()
        assert values["slem"] == pytest.approx(slem, abs=1e-12)


def test_edge_transitive_graphs_by_all_automorphisms():
    for n, edges in atlas():
        if n > 5:
            break
        moved = {edges[0]}
        for order in permutations(range(n)):
            image = {tuple(sorted((order[i], order[j]))) for i, j in edges}
            if image == set(edges):
                moved.add(tuple(sorted((order[edges[0][0]], order[edges[0][1]]))))
        assert edge_transitive(edges, n) == (moved == set(edges))


@pytest.mark.parametrize(("degree", "rate"), [(1000, 0.1), (1001, 0.5), (4000, 0.999)])
def test_chebyshev_beyond_the_largest_float(degree, rate):
    """Against T_{k+1} = 2zT_k − T_{k−1} in 80 decimals without limits of the exponent."""
    points = np.array([-1 / rate, -0.75, 0.25, 0.5, 0.875, 0.1 + 0.9 / rate, 1 / rate])
    end = Decimal(1.0 / rate)
    with localcontext() as digits:
        digits.prec = 80
        for z, found in zip(points, chebyshev_ratio(degree, points, 1.0 / rate), strict=True):
            before, now, low, high = Decimal(1), Decimal(float(z)), Decimal(1), end
            for _ in range(degree - 1):
                before, now = now, 2 * Decimal(float(z)) * now - before
                low, high = high, 2 * end * high - low
            assert found == pytest.approx(float(now / high), rel=1e-8, abs=1e-300)


@pytest.mark.parametrize("rate", [0.5, 0.8, 0.95])
def test_chebyshev_is_a_polynomial_with_the_best_worst_case(rate):
    """B12: on [−ρ, ρ] nothing of degree K with p(1) = 1 is smaller than 1/T_K(1/ρ)."""
    for degree in (1, 2, 5, 8):
        series = np.polynomial.chebyshev.Chebyshev.basis(degree)
        points = np.linspace(-1.4, 1.4, 57)
        ratio = chebyshev_ratio(degree, points, 1 / rate)
        np.testing.assert_allclose(ratio, series(points) / series(1 / rate), rtol=1e-10, atol=1e-9)
        fit = NetworkFacts(
            graph="ring", acceleration="chebyshev", rounds=degree, rate=rate, weights="lazy"
        )
        W = mixing_matrix(NetworkFacts(graph="ring", weights="lazy"), 7)
        powers = series.convert(kind=np.polynomial.Polynomial).coef
        listed = (c * np.linalg.matrix_power(W / rate, k) for k, c in enumerate(powers))
        expected = sum(listed) / series(1 / rate)
        np.testing.assert_allclose(mixing_matrix(fit, 7), expected, rtol=0, atol=1e-9)
        slem = np.abs(np.linalg.eigvalsh(centred(W))).max()
        if rate >= slem:
            worst = np.linalg.norm(centred(mixing_matrix(fit, 7)), 2)
            assert worst <= 1 / np.cosh(degree * np.arccosh(1 / rate)) + 1e-12
    tight = NetworkFacts(
        graph="ring", acceleration="chebyshev", rounds=4, rate=float(slem), weights="lazy"
    )
    best = contraction_factor(still(7, "matrix", tight))
    assert best == pytest.approx(1 / np.cosh(4 * np.arccosh(1 / slem)) ** 2)


def test_second_order_gossip_is_followed_and_decays_at_its_rate():
    W = mixing_matrix(NetworkFacts(graph="path"), 6)
    slem = float(np.abs(np.linalg.eigvalsh(centred(W))).max())
    memory = UpdateFacts(rule="second-order", rate=slem)
    given = replace(still(6, "matrix", NetworkFacts(graph="path"), 12), update=memory)
    gamma = 2 / (1 + np.sqrt(1 - slem**2))
    before = x = given.problem.initial
    found = [spread(x)]
    for _ in range(12):
        before, x = x, gamma * W @ x + (1 - gamma) * before
        found.append(spread(x))
    got = gossip_contraction(given)
    np.testing.assert_allclose(got.values["consensus_potential"], found, rtol=1e-9)
    assert not gossip_rate(given).applies
    rate = slem / (1 + np.sqrt(1 - slem**2))
    curve = np.abs(second_order_polynomials(np.linspace(-slem, slem, 301), slem, 600))
    worst = curve.max(1)
    assert worst[600] / worst[300] == pytest.approx(2 * rate**300, rel=0.02)  # a double root
    assert worst[600] ** (1 / 600) < slem


def test_second_order_gossip_is_known_for_a_fixed_symmetric_matrix_only():
    memory = UpdateFacts(rule="second-order", rate=0.9)
    network = NetworkFacts(graph="ring", link_failure=0.1)
    failed = [
        a
        for a in gossip_contraction(replace(still(6, "matrix", network), update=memory)).assumptions
        if not a.holds
    ]
    assert ["rebuilt" in assumption.text for assumption in failed] == [True]


def test_random_graphs_have_the_gap_of_their_limit():
    """B13, a documented check: Friedman's 2 sqrt(δ − 1) and 2 sqrt((1 − p)/(np)), within 4 %."""
    regular = nx.random_regular_graph(6, 400, seed=1)
    second = np.sort(np.abs(np.linalg.eigvalsh(nx.to_numpy_array(regular))))[-2]
    assert second == pytest.approx(2 * np.sqrt(5), rel=0.04)
    dense = nx.gnp_random_graph(400, 0.1, seed=1)
    A = nx.to_numpy_array(dense)
    scaled = A / np.sqrt(np.outer(A.sum(0), A.sum(0)))
    second = np.sort(np.abs(np.linalg.eigvalsh(scaled)))[-2]
    assert second == pytest.approx(2 * np.sqrt(0.9 / 40), rel=0.04)


@pytest.mark.parametrize(
    ("protocol", "words", "reason"),
    [
        ("matching", {"graph": "ring"}, "uniform among all nodes"),
        ("matching", {"graph": "path", "matching_law": "alternating"}, "rebuilt"),
        ("matrix", {"graph": "ring", "weights": "static-exponential"}, "rebuilt"),
        ("matrix", {"graph": "path", "weights": "fastest-mixing", "link_failure": 0.1}, ""),
        (
            "matrix",
            {"graph": "exponential", "weights": "static-exponential", "link_failure": 0.1},
            "rebuilt",
        ),
        (
            "matrix",
            {"graph": "ring", "acceleration": "chebyshev", "rate": 0.9, "link_failure": 0.1},
            "rebuilt",
        ),
    ],
)
def test_laws_that_are_not_known_say_so(protocol, words, reason):
    prediction = gossip_contraction(still(6, protocol, NetworkFacts(**words)))
    failed = [a for a in prediction.assumptions if not a.holds]
    assert prediction.applies == (not failed)
    assert failed
    assert any(reason in assumption.text for assumption in failed)
