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

    @property
    def memory_size(self) -> int:
        """Numbers that a node keeps between its estimates, at most."""
        return max(group.estimator.memory_size for group in self.groups)

    def estimate(self, problem: Problem, x: Tensor, rows: Rows, memory: Tensor) -> Estimate:
        """Estimate the gradient of every row with its node's estimator: x [B, d] -> G [B, d].

        Arguments:
            memory: what the rows' nodes have kept, [B, memory_size].
        """
        import torch

        if len(self.groups) == 1:
            group = self.groups[0]
            return group.estimator.recall(problem, x, rows, group.batch_size, memory)
        gradient, memory = torch.empty_like(x), memory.clone()
        calls: dict[str, Tensor] = {}
        for group in self.groups:
            chosen = (rows.node >= group.first) & (rows.node < group.last)
            index = chosen.nonzero()[:, 0]
            if len(index) == 0:
                continue
            size, place = group.estimator.memory_size, _span(index)
            part = group.estimator.recall(
                problem, x[place], rows.take(index), group.batch_size, memory[index, :size]
            )
            gradient[place] = part.gradient
            if part.memory is not None:
                memory[index, :size] = part.memory
            for name, count in part.calls.items():
                column = calls.setdefault(name, torch.zeros_like(rows.node))
                column[index] = count
        return Estimate(gradient=gradient, calls=calls, memory=memory)


def _span(index: Tensor) -> Tensor | slice:
    """Increasing indices as a slice where they have no gaps: a view instead of a copy."""
    first, last = int(index[0]), int(index[-1])
    return slice(first, last + 1) if last - first + 1 == len(index) else index
