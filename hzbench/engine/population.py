"""Population: which node uses which estimator, applied to any batch of rows."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

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
    """All groups in order, covering nodes 0 ... n−1."""

    groups: tuple[Group, ...]

    @property
    def memory_size(self) -> int:
        """Numbers that a node keeps between its estimates, at most."""
        return max(group.estimator.memory_size for group in self.groups)

    def shares(self, node: NDArray[np.int64]) -> tuple[slice, ...]:
        """The rows of every group, where rows are in the order of their nodes [B]."""
        if len(self.groups) == 1:
            return (slice(len(node)),)
        ends = np.searchsorted(node, [0, *(group.last for group in self.groups)])
        return tuple(slice(a, b) for a, b in pairwise(ends.tolist()))

    def estimate(
        self, problem: Problem, x: Tensor, rows: Rows, memory: Tensor, shares: tuple[slice, ...]
    ) -> Estimate:
        """Estimate the gradient of every row with its node's estimator: x [B, d] -> G [B, d].

        Arguments:
            memory: what the rows' nodes have kept, [B, memory_size].
            shares: the rows of every group.
        """
        import torch

        if len(self.groups) == 1:
            group = self.groups[0]
            return group.estimator.recall(problem, x, rows, group.batch_size, memory)
        gradient, memory = torch.empty_like(x), memory.clone()
        calls: dict[str, Tensor] = {}
        for group, part in zip(self.groups, shares, strict=True):
            if part.start == part.stop:
                continue
            size = group.estimator.memory_size
            found = group.estimator.recall(
                problem, x[part], rows.take(part), group.batch_size, memory[part, :size]
            )
            gradient[part] = found.gradient
            if found.memory is not None:
                memory[part, :size] = found.memory
            for name, count in found.calls.items():
                calls.setdefault(name, torch.zeros_like(rows.node))[part] = count
        return Estimate(gradient=gradient, calls=calls, memory=memory)
