"""Simulated seconds of gossip: who waits for whom, from the plan and the clock.

A node is ready when its last exchange is done. It computes; what it has then takes its links to all
with whom it exchanges; it is ready when it has theirs. Nobody waits for the rest of the network,
and a step without exchange takes no links. A step is done when it and all earlier ones are.

Computing starts when a node is ready, so every clock has its seconds here. Drawn times have the
address (replica, node, step): every replica waits differently.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hzbench.core.clock import Clock, Timer, Times
from hzbench.core.plan import Plan

Array = NDArray[np.float64]
SECONDS = "seconds"


def gossip_seconds(
    plan: Plan,
    clock: Clock,
    work: Sequence[float],
    seed: int,
    record: Sequence[int],
    exchanges: int = 1,
) -> Array:
    """When each recorded step was done, [T', R], or [T', 1] where all replicas wait alike.

    Arguments:
        exchanges: of one step, one after the other; after the first each takes as long as the
            links.
    """
    timer = clock.timer(work, seed)
    differ = timer.drawn or plan.protocol != "matrix"
    differ = differ or plan.links is not None or plan.exchanges is not None
    steps = _Steps(plan, timer)
    ready: Times = np.zeros((plan.replicas if differ else 1, plan.nodes), dtype=timer.dtype)
    done = np.zeros((plan.steps + 1, len(ready)))
    for step in range(plan.steps):
        ready = steps.take(step, ready, exchanges)
        done[step + 1] = np.maximum(done[step], ready.max(axis=1).astype(np.float64))
    found: Array = done[list(record)]
    return found


class _Steps:
    """One step after the other: when every node is ready again, [R, n] to [R, n]."""

    def __init__(self, plan: Plan, timer: Timer) -> None:
        self.plan, self.timer = plan, timer
        parts = zip(timer.times.download, timer.times.upload, strict=True)
        self.links: Times = np.array([a + b for a, b in parts], dtype=timer.dtype)

    def take(self, step: int, ready: Times, exchanges: int) -> Times:
        """Compute, then exchange."""
        if self.plan.pairs is not None:
            return self._pair(step, ready, exchanges)
        own = np.arange(self.plan.nodes)
        if self.plan.partners is None:
            computed = self._computed(step, ready, np.ones(ready.shape, dtype=bool))
            return self._matrix(step, computed, exchanges)
        silent = step < self.plan.silent
        partner = np.broadcast_to(own, ready.shape) if silent else self.plan.partners[:, step]
        idle = (partner == own) & (not (self.plan.idle_steps or silent))
        computed = self._computed(step, ready, ~idle)
        for _ in range(exchanges):
            sent = computed + self.links
            met = np.maximum(sent, np.take_along_axis(sent, partner, axis=1))
            computed = np.where(partner == own, computed, met)
        return computed

    def _pair(self, step: int, ready: Times, exchanges: int) -> Times:
        """The two of this tick wait for each other."""
        assert self.plan.pairs is not None
        rows, ends = np.arange(len(ready))[:, None], self.plan.pairs[:, step]
        taking = np.zeros(ready.shape, dtype=bool)
        taking[rows, ends] = True
        after = self._computed(step, ready, taking)
        for _ in range(exchanges):
            after[rows, ends] = (after[rows, ends] + self.links[ends]).max(axis=1)[:, None]
        return after

    def _matrix(self, step: int, computed: Times, exchanges: int) -> Times:
        """Every node waits for those with weight in its line of W."""
        linked = (self.plan.mixing(step) != 0) & ~np.eye(self.plan.nodes, dtype=bool)
        alone = ~(linked.any(axis=-1) | linked.any(axis=-2))
        linked |= np.eye(self.plan.nodes, dtype=bool)
        for _ in range(exchanges):
            sent = computed + self.links
            if linked.ndim == 2:
                met = np.stack([sent[:, line].max(axis=1) for line in linked], axis=1)
            else:
                met = np.where(linked, sent[:, None, :], -np.inf).max(axis=2)
            computed = np.where(alone, computed, met)
        return computed

    def _computed(self, step: int, ready: Times, taking: NDArray[np.bool_]) -> Times:
        """When those who take part have computed; the others as they were."""
        replica, node = np.nonzero(taking)
        after = ready.copy()
        draws = self._draws(step, replica, node) if self.timer.drawn else np.zeros(len(node))
        after[replica, node] = self.timer.computed(node, ready[replica, node], draws)
        return after

    def _draws(self, step: int, replica: NDArray[np.int64], node: NDArray[np.int64]) -> Array:
        import torch

        from hzbench.core.streams import Purpose, Rows, uniforms

        rows, keys = torch.from_numpy(replica), self.plan.keys.cpu()
        each = Rows(
            keys=keys[rows],
            replica=rows,
            node=torch.from_numpy(node),
            step=torch.full(rows.shape, step),
        )
        return np.asarray(uniforms(each, Purpose.CLOCK, 1)[:, 0].numpy())
