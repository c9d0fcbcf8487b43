"""Random matchings that follow a graph: their law by enumeration, and every edge's probability.

Greedy: edges come in uniformly random order and are taken if both ends are free. Equivalently, each
taken edge is uniform among those whose ends are both still free; so the law is a recursion over the
set of free nodes.
"""

from collections.abc import Mapping
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from hzbench.core.setting import NetworkFacts
from hzbench.theory.graphs import Edges, GraphError, edge_list, words

Array = NDArray[np.float64]
Law = Mapping[Edges, float]

MOST_NODES = 14
MOST_MATCHINGS = 200


def matching_law(network: NetworkFacts, n: int) -> Law:
    """Every matching that the network's law draws, with its probability.

    Source:
        the contract of `NetworkFacts.matching_law`; own derivation (B10).

    Raises:
        GraphError: uniform matchings (their moments are closed), or too many matchings to list.
    """
    if network.matching_law == "alternating":
        return _alternating(network, n)
    if network.matching_law != "greedy":
        raise GraphError("uniform matchings are not listed: their moments are closed")
    _small(n)
    return _greedy(edge_list(network, n), (1 << n) - 1)


def inclusion_probabilities(network: NetworkFacts, n: int) -> tuple[Edges, Array]:
    """Edges and the probability p_e that the drawn matching holds each.

    Formula:
        uniform 1/(n−1) for n even, 1/n for n odd; alternating ½; greedy on a ring m_n/n with
        m_n = 1 + M(n−2), M(k) = 1 + (2/(k−1)) Σ_{j ≤ k−2} M(j) the mean number of edges taken on
        a path of k nodes; greedy elsewhere p_e(F) = (1/|E(F)|) Σ_{f in E(F)} [f = e] + p_e(F − f)
        over the free nodes F.

    Source:
        own derivation (B9, B10); M: Flory 1939.

    Raises:
        GraphError: the graph cannot be rebuilt, or is too large to enumerate.
    """
    edges = edge_list(network, n)
    if network.matching_law == "uniform":
        if len(edges) != n * (n - 1) // 2:
            raise GraphError("uniform matchings are drawn on the complete graph")
        return edges, np.full(len(edges), 1.0 / (n - 1 if n % 2 == 0 else n))
    if network.matching_law == "alternating":
        _alternating(network, n)
        return edges, np.full(n, 0.5)
    if words(network.graph) == "ring" and not network.edges:
        return edges, np.full(n, ring_inclusion(n))
    _small(n)
    return edges, _inclusion(edges, (1 << n) - 1)


def ring_inclusion(n: int) -> float:
    """p_e of the greedy matching on a ring of n ≥ 3 nodes; tends to (1 − e^(−2))/2."""
    taken, total = [0.0, 0.0], 0.0  # M(0), M(1) and the sum of M(0) ... M(k−2)
    for k in range(2, n - 1):
        total += taken[k - 2]
        taken.append(1.0 + 2.0 * total / (k - 1))
    return (1.0 + taken[n - 2]) / n


def _small(n: int) -> None:
    if n > MOST_NODES:
        raise GraphError(f"greedy matchings are enumerated up to {MOST_NODES} nodes, not {n}")


def _alternating(network: NetworkFacts, n: int) -> Law:
    if words(network.graph) != "ring" or network.edges or n % 2 or n < 4:
        raise GraphError(f"alternating matchings need an even ring; got {network.graph}, n = {n}")
    shifted = tuple((min(i, (i + 1) % n), max(i, (i + 1) % n)) for i in range(1, n, 2))
    return {tuple((i, i + 1) for i in range(0, n, 2)): 0.5, shifted: 0.5}


def _open(edges: Edges, free: int) -> Edges:
    return tuple(e for e in edges if free >> e[0] & 1 and free >> e[1] & 1)


@lru_cache(maxsize=1 << 16)
def _greedy(edges: Edges, free: int) -> Law:
    candidates = _open(edges, free)
    if not candidates:
        return {(): 1.0}
    law: dict[Edges, float] = {}
    for i, j in candidates:
        for rest, chance in _greedy(edges, free & ~(1 << i) & ~(1 << j)).items():
            key = tuple(sorted((*rest, (i, j))))
            law[key] = law.get(key, 0.0) + chance / len(candidates)
    if len(law) > MOST_MATCHINGS:
        raise GraphError(f"more than {MOST_MATCHINGS} maximal matchings: too many to list")
    return law


@lru_cache(maxsize=1 << 16)
def _inclusion(edges: Edges, free: int) -> Array:
    candidates = _open(edges, free)
    found = np.zeros(len(edges))
    for i, j in candidates:
        found[edges.index((i, j))] += 1.0 / len(candidates)
        found += _inclusion(edges, free & ~(1 << i) & ~(1 << j)) / len(candidates)
    return found
