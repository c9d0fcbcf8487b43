"""Generalized linear models at run time: minibatches of rows, exact full batches.

Minibatches gather the rows they need in blocks; full batches are one product with a node's rows (or
its moments, for the squared loss), grouped by node.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from hzbench.core.constants import Constants
from hzbench.core.streams import Purpose, Rows, integers
from hzbench.core.structure import BatchSize, GeneralizedLinear
from hzbench.problems.batching import node_matmul
from hzbench.problems.shares import Shares

if TYPE_CHECKING:
    import torch
    from torch import Tensor

Array = NDArray[np.float64]
Loss = Literal["squared", "logistic"]
_BLOCK = 1 << 19  # numbers gathered at once


@dataclass(frozen=True, kw_only=True)
class RowSample:
    """Data samples of B rows.

    Attributes:
        count: s, samples a row.
        index: data rows, shape [B, s, b]; None for all rows of the node.
    """

    count: int
    index: Tensor | None


@dataclass(frozen=True, kw_only=True, eq=False)
class LinearModel:
    """f_i(x) = mean over M_i of loss(a_j'x, y_j) + (λ/2)|x|².

    Attributes:
        shares: the rows and who holds them.
        loss: "squared" or "logistic".
        regularization: λ.
        constants: declared constants.
        optimum: x*, shape [d].
        certificate: upper bound on f(x*) − min f, |∇f(x*)|²/(2μ).
        initial: starting points, shape [n, d].
        device: torch device name.
        dtype: "float64" or "float32".
    """

    shares: Shares
    loss: Loss
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
        return int(self.shares.features.shape[1])

    @property
    def evaluation_noise(self) -> float:
        """None: a function value has no noise beyond that of its rows."""
        return 0.0

    @property
    def structure(self) -> GeneralizedLinear:
        """All rows, and who holds them."""
        return GeneralizedLinear(
            features=self.shares.features,
            targets=self.shares.targets,
            members=self.shares.members,
            loss=self.loss,
            regularization=self.regularization,
        )

    def sample(self, rows: Rows, batch_size: BatchSize, count: int) -> RowSample:
        """Rows of the node, uniform and with replacement; "full" draws nothing."""
        if batch_size == "full":
            return RowSample(count=count, index=None)
        held = self._counts[rows.node]
        place = integers(rows, Purpose.DATA, held, count * batch_size)
        index = self._flat[self._starts[rows.node][:, None] + place]
        return RowSample(count=count, index=index.reshape(len(rows), count, batch_size))

    def values(self, points: Tensor, node: Tensor, sample: RowSample) -> Tensor:
        """F_i(points; sample): [B, s, p, d] -> [B, s, p]."""
        if sample.index is None:
            return self._full_values(points, node)
        index = sample.index
        width = index.shape[1] * index.shape[2] * self.dimension

        def block(part: slice) -> Tensor:
            features = self._features[index[part]]  # [B, s, b, d]
            margins = points[part] @ features.transpose(-1, -2)
            return self._losses(margins, self._targets[index[part]][:, :, None, :]).mean(-1)

        return self._blocks(block, len(node), width) + self._ridge(points)

    def gradients(self, points: Tensor, node: Tensor, sample: RowSample) -> Tensor:
        """∇F_i(points; sample): [B, d] -> [B, s, d]."""
        penalty = self.regularization * points[:, None, :]
        if sample.index is None:
            exact = self._full_gradients(points, node)
            return (exact[:, None, :] + penalty).expand(-1, sample.count, -1)
        index = sample.index
        width = index.shape[1] * index.shape[2] * self.dimension

        def block(part: slice) -> Tensor:
            features = self._features[index[part]]
            margins = (features * points[part][:, None, None, :]).sum(-1)
            slopes = self._slopes(margins, self._targets[index[part]])
            return (features * slopes[..., None]).mean(2)

        return self._blocks(block, len(node), width) + penalty

    def gradient_noise(self, x: Tensor, node: Tensor) -> Tensor:
        """Tr Cov of one row's gradient over M_i, mean |s a|² − |mean s a|²: [B, d], [B] -> [B]."""
        features, targets, weights = self._padded
        lengths = (features * features).sum(-1)

        def block(part: slice) -> Tensor:
            at = node[part]
            margins = node_matmul(x[part][:, None], at, features.transpose(1, 2))[:, 0]
            slopes = self._slopes(margins, _of(targets, at))
            weighted = slopes * _of(weights, at)
            mean = node_matmul(weighted[:, None], at, features)[:, 0]
            return (weighted * slopes * _of(lengths, at)).sum(-1) - (mean * mean).sum(-1)

        return self._blocks(block, len(node), targets.shape[1]).clamp_min(0.0)

    def batch_cost(self, node: Tensor, batch_size: BatchSize) -> Tensor:
        """b, or for "full" the rows that the node holds."""
        import torch

        return self._counts[node] if batch_size == "full" else torch.full_like(node, batch_size)

    def objective(self, x: Tensor) -> Tensor:
        """f(x): [R, d] -> [R]; squared: f* + ½ (x − x*)'H(x − x*), exact near the optimum."""
        if self.loss == "squared":
            offset = x - self._optimum
            return self.constants.minimum + 0.5 * (offset * (offset @ self._mean_hessian)).sum(-1)

        def block(part: slice) -> Tensor:
            return self._losses(x[part] @ self._features.T, self._targets) @ self._row_weights

        return self._blocks(block, len(x), len(self._targets)) + self._ridge(x)

    def objective_gradient(self, x: Tensor) -> Tensor:
        """∇f(x): [R, d] -> [R, d]."""
        if self.loss == "squared":
            return (x - self._optimum) @ self._mean_hessian

        def block(part: slice) -> Tensor:
            slopes = self._slopes(x[part] @ self._features.T, self._targets)
            return (slopes * self._row_weights) @ self._features

        return self._blocks(block, len(x), len(self._targets)) + self.regularization * x

    def _full_values(self, points: Tensor, node: Tensor) -> Tensor:
        if self.loss == "squared":
            flat = points.flatten(1, 2)
            slope = 0.5 * node_matmul(flat, node, self._moments) - _of(self._cross, node)[:, None]
            exact = (flat * slope).sum(-1) + _of(self._half_squares, node)[:, None]
            return exact.reshape(points.shape[:-1]) + self._ridge(points)
        features, targets, weights = self._padded
        width = points.shape[1] * points.shape[2] * targets.shape[1]

        def block(part: slice) -> Tensor:
            at = node[part]
            margins = node_matmul(points[part].flatten(1, 2), at, features.transpose(1, 2))
            losses = self._losses(margins, _of(targets, at)[:, None])
            return (losses * _of(weights, at)[:, None]).sum(-1).reshape(points[part].shape[:-1])

        return self._blocks(block, len(node), width) + self._ridge(points)

    def _full_gradients(self, points: Tensor, node: Tensor) -> Tensor:
        """Gradient of the mean loss over M_i: [B, d] -> [B, d]."""
        if self.loss == "squared":
            return node_matmul(points[:, None], node, self._moments)[:, 0] - _of(self._cross, node)
        features, targets, weights = self._padded

        def block(part: slice) -> Tensor:
            at = node[part]
            margins = node_matmul(points[part][:, None], at, features.transpose(1, 2))[:, 0]
            slopes = self._slopes(margins, _of(targets, at)) * _of(weights, at)
            return node_matmul(slopes[:, None], at, features)[:, 0]

        return self._blocks(block, len(node), targets.shape[1])

    def _losses(self, margins: Tensor, targets: Tensor) -> Tensor:
        import torch

        if self.loss == "squared":
            return 0.5 * (margins - targets) ** 2
        exponent = -targets * margins
        return torch.clamp(exponent, min=0.0) + torch.log1p(torch.exp(-exponent.abs()))

    def _slopes(self, margins: Tensor, targets: Tensor) -> Tensor:
        """Derivative of the loss in its margin."""
        if self.loss == "squared":
            return margins - targets
        return -targets * (-targets * margins).sigmoid()

    def _ridge(self, points: Tensor) -> Tensor:
        return 0.5 * self.regularization * (points * points).sum(-1)

    def _blocks(self, block: Callable[[slice], Tensor], rows: int, width: int) -> Tensor:
        """The block function over all rows, at most _BLOCK numbers at a time."""
        import torch

        parts = [block(part) for part in _slices(rows, max(1, _BLOCK // max(1, width)))]
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
    def _optimum(self) -> Tensor:
        return self._tensor(self.optimum)

    @cached_property
    def _mean_hessian(self) -> Tensor:
        mean = self.shares.second_moments.mean(axis=0)
        return self._tensor(mean + self.regularization * np.eye(len(mean)))

    @cached_property
    def _moments(self) -> Tensor:
        return self._tensor(self.shares.second_moments)

    @cached_property
    def _cross(self) -> Tensor:
        return self._tensor(self.shares.cross_moments)

    @cached_property
    def _half_squares(self) -> Tensor:
        means = [(self.shares.targets[rows] ** 2).mean() for rows in self.shares.distinct]
        return self._tensor(0.5 * np.asarray(means))

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


def _of(table: Tensor, node: Tensor) -> Tensor:
    """The node's line of a table [m, ...]; one line for all when m is 1."""
    return table if len(table) == 1 else table[node]


def _slices(rows: int, size: int) -> Iterator[slice]:
    for start in range(0, max(rows, 1), size):
        yield slice(start, min(start + size, rows))
