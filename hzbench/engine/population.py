"""Population: which node uses which estimator, applied to any batch of rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hzbench.core.estimator import Estimate, Estimator
from hzbench.core.problem import Problem
from hzbench.core.streams import Rows
from hzbench.core.structure import BatchSize

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Group:
    """Nodes `first` ... `last − 1`, which share an estimator and a batch size."""

    first: int
    last: int
    estimator: Estimator
    batch_size: BatchSize


@dataclass(frozen=True, kw_only=True)
class Population:
    """All groups, covering nodes 0 ... n−1."""

    groups: tuple[Group, ...]

    def estimate(self, problem: Problem, x: Tensor, rows: Rows) -> Estimate:
        """Estimate the gradient of every row with its node's estimator: x [B, d] -> G [B, d]."""
        import torch

        if len(self.groups) == 1:
            group = self.groups[0]
            return group.estimator.estimate(problem, x, rows, group.batch_size)
        gradient = torch.empty_like(x)
        calls: dict[str, Tensor] = {}
        for group in self.groups:
            chosen = (rows.node >= group.first) & (rows.node < group.last)
            index = chosen.nonzero()[:, 0]
            if len(index) == 0:
                continue
            part = group.estimator.estimate(problem, x[index], rows.take(index), group.batch_size)
            gradient[index] = part.gradient
            for name, count in part.calls.items():
                column = calls.setdefault(name, torch.zeros_like(rows.node))
                column[index] = count
        return Estimate(gradient=gradient, calls=calls)
