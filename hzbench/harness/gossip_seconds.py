"""Simulated seconds of gossip: who waits for whom, from the plan and the clock.

A node is ready when its last exchange is done. It computes, and exchanges as soon as all who take
part in that exchange have computed; nobody waits for the rest of the network. A step is done when
it and all earlier ones are.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hzbench.core.clock import Clock
from hzbench.core.plan import Plan
from hzbench.core.setting import Protocol

Array = NDArray[np.float64]
SECONDS = "seconds"


def seconds_mistakes(law: str, protocol: Protocol, varies: bool) -> list[str]:
    """A clock whose times depend on more than the node, where every replica waits differently."""
    if law == "fixed" or (protocol == "matrix" and not varies):
        return []
    return [
        f"clock: got {law!r} with exchanges that every replica draws for itself; expected 'fixed', "
        "since the other clocks have one state for all replicas; take it, or a matrix without "
        "failing links"
    ]


def gossip_seconds(
    plan: Plan,
    clock: Clock,
    work: Sequence[float],
    seed: int,
    record: Sequence[int],
    exchanges: int = 1,
) -> Array:
    """When each recorded step was done, [T', R].

    Arguments:
        exchanges: of one step; after the first each takes as long as the links.
    """
    facts = clock.facts(work, seed)
    ready = np.zeros((plan.replicas, plan.nodes))
    done = np.zeros((plan.steps + 1, plan.replicas))
    took = np.array(clock.timer(work, seed).times.totals, dtype=np.float64)  # of a fixed clock
    links = np.array([a + b for a, b in zip(facts.download, facts.upload, strict=True)])
    timer = None if facts.law == "fixed" else clock.timer(work, seed)
    for step in range(plan.steps):
        if timer is None:
            computed = ready + took
        else:
            starts = enumerate(ready[0])
            computed = np.array([[timer.arrive(node, float(at)) for node, at in starts]])
        ready = _exchanged(plan, step, ready, computed) + np.zeros_like(ready)
        for _ in range(exchanges - 1):
            ready = _exchanged(plan, step, ready, ready + links)
        done[step + 1] = np.maximum(done[step], ready.max(axis=1))
    found: Array = done[list(record)]
    return found


def _exchanged(plan: Plan, step: int, ready: Array, computed: Array) -> Array:
    """When every node is ready again, [R, n]: the latest of all it exchanges with."""
    rows = np.arange(len(computed))
    if plan.pairs is not None:
        i, j = plan.pairs[:, step].T
        met = np.maximum(computed[rows, i], computed[rows, j])
        after = ready.copy()
        after[rows, i] = after[rows, j] = met
        return after
    if plan.partners is not None:
        own = np.arange(plan.nodes)
        partner = own[None] if step < plan.silent else plan.partners[:, step]
        met = np.maximum(computed, np.take_along_axis(computed, partner + 0 * own, axis=1))
        steps_anyway = plan.idle_steps or step < plan.silent
        return np.where((partner == own) & (not steps_anyway), ready, met)
    linked = (plan.mixing(step) != 0) | np.eye(plan.nodes, dtype=bool)
    waits: Array = np.where(linked, computed[:, None, :], -np.inf).max(axis=2)
    return waits
