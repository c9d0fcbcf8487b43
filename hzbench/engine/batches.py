"""Batches: a plan's rounds as tensors on the device of a run.

Where all nodes take part in every round, rounds differ by their step alone: what a round must know
is read from tables that went to the device once, at a step that is a number there. Elsewhere
addresses go to the device for many rounds at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hzbench.core.plan import Plan, Round
from hzbench.core.streams import Rows
from hzbench.engine.population import Population
from hzbench.engine.rounds import together

if TYPE_CHECKING:
    import torch
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Batch:
    """The rows of a round.

    Attributes:
        rows: their addresses, B of them.
        partner: row index of the partner, [B]; None when W averages.
        shares: the rows of every group of nodes.
        place: where the rows lie in the order of the arrays, [B]; None: all of them, in that order.
    """

    rows: Rows
    partner: Tensor | None
    shares: tuple[slice, ...]
    place: Tensor | None


class Batches:
    """The batches of one run."""

    def __init__(self, plan: Plan, population: Population, device: torch.device) -> None:
        self.plan, self.population, self.device = plan, population, device
        self.keys = plan.keys.to(device)
        self.together = together(plan)

    def of_window(self, window: list[Round]) -> Iterator[Batch]:
        """The batches of some rounds: one copy to the device for all of them, at most."""
        import torch

        if self.together:
            for each in window:
                yield self.of_all(torch.full((), int(each.step[0]), device=self.device))
            return
        columns = zip(*((e.replica, e.node, e.step, e.partner) for e in window), strict=True)
        sizes = [len(each.node) for each in window]
        table = np.empty((4, sum(sizes)), dtype=np.int64)
        for line, column in zip(table, columns, strict=True):
            np.concatenate(column, out=line)
        replica, node, step, partner = torch.from_numpy(table).to(self.device)
        keys, place = self.keys.index_select(0, replica), node * self.plan.replicas + replica
        every = (keys, replica, node, step, partner, place)
        parts = zip(*(torch.split(each, sizes) for each in every), strict=True)
        for each, (keys, replica, node, step, partner, place) in zip(window, parts, strict=True):
            whole = self.plan.protocol == "matching" and len(each.node) == len(self.node)
            yield Batch(
                rows=Rows(keys=keys, replica=replica, node=node, step=step),
                partner=partner,
                shares=self.population.shares(each.node),
                place=None if whole else place,
            )

    def of_all(self, now: Tensor) -> Batch:
        """The batch of a round of all nodes at a step, int64 []: nothing else tells it."""
        rows = replace(self.all, step=now.expand(len(self.node)))
        partner = None if self.plan.partners is None else self.partner(now)
        return Batch(rows=rows, partner=partner, shares=self.shares, place=None)

    def partner(self, now: Tensor) -> Tensor:
        """The partner of every row of a matching of all nodes, [n R]."""
        import torch

        chosen = self.partners.index_select(1, now.view(1))[:, 0].long()
        if self.plan.silent:
            nodes = torch.arange(self.plan.nodes, device=self.device)
            chosen = torch.where(now < self.plan.silent, nodes, chosen)
        replica = torch.arange(self.plan.replicas, device=self.device)
        return (chosen.T * self.plan.replicas + replica).reshape(-1)

    @cached_property
    def partners(self) -> Tensor:
        """The plan's partners on the device, int32 [R, T, n]."""
        import torch

        return torch.from_numpy(np.asarray(self.plan.partners, np.int32)).to(self.device)

    @cached_property
    def all(self) -> Rows:
        """The addresses of all rows, whatever the step."""
        import torch

        replica = torch.arange(self.plan.replicas, device=self.device).repeat(self.plan.nodes)
        node = torch.arange(self.plan.nodes, device=self.device)
        node = node.repeat_interleave(self.plan.replicas)
        return Rows(keys=self.keys[replica], replica=replica, node=node, step=node)

    @cached_property
    def node(self) -> NDArray[np.int64]:
        """The node of every row, on the host, [n R]."""
        return np.repeat(np.arange(self.plan.nodes), self.plan.replicas)

    @cached_property
    def shares(self) -> tuple[slice, ...]:
        """All rows of every group of nodes."""
        return self.population.shares(self.node)
