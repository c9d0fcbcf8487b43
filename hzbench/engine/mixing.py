"""Mixing: what the verb `mix` does in a round, for rows in the order of their nodes.

All replicas share one product with W: a dense matrix for small networks, lines for large or sparse
ones, on iterates [n, R d]. Links that fail, or a coin, give every replica a matrix of its own.
"""

from __future__ import annotations

import warnings
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from hzbench.core.plan import Plan

if TYPE_CHECKING:
    from torch import Tensor

SPARSE = 6
"""Entries of W to one that is not 0 from which its lines beat a dense product (measured)."""


class Mixing:
    """The W of all steps of one run, on the device of `like`; what repeats is kept."""

    def __init__(self, plan: Plan, like: Tensor) -> None:
        self.plan, self.like = plan, like
        self.drawn = plan.links is not None or plan.exchanges is not None
        self.told = self.drawn and type(plan) is not Plan  # who extends a plan has W of his own
        self.known: dict[int, tuple[Tensor, Tensor | int]] = {}
        self.alike = _first_of_equals(plan)

    def phase(self, step: int) -> int:
        """Which W of those that come round again a step has; −1: the identity, for silence."""
        if step < self.plan.silent:
            return -1
        return self.alike[step % len(self.alike)]

    def of_step(self, step: int, now: Tensor) -> tuple[Tensor | None, Tensor | int]:
        """W of a step ([n, n], [R, n, n] or lines; None: the identity); its links, int or [R].

        Arguments:
            step: which says the phase.
            now: the same number on the device, [], which says the links and the coin.
        """
        phase = self.phase(step)
        if phase < 0:
            return None, 0
        if self.drawn:
            return self.of_draws(step, now)
        if phase not in self.known:
            self.known[phase] = self.fixed(step)
        return self.known[phase]

    def fixed(self, step: int) -> tuple[Tensor, int]:
        """W and links of a step, the same for all replicas."""
        if self.plan.lines is not None:
            return self.plan.lines.tensor(self.like), self.plan.lines.links
        matrix = self.plan.mixing(step)
        weights, own = np.count_nonzero(matrix), np.count_nonzero(matrix.diagonal())
        found = self.tensor(matrix)
        if SPARSE * weights < matrix.size:
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", "Sparse", UserWarning)  # torch calls it a beta
                found = found.to_sparse_csr()
        return found, int(weights - own)

    def of_draws(self, step: int, now: Tensor) -> tuple[Tensor, Tensor]:
        """W and links of a step, of every replica."""
        if self.told:
            matrix = self.tensor(self.plan.mixing(step))
            own = (matrix.diagonal(dim1=-2, dim2=-1) != 0).sum(-1)
            return matrix, (matrix != 0).sum((-2, -1)) - own
        matrix, links = self.with_failures(self.phase(step), now)
        if self.plan.exchanges is not None:
            coin = self.exchanges.index_select(1, now.view(1))[:, 0]
            matrix, links = matrix.where(coin[:, None, None], self.identity), links * coin
        return matrix.to(self.like.dtype), links

    def with_failures(self, phase: int, now: Tensor) -> tuple[Tensor, Tensor]:
        """As the plan makes W, [R, n, n], and its links, [R], but from tables on the device."""
        import torch

        n, base = self.plan.nodes, self.bases[phase]
        matrix = base.expand(self.plan.replicas, n, n)
        links = ((base - base.diagonal().diag()) != 0).sum().expand(self.plan.replicas)
        if self.plan.links is None:
            return matrix, links
        up = self.links.index_select(1, now.view(1))[:, 0]
        lost = base[self.edges[0], self.edges[1]].masked_fill(up, 0.0)
        flat = matrix.clone().view(len(up), n * n)
        flat[:, self.edges[0] * n + self.edges[1]] -= lost
        flat[:, self.edges[1] * n + self.edges[0]] -= lost
        flat[:, :: n + 1] += lost @ self.identity[self.edges].sum(0)
        return flat.view(-1, n, n), links - 2 * torch.count_nonzero(lost, dim=1)

    @cached_property
    def bases(self) -> Tensor:
        """W of every phase before links fail, float64 [P, n, n]."""
        assert self.plan.matrix is not None
        return self.table(self.plan.matrix.reshape(-1, self.plan.nodes, self.plan.nodes))

    @cached_property
    def links(self) -> Tensor:
        """Which links are up, bool [R, T, E]."""
        return self.table(self.plan.links)

    @cached_property
    def exchanges(self) -> Tensor:
        """Whether a round exchanges, bool [R, T]."""
        return self.table(self.plan.exchanges)

    @cached_property
    def edges(self) -> Tensor:
        """The nodes that the links join, [2, E]."""
        assert self.plan.edges is not None
        return self.table(self.plan.edges.T)

    @cached_property
    def identity(self) -> Tensor:
        """W of those who do not exchange, float64 [n, n]."""
        return self.table(np.eye(self.plan.nodes))

    def table(self, values: object) -> Tensor:
        """The values on the device, in their own dtype."""
        import torch

        return torch.as_tensor(values, device=self.like.device)

    def tensor(self, matrix: object) -> Tensor:
        """The matrix on the device, in the dtype of the run."""
        import torch

        return torch.as_tensor(matrix, device=self.like.device, dtype=self.like.dtype)


def _first_of_equals(plan: Plan) -> list[int]:
    """The first W of the period that equals each one: local steps between exchanges share one."""
    if plan.matrix is None or plan.matrix.ndim == 2:
        return [0]
    seen: dict[bytes, int] = {}
    return [seen.setdefault(each.tobytes(), place) for place, each in enumerate(plan.matrix)]


def multiply(matrix: Tensor | None, y: Tensor, nodes: int) -> Tensor:
    """W y for rows in the order of their nodes: y [n R, k] -> [n R, k]."""
    import torch

    if matrix is None:
        return y
    flat = y.view(nodes, -1)
    if matrix.layout == torch.sparse_csr and y.is_cuda:  # cuSPARSE adds up in any order
        return lines_times(matrix, flat).view_as(y)
    if matrix.layout == torch.sparse_csr:  # a plain product would fill its result twice
        room = torch.empty_like(flat)
        return torch.addmm(room, matrix, flat, beta=0, out=room).view_as(y)
    if matrix.ndim == 2:
        return (matrix @ flat).view_as(y)
    parts = y.view(nodes, -1, y.shape[1]).transpose(0, 1)
    return (matrix @ parts).transpose(0, 1).reshape(y.shape)


def lines_times(matrix: Tensor, flat: Tensor) -> Tensor:
    """W y for W in compressed lines [n, n], each added up in its own order: [n, k] -> [n, k]."""
    from torch.nn.functional import embedding_bag

    return embedding_bag(
        matrix.col_indices(),
        flat,
        matrix.crow_indices(),
        mode="sum",
        per_sample_weights=matrix.values(),
        include_last_offset=True,
    )
