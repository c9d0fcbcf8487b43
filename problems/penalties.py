"""Separable penalties: a loss of the table, taken of every coordinate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hzbench.problems.loss import Loss

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Penalty:
    """factor · Σ_k φ(x_k, 0): a separable penalty beside the quadratic one.

    Attributes:
        loss: φ.
        factor: its weight.
    """

    loss: Loss
    factor: float

    def value(self, x: Tensor) -> Tensor:
        """[..., d] -> [...]."""
        return self.factor * self.loss.value(x, x.new_zeros(())).sum(-1)

    def slope(self, x: Tensor) -> Tensor:
        """[..., d] -> [..., d]."""
        return self.factor * self.loss.slope(x, x.new_zeros(()))

    def curvature(self, x: Tensor) -> Tensor:
        """Diagonal of the Hessian: [..., d] -> [..., d]."""
        return self.factor * self.loss.curvature(x, x.new_zeros(()))

    def change(self, x: Tensor, offset: Tensor) -> Tensor:
        """Value at x + offset minus value at x, without cancellation: [..., d] -> [...]."""
        return self.factor * self.loss.change(x, offset, x.new_zeros(())).sum(-1)

    @property
    def curvatures(self) -> tuple[float, float]:
        """Least and largest second derivative a coordinate."""
        low, high = self.loss.curvatures(np.zeros(1))
        return self.factor * float(low[0]), self.factor * float(high[0])

    @property
    def third(self) -> float:
        """Bound on the third derivative a coordinate."""
        return self.factor * self.loss.third
