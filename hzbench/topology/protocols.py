"""Protocols: the schedule fields of a plan, drawn for one block of replicas."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hzbench.core.network import Network
from hzbench.core.registry import register
from hzbench.topology.gossip import draw_coins, draw_edges, draw_links, draw_matchings
from hzbench.topology.graph_matchings import draw_alternating_matchings, draw_greedy_matchings

if TYPE_CHECKING:
    from torch import Tensor


@register("gossip", "pair")
def pair(network: Network, keys: Tensor, steps: int) -> dict[str, Any]:
    """One random edge a tick; only its two nodes act.

    Formula: P(edge e) = p_e: uniform over edges, node-neighbour, or explicit;
    x_i+ = (1 − w) y_i + w y_j with w = `pair_weight`.

    Source: Boyd et al. 2006; Ansaripour et al. 2025, Algorithm 1.
    """
    pairs = network.edges[draw_edges(network, keys, steps)]
    return {"pairs": pairs, "pair_weight": network.pair_weight}


@register("gossip", "matching")
def matching(network: Network, keys: Tensor, steps: int) -> dict[str, Any]:
    """A random matching a round; partners average with weight w, the others idle.

    Formula: `matching_law` uniform: all perfect matchings of the complete graph are equally likely
    (n odd: one node idles); greedy: the edges of the graph in uniformly random order, each taken
    if both ends are free; alternating: one of the two perfect matchings of an even ring.

    Source: Ansaripour et al. 2025, the experiments (uniform).
    """
    partners = {
        "uniform": lambda: draw_matchings(network.nodes, keys, steps),
        "greedy": lambda: draw_greedy_matchings(network, keys, steps),
        "alternating": lambda: draw_alternating_matchings(network.nodes, keys, steps),
    }[network.matching_law]()
    return {"partners": partners, "pair_weight": network.pair_weight}


@register("gossip", "matrix")
def matrix(network: Network, keys: Tensor, steps: int) -> dict[str, Any]:
    """A doubly stochastic matrix W: all nodes act in every round.

    Formula: X ← W X; W_{t mod P} when the weights have a period P; with `link_failure` q every
    edge fails with probability q, independently, and its weight returns to the diagonal; with
    `exchange_probability` p < 1 one coin for all nodes decides whether a round exchanges, W = I if
    it does not.

    Source: Xiao & Boyd 2004.
    """
    if network.lines is not None:
        return {"lines": network.lines}
    found: dict[str, Any] = {"matrix": network.weights}
    if network.link_failure:
        found |= {"edges": network.edges, "links": draw_links(network, keys, steps)}
    if network.exchange_probability < 1:
        found["exchanges"] = draw_coins(network, keys, steps)
    return found


@register("gossip", "server")
def server(network: Network, keys: Tensor, steps: int) -> dict[str, Any]:
    """One server and n workers on clocks of their own; nothing is drawn here.

    Formula: x^{k+1} = x^k − η Σ_s W_ks g_s; who arrives when follows from [clock] and the method.

    Source: Tyurin & Richtárik 2023; Maranjyan & Richtárik 2025.
    """
    del network, keys, steps
    return {}
