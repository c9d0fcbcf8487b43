"""The law of the mixing matrix of a step, through its first two moments, for every protocol.

With L_e = b b', b = e_i − e_j: averaging along e is I − w L_e, and b'Mb needs four numbers of M.
"""

import numpy as np
from numpy.typing import NDArray

from hzbench.core.setting import NetworkFacts, Setting
from hzbench.theory.affine_system import Mixing, Scenario
from hzbench.theory.graphs import Edges, GraphError, edge_law
from hzbench.theory.matchings import matching_scenarios
from hzbench.theory.random_matchings import inclusion_probabilities, matching_law
from hzbench.theory.weights import doubly_stochastic_residual, mixing_cycle

Array = NDArray[np.float64]
Phases = tuple[tuple[Scenario, ...], ...]


def mixing_phases(setting: Setting) -> Phases:
    """The scenarios of a matrix or matching round; phase t mod P applies at step t.

    Raises:
        GraphError: the network cannot be rebuilt or its law is too large to list.
    """
    n, network = setting.nodes, setting.network
    if setting.protocol == "matching":
        if network.matching_law == "uniform":
            return (matching_scenarios(n, setting.idle_steps, network.pair_weight),)
        return (_listed(network, n, setting.idle_steps),)
    return tuple(
        _coin(_failing(W, network.link_failure), network) for W in mixing_cycle(network, n)
    )


def _coin(mixing: Mixing, network: NetworkFacts) -> tuple[Scenario, ...]:
    """The exchange with its probability, no exchange otherwise; all nodes step either way."""
    n, p = len(mixing.mean), network.exchange_probability
    active = np.ones(n, dtype=bool)
    exchange = Scenario(probability=p, mixing=mixing, active=active)
    if p == 1:
        return (exchange,)
    return exchange, Scenario(probability=1 - p, mixing=Mixing(mean=np.eye(n)), active=active)


def gossip_phases(setting: Setting) -> Phases:
    """The same, for pairs too, when no node takes a local step."""
    if setting.protocol != "pair":
        return mixing_phases(setting)
    active = np.ones(setting.nodes, dtype=bool)
    mixing = pair_mixing(setting.network, setting.nodes)
    return ((Scenario(probability=1.0, mixing=mixing, active=active),),)


def mean_moment(scenarios: tuple[Scenario, ...], M: Array) -> Array:
    """E W M W' over the scenarios, M of shape [..., n, n]."""
    total = np.zeros_like(M)
    for each in scenarios:
        mean, excess = each.mixing.mean, each.mixing.excess
        total += each.probability * (mean @ M @ mean.T + (0.0 if excess is None else excess(M)))
    return total


def mean_square(setting: Setting) -> Array:
    """E W'W of one step, whose second largest eigenvalue bounds the contraction of Γ.

    Formula:
        pairs and matchings I − 2w(1−w) Σ_e p_e L_e; fixed W: W'W; failing links with weights w_e:
        (E W)² + 2q(1−q) Σ_e w_e² L_e, E W = I − (1−q) Σ_e w_e L_e; with a coin p times that plus
        (1 − p) I.

    Source:
        Boyd et al. 2006; own derivation (B5, B6, B8, B9).

    Raises:
        GraphError: the network cannot be rebuilt, or W varies with the step.
    """
    n, network = setting.nodes, setting.network
    if setting.protocol == "matrix":
        cycle = mixing_cycle(network, n)
        if len(cycle) > 1:
            raise GraphError("W varies with the step: no single E W'W")
        p = network.exchange_probability
        result: Array = p * _fixed_square(cycle[0], network.link_failure) + (1 - p) * np.eye(n)
        return result
    law = edge_law if setting.protocol == "pair" else inclusion_probabilities
    edges, chances = law(network, n)
    w = network.pair_weight
    found: Array = np.eye(n) - 2 * w * (1 - w) * _weighted_laplacian(edges, chances, n)
    return found


def _fixed_square(W: Array, q: float) -> Array:
    """E W'W when every edge of W fails with probability q."""
    if not q:
        result: Array = W.T @ W
        return result
    off = W - np.diag(W.diagonal())
    mean = np.eye(len(W)) - (1 - q) * (np.diag(off.sum(1)) - off)
    squares: Array = mean @ mean + 2 * q * (1 - q) * (np.diag((off**2).sum(1)) - off**2)
    return squares


def pair_mixing(network: NetworkFacts, n: int) -> Mixing:
    """W = I − w L_e, e drawn with probability p_e."""
    edges, chances = edge_law(network, n)
    w, i, j = network.pair_weight, *np.array(edges).T
    mean = _weighted_laplacian(edges, chances, n)

    def excess(M: Array) -> Array:
        return w**2 * (_along(M, i, j, chances) - mean @ M @ mean)

    return Mixing(mean=np.eye(n) - w * mean, excess=excess)


def _failing(W: Array, q: float) -> Mixing:
    """W = I − Σ_e B_e w_e L_e with independent B_e, P(B_e = 0) = q."""
    if not q:
        return Mixing(mean=W)
    if float(np.abs(W - W.T).max()) > 1e-9 or doubly_stochastic_residual(W) > 1e-9:
        raise GraphError("links fail only under a symmetric doubly stochastic W")
    i, j = np.nonzero(np.triu(W, 1))
    weight = W[i, j]
    off = W - np.diag(W.diagonal())
    mean = np.eye(len(W)) - (1 - q) * (np.diag(off.sum(1)) - off)

    def excess(M: Array) -> Array:
        return _along(M, i, j, q * (1 - q) * weight**2)

    return Mixing(mean=mean, excess=excess)


def _listed(network: NetworkFacts, n: int, idle_steps: bool) -> tuple[Scenario, ...]:
    scenarios = []
    for pairs, chance in matching_law(network, n).items():
        W = np.eye(n) - network.pair_weight * _weighted_laplacian(pairs, np.ones(len(pairs)), n)
        active = np.full(n, idle_steps)
        active[np.array(pairs).ravel()] = True
        scenarios.append(Scenario(probability=chance, mixing=Mixing(mean=W), active=active))
    return tuple(scenarios)


def _along(M: Array, i: NDArray[np.int64], j: NDArray[np.int64], chances: Array) -> Array:
    """Σ_e c_e L_e M L_e, shape [..., n, n]."""
    n = M.shape[-1]
    inner = chances * (M[..., i, i] + M[..., j, j] - M[..., i, j] - M[..., j, i])
    ends = np.eye(n)[i] - np.eye(n)[j]
    result: Array = np.einsum("...e,ek,el->...kl", inner, ends, ends, optimize=True)
    return result


def _weighted_laplacian(edges: Edges, weights: Array, n: int) -> Array:
    matrix = np.zeros((n, n))
    for (i, j), weight in zip(edges, weights.tolist(), strict=True):
        matrix[i, j] = matrix[j, i] = weight
    result: Array = np.diag(matrix.sum(1)) - matrix
    return result
