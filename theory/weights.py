"""Mixing matrices, rebuilt from the words of NetworkFacts."""

import numpy as np
from numpy.typing import NDArray

from hzbench.core.setting import NetworkFacts
from hzbench.theory.digraphs import push_weights
from hzbench.theory.graphs import (
    Edges,
    GraphError,
    adjacency,
    edge_list,
    edge_transitive,
    exponential_hops,
    laplacian,
    words,
)
from hzbench.theory.remember import by_content

Array = NDArray[np.float64]


def mixing_matrix(network: NetworkFacts, n: int) -> Array:
    """The matrix that multiplies the iterates in every step, if it is one and the same.

    Formula:
        W of `declared_weights`; chebyshev T_K(W/ρ)/T_K(1/ρ), through cos and cosh of K times the
        angle of every eigenvalue (`chebyshev_ratio`).

    Source:
        the contract of `NetworkFacts`; own derivation (B12).

    Returns:
        Shape [n, n].

    Raises:
        GraphError: the network cannot be rebuilt; W varies, links fail, or a coin decides.
    """
    if network.link_failure:
        raise GraphError(f"links fail with probability {network.link_failure:g}: W is random")
    if network.exchange_probability < 1:
        chance = f"{network.exchange_probability:g}"
        raise GraphError(f"a round exchanges with probability {chance}: W is random")
    cycle = mixing_cycle(network, n)
    if len(cycle) > 1:
        raise GraphError(f"W varies with the step (period {len(cycle)})")
    result: Array = cycle[0]
    return result


def mixing_cycle(network: NetworkFacts, n: int) -> Array:
    """W_0 ... W_{P−1}, shape [P, n, n], when links and coins permit; accelerated where declared.

    Raises:
        GraphError: the network cannot be rebuilt; Chebyshev's polynomial needs a fixed symmetric W.
    """
    cycle = declared_weights(network, n)
    if network.acceleration == "none":
        return cycle
    if len(cycle) > 1 or network.link_failure or float(np.abs(cycle[0] - cycle[0].T).max()) > 1e-12:
        raise GraphError("Chebyshev's polynomial is known for a fixed symmetric W only")
    return _polynomial(cycle[0], network.rounds, network.rate)[None]


def chebyshev_ratio(degree: int, at: Array, end: float) -> Array:
    """T_K(z)/T_K(e) at every z, where both may be far beyond the largest float; e ≥ 1.

    Formula:
        1/T_K(e) = 2q/(1 + q²), q = exp(−K arccosh e); inside [−1, 1] times cos(K arccos z), outside
        ± exp(K(arccosh |z| − arccosh e))(1 + exp(−2K arccosh |z|))/(1 + q²).

    Source:
        Mason and Handscomb 2003, section 1.4.
    """
    last = np.arccosh(end)
    q = np.exp(-degree * last)
    inside = np.cos(degree * np.arccos(np.clip(at, -1.0, 1.0))) * 2.0 * q
    angle = np.arccosh(np.maximum(np.abs(at), 1.0))
    grown = np.exp(degree * (angle - last)) * (1.0 + np.exp(-2.0 * degree * angle))
    outside = np.sign(at) ** degree * grown
    result: Array = np.where(np.abs(at) <= 1.0, inside, outside) / (1.0 + q**2)
    return result


def _polynomial(W: Array, degree: int, rate: float) -> Array:
    values, vectors = np.linalg.eigh(W)
    result: Array = (vectors * chebyshev_ratio(degree, values / rate, 1.0 / rate)) @ vectors.T
    return result


def declared_weights(network: NetworkFacts, n: int) -> Array:
    """W of the weight rule, shape [P, n, n]; P = 1 unless W varies with the step.

    With an exchange period K, every W comes after K − 1 identities.

    Formula:
        metropolis w_ij = 1/(1 + max(deg i, deg j)); max-degree I − L/(Δ + 1);
        lazy (I + metropolis)/2; best-constant I − 2L/(λ_2 + λ_n);
        fastest-mixing I − min(1/Δ, 2/(λ_2 + λ_n)) L on edge-transitive graphs;
        uniform J/n (complete graph only); static-exponential (I + Σ_k P^(2^k))/(1 + ⌈log2 n⌉);
        one-peer-exponential W_t = ½(I + P^(2^t)), P the cyclic shift; push and one-peer-push in
        `push_weights`; explicit as given.

    Source:
        Xiao and Boyd 2004, section 4; Boyd, Diaconis, Xiao 2004; Ying et al. 2021; own
        derivation (B4, B11).

    Raises:
        GraphError: an unknown rule, or a graph that cannot be rebuilt.
    """
    pause = [np.eye(n)] * (network.exchange_period - 1)
    return np.array([each for W in _exchanges(network, n) for each in (*pause, W)])


def _exchanges(network: NetworkFacts, n: int) -> Array:
    """W of the rounds that exchange, in their order, shape [P, n, n]."""
    if network.matrix is not None:
        return _given(network.matrix, n)[None]
    rule = words(network.weights)
    if rule in {"static-exponential", "one-peer-exponential"}:
        return _exponential(network, n, rule)
    if rule in {"push", "one-peer-push"}:
        return push_weights(network, n, one_peer=rule == "one-peer-push")
    return _from_graph(network, n, rule)[None]


def _exponential(network: NetworkFacts, n: int, rule: str) -> Array:
    edges, hops = set(edge_list(network, n)), exponential_hops(n)
    ends = {(min(i, (i + h) % n), max(i, (i + h) % n)) for i in range(n) for h in hops}
    if n < 2 or not ends <= edges:
        raise GraphError("exponential weights need the edges of the exponential graph")
    ahead = [np.eye(n)[(np.arange(n) + hop) % n] for hop in hops]
    if rule == "static-exponential":
        average: Array = np.mean([np.eye(n), *ahead], axis=0)[None]
        return average
    return np.array([0.5 * (np.eye(n) + shift) for shift in ahead])


def _from_graph(network: NetworkFacts, n: int, rule: str) -> Array:
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
    if rule == "fastest-mixing":
        if not edge_transitive(edges, n):
            raise GraphError("fastest-mixing weights are closed on edge-transitive graphs only")
        spectrum = np.asarray(np.linalg.eigvalsh(L), dtype=np.float64)
        return np.eye(n) - fastest_weight(spectrum, float(L.diagonal().max())) * L
    if rule == "uniform":
        if len(edges) != n * (n - 1) // 2:
            raise GraphError("uniform weights need the complete graph")
        return np.full((n, n), 1.0 / n)
    raise GraphError(
        f"got weights {network.weights!r}; theory knows metropolis, max-degree, lazy, "
        "best-constant, fastest-mixing, uniform, static-exponential, one-peer-exponential, push, "
        "one-peer-push, explicit"
    )


def metropolis(edges: Edges, n: int) -> Array:
    """w_ij = 1/(1 + max(deg i, deg j)) on edges, the rest on the diagonal, shape [n, n]."""
    matrix = adjacency(edges, n)
    degrees = matrix.sum(1)
    W = matrix / (1.0 + np.maximum(degrees[:, None], degrees))
    result: Array = W + np.diag(1.0 - W.sum(1))
    return result


def fastest_weight(spectrum: Array, degree: float) -> float:
    """The common edge weight min(1/Δ, 2/(λ_2 + λ_n)) of the fastest non-negative W.

    Averaging an optimal W over the automorphisms keeps it feasible and no worse (the bound is
    convex), and on an edge-transitive graph makes all edge weights equal.
    """
    return 0.0 if len(spectrum) < 2 else float(min(1 / degree, 2 / (spectrum[1] + spectrum[-1])))


def doubly_stochastic_residual(W: Array) -> float:
    """The largest deviation of a row or column sum from 1."""
    return float(max(abs(W.sum(0) - 1).max(), abs(W.sum(1) - 1).max()))


@by_content(16)
def contraction(W: Array) -> float:
    """|W − J/n| in the spectral norm, the worst factor of one round on disagreements."""
    centred = W - 1.0 / len(W)
    if np.array_equal(W, W.T):  # ten times faster than singular values
        return float(np.abs(np.linalg.eigvalsh(centred)).max())
    return float(np.linalg.norm(centred, 2))


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
