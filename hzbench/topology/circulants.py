"""Circulant graphs and the directed weights of exponential graphs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from hzbench.core.errors import UserMistakeError
from hzbench.core.registry import register
from hzbench.topology.graphs import Graph, GraphFamily, from_edges
from hzbench.topology.weights import Matrix, WeightRule


@register("graph", "circulant")
class Circulant(GraphFamily):
    """Node i joined to i ± s (mod n) for every hop s; hops 1 ... r give a ring lattice.

    Formula: Laplacian spectrum Σ_s 2 − 2cos(2πks/n) over the distinct hops (half of it for 2s = n).
    """

    examples: ClassVar[tuple[Mapping[str, Any], ...]] = ({"hops": (1, 3)},)

    hops: tuple[int, ...] = Field(min_length=1, description="hops s, each in 1 ... n − 1")

    def build(self, nodes: int) -> Graph:
        """The graph; a mistake if the hops and n share a divisor (it falls apart)."""
        wrong = [hop for hop in self.hops if not 0 < hop < nodes]
        if wrong:
            raise UserMistakeError(
                f"got hops {wrong} on {nodes} nodes; expected 1 ... {nodes - 1}; change them"
            )
        return _around(nodes, self.hops)


@register("graph", "exponential")
class Exponential(GraphFamily):
    """Node i joined to i ± 1, i ± 2, i ± 4, ... (mod n), hops below n.

    Formula: hops 2^k, k = 0 ... ⌈log2 n⌉ − 1.

    Source: Ying et al., "Exponential graph is provably efficient for decentralized deep training",
    NeurIPS 2021.
    """

    def build(self, nodes: int) -> Graph:
        """The graph; n >= 2."""
        if nodes < 2:
            raise UserMistakeError(f"got {nodes} node; expected at least 2; add nodes")
        return _around(nodes, hops(nodes))


@register("weights", "static-exponential")
class StaticExponential(WeightRule):
    """Every node averages itself and the nodes 1, 2, 4, ... ahead: directed, doubly stochastic.

    Formula: W_ij = 1/(1 + ⌈log2 n⌉) for j = i and j = i + 2^k mod n.

    Source: Ying et al. 2021 (static exponential graph).
    """

    def build(self, graph: Graph) -> Matrix:
        """W; the graph must have these edges."""
        n = _with_hops(graph)
        shifts = [np.eye(n), *(_ahead(n, hop) for hop in hops(n))]
        return np.asarray(sum(shifts) / len(shifts), dtype=np.float64)


@register("weights", "one-peer-exponential")
class OnePeerExponential(WeightRule):
    """In round t every node averages itself and one node ahead, at 1, 2, 4, ... in turn.

    Formula: W_t = (I + P^h)/2 with P the cyclic shift, h = 2^(t mod ⌈log2 n⌉); for n = 2^k the
    product of k successive rounds is 11'/n.

    Source: Ying et al. 2021; Assran et al., "Stochastic gradient push", ICML 2019.
    """

    def build(self, graph: Graph) -> Matrix:
        """W_0 ... W_{P−1}, shape [P, n, n]; the graph must have these edges."""
        n = _with_hops(graph)
        return np.stack([(np.eye(n) + _ahead(n, hop)) / 2 for hop in hops(n)])


def hops(nodes: int) -> tuple[int, ...]:
    """1, 2, 4, ... below n."""
    return tuple(1 << k for k in range((nodes - 1).bit_length()))


def _ahead(nodes: int, hop: int) -> NDArray[np.float64]:
    """The matrix that hands every node the value of node i + hop."""
    return np.roll(np.eye(nodes), hop, axis=1)


def _around(nodes: int, around: tuple[int, ...]) -> Graph:
    pairs = {tuple(sorted((i, (i + hop) % nodes))) for i in range(nodes) for hop in around}
    return from_edges(nodes, sorted(pairs))


def _with_hops(graph: Graph) -> int:
    n = len(graph)
    missing = [(i, (i + h) % n) for i in range(n) for h in hops(n)]
    missing = [edge for edge in missing if not graph.has_edge(*edge)]
    if missing or n < 2:
        raise UserMistakeError(
            f"got exponential weights on a graph without the edges {missing[:3]}; expected hops "
            f"{', '.join(map(str, hops(n)))}; take graph exponential"
        )
    return n
