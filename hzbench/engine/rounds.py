"""Rounds: a plan's steps cut into batches of disjoint local computations.

Pairs are scheduled by dependency depth: depth(t) = 1 + max(depth of the last tick of i, of j).
Ticks of equal depth touch different nodes, and a tick comes after every earlier tick that shares
a node with it; so running depth by depth gives exactly the sequential result.

Rows of a round are in the order of their nodes, and of replicas within a node: the nodes of a group
lie side by side, and so do the rows that read the same node's data.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from hzbench.core.plan import Plan, Round


def rounds(plan: Plan, start: int, stop: int) -> Iterator[Round]:
    """The rounds of steps start ... stop − 1, in order."""
    if start == stop:
        return
    if plan.protocol == "pair":
        yield from _pair_rounds(plan, start, stop)
        return
    replica = np.tile(np.arange(plan.replicas), plan.nodes)
    node = np.repeat(np.arange(plan.nodes), plan.replicas)
    for step in range(start, stop):
        if plan.protocol == "matching":
            yield _matching_round(plan, replica, node, step)
        else:
            yield Round(replica=replica, node=node, step=np.full(node.shape, step), partner=None)


def together(plan: Plan) -> bool:
    """Whether all nodes take part in every round, so that rounds differ by their step alone."""
    if plan.partners is None:
        return plan.protocol == "matrix"
    idle = plan.partners[:, plan.silent :] == np.arange(plan.nodes)
    return plan.idle_steps or not idle.any()


def depths(pairs: NDArray[np.int64], nodes: int) -> NDArray[np.int64]:
    """Dependency depth of every tick, from 0: pairs [R, T, 2] -> [R, T]."""
    replicas, ticks, _ = pairs.shape
    ends = np.ascontiguousarray(
        (pairs + nodes * np.arange(replicas)[:, None, None]).transpose(2, 1, 0)
    )
    reached = np.zeros(replicas * nodes, dtype=np.int64)
    depth = np.empty((ticks, replicas), dtype=np.int64)
    for i, j, here in zip(*ends, depth, strict=True):
        np.maximum(reached[i], reached[j], out=here)
        reached[i] = reached[j] = here + 1
    return depth.T


def _pair_rounds(plan: Plan, start: int, stop: int) -> Iterator[Round]:
    """All ends of all ticks, sorted once by depth and node; end e of a tick has partner e ^ 1."""
    assert plan.pairs is not None
    pairs = plan.pairs[:, start:stop]
    depth = depths(pairs, plan.nodes)
    key = (depth[:, :, None] * plan.nodes + pairs).ravel()
    order = np.argsort(
        key.astype(np.min_scalar_type(key.max())), kind="stable"
    )  # 16 bits: by radix
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    node, partner = pairs.ravel().take(order), place.take(order ^ 1)
    replica, tick = np.divmod(order // 2, stop - start)
    ends = 2 * np.cumsum(np.bincount(depth.ravel()))
    for first, last in zip(ends - 2 * np.bincount(depth.ravel()), ends, strict=True):
        part = slice(first, last)
        yield Round(
            replica=replica[part],
            node=node[part],
            step=tick[part] + start,
            partner=partner[part] - first,
        )


def _matching_round(
    plan: Plan, replica: NDArray[np.int64], node: NDArray[np.int64], step: int
) -> Round:
    """Replica and node of all rows [n R]; the rows of those who take part."""
    assert plan.partners is not None
    silent = step < plan.silent
    partner = node if silent else plan.partners[:, step].T.ravel()
    active = np.ones(partner.shape, bool) if plan.idle_steps or silent else partner != node
    position = np.cumsum(active) - 1
    return Round(
        replica=replica[active],
        node=node[active],
        step=np.full(int(active.sum()), step),
        partner=position[(partner * plan.replicas + replica)[active]],
    )
