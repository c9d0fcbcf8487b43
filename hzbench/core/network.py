"""Network: a checked graph with its mixing matrix and its law of edges."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from hzbench.core.errors import UserMistakeError

_ROUNDING = 1e-9


@dataclass(frozen=True, kw_only=True)
class Network:
    """An undirected connected graph, a symmetric doubly stochastic W, and edge probabilities.

    Attributes:
        nodes: n.
        edges: pairs i < j, shape [E, 2].
        weights: W, shape [n, n].
        edge_probabilities: law of the drawn edge in the pair protocol, shape [E], sum 1.

    Raises:
        UserMistakeError: not connected, or W not symmetric, not doubly stochastic, or with weight
            where the graph has no edge.
    """

    nodes: int
    edges: NDArray[np.int64]
    weights: NDArray[np.float64]
    edge_probabilities: NDArray[np.float64]

    def __post_init__(self) -> None:
        mistakes = [*self._graph_mistakes(), *self._weight_mistakes(), *self._law_mistakes()]
        if mistakes:
            raise UserMistakeError("; ".join(mistakes))

    @cached_property
    def adjacency(self) -> NDArray[np.float64]:
        """0/1 matrix, shape [n, n]."""
        matrix = np.zeros((self.nodes, self.nodes))
        matrix[self.edges[:, 0], self.edges[:, 1]] = 1.0
        return matrix + matrix.T

    @cached_property
    def laplacian_spectrum(self) -> NDArray[np.float64]:
        """Eigenvalues of D − A, ascending, shape [n]."""
        laplacian = np.diag(self.adjacency.sum(axis=1)) - self.adjacency
        return np.asarray(np.linalg.eigvalsh(laplacian), dtype=np.float64)

    @cached_property
    def slem(self) -> float:
        """Second largest modulus of an eigenvalue of W: |W − J/n|_2 (0 for one node)."""
        centred = self.weights - 1.0 / self.nodes
        return float(np.abs(np.linalg.eigvalsh(centred)).max())

    def _graph_mistakes(self) -> list[str]:
        if self.nodes > 1 and np.count_nonzero(self.laplacian_spectrum < _ROUNDING) > 1:
            parts = np.count_nonzero(self.laplacian_spectrum < _ROUNDING)
            return [
                f"got a graph with {parts} components; expected a connected graph; "
                "add edges between the components"
            ]
        return []

    def _weight_mistakes(self) -> list[str]:
        w, n = self.weights, self.nodes
        if w.shape != (n, n):
            return [
                f"got a weight matrix of shape {w.shape}; expected {(n, n)}; give one row a node"
            ]
        if not np.isfinite(w).all():
            return ["got weights that are not finite; expected numbers; correct the matrix"]
        found = []
        if np.abs(w - w.T).max() > _ROUNDING:
            found.append("got weights that are not symmetric; expected W = W'; symmetrise them")
        if np.abs(w.sum(axis=1) - 1).max() > _ROUNDING:
            worst = int(np.abs(w.sum(axis=1) - 1).argmax())
            found.append(
                f"got weights whose row {worst} sums to {w.sum(axis=1)[worst]:.6g}; expected a "
                "doubly stochastic W; make every row sum to 1"
            )
        support = self.adjacency + np.eye(n)
        if np.abs(w[support == 0]).max(initial=0.0) > _ROUNDING:
            found.append(
                "got a weight between nodes without an edge; expected W on the graph; "
                "add the edge or set the weight to 0"
            )
        return found

    def _law_mistakes(self) -> list[str]:
        p = self.edge_probabilities
        if p.shape != (len(self.edges),):
            return [
                f"got {p.size} edge probabilities for {len(self.edges)} edges; expected one an "
                "edge; give as many as edges"
            ]
        if not np.isfinite(p).all() or (p < 0).any() or (p.size and abs(p.sum() - 1) > _ROUNDING):
            return [
                f"got edge probabilities that sum to {p.sum():.6g} (least {p.min():.3g}); "
                "expected non-negative numbers that sum to 1; normalise them"
            ]
        return []
