"""Mixing: what the verb `mix` does in a round, for rows in the order of their nodes.

All replicas share one product with W: a dense matrix for small networks, lines for large or sparse
ones, on iterates [n, R d]. Links that fail give every replica a matrix of its own.
"""

from __future__ import annotations

import warnings
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
        self.known: dict[int, tuple[Tensor, Tensor | int]] = {}

    def of_step(self, step: int) -> tuple[Tensor | None, Tensor | int]:
        """W of a step ([n, n], [R, n, n] or lines; None: the identity); its links, int or [R]."""
        plan = self.plan
        if step < plan.silent:
            return None, 0
        if plan.links is not None or plan.exchanges is not None:
            return self.drawn(step)
        phase = step % len(plan.matrix) if plan.matrix is not None and plan.matrix.ndim == 3 else 0
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

    def drawn(self, step: int) -> tuple[Tensor, Tensor]:
        """W and links of a step, of every replica."""
        matrix = self.tensor(self.plan.mixing(step))
        own = (matrix.diagonal(dim1=-2, dim2=-1) != 0).sum(-1)
        return matrix, (matrix != 0).sum((-2, -1)) - own

    def tensor(self, matrix: object) -> Tensor:
        """The matrix on the device, in the dtype of the run."""
        import torch

        return torch.as_tensor(matrix, device=self.like.device, dtype=self.like.dtype)


def multiply(matrix: Tensor | None, y: Tensor, nodes: int) -> Tensor:
    """W y for rows in the order of their nodes: y [n R, k] -> [n R, k]."""
    import torch

    if matrix is None:
        return y
    flat = y.view(nodes, -1)
    if matrix.layout == torch.sparse_csr:  # a plain product would fill its result twice
        room = torch.empty_like(flat)
        return torch.addmm(room, matrix, flat, beta=0, out=room).view_as(y)
    if matrix.ndim == 2:
        return (matrix @ flat).view_as(y)
    parts = y.view(nodes, -1, y.shape[1]).transpose(0, 1)
    return (matrix @ parts).transpose(0, 1).reshape(y.shape)
