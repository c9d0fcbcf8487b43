"""Generalized linear models at run time: minibatches of rows, exact full batches.

Minibatches gather the rows they need in blocks; full batches are one product with a node's rows (or
its moments, for the squared loss), grouped by node.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from hzbench.core.objective import LOGISTIC, SQUARED, Objective, objective
from hzbench.core.structure import GeneralizedLinear
from hzbench.problems.batching import node_matmul
from hzbench.problems.loss import Loss
from hzbench.problems.mean_loss import SET, Group, mean_loss
from hzbench.problems.penalties import Penalty
from hzbench.problems.row_model import (
    RowProblem,
    RowSample,
    mean,
    of_node,
    of_rows,
    weighted_covariance,
)

if TYPE_CHECKING:
    from torch import Tensor

Array = NDArray[np.float64]
_DECLARED: dict[str, Literal["squared", "logistic"]] = {
    "squared": "squared",
    "logistic": "logistic",
}  # what core/structure.py has words for


@dataclass(frozen=True, kw_only=True, eq=False)
class LinearModel(RowProblem):
    """f_i(x) = mean over M_i of φ(a_j'x, y_j) + (λ/2)|x|² + a separable penalty.

    Attributes:
        loss: φ.
        penalty: the separable penalty, or None.
    """

    loss: Loss
    penalty: Penalty | None = None

    @property
    def structure(self) -> GeneralizedLinear | None:
        """All rows and who holds them, where theory knows the loss; None elsewhere."""
        declared = _DECLARED.get(self.loss.name)
        if declared is None or self.penalty is not None:
            return None
        return GeneralizedLinear(
            features=self.shares.features,
            targets=self.shares.targets,
            members=self.shares.members,
            loss=declared,
            regularization=self.regularization,
        )

    def compiled(self) -> Objective | None:
        """The same problem for compiled code, where that knows the loss."""
        declared = _DECLARED.get(self.loss.name)
        if declared is None or self.penalty is not None:
            return None
        shares, squared = self.shares, declared == "squared"
        moments = {"hessians": shares.second_moments, "linear": shares.cross_moments}
        return objective(
            SQUARED if squared else LOGISTIC,
            features=shares.features,
            targets=shares.targets,
            flat=shares.flat,
            starts=shares.starts,
            counts=shares.counts,
            regularization=self.regularization,
            **(moments if squared else {}),
        )

    def values(self, points: Tensor, node: Tensor, sample: RowSample) -> Tensor:
        """F_i(points; sample): [B, s, p, d] -> [B, s, p]."""
        if sample.index is None:
            return self._full_values(points, node)
        index = sample.index
        width = index.shape[1] * index.shape[2] * self.dimension

        def block(part: slice) -> Tensor:
            margins = _margins(points[part], of_rows(self._features, index[part]))
            targets = of_rows(self._targets, index[part])[:, :, None, :]
            return mean(self.loss.value(margins, targets), -1)

        return self._blocks(block, len(node), width) + self._penalty(points)

    def gradients(self, points: Tensor, node: Tensor, sample: RowSample) -> Tensor:
        """∇F_i(points; sample): [B, d] -> [B, s, d]."""
        if sample.index is None:
            exact = self._full_gradients(points, node)[:, None]
            return self._penalized(exact, points).expand(-1, sample.count, -1)
        index = sample.index
        width = index.shape[1] * index.shape[2] * self.dimension

        def block(part: slice) -> Tensor:
            features = of_rows(self._features, index[part])
            margins = (features * points[part][:, None, None, :]).sum(-1)
            slopes = self.loss.slope(margins, of_rows(self._targets, index[part]))
            return mean(features * slopes[..., None], 2)

        return self._penalized(self._blocks(block, len(node), width), points)

    def directional_difference(
        self, points: Tensor, offsets: Tensor, node: Tensor, sample: RowSample
    ) -> Tensor:
        """F_i(points + offsets) − F_i(points) without cancellation: [B, s, p, d] -> [B, s, p].

        `points` may have one p for all offsets.
        """
        change = self.regularization * (offsets * points.add(offsets, alpha=0.5)).sum(-1)
        if self.penalty is not None:
            change = change + self.penalty.change(points, offsets)
        if sample.index is None:
            return self._full_difference(points, offsets, node) + change
        index = sample.index
        width = index.shape[1] * index.shape[2] * self.dimension

        def block(part: slice) -> Tensor:
            features = of_rows(self._features, index[part])
            targets = of_rows(self._targets, index[part])[:, :, None, :]
            here, steps = _margins(points[part], features), _margins(offsets[part], features)
            return mean(self.loss.change(here, steps, targets), -1)

        return self._blocks(block, len(node), width) + change

    def gradient_noise(self, x: Tensor, node: Tensor) -> Tensor:
        """Tr Cov of one row's gradient over M_i, mean |s a|² − |mean s a|²: [B, d], [B] -> [B]."""
        features, targets, weights = self._padded
        lengths = (features * features).sum(-1)

        def block(part: slice) -> Tensor:
            at = node[part]
            margins = node_matmul(x[part][:, None], at, features.transpose(1, 2))[:, 0]
            slopes = self.loss.slope(margins, of_node(targets, at))
            weighted = slopes * of_node(weights, at)
            mean = node_matmul(weighted[:, None], at, features)[:, 0]
            return (weighted * slopes * of_node(lengths, at)).sum(-1) - (mean * mean).sum(-1)

        return self._blocks(block, len(node), targets.shape[1]).clamp_min(0.0)

    def gradient_covariance(self, x: Tensor, node: Tensor) -> Tensor:
        """Cov of one row's gradient over M_i: [B, d], [B] -> [B, d, d]."""
        features, targets, weights = self._padded

        def block(part: slice) -> Tensor:
            at = node[part]
            margins = node_matmul(x[part][:, None], at, features.transpose(1, 2))[:, 0]
            slopes = self.loss.slope(margins, of_node(targets, at))
            gradients = slopes[..., None] * of_node(features, at)
            return weighted_covariance(gradients, of_node(weights, at))

        return self._blocks(block, len(node), targets.shape[1] * self.dimension)

    def objective(self, x: Tensor) -> Tensor:
        """f(x): [R, d] -> [R]; squared: f* + ½ (x − x*)'H(x − x*), exact near the optimum."""
        return self.objective_and_gradient(x)[0]

    def objective_gradient(self, x: Tensor) -> Tensor:
        """∇f(x): [R, d] -> [R, d]."""
        return self.objective_and_gradient(x)[1]

    def objective_and_gradient(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Both: [R, d] -> [R], [R, d]."""
        if self._exact:
            offset = x - self._optimum
            slope = offset @ self._mean_hessian
            return self.constants.minimum + 0.5 * (offset * slope).sum(-1), slope
        value, slope = mean_loss(x, self.loss, self._groups)
        return value + self._penalty(x), slope + self._penalty_slope(x)

    def _full_values(self, points: Tensor, node: Tensor) -> Tensor:
        if self._squared:
            flat = points.flatten(1, 2)
            slope = (
                0.5 * node_matmul(flat, node, self._moments) - of_node(self._cross, node)[:, None]
            )
            exact = (flat * slope).sum(-1) + of_node(self._half_squares, node)[:, None]
            return exact.reshape(points.shape[:-1]) + self._penalty(points)
        features, targets, weights = self._padded
        width = points.shape[1] * points.shape[2] * targets.shape[1]

        def block(part: slice) -> Tensor:
            at = node[part]
            margins = node_matmul(points[part].flatten(1, 2), at, features.transpose(1, 2))
            losses = self.loss.value(margins, of_node(targets, at)[:, None])
            return (losses * of_node(weights, at)[:, None]).sum(-1).reshape(points[part].shape[:-1])

        return self._blocks(block, len(node), width) + self._penalty(points)

    def _full_difference(self, points: Tensor, offsets: Tensor, node: Tensor) -> Tensor:
        """Change of the mean loss over M_i: [B, s, p, d] -> [B, s, p]."""
        if self._squared:
            middle = (points + 0.5 * offsets).flatten(1, 2)
            slope = node_matmul(middle, node, self._moments) - of_node(self._cross, node)[:, None]
            return (offsets * slope.reshape(offsets.shape)).sum(-1)
        features, targets, weights = self._padded
        width = offsets.shape[1] * offsets.shape[2] * targets.shape[1]

        def product(vectors: Tensor, at: Tensor) -> Tensor:
            flat = node_matmul(vectors.flatten(1, 2), at, features.transpose(1, 2))
            return flat.reshape(*vectors.shape[:-1], -1)  # [B, s, p, M]

        def block(part: slice) -> Tensor:
            at = node[part]
            margins, steps = product(points[part], at), product(offsets[part], at)
            change = self.loss.change(margins, steps, of_node(targets, at)[:, None, None])
            return (change * of_node(weights, at)[:, None, None]).sum(-1)

        return self._blocks(block, len(node), width)

    def _full_gradients(self, points: Tensor, node: Tensor) -> Tensor:
        """Gradient of the mean loss over M_i: [B, d] -> [B, d]."""
        if self._squared:
            return node_matmul(points[:, None], node, self._moments)[:, 0] - of_node(
                self._cross, node
            )
        features, targets, weights = self._padded

        def block(part: slice) -> Tensor:
            at = node[part]
            margins = node_matmul(points[part][:, None], at, features.transpose(1, 2))[:, 0]
            slopes = self.loss.slope(margins, of_node(targets, at)) * of_node(weights, at)
            return node_matmul(slopes[:, None], at, features)[:, 0]

        return self._blocks(block, len(node), targets.shape[1])

    @property
    def _squared(self) -> bool:
        """Whether moments of the rows say all."""
        return self.loss.name == "squared"

    @property
    def _exact(self) -> bool:
        """Whether f is a quadratic, known from its optimum."""
        return self._squared and self.penalty is None and self.optimum.size > 0

    def _penalty(self, points: Tensor) -> Tensor:
        smooth = self._ridge(points)
        return smooth if self.penalty is None else smooth + self.penalty.value(points)

    def _penalized(self, slopes: Tensor, points: Tensor) -> Tensor:
        """The mean slopes [B, s, d], which nobody else holds, with those of the penalty."""
        slopes.add_(points[:, None], alpha=self.regularization)
        return slopes if self.penalty is None else slopes + self.penalty.slope(points)[:, None]

    def _penalty_slope(self, points: Tensor) -> Tensor:
        slope = self.regularization * points
        return slope if self.penalty is None else slope + self.penalty.slope(points)

    @cached_property
    def _groups(self) -> tuple[Group, ...]:
        """All rows, in sets that weigh alike."""
        features, targets = self.shares.features, self.shares.targets
        if self.loss.targets == "signs":  # φ(m, y) = φ(−ym, −1)
            features, targets = -targets[:, None] * features, -np.ones_like(targets)
        tables = [
            (features[rows], targets[rows][..., None], w) for rows, w in self.shares.alike(SET)
        ]
        return tuple(Group(*map(self._tensor, table)) for table in tables)

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


def _margins(points: Tensor, features: Tensor) -> Tensor:
    """Margins a'x of points [B, s, p, d] and rows [B, s, b, d], [B, s, p, b]."""
    if points.shape[2] == features.shape[2] == 1:  # by half a product of so many small matrices
        return (points * features).sum(-1, keepdim=True)
    return points @ features.mT
