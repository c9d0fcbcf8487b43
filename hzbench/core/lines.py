"""Lines: a symmetric W of a large sparse graph, by the entries of its lines."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor

DENSE_NODES = 4096
"""Largest network whose W is a matrix: 128 MiB, eigenvalues in about a minute."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Lines:
    """W of n nodes.

    Attributes:
        diagonal: W_ii, [n].
        pointers: where the entries of a line start, [n + 1].
        column, weight: the entries off the diagonal, line after line, [2E].
    """

    diagonal: NDArray[np.float64]
    pointers: NDArray[np.int64]
    column: NDArray[np.int64]
    weight: NDArray[np.float64]

    @property
    def links(self) -> int:
        """Number of entries off the diagonal that carry weight."""
        return int(np.count_nonzero(self.weight))

    def tensor(self, like: Tensor) -> Tensor:
        """A sparse tensor [n, n] of the device and dtype of `like`."""
        import torch

        n = len(self.diagonal)
        each: Any = np.repeat(np.arange(n), np.diff(self.pointers))
        line = np.concatenate([each, np.arange(n)])
        column = np.concatenate([self.column, np.arange(n)])
        values = np.concatenate([self.weight, self.diagonal])
        index = torch.from_numpy(np.stack([line, column]))
        given = torch.from_numpy(values).to(like.dtype)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Sparse", UserWarning)  # torch calls CSR a beta
            found = torch.sparse_coo_tensor(index, given, (n, n)).coalesce().to_sparse_csr()
            return found.to(like.device)


def lines_of(edges: NDArray[np.int64], weight: NDArray[np.float64], nodes: int) -> Lines:
    """W with these weights on edges i < j [E, 2]; what is left of 1 stays at the node."""
    line = np.concatenate([edges[:, 0], edges[:, 1]])
    column, both = np.concatenate([edges[:, 1], edges[:, 0]]), np.concatenate([weight, weight])
    order = np.lexsort((column, line))
    counts = np.bincount(line, minlength=nodes)
    return Lines(
        diagonal=np.asarray(1.0 - np.bincount(line, both, nodes), dtype=np.float64),
        pointers=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        column=column[order],
        weight=both[order],
    )
