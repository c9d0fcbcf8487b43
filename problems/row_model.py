"""What all problems on rows of data share at run time: minibatches, blocks of work, tensors."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from hzbench.core.constants import Constants
from hzbench.core.machine import at_once
from hzbench.core.streams import Purpose, Rows, integers
from hzbench.core.structure import BatchSize
from hzbench.problems.shares import Shares

if TYPE_CHECKING:
    import torch
    from torch import Tensor

Array = NDArray[np.float64]
_BLOCK = 1 << 19  # numbers gathered at once on the CPU


@dataclass(frozen=True, kw_only=True)
class RowSample:
    """Data samples of B rows.

    Attributes:
        count: s, samples a row.
        index: data rows, shape [B, s, b]; None for all rows of the node.
        rows: where further draws of the same samples lie (dropout); None: there are none.
    """

    count: int
    index: Tensor | None
    rows: Rows | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class RowProblem:
    """f_i(x) = mean over the rows M_i of a loss + (λ/2)|x|².

    Attributes:
        shares: the rows and who holds them.
        regularization: λ.
        constants: declared constants.
        optimum: x*, shape [d]; empty when unknown.
        certificate: upper bound on f(x*) − min f; nan when the optimum is unknown.
        initial: starting points, shape [n, d].
        device: torch device name.
        dtype: "float64" or "float32".
    """

    shares: Shares
    regularization: float
    constants: Constants
    optimum: Array
    certificate: float
    initial: Array
    device: str
    dtype: Literal["float64", "float32"]

    @property
    def nodes(self) -> int:
        """The number of nodes n."""
        return len(self.shares.members)

    @property
    def dimension(self) -> int:
        """The dimension d."""
        return int(self.initial.shape[1])

    @property
    def evaluation_noise(self) -> float:
        """None: a function value has no noise beyond that of its rows."""
        return 0.0

    def sample(self, rows: Rows, batch_size: BatchSize, count: int) -> RowSample:
        """Rows of the node, uniform and with replacement; "full" draws nothing."""
        if batch_size == "full":
            return RowSample(count=count, index=None)
        held = self._counts.index_select(0, rows.node)
        place = integers(rows, Purpose.DATA, held, count * batch_size)
        place += self._starts.index_select(0, rows.node)[:, None]
        index = self._flat.index_select(0, place.flatten())
        return RowSample(count=count, index=index.reshape(len(rows), count, batch_size))

    def batch_cost(self, node: Tensor, batch_size: BatchSize) -> Tensor:
        """b, or for "full" the rows that the node holds."""
        import torch

        return self._counts[node] if batch_size == "full" else torch.full_like(node, batch_size)

    def _ridge(self, points: Tensor) -> Tensor:
        return 0.5 * self.regularization * (points * points).sum(-1)

    def _blocks(self, block: Callable[[slice], Tensor], rows: int, width: int) -> Tensor:
        """The block function over all rows, a bounded number of numbers at a time."""
        import torch

        size = at_once(self.device, _BLOCK) // max(1, width)
        parts = [block(part) for part in slices(rows, max(1, size))]
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    @cached_property
    def _features(self) -> Tensor:
        return self._tensor(self.shares.features)

    @cached_property
    def _targets(self) -> Tensor:
        return self._tensor(self.shares.targets)

    @cached_property
    def _row_weights(self) -> Tensor:
        return self._tensor(self.shares.row_weights)

    @cached_property
    def _padded(self) -> tuple[Tensor, Tensor, Tensor]:
        features, targets, weights = self.shares.padded()
        return self._tensor(features), self._tensor(targets), self._tensor(weights)

    @cached_property
    def _counts(self) -> Tensor:
        return self._integers(self.shares.counts)

    @cached_property
    def _starts(self) -> Tensor:
        return self._integers(self.shares.starts)

    @cached_property
    def _flat(self) -> Tensor:
        return self._integers(self.shares.flat)

    def _integers(self, values: NDArray[np.int64]) -> Tensor:
        import torch

        return torch.from_numpy(values.copy()).to(self.device)

    def _tensor(self, values: Array) -> Tensor:
        import torch

        dtype: torch.dtype = torch.float64 if self.dtype == "float64" else torch.float32
        return torch.from_numpy(np.array(values)).to(device=self.device, dtype=dtype)


def of_node(table: Tensor, node: Tensor) -> Tensor:
    """The node's line of a table [m, ...]; one line for all when m is 1."""
    return table if len(table) == 1 else table.index_select(0, node)


def of_rows(table: Tensor, index: Tensor) -> Tensor:
    """The lines of a table [N, ...] at an index of any shape, faster than by `table[index]`."""
    return table.index_select(0, index.flatten()).view(*index.shape, *table.shape[1:])


def mean(values: Tensor, axis: int) -> Tensor:
    """The mean along an axis, for which one value along it needs no pass."""
    return values.squeeze(axis) if values.shape[axis] == 1 else values.mean(axis)


def weighted_covariance(gradients: Tensor, weights: Tensor) -> Tensor:
    """Covariance of rows [B, M, d] drawn with probabilities [B or 1, M], shape [B, d, d]."""
    mean = (weights[..., None] * gradients).sum(1, keepdim=True)
    centred = gradients - mean
    return centred.mT @ (weights[..., None] * centred)


def slices(rows: int, size: int) -> Iterator[slice]:
    """0 ... rows − 1 in parts of at most `size`; one empty part where there is nothing."""
    for start in range(0, max(rows, 1), size):
        yield slice(start, min(start + size, rows))
