"""Directed graphs, an arc i → j being who may send to whom, and weights that push along arcs."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

import networkx as nx
import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from hzbench.core.errors import UserMistakeError
from hzbench.core.registry import register
from hzbench.topology.circulants import hops
from hzbench.topology.graphs import Graph, GraphFamily
from hzbench.topology.weights import Matrix, WeightRule

LONGEST_PERIOD = 1000


@register("graph", "directed-ring")
class DirectedRing(GraphFamily):
    """Every node sends to the next one, the last to the first.

    Formula: arcs i → i + 1 mod n.
    """

    def build(self, nodes: int) -> Graph:
        """The directed ring; n >= 2."""
        return _ahead(nodes, (1,))


@register("graph", "directed-exponential")
class DirectedExponential(GraphFamily):
    """Every node sends to the nodes 1, 2, 4, ... ahead.

    Formula: arcs i → i + 2^k mod n, k = 0 ... ⌈log2 n⌉ − 1.

    Source: Assran et al., "Stochastic gradient push for distributed deep learning", ICML 2019.
    """

    def build(self, nodes: int) -> Graph:
        """The directed exponential graph; n >= 2."""
        return _ahead(nodes, hops(nodes))


@register("graph", "digraph")
class Digraph(GraphFamily):
    """Any directed graph, arc by arc; it must be strongly connected.

    Formula: arcs i → j as listed.
    """

    examples: ClassVar[tuple[Mapping[str, Any], ...]] = (
        {"arcs": ((0, 1), (1, 2), (2, 3), (3, 0), (0, 2))},
    )
    example_nodes: ClassVar[int] = 4

    arcs: tuple[tuple[int, int], ...] = Field(
        min_length=1, description="arcs [i, j], i sends to j; nodes from 0"
    )

    def build(self, nodes: int) -> Graph:
        """The digraph; a mistake if an arc leaves 0 ... n−1, is a loop, or comes twice."""
        wrong = [list(a) for a in self.arcs if a[0] == a[1] or not all(0 <= i < nodes for i in a)]
        twice = sorted({a for a in self.arcs if self.arcs.count(a) > 1})
        if wrong or twice:
            raise UserMistakeError(
                f"got the arcs {wrong or [list(a) for a in twice]}; expected different pairs of "
                f"different nodes 0 ... {nodes - 1}, every arc once; correct graph.arcs"
            )
        return _digraph(nodes, self.arcs)


@register("weights", "push")
class Push(WeightRule):
    """Every node keeps a share of what it has and sends as much along every arc: columns sum to 1.

    Formula: W_ji = 1/(1 + out-degree of i) for j = i and every arc i → j.

    Source: Nedić and Olshevsky, "Distributed optimization over time-varying directed graphs",
    IEEE TAC 60 (2015).
    """

    directed: ClassVar[bool] = True

    def build(self, graph: Graph) -> Matrix:
        """W, non-negative."""
        shares = np.eye(len(graph))
        for i, ends in _receivers(graph).items():
            shares[ends, i] = 1.0
        return np.asarray(shares / shares.sum(axis=0), dtype=np.float64)


@register("weights", "one-peer-push")
class OnePeerPush(WeightRule):
    """In round t every node keeps half and sends half to one of its receivers, in turn.

    Formula: W_ii = W_ji = ½, j the receiver number t mod (out-degree of i) in the order of the
    distance j − i mod n; on directed-exponential the hops 1, 2, 4, ... in turn.

    Source: Assran et al. 2019, section 3.
    """

    directed: ClassVar[bool] = True

    def build(self, graph: Graph) -> Matrix:
        """W_0 ... W_{P−1}, shape [P, n, n], P the least common multiple of the out-degrees."""
        receivers = _receivers(graph)
        period = math.lcm(*(max(len(ends), 1) for ends in receivers.values()))
        if period > LONGEST_PERIOD:
            raise UserMistakeError(
                f"got out-degrees whose rounds repeat after {period}; expected at most "
                f"{LONGEST_PERIOD}; take weights push"
            )
        cycle = np.tile(np.eye(len(graph)), (period, 1, 1))
        for i, ends in receivers.items():
            for t in range(period if ends else 0):
                cycle[t, i, i] = cycle[t, ends[t % len(ends)], i] = 0.5
        return cycle


def _receivers(graph: Graph) -> dict[int, list[int]]:
    """The nodes that node i sends to, the next one ahead first."""
    n = len(graph)
    return {i: sorted(graph.adj[i], key=lambda j, i=i: (j - i) % n) for i in range(n)}  # type: ignore[misc]


def _ahead(nodes: int, around: tuple[int, ...]) -> Graph:
    if nodes < 2:
        raise UserMistakeError(f"got {nodes} node; expected at least 2; add nodes")
    return _digraph(nodes, sorted({(i, (i + hop) % nodes) for i in range(nodes) for hop in around}))


def _digraph(nodes: int, arcs: Iterable[tuple[int, int]]) -> Graph:
    graph: Any = nx.DiGraph()
    graph.add_nodes_from(range(nodes))
    graph.add_edges_from(arcs)
    found: Graph = graph
    return found


def arcs_of(graph: Graph) -> NDArray[np.int64]:
    """Arcs i → j in lexicographic order, shape [E, 2]."""
    return np.asarray(sorted(graph.edges), dtype=np.int64).reshape(-1, 2)
