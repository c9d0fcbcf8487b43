"""Random matchings that follow a graph: greedy on any graph, alternating on an even ring."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hzbench.core.network import Network
from hzbench.core.streams import Purpose, words
from hzbench.topology.gossip import parts

if TYPE_CHECKING:
    from torch import Tensor


def draw_greedy_matchings(
    network: Network, keys: Tensor, steps: int, start: int = 0
) -> NDArray[np.int64]:
    """Maximal matchings: edges in uniformly random order, each taken if both ends are free.

    The edges are sorted by one random word each (ties by index: probability < E²/2³³).

    Arguments:
        network: its edges are matched.
        keys: Philox keys of the replicas, shape [R, 2].
        steps: T, the number of rounds.
        start: the first round.

    Returns:
        The partner of every node (itself: idle), shape [R, T, n].
    """
    n, count = network.nodes, len(network.edges)
    partner = np.empty((len(keys), steps, n), dtype=np.int64)
    for part, rows in parts(keys, steps, start, words_each=count):
        order = np.argsort(words(rows, Purpose.SCHEDULE, count).cpu().numpy(), 1, kind="stable")
        partner[part] = _greedy(network.edges[order], n).reshape(-1, steps, n)
    return partner


def _greedy(ordered: NDArray[np.int64], nodes: int) -> NDArray[np.int64]:
    """Edges in order [B, E, 2] -> partners [B, n]."""
    row = np.arange(len(ordered))
    partner = np.tile(np.arange(nodes, dtype=np.int64), (len(ordered), 1))
    for i, j in ordered.transpose(1, 2, 0):
        free = (partner[row, i] == i) & (partner[row, j] == j)
        partner[row, i] = np.where(free, j, partner[row, i])
        partner[row, j] = np.where(free, i, partner[row, j])
    return partner


def draw_alternating_matchings(
    nodes: int, keys: Tensor, steps: int, start: int = 0
) -> NDArray[np.int64]:
    """One of the two perfect matchings of an even ring, by a fair coin a round.

    Returns:
        The partner of every node, shape [R, T, n].
    """
    index = np.arange(nodes)
    even = index ^ 1
    odd = ((index + 1) ^ 1) - 1
    both = np.stack([even, odd % nodes])
    partner = np.empty((len(keys), steps, nodes), dtype=np.int64)
    for part, rows in parts(keys, steps, start, words_each=4):
        coin = words(rows, Purpose.SCHEDULE, 1)[:, 0].cpu().numpy() >> 31
        partner[part] = both[coin].reshape(-1, steps, nodes)
    return partner
