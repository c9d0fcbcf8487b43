"""Losses that are not convex: of robust regression, and of signals whose signs are lost."""

from __future__ import annotations

from math import inf, sqrt
from typing import TYPE_CHECKING

import numpy as np

from hzbench.problems.loss import Array, Bounds, Loss, bounds

if TYPE_CHECKING:
    from torch import Tensor


class _Cauchy(Loss):
    """(w²/2) log(1 + r²/w²), r = m − y: slopes fall beyond |r| = w."""

    name = "cauchy"

    def value(self, m: Tensor, y: Tensor) -> Tensor:
        return 0.5 * self.width**2 * (((m - y) / self.width) ** 2).log1p()

    def slope(self, m: Tensor, y: Tensor) -> Tensor:
        return (m - y) / (1.0 + ((m - y) / self.width) ** 2)

    def curvature(self, m: Tensor, y: Tensor) -> Tensor:
        square = ((m - y) / self.width) ** 2
        return (1.0 - square) / (1.0 + square) ** 2

    def change(self, m: Tensor, delta: Tensor, y: Tensor) -> Tensor:
        r, square = m - y, self.width**2
        grow = delta * (2.0 * r + delta) / (square + r**2)
        near = grow.clamp(min=-0.5).log1p()
        far = ((square + (r + delta) ** 2) / (square + r**2)).log()
        return 0.5 * square * near.where(grow >= -0.5, far)

    def slopes(self, y: Array) -> Bounds:
        return bounds(y, -0.5 * self.width, 0.5 * self.width)

    def curvatures(self, y: Array) -> Bounds:
        return bounds(y, -0.125, 1.0)

    @property
    def third(self) -> float:
        """2u(3 − u²)/(1 + u²)³/w, largest at u² = 3 − 2 sqrt(2)."""
        u = sqrt(2.0) - 1.0
        return 2.0 * u * (3.0 - u**2) / (1.0 + u**2) ** 3 / self.width


class _GemanMcClure(Loss):
    """½ r²/(1 + r²/w²), r = m − y: bounded by w²/2."""

    name = "geman-mcclure"

    def value(self, m: Tensor, y: Tensor) -> Tensor:
        return 0.5 * (m - y) ** 2 / (1.0 + ((m - y) / self.width) ** 2)

    def slope(self, m: Tensor, y: Tensor) -> Tensor:
        return (m - y) / (1.0 + ((m - y) / self.width) ** 2) ** 2

    def curvature(self, m: Tensor, y: Tensor) -> Tensor:
        square = ((m - y) / self.width) ** 2
        return (1.0 - 3.0 * square) / (1.0 + square) ** 3

    def change(self, m: Tensor, delta: Tensor, y: Tensor) -> Tensor:
        r, square = m - y, self.width**2
        here, there = 1.0 + r**2 / square, 1.0 + (r + delta) ** 2 / square
        return 0.5 * delta * (2.0 * r + delta) / (here * there)

    def slopes(self, y: Array) -> Bounds:
        largest = 9.0 / (16.0 * sqrt(3.0)) * self.width  # at r = w/sqrt(3)
        return bounds(y, -largest, largest)

    def curvatures(self, y: Array) -> Bounds:
        return bounds(y, -0.25, 1.0)

    @property
    def third(self) -> float:
        """12u(1 − u²)/(1 + u²)⁴/w, largest at u² = 1 − 2/sqrt(5)."""
        square = 1.0 - 2.0 / sqrt(5.0)
        return 12.0 * sqrt(square) * (1.0 - square) / (1.0 + square) ** 4 / self.width


class _PhaseRetrieval(Loss):
    """¼(m² − y)², y >= 0: the sign of a'x is lost."""

    name = "phase"
    targets = "nonnegative"
    identified = False

    def value(self, m: Tensor, y: Tensor) -> Tensor:
        return 0.25 * (m**2 - y) ** 2

    def slope(self, m: Tensor, y: Tensor) -> Tensor:
        return (m**2 - y) * m

    def curvature(self, m: Tensor, y: Tensor) -> Tensor:
        return 3.0 * m**2 - y

    def change(self, m: Tensor, delta: Tensor, y: Tensor) -> Tensor:
        grow = delta * (2.0 * m + delta)
        return 0.25 * grow * (2.0 * (m**2 - y) + grow)

    def slopes(self, y: Array) -> Bounds:
        return bounds(y, -inf, inf)

    def curvatures(self, y: Array) -> Bounds:
        return -y, np.full(y.shape, inf)


NONCONVEX: tuple[type[Loss], ...] = (_Cauchy, _GemanMcClure, _PhaseRetrieval)
