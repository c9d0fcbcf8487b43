"""Network: a checked graph with its mixing matrix and its law of edges."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from hzbench.core.errors import UserMistakeError
from hzbench.core.lines import Lines
from hzbench.core.setting import MatchingLaw

_ROUNDING = 1e-9


@dataclass(frozen=True, kw_only=True)
class Network:
    """A connected graph, a doubly stochastic W, and the laws of what is drawn.

    Rows that sum to 1 keep agreement, columns that sum to 1 keep the mean; symmetry is one way to
    have both, so W may be directed (exponential graphs are), but failing links need it. Push-sum
    divides by what W does to ones, so there columns that sum to 1 are enough, on directed graphs
    too.

    Attributes:
        nodes: n.
        edges: pairs i < j, shape [E, 2]; arcs i → j of a directed graph.
        weights: W, shape [n, n], or [P, n, n] when step t uses W_{t mod P}; empty where `lines` has
            it.
        edge_probabilities: law of the drawn edge in the pair protocol, shape [E], sum 1.
        pair_weight: w in x_i+ = (1 − w) y_i + w y_j of two partners.
        matching_law: law of the matching protocol.
        link_failure: probability with which every edge fails in a round.
        exchange_probability: probability with which a round exchanges at all.
        directed: whether edges are arcs.
        column_stochastic: whether W need not have rows that sum to 1 (push-sum).
        lines: W of a graph too large for a matrix.

    Raises:
        UserMistakeError: not (strongly) connected, or W not doubly stochastic, or with weight where
            the graph has no edge, or links that fail without symmetric weights.
    """

    nodes: int
    edges: NDArray[np.int64]
    weights: NDArray[np.float64]
    edge_probabilities: NDArray[np.float64]
    pair_weight: float = 0.5
    matching_law: MatchingLaw = "uniform"
    link_failure: float = 0.0
    exchange_probability: float = 1.0
    directed: bool = False
    column_stochastic: bool = False
    lines: Lines | None = None

    def __post_init__(self) -> None:
        mistakes = [*self._graph_mistakes(), *self._weight_mistakes(), *self._law_mistakes()]
        if mistakes:
            raise UserMistakeError("; ".join(mistakes))

    @cached_property
    def adjacency(self) -> NDArray[np.float64]:
        """0/1 matrix, shape [n, n]; A_ij = 1 for an arc i → j."""
        matrix = np.zeros((self.nodes, self.nodes))
        matrix[self.edges[:, 0], self.edges[:, 1]] = 1.0
        return matrix if self.directed else matrix + matrix.T

    @cached_property
    def laplacian_spectrum(self) -> NDArray[np.float64]:
        """Eigenvalues of D − A, ascending, shape [n]; directions of arcs do not count."""
        joined = np.maximum(self.adjacency, self.adjacency.T)
        laplacian = np.diag(joined.sum(axis=1)) - joined
        return np.asarray(np.linalg.eigvalsh(laplacian), dtype=np.float64)

    @cached_property
    def slem(self) -> float:
        """`contraction` of W."""
        return contraction(self.weights)

    def _graph_mistakes(self) -> list[str]:
        if (parts := connected_parts(self.edges, self.nodes)) > 1:
            return [
                f"got a graph with {parts} components; expected a connected graph; "
                "add edges between the components"
            ]
        if self.directed and (parts := strong_parts(self.adjacency)) > 1:
            return [
                f"got a directed graph with {parts} strongly connected components; expected one, "
                "so that every node hears of every other; add arcs back"
            ]
        return []

    def _weight_mistakes(self) -> list[str]:
        n = self.nodes
        if self.lines is not None:
            return []  # made from the edges: symmetric, and every line sums to 1
        if self.weights.shape[-2:] != (n, n) or self.weights.ndim > 3:
            return [
                f"got a weight matrix of shape {self.weights.shape}; expected {(n, n)}; "
                "give one row a node"
            ]
        every = [self._mistakes_of(w) for w in self.weights.reshape(-1, n, n)]
        if self.link_failure and not _symmetric(self.weights):
            every.append(
                [
                    "got links that fail with weights that are not symmetric; expected W = W', or "
                    "a failure shifts the mean; take weights metropolis or link_failure = 0"
                ]
            )
        return list(dict.fromkeys(mistake for found in every for mistake in found))

    def _mistakes_of(self, w: NDArray[np.float64]) -> list[str]:
        n = self.nodes
        if not np.isfinite(w).all():
            return ["got a W that is not finite; expected numbers; correct network.matrix"]
        found = _push_mistakes(w) if self.column_stochastic else _sum_mistakes(w)
        support = self.adjacency.T + np.eye(n)  # W_ji moves what i has to j
        if np.abs(w[support == 0]).max(initial=0.0) > _ROUNDING:
            found.append(
                "got a weight in W between nodes without an edge; expected W on the graph; "
                "add the edge or set that entry of network.matrix to 0"
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
        drawn = self.edges[p > 0]
        if (parts := connected_parts(drawn, self.nodes)) > 1:
            return [
                f"got edge probabilities that are 0 on a cut, which leaves {parts} parts; expected "
                "edges with positive probability that connect all nodes; raise some of them"
            ]
        return []


def contraction(weights: NDArray[np.float64]) -> float:
    """|W − J/n|_2 of W [n, n], of the product of one period for [P, n, n] (0 for one node).

    For normal W (symmetric, circulant) it is the second largest modulus of an eigenvalue.
    """
    n = weights.shape[-1]
    first, *others = weights.reshape(-1, n, n)
    product = first
    for W in others:
        product = W @ product
    if np.array_equal(product, product.T):  # ten times faster than singular values
        return float(np.abs(np.linalg.eigvalsh(product - 1.0 / n)).max())
    return float(np.linalg.norm(product - 1.0 / n, 2))


def connected_parts(edges: NDArray[np.int64], nodes: int) -> int:
    """Number of components of the graph on n nodes with edges [E, 2], whatever their direction."""
    ones = np.ones(len(edges))
    matrix = coo_array((ones, (edges[:, 0], edges[:, 1])), shape=(nodes, nodes))
    return int(connected_components(matrix, directed=False)[0])


def strong_parts(matrix: NDArray[np.float64]) -> int:
    """Number of strongly connected components of the digraph of the entries that are not 0."""
    return int(connected_components(coo_array(matrix), directed=True, connection="strong")[0])


def _sum_mistakes(w: NDArray[np.float64]) -> list[str]:
    """Why W [n, n] is not doubly stochastic."""
    found = []
    if np.abs(w.sum(axis=0) - 1).max() > _ROUNDING and not _symmetric(w):
        worst = int(np.abs(w.sum(axis=0) - 1).argmax())
        found.append(
            f"got a W that is not symmetric and whose column {worst} sums to "
            f"{w.sum(axis=0)[worst]:.6g}; expected a doubly stochastic one; make every column "
            "of network.matrix sum to 1"
        )
    if np.abs(w.sum(axis=1) - 1).max() > _ROUNDING:
        worst = int(np.abs(w.sum(axis=1) - 1).argmax())
        found.append(
            f"got a W whose row {worst} sums to {w.sum(axis=1)[worst]:.6g}; expected a doubly "
            "stochastic one; make every row of network.matrix sum to 1"
        )
    return found


def _push_mistakes(w: NDArray[np.float64]) -> list[str]:
    """Why push-sum cannot use W [n, n]."""
    columns, rows = w.sum(axis=0), w.sum(axis=1)
    if np.abs(columns - 1).max() > _ROUNDING:
        worst = int(np.abs(columns - 1).argmax())
        turned = np.abs(rows - 1).max() <= _ROUNDING
        fix = "transpose network.matrix" if turned else "divide every column by its sum"
        return [
            f"got a W whose column {worst} sums to {columns[worst]:.6g}"
            f"{', though its rows sum to 1' if turned else ''}; expected columns that sum to 1, "
            f"since push-sum sends shares of what a node has; {fix}"
        ]
    if w.min() < 0 or w.diagonal().min() <= 0:
        return [
            f"got a W with an entry {w.min():.6g} and a diagonal from {w.diagonal().min():.6g}; "
            "expected non-negative shares of which every node keeps one; raise them"
        ]
    return []


def _symmetric(w: NDArray[np.float64]) -> bool:
    return bool(np.allclose(w, w.swapaxes(-1, -2), rtol=0, atol=_ROUNDING))
