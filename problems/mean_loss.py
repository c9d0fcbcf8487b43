"""Mean losses over all rows of data and their gradients, from one product of margins.

What a run records reads every row for every replica. So some rows of all replicas at a time go
through the caches, and of them stay a number a replica and a sum of rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, NamedTuple

from hzbench.core import streams
from hzbench.problems.loss import Loss
from hzbench.problems.row_model import slices

if TYPE_CHECKING:
    from torch import Tensor

Both = tuple["Tensor", "Tensor"]
SET = 16  # rows that weigh alike and are told as one
_TILE = 1 << 18  # margins at once on the CPU
_DEVICE_TILE = 1 << 24
_REPLICAS = 256  # at once, a canonical block: bits do not depend on how many blocks are asked for


class Group(NamedTuple):
    """Rows in G sets of k that weigh alike.

    Attributes:
        features: a, shape [k, G, d]; −y a where targets are signs.
        targets: y, shape [k, G, 1]; −1 where they are signs.
        weights: of every row of a set, shape [G].
    """

    features: Tensor
    targets: Tensor
    weights: Tensor

    def cut(self, size: int) -> Iterator[Group]:
        """The same in parts of at most so many sets."""
        for part in slices(len(self.weights), max(1, size)):
            yield Group(self.features[:, part], self.targets[:, part], self.weights[part])


def mean_loss(x: Tensor, loss: Loss, groups: tuple[Group, ...]) -> Both:
    """Σ w φ(a'x, y) and its gradient: [R, d] -> [R], [R, d]."""

    def block(x: Tensor) -> Both:
        value, gradient = x.new_zeros(len(x)), x.new_zeros(x.shape[1], len(x))
        for group in groups:
            k = len(group.features)
            for features, targets, weights in group.cut(_tile(x) // (k * len(x))):
                margins = (features.flatten(0, 1) @ x.T).view(k, -1, len(x))
                losses, slopes = loss.together(margins, targets)
                value.addmv_(losses.T, weights)
                weight, few = weights[:, None], len(x) < x.shape[1]
                rows, each = (features, slopes * weight) if few else (features * weight, slopes)
                gradient.addmm_(rows.flatten(0, 1).T, each.flatten(0, 1))
        return value, gradient.T

    return _in_blocks(block, x)


def mean_softmax_loss(x: Tensor, features: Tensor, targets: Tensor, weights: Tensor) -> Both:
    """Σ w log Σ_c exp(x_c'a − x_y'a) and its gradient, to a few units of rounding of every row's.

    That of a row is l + log(1 + q), q = p + e^−l − 1, where l is the largest margin less that of
    the class y and p the sum of e^(x_c'a − the largest) over the others: where y leads, q = p.

    Arguments:
        x: [R, C, d].
        features: a, [N, d].
        targets: y, integers [N].
        weights: w, [N].

    Returns:
        [R] and [R, C, d].
    """

    def block(x: Tensor) -> Both:
        value, flat = x.new_zeros(len(x)), x.flatten(0, 1)
        gradient = x.new_zeros(flat.shape)
        for part in slices(len(features), max(1, _tile(x) // len(flat))):
            margins = (flat @ features[part].T).view(*x.shape[:2], -1)
            true = targets[part].expand(len(x), 1, -1)
            largest = margins.amax(1, keepdim=True)
            lead = largest - margins.gather(1, true)
            others = margins.sub_(largest).exp_().scatter_(1, true, 0.0)
            total = others.sum(1, keepdim=True)
            ratio = (-lead).expm1_().add_(total)
            value.addmv_((lead + ratio.log1p())[:, 0], weights[part])
            excess = others.scatter_(1, true, -total).mul_(weights[part] / (1.0 + ratio))
            gradient.addmm_(excess.flatten(0, 1), features[part])
        return value, gradient.view(x.shape)

    return _in_blocks(block, x)


def _in_blocks(block: Callable[[Tensor], Both], x: Tensor) -> Both:
    """Of one block of replicas after the other."""
    import torch

    values, gradients = zip(*(block(x[part]) for part in slices(len(x), _REPLICAS)), strict=True)
    return torch.cat(values), torch.cat(gradients)


def _tile(x: Tensor) -> int:
    return _TILE if streams.on_host(x) else _DEVICE_TILE
