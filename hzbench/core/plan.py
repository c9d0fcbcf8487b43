"""Plan: who computes, who averages with whom, and when, as integers drawn before any number.

A plan covers one canonical block of replicas. It does not depend on the iterates, so it is tested
exactly and every engine executes the same one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hzbench.core.setting import Protocol

if TYPE_CHECKING:
    from torch import Tensor

BLOCK = 256  # replicas in a canonical block: part of the plan, never of memory or workers


def blocks(replicas: int) -> list[range]:
    """The canonical blocks of replicas 0 ... R−1."""
    return [range(a, min(a + BLOCK, replicas)) for a in range(0, replicas, BLOCK)]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The schedule of one block of R replicas over T steps.

    Attributes:
        protocol: pair, matching or matrix.
        nodes: n.
        keys: Philox keys of the replicas, int64 [R, 2].
        step_sizes: η of every step and node, shape [T, n].
        pairs: pair: the two nodes of every tick, int64 [R, T, 2].
        partners: matching: the partner of every node (itself: idle), int64 [R, T, n].
        matrix: matrix: W, shape [n, n].
        idle_steps: matching: whether an idle node still takes its local step.
    """

    protocol: Protocol
    nodes: int
    keys: Tensor
    step_sizes: NDArray[np.float64]
    pairs: NDArray[np.int64] | None = None
    partners: NDArray[np.int64] | None = None
    matrix: NDArray[np.float64] | None = None
    idle_steps: bool = False

    @property
    def replicas(self) -> int:
        """Number R of replicas in the block."""
        return int(self.keys.shape[0])

    @property
    def steps(self) -> int:
        """Number T of steps."""
        return int(self.step_sizes.shape[0])


@dataclass(frozen=True, kw_only=True)
class Round:
    """Disjoint local computations that may run at once, B rows.

    In pair rounds the first B/2 rows are the first ends, the others the second ends.

    Attributes:
        replica, node, step: address of every row, int64 [B].
        partner: row index of the partner (itself: idle), int64 [B]; None when W averages.
    """

    replica: NDArray[np.int64]
    node: NDArray[np.int64]
    step: NDArray[np.int64]
    partner: NDArray[np.int64] | None
