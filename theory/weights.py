"""Mixing matrices, rebuilt from the words of NetworkFacts."""

import numpy as np
from numpy.typing import NDArray

from hzbench.core.setting import NetworkFacts
from hzbench.theory.graphs import Edges, GraphError, edge_list, laplacian, words

Array = NDArray[np.float64]


def mixing_matrix(network: NetworkFacts, n: int) -> Array:
    """W of the matrix protocol.

    Formula:
        metropolis w_ij = 1/(1 + max(deg i, deg j)); max-degree I − L/(Δ + 1);
        lazy (I + metropolis)/2; best-constant I − 2L/(λ_2 + λ_n);
        uniform J/n (complete graph only); explicit as given.

    Source:
        Xiao and Boyd 2004, section 4.

    Returns:
        W, shape [n, n].

    Raises:
        GraphError: an unknown rule, or a graph that cannot be rebuilt.
    """
    if network.matrix is not None:
        return _given(network.matrix, n)
    rule = words(network.weights)
    edges = edge_list(network, n)
    if rule == "metropolis":
        return metropolis(edges, n)
    if rule == "lazy":
        return 0.5 * (np.eye(n) + metropolis(edges, n))
    L = laplacian(edges, n)
    if rule == "max-degree":
        result: Array = np.eye(n) - L / (L.diagonal().max() + 1.0)
        return result
    if rule == "best-constant":
        return _best_constant(L)
    if rule == "uniform":
        if len(edges) != n * (n - 1) // 2:
            raise GraphError("uniform weights need the complete graph")
        return np.full((n, n), 1.0 / n)
    raise GraphError(
        f"got weights {network.weights!r}; theory knows metropolis, max-degree, lazy, "
        "best-constant, uniform, explicit"
    )


def metropolis(edges: Edges, n: int) -> Array:
    """w_ij = 1/(1 + max(deg i, deg j)) on edges, the rest on the diagonal, shape [n, n]."""
    degrees = laplacian(edges, n).diagonal()
    W = np.zeros((n, n))
    for i, j in edges:
        W[i, j] = W[j, i] = 1.0 / (1.0 + max(degrees[i], degrees[j]))
    return W + np.diag(1.0 - W.sum(1))


def doubly_stochastic_residual(W: Array) -> float:
    """The largest deviation of a row or column sum from 1."""
    return float(max(abs(W.sum(0) - 1).max(), abs(W.sum(1) - 1).max()))


def contraction(W: Array) -> float:
    """|W − J/n| in the spectral norm, the worst factor of one round on disagreements."""
    n = len(W)
    return float(np.linalg.norm(W - np.full((n, n), 1.0 / n), 2))


def _given(matrix: Array, n: int) -> Array:
    W = np.asarray(matrix, dtype=float)
    if W.shape != (n, n):
        raise GraphError(f"got a matrix of shape {W.shape}; expected ({n}, {n})")
    return W


def _best_constant(L: Array) -> Array:
    spectrum = np.linalg.eigvalsh(L)
    if len(spectrum) < 2:
        return np.eye(1)
    if spectrum[1] < 1e-12 * max(1.0, spectrum[-1]):
        raise GraphError("best-constant weights need a connected graph")
    result: Array = np.eye(len(L)) - 2.0 / (spectrum[1] + spectrum[-1]) * L
    return result
