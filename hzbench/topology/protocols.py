"""Protocols: the schedule fields of a plan, drawn for one block of replicas."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hzbench.core.network import Network
from hzbench.core.registry import register
from hzbench.topology.gossip import draw_edges, draw_matchings

if TYPE_CHECKING:
    from torch import Tensor


@register("gossip", "pair")
def pair(network: Network, keys: Tensor, steps: int) -> dict[str, NDArray[np.int64]]:
    """One random edge a tick; only its two nodes act.

    Formula: P(edge e) = p_e: uniform over edges, node-neighbour, or explicit.

    Source: Boyd et al. 2006; Ansaripour et al. 2025, Algorithm 1.
    """
    return {"pairs": network.edges[draw_edges(network, keys, steps)]}


@register("gossip", "matching")
def matching(network: Network, keys: Tensor, steps: int) -> dict[str, NDArray[np.int64]]:
    """A uniform random perfect matching of all nodes a round (n odd: one node idles).

    Formula: all perfect matchings of the complete graph are equally likely.

    Source: Ansaripour et al. 2025, the experiments.
    """
    return {"partners": draw_matchings(network.nodes, keys, steps)}


@register("gossip", "matrix")
def matrix(network: Network, keys: Tensor, steps: int) -> dict[str, NDArray[np.float64]]:
    """A fixed symmetric doubly stochastic matrix W: all nodes act in every round.

    Formula: X ← W X.

    Source: Xiao & Boyd 2004.
    """
    del keys, steps
    return {"matrix": network.weights}
