"""Where the estimates that a server uses were taken: a mean of points between record points."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hzbench.core.server import ServerPlan
from hzbench.core.state import State

if TYPE_CHECKING:
    from torch import Tensor

POINT = "used_point"


class UsedPoints:
    """Looks at every update and adds up the x^v of what it has used, W c η at a time."""

    def __init__(self, plan: ServerPlan) -> None:
        table = plan.schedule
        update = np.repeat(np.arange(table.updates), np.diff(table.offsets))
        sizes = plan.step_sizes[update, table.workers[table.samples]]
        self.offsets = table.offsets
        self.versions = table.versions[table.samples]
        self.weights = table.weights * table.scales[update] * sizes
        self.last = np.full(table.updates + 1, -1)
        np.maximum.at(self.last, self.versions, update)
        self.points: dict[int, Tensor] = {}
        self.total: Tensor | None = None
        self.weight = 0.0

    def look(self, state: State) -> None:
        """After every update, and before the first one."""
        k = state.step
        self.points[k] = state.mean.clone()
        if k == 0:
            return
        for at in range(self.offsets[k - 1], self.offsets[k]):
            part = float(self.weights[at]) * self.points[int(self.versions[at])]
            self.total = part if self.total is None else self.total + part
            self.weight += float(self.weights[at])
        for version in [v for v in self.points if v < k and self.last[v] < k]:
            del self.points[version]

    def value(self, state: State) -> Tensor:
        """The mean since the last call, [R, d]; where nothing was used, the server's point."""
        found = state.mean if self.total is None else self.total / self.weight
        self.total, self.weight = None, 0.0
        return found
