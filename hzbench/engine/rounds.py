"""Rounds: a plan's steps cut into batches of disjoint local computations.

Pairs are scheduled by dependency depth: depth(t) = 1 + max(depth of the last tick of i, of j).
Ticks of equal depth touch different nodes, and a tick comes after every earlier tick that shares
a node with it; so running depth by depth gives exactly the sequential result.
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
    else:
        make = _matching_round if plan.protocol == "matching" else _matrix_round
        for step in range(start, stop):
            yield make(plan, step)


def depths(pairs: NDArray[np.int64], nodes: int) -> NDArray[np.int64]:
    """Dependency depth of every tick, from 0: pairs [R, T, 2] -> [R, T]."""
    replicas, ticks, _ = pairs.shape
    row = np.arange(replicas)
    last = np.zeros((replicas, nodes), dtype=np.int64)
    depth = np.empty((replicas, ticks), dtype=np.int64)
    for t in range(ticks):
        i, j = pairs[:, t, 0], pairs[:, t, 1]
        depth[:, t] = np.maximum(last[row, i], last[row, j])
        last[row, i] = last[row, j] = depth[:, t] + 1
    return depth


def _pair_rounds(plan: Plan, start: int, stop: int) -> Iterator[Round]:
    assert plan.pairs is not None
    pairs = plan.pairs[:, start:stop]
    depth = depths(pairs, plan.nodes).ravel()
    order = np.argsort(depth, kind="stable")
    cuts = np.cumsum(np.bincount(depth))[:-1]
    for ticks in np.split(order, cuts):
        replica, tick = np.divmod(ticks, stop - start)
        ends = pairs[replica, tick]
        count = len(ticks)
        yield Round(
            replica=np.tile(replica, 2),
            node=ends.T.ravel(),
            step=np.tile(tick + start, 2),
            partner=np.roll(np.arange(2 * count), count),
        )


def _everyone(plan: Plan, step: int) -> tuple[NDArray[np.int64], ...]:
    replica = np.repeat(np.arange(plan.replicas), plan.nodes)
    node = np.tile(np.arange(plan.nodes), plan.replicas)
    return replica, node, np.full(replica.shape, step)


def _matching_round(plan: Plan, step: int) -> Round:
    assert plan.partners is not None
    replica, node, steps = _everyone(plan, step)
    silent = step < plan.silent
    partner = node if silent else plan.partners[:, step].ravel()
    active = np.ones(partner.shape, bool) if plan.idle_steps or silent else partner != node
    position = np.cumsum(active) - 1
    return Round(
        replica=replica[active],
        node=node[active],
        step=steps[active],
        partner=position[(replica * plan.nodes + partner)[active]],
    )


def _matrix_round(plan: Plan, step: int) -> Round:
    replica, node, steps = _everyone(plan, step)
    return Round(replica=replica, node=node, step=steps, partner=None)
