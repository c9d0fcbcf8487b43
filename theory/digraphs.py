"""Directed graphs and push weights, rebuilt from the words of NetworkFacts."""

from math import lcm

import numpy as np
from numpy.typing import NDArray

from hzbench.core.setting import NetworkFacts
from hzbench.theory.graphs import Edges, GraphError, edge_list, exponential_hops, words

Array = NDArray[np.float64]
LONGEST_PERIOD = 1000


def arcs(network: NetworkFacts, n: int) -> Edges:
    """Arcs i → j of the declared graph; every edge of an undirected one goes both ways.

    Raises:
        GraphError: an unknown family, or arcs that do not fit n.
    """
    family = words(network.graph)
    if network.edges or family not in {"directed-ring", "directed-exponential", "digraph"}:
        edges = edge_list(network, n)
        return (*edges, *((j, i) for i, j in edges))
    if family == "digraph":
        given = tuple((int(i), int(j)) for i, j in network.graph_parameters["arcs"])
        if any(i == j or not (0 <= i < n and 0 <= j < n) for i, j in given):
            raise GraphError(f"got arcs {given}; expected pairs of different nodes below {n}")
        return given
    hops = (1,) if family == "directed-ring" else exponential_hops(n)
    return tuple((i, (i + hop) % n) for i in range(n) for hop in hops)


def push_weights(network: NetworkFacts, n: int, one_peer: bool) -> Array:
    """Shares that nodes keep and send, columns sum to 1, shape [P, n, n].

    Formula:
        all receivers: W_ji = 1/(1 + out-degree i) for j = i and i → j. one peer: ½ for j = i and
        the receiver number t mod (out-degree of i), by distance j − i mod n; P = lcm of degrees.

    Source:
        Nedić and Olshevsky 2015; Assran et al. 2019.

    Raises:
        GraphError: the graph cannot be rebuilt, or the period is long.
    """
    ahead = [sorted({(j - i) % n for k, j in arcs(network, n) if k == i}) for i in range(n)]
    if not one_peer:
        W = np.zeros((n, n))
        for i, hops in enumerate(ahead):
            W[[i, *((i + hop) % n for hop in hops)], i] = 1.0 / (1 + len(hops))
        return W[None]
    period = lcm(*(len(hops) or 1 for hops in ahead))
    if period > LONGEST_PERIOD:
        raise GraphError(f"rounds repeat after {period} only")
    cycle = np.zeros((period, n, n))
    for i, hops in enumerate(ahead):
        for t, W in enumerate(cycle):
            W[i, i] += 0.5
            W[(i + hops[t % len(hops)]) % n if hops else i, i] += 0.5
    return cycle
