"""Weight rules: from a graph to a symmetric doubly stochastic W with the graph's support."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from hzbench.core.component import Component
from hzbench.core.errors import UserMistakeError
from hzbench.core.registry import register
from hzbench.topology.graphs import Graph

Matrix = NDArray[np.float64]


class WeightRule(Component):
    """Base of weight rules.

    Attributes:
        directed: whether the rule knows directed graphs (its W has columns that sum to 1).
    """

    directed: ClassVar[bool] = False

    def build(self, graph: Graph) -> Matrix:
        """W of the graph, shape [n, n].

        Raises:
            UserMistakeError: the rule does not suit the graph.
        """
        raise NotImplementedError

    def edge_weights(self, ends: NDArray[np.int64]) -> NDArray[np.float64] | None:
        """W of every edge by the degrees of its two ends, [E, 2] -> [E]; None: it takes more."""
        del ends
        return None


@register("weights", "metropolis")
class Metropolis(WeightRule):
    """Weights from the degrees of the two ends; what is left stays at the node.

    Formula: W_ij = 1/(1 + max(d_i, d_j)) on edges, W_ii = 1 − Σ_j W_ij.

    Source: Xiao, Boyd, Kim, "Distributed average consensus with least-mean-square deviation", 2007.
    """

    def build(self, graph: Graph) -> Matrix:
        """W, non-negative."""
        adjacency = _adjacency(graph)
        degree = adjacency.sum(axis=1)
        off = adjacency / (1.0 + np.maximum(degree[:, None], degree[None, :]))
        return np.asarray(off + np.diag(1.0 - off.sum(axis=1)), dtype=np.float64)

    def edge_weights(self, ends: NDArray[np.int64]) -> NDArray[np.float64]:
        """1/(1 + the larger degree)."""
        return np.asarray(1.0 / (1.0 + ends.max(axis=1)))


@register("weights", "max-degree")
class MaxDegree(WeightRule):
    """The same weight on every edge, from the largest degree Δ.

    Formula: W = I − L/(Δ + 1).
    """

    def build(self, graph: Graph) -> Matrix:
        """W, non-negative."""
        laplacian = _laplacian(graph)
        scale = 1.0 / (1.0 + np.diag(laplacian).max())
        return np.asarray(np.eye(len(laplacian)) - scale * laplacian, dtype=np.float64)

    def edge_weights(self, ends: NDArray[np.int64]) -> NDArray[np.float64]:
        """1/(1 + the largest degree of all)."""
        return np.full(len(ends), 1.0 / (1.0 + ends.max()))


@register("weights", "lazy")
class Lazy(WeightRule):
    """Metropolis, half of the time: no eigenvalue is negative.

    Formula: W = (I + Metropolis)/2.
    """

    def build(self, graph: Graph) -> Matrix:
        """W, non-negative and positive semidefinite."""
        return 0.5 * (np.eye(len(graph)) + Metropolis().build(graph))

    def edge_weights(self, ends: NDArray[np.int64]) -> NDArray[np.float64]:
        """Half of Metropolis."""
        return 0.5 * Metropolis().edge_weights(ends)


@register("weights", "best-constant")
class BestConstant(WeightRule):
    """The constant edge weight with the fastest mixing; diagonal entries may be negative.

    Formula: W = I − 2/(λ_2 + λ_n) L, second largest modulus (λ_n − λ_2)/(λ_n + λ_2).

    Source: Xiao and Boyd, "Fast linear iterations for distributed averaging", 2004.
    """

    def build(self, graph: Graph) -> Matrix:
        """W."""
        laplacian = _laplacian(graph)
        if len(laplacian) == 1:
            return np.ones((1, 1))
        spectrum = np.linalg.eigvalsh(laplacian)
        scale = 2.0 / (spectrum[1] + spectrum[-1])
        return np.asarray(np.eye(len(laplacian)) - scale * laplacian, dtype=np.float64)


@register("weights", "uniform")
class Uniform(WeightRule):
    """All nodes average all nodes (an all-reduce); needs the complete graph.

    Formula: W = 11'/n.
    """

    def build(self, graph: Graph) -> Matrix:
        """W."""
        n, edges = len(graph), graph.number_of_edges()
        if edges != n * (n - 1) // 2:
            raise UserMistakeError(
                f"got uniform weights on a graph with {edges} of {n * (n - 1) // 2} edges; "
                "expected the complete graph, since W = 11'/n joins every pair; "
                "take graph complete or weights metropolis"
            )
        return np.full((n, n), 1.0 / n)


def _adjacency(graph: Graph) -> Matrix:
    matrix = np.zeros((len(graph), len(graph)))
    for i, j in graph.edges:
        matrix[i, j] = matrix[j, i] = 1.0
    return matrix


def _laplacian(graph: Graph) -> Matrix:
    adjacency = _adjacency(graph)
    return np.asarray(np.diag(adjacency.sum(axis=1)) - adjacency, dtype=np.float64)
