"""Plan: who computes, who averages with whom, and when, as integers drawn before any number.

A plan covers one canonical block of replicas. It does not depend on the iterates, so it is tested
exactly and every engine executes the same one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hzbench.core.lines import Lines
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
        pair_weight: pair and matching: w in x_i+ = (1 − w) y_i + w y_j.
        matrix: matrix: W, shape [n, n], or [P, n, n] when step t uses W_{t mod P}.
        lines: matrix of a large sparse graph: W by its lines, in place of `matrix`.
        edges: matrix with failing links: the edges that may fail, int64 [E, 2].
        links: which of them are up, bool [R, T, E].
        exchanges: matrix with a coin: whether a round exchanges at all, bool [R, T].
        idle_steps: matching: whether an idle node still takes its local step.
        silent: matching and matrix: first rounds, in which all nodes step and nobody exchanges.
    """

    protocol: Protocol
    nodes: int
    keys: Tensor
    step_sizes: NDArray[np.float64]
    pairs: NDArray[np.int64] | None = None
    partners: NDArray[np.int64] | None = None
    pair_weight: float = 0.5
    matrix: NDArray[np.float64] | None = None
    lines: Lines | None = None
    edges: NDArray[np.int64] | None = None
    links: NDArray[np.bool_] | None = None
    exchanges: NDArray[np.bool_] | None = None
    idle_steps: bool = False
    silent: int = 0

    @property
    def replicas(self) -> int:
        """Number R of replicas in the block."""
        return int(self.keys.shape[0])

    @property
    def steps(self) -> int:
        """Number T of steps."""
        return int(self.step_sizes.shape[0])

    @property
    def varies(self) -> bool:
        """Whether W depends on the step."""
        random = self.links is not None or self.exchanges is not None
        return random or self.silent > 0 or (self.matrix is not None and self.matrix.ndim == 3)

    def mixing(self, step: int) -> NDArray[np.float64]:
        """W of one step, shape [n, n], or [R, n, n] with failing links or a coin.

        A failed edge has weight 0; what it carried stays at the diagonal of both ends. A round
        without exchange and a silent round have W = I.
        """
        assert self.matrix is not None
        if step < self.silent:
            return np.eye(self.nodes)
        base = self.matrix if self.matrix.ndim == 2 else self.matrix[step % len(self.matrix)]
        matrices = self._with_failures(base, step)
        if self.exchanges is None:
            return matrices
        return np.where(self.exchanges[:, step, None, None], matrices, np.eye(self.nodes))

    def _with_failures(self, base: NDArray[np.float64], step: int) -> NDArray[np.float64]:
        if self.links is None or self.edges is None:
            return base
        i, j = self.edges.T
        lost = np.where(self.links[:, step], 0.0, base[i, j])
        matrices = np.repeat(base[None], len(lost), axis=0)
        matrices[:, i, j] -= lost
        matrices[:, j, i] -= lost
        ends = np.eye(self.nodes)[i] + np.eye(self.nodes)[j]
        matrices[:, np.arange(self.nodes), np.arange(self.nodes)] += lost @ ends
        return matrices


@dataclass(frozen=True, kw_only=True)
class Round:
    """Disjoint local computations that may run at once, B rows.

    Rows are in the order of their nodes; in pair rounds every row has a partner.

    Attributes:
        replica, node, step: address of every row, int64 [B].
        partner: row index of the partner (itself: idle), int64 [B]; None when W averages.
    """

    replica: NDArray[np.int64]
    node: NDArray[np.int64]
    step: NDArray[np.int64]
    partner: NDArray[np.int64] | None
