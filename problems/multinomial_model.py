"""Multinomial logistic regression at run time: margins with one entry a class."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from hzbench.core import streams
from hzbench.problems.batching import node_matmul
from hzbench.problems.mean_loss import mean_softmax_loss
from hzbench.problems.row_model import Array, RowProblem, RowSample, of_node, weighted_covariance

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True, eq=False)
class MultinomialModel(RowProblem):
    """f_i(W) = mean over M_i of [log Σ_c exp(w_c'a_j) − w_{y_j}'a_j] + (λ/2)|W|², x = (w_1, ...).

    Attributes:
        classes: C, so that d = C times the number of features.
    """

    classes: int

    @property
    def structure(self) -> None:
        """None: theory knows this problem by its constants alone."""
        return

    def values(self, points: Tensor, node: Tensor, sample: RowSample) -> Tensor:
        """F_i(points; sample): [B, s, p, d] -> [B, s, p]."""
        weights = points.reshape(*points.shape[:-1], self.classes, -1)
        width = weights[0].numel()
        if sample.index is None:
            features, targets, parts = self._padded

            def whole(part: slice) -> Tensor:
                at, here = node[part], weights[part]
                z = node_matmul(here.flatten(1, 3), at, features.transpose(1, 2))
                z = z.reshape(*here.shape[:4], -1).transpose(-1, -2)  # [B, s, p, M, C]
                picked = of_node(targets, at)[:, None, None]
                losses = z.logsumexp(-1) - _picked(z, picked)
                return (losses * of_node(parts, at)[:, None, None]).sum(-1)

            wide = points.shape[1] * points.shape[2] * self.classes * targets.shape[1]
            return self._blocks(whole, len(node), wide) + self._ridge(points)
        index = sample.index

        def block(part: slice) -> Tensor:
            features = self._features[index[part]]  # [B, s, b, d]
            z = features[:, :, None] @ weights[part].transpose(-1, -2)  # [B, s, p, b, C]
            return (z.logsumexp(-1) - _picked(z, self._targets[index[part]][:, :, None])).mean(-1)

        width += index.shape[1] * index.shape[2] * self._features.shape[1]
        return self._blocks(block, len(node), width) + self._ridge(points)

    def gradients(self, points: Tensor, node: Tensor, sample: RowSample) -> Tensor:
        """∇F_i(points; sample): [B, d] -> [B, s, d]."""
        weights = points.view(len(points), self.classes, -1)
        penalty = self.regularization * points[:, None, :]
        if sample.index is None:
            exact = self._full_gradients(weights, node).flatten(1)
            return (exact[:, None, :] + penalty).expand(-1, sample.count, -1)
        index = sample.index

        def block(part: slice) -> Tensor:
            features = self._features[index[part]]  # [B, s, b, d]
            excess = self._excess(
                features @ weights[part][:, None].transpose(-1, -2), self._targets[index[part]]
            )
            return (excess.transpose(-1, -2) @ features).flatten(2) / index.shape[2]

        width = index.shape[1] * index.shape[2] * self._features.shape[1]
        return self._blocks(block, len(node), width + self.dimension) + penalty

    def directional_difference(
        self, points: Tensor, offsets: Tensor, node: Tensor, sample: RowSample
    ) -> Tensor:
        """F_i(points + offsets) − F_i(points) without cancellation: [B, s, p, d] -> [B, s, p].

        `points` may have one p for all offsets.
        """
        change = self.regularization * (offsets * points.add(offsets, alpha=0.5)).sum(-1)
        if sample.index is None:
            return self._full_difference(points, offsets, node) + change
        index = sample.index

        def block(part: slice) -> Tensor:
            features = self._features[index[part]][:, :, None]  # [B, s, 1, b, d']
            z, steps = (features @ self._matrices(v[part]).mT for v in (points, offsets))
            return _change(z, steps, self._targets[index[part]][:, :, None]).mean(-1)

        rows = index.shape[1] * index.shape[2]
        width = rows * (self._width + offsets.shape[2] * self.classes)
        return self._blocks(block, len(node), width) + change

    def _full_difference(self, points: Tensor, offsets: Tensor, node: Tensor) -> Tensor:
        """Change of the mean loss over M_i: [B, s, p, d] -> [B, s, p]."""
        features, targets, parts = self._padded

        def product(vectors: Tensor, at: Tensor) -> Tensor:
            matrices = self._matrices(vectors)
            flat = node_matmul(matrices.flatten(1, 3), at, features.transpose(1, 2))
            return flat.reshape(*matrices.shape[:4], -1).mT  # [B, s, p, M, C]

        def block(part: slice) -> Tensor:
            at = node[part]
            z, steps = product(points[part], at), product(offsets[part], at)
            change = _change(z, steps, of_node(targets, at)[:, None, None])
            return (change * of_node(parts, at)[:, None, None]).sum(-1)

        width = offsets.shape[1] * offsets.shape[2] * self.classes * targets.shape[1]
        return self._blocks(block, len(node), width)

    def _matrices(self, vectors: Tensor) -> Tensor:
        """W of x: [..., d] -> [..., C, d']."""
        return vectors.reshape(*vectors.shape[:-1], self.classes, -1)

    def gradient_noise(self, x: Tensor, node: Tensor) -> Tensor:
        """Tr Cov of one row's gradient over M_i: [B, d], [B] -> [B]."""
        features, _, parts = self._padded
        lengths = features.square().sum(-1)

        def block(part: slice) -> Tensor:
            at, weights = node[part], x[part].view(-1, self.classes, features.shape[2])
            excess = self._full_excess(weights, at)
            mean = self._weighted(excess, at)
            second = excess.square().sum(-1) * of_node(lengths, at) * of_node(parts, at)
            return second.sum(-1) - mean.square().sum((1, 2))

        width = self.classes * features.shape[1]
        return self._blocks(block, len(node), width).clamp_min(0.0)

    def gradient_covariance(self, x: Tensor, node: Tensor) -> Tensor:
        """Cov of one row's gradient over M_i: [B, d], [B] -> [B, d, d]."""
        features, _, parts = self._padded

        def block(part: slice) -> Tensor:
            at, weights = node[part], x[part].view(-1, self.classes, self._width)
            excess = self._full_excess(weights, at)[..., None]  # [B, M, C, 1]
            gradients = (excess * of_node(features, at)[:, :, None]).flatten(2)
            return weighted_covariance(gradients, of_node(parts, at))

        return self._blocks(block, len(node), features.shape[1] * self.dimension)

    def objective(self, x: Tensor) -> Tensor:
        """f(x): [R, d] -> [R]."""
        return self.objective_and_gradient(x)[0]

    def objective_gradient(self, x: Tensor) -> Tensor:
        """∇f(x): [R, d] -> [R, d]."""
        return self.objective_and_gradient(x)[1]

    def objective_and_gradient(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Both: [R, d] -> [R], [R, d]."""
        rows = self._features, self._targets.long(), self._row_weights
        value, slope = mean_softmax_loss(self._matrices(x), *rows)
        return value + self._ridge(x), slope.flatten(1) + self.regularization * x

    def _full_gradients(self, weights: Tensor, node: Tensor) -> Tensor:
        """Gradient of the mean loss over M_i: [B, C, d'] -> [B, C, d']."""

        def block(part: slice) -> Tensor:
            return self._weighted(self._full_excess(weights[part], node[part]), node[part])

        return self._blocks(block, len(node), self.classes * self._padded[1].shape[1])

    def _full_excess(self, weights: Tensor, node: Tensor) -> Tensor:
        """Softmax minus the indicator of the class, of every row of the node: [B, M, C]."""
        features, targets, _ = self._padded
        z = node_matmul(weights, node, features.transpose(1, 2)).transpose(1, 2)
        return self._excess(z, of_node(targets, node).expand(len(node), -1))

    def _weighted(self, excess: Tensor, node: Tensor) -> Tensor:
        """Mean over M_i of excess times row: [B, M, C] -> [B, C, d']."""
        features, _, parts = self._padded
        scaled = (excess * of_node(parts, node)[..., None]).transpose(1, 2)
        return node_matmul(scaled, node, features)

    def _excess(self, z: Tensor, targets: Tensor) -> Tensor:
        """Softmax of margins [..., C] minus the indicator of the class [...]."""
        excess = z.softmax(-1)
        place = targets.long()[..., None].expand(*z.shape[:-1], 1)
        return excess.scatter_add(-1, place, -excess.new_ones(()).expand(place.shape))

    @cached_property
    def _width(self) -> int:
        return int(self.shares.features.shape[1])


@dataclass(frozen=True, kw_only=True, eq=False)
class ValidatedMultinomial(MultinomialModel):
    """The same with rows set aside.

    Attributes:
        aside: features [V, d'] and classes [V] that no node holds.
    """

    aside: tuple[Array, Array]

    def validation(self, x: Tensor) -> dict[str, Tensor]:
        """Loss and accuracy of every node's model on the rows set aside: [R, n, d] -> [R, n]."""
        import torch

        features, targets = self._aside

        def block(part: slice) -> Tensor:
            z = features @ x.flatten(0, 1)[part].view(-1, self.classes, self._width).mT
            loss = (z.logsumexp(-1) - _picked(z, targets[None])).mean(-1)
            right = (z.argmax(-1) == targets).to(z).mean(-1)
            return torch.stack([loss, right], dim=-1)

        width = self.classes * len(targets)
        found = self._blocks(block, x.shape[0] * x.shape[1], width).view(*x.shape[:2], 2)
        return {"validation_loss": found[..., 0], "validation_accuracy": found[..., 1]}

    @cached_property
    def _aside(self) -> tuple[Tensor, Tensor]:
        features, targets = self.aside
        return self._tensor(features), self._tensor(targets)


def _picked(z: Tensor, targets: Tensor) -> Tensor:
    """Margin of the true class: [..., C], [...] -> [...]."""
    place = targets.long()[..., None].expand(*z.shape[:-1], 1)
    return z.gather(-1, place)[..., 0]


def _change(z: Tensor, steps: Tensor, targets: Tensor) -> Tensor:
    """Cross-entropy at margins z + steps minus that at z, without cancellation.

    With s the steps less that of the true class and p the softmax of z it is
    log(1 + Σ p_c (e^(s_c) − 1)): [..., C] twice, classes [...] -> [...].
    """
    apart = steps - _picked(steps, targets)[..., None]
    near = (z.softmax(-1) * apart.clamp(-1.0, 1.0).expm1()).sum(-1).log1p()
    small = (apart.abs() <= 1.0).all(-1)
    if streams.on_host(small) and bool(small.all()):
        return near
    margins = z - _picked(z, targets)[..., None]
    return near.where(small, (margins + apart).logsumexp(-1) - margins.logsumexp(-1))
