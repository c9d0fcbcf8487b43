"""Who talks to whom: edges and matchings drawn from addressed streams.

The draw of (replica, step) has the address (node 0, step, purpose SCHEDULE), so neither the number
of replicas computed together nor the number of steps changes it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hzbench.core.errors import UserMistakeError
from hzbench.core.network import Network
from hzbench.core.streams import Purpose, Rows, choices, uniforms, words

if TYPE_CHECKING:
    from torch import Tensor

_WORDS = 1 << 20  # words drawn at once: bounds the memory, changes no draw


def draw_edges(network: Network, keys: Tensor, steps: int, start: int = 0) -> NDArray[np.int64]:
    """Independent edges with the network's law, by inversion of one uniform each.

    Arguments:
        network: its edge_probabilities are the law.
        keys: Philox keys of the replicas, shape [R, 2].
        steps: T, the number of ticks.
        start: the first tick.

    Returns:
        Indices into network.edges, shape [R, T].

    Raises:
        UserMistakeError: the network has no edge.
    """
    if not len(network.edges):
        raise UserMistakeError(
            f"got {network.nodes} node without edges; expected an edge to draw; "
            "add nodes, or take the matrix protocol"
        )
    return choices(keys.cpu(), Purpose.SCHEDULE, start, steps, network.edge_probabilities)


def draw_matchings(nodes: int, keys: Tensor, steps: int, start: int = 0) -> NDArray[np.int64]:
    """Independent uniform perfect matchings of the complete graph.

    The nodes are sorted by one random word each (ties by index) and paired along that order; with n
    odd the last one is its own partner. The law is uniform up to ties: probability < n²/2³³.

    Arguments:
        nodes: n.
        keys: Philox keys of the replicas, shape [R, 2].
        steps: T, the number of rounds.
        start: the first round.

    Returns:
        The partner of every node, shape [R, T, n].
    """
    partner = np.empty((len(keys), steps, nodes), dtype=np.int64)
    for part, rows in parts(keys, steps, start, words_each=nodes):
        random = words(rows, Purpose.SCHEDULE, nodes).cpu().numpy()
        partner[part] = _pair_up(random).reshape(-1, steps, nodes)
    return partner


def draw_links(network: Network, keys: Tensor, steps: int, start: int = 0) -> NDArray[np.bool_]:
    """Which edges are up: each fails with probability `link_failure`, independently.

    Arguments:
        network: its edges and their probability of failure.
        keys: Philox keys of the replicas, shape [R, 2].
        steps: T, the number of rounds.
        start: the first round.

    Returns:
        Shape [R, T, E].
    """
    count = len(network.edges)
    up = np.empty((len(keys), steps, count), dtype=np.bool_)
    for part, rows in parts(keys, steps, start, words_each=count):
        uniform = uniforms(rows, Purpose.SCHEDULE, count).cpu().numpy()
        up[part] = (uniform >= network.link_failure).reshape(-1, steps, count)
    return up


def draw_coins(network: Network, keys: Tensor, steps: int, start: int = 0) -> NDArray[np.bool_]:
    """Whether a round exchanges: probability `exchange_probability`, independently; [R, T].

    The coin follows the words of the links, if any, in the stream of (replica, round).
    """
    offset = len(network.edges) if network.link_failure else 0
    coins = np.empty((len(keys), steps), dtype=np.bool_)
    for part, rows in parts(keys, steps, start, words_each=4):
        uniform = uniforms(rows, Purpose.SCHEDULE, 1, offset).cpu().numpy()
        coins[part] = (uniform < network.exchange_probability).reshape(-1, steps)
    return coins


def _pair_up(random: NDArray[np.int64]) -> NDArray[np.int64]:
    count, nodes = random.shape
    bits = max(1, (nodes - 1).bit_length())
    packed = np.sort((random << bits) | np.arange(nodes), axis=1)  # 2³² n stays below 2⁶³
    order = packed & ((1 << bits) - 1)
    half = nodes // 2
    left, right = order[:, 0 : 2 * half : 2], order[:, 1 : 2 * half : 2]
    partner = np.tile(np.arange(nodes, dtype=np.int64), (count, 1))
    np.put_along_axis(partner, left, right, axis=1)
    np.put_along_axis(partner, right, left, axis=1)
    return partner


def parts(keys: Tensor, steps: int, start: int, words_each: int) -> Iterator[tuple[slice, Rows]]:
    """Addresses of all (replica, round) draws, a memory-sized slice of the replicas at a time."""
    import torch

    size = max(1, _WORDS // max(1, steps * words_each))
    tick = torch.arange(start, start + steps, device=keys.device)
    for first in range(0, len(keys), size):
        part = slice(first, min(first + size, len(keys)))
        replica = torch.arange(first, part.stop, device=keys.device).repeat_interleave(steps)
        step = tick.repeat(part.stop - first)
        zero = torch.zeros_like(step)
        yield part, Rows(keys=keys[replica], replica=replica, node=zero, step=step)
