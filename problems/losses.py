"""The losses of generalized linear models that are convex, and all of them by name."""

from __future__ import annotations

from math import inf, sqrt
from typing import TYPE_CHECKING

import numpy as np

from hzbench.core import streams
from hzbench.problems.loss import Array, Bounds, Loss, bounds
from hzbench.problems.nonconvex_losses import NONCONVEX

if TYPE_CHECKING:
    from torch import Tensor


class _Squared(Loss):
    """½(m − y)²."""

    name = "squared"

    def value(self, m: Tensor, y: Tensor) -> Tensor:
        return 0.5 * (m - y) ** 2

    def slope(self, m: Tensor, y: Tensor) -> Tensor:
        return m - y

    def curvature(self, m: Tensor, y: Tensor) -> Tensor:
        return (m - y).new_ones(()).expand((m - y).shape)

    def change(self, m: Tensor, delta: Tensor, y: Tensor) -> Tensor:
        return delta * (m - y + 0.5 * delta)

    def slopes(self, y: Array) -> Bounds:
        return bounds(y, -inf, inf)

    def curvatures(self, y: Array) -> Bounds:
        return bounds(y, 1.0, 1.0)

    @property
    def third(self) -> float:
        return 0.0


_STRAIGHT = 40.0
"""From here on log(1 + eᵗ) is t to the last digit of float64."""
_CLEAR = 2.0
"""From here on a product has a logarithm as exact as itself."""


class _Logistic(Loss):
    """log(1 + exp(−y m)), y = ±1."""

    name = "logistic"
    targets = "signs"
    explained = False

    def value(self, m: Tensor, y: Tensor) -> Tensor:
        import torch

        return torch.nn.functional.softplus(-y * m, threshold=_STRAIGHT)

    def slope(self, m: Tensor, y: Tensor) -> Tensor:
        opposite = -y
        return opposite * (opposite * m).sigmoid()

    def curvature(self, m: Tensor, y: Tensor) -> Tensor:
        return (y * m).sigmoid() * (-y * m).sigmoid()

    def change(self, m: Tensor, delta: Tensor, y: Tensor) -> Tensor:
        opposite = -y
        grow, share = opposite * delta, (opposite * m).sigmoid()
        small = grow.abs() <= 1.0
        if streams.on_host(m) and bool(small.all()):  # another device would have to be waited for
            return (share * grow.expm1()).log1p()
        near = (share * grow.clamp(-1.0, 1.0).expm1()).log1p()
        return near.where(small, self.value(m + delta, y) - self.value(m, y))

    def together(self, m: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """From one exponential a row and one logarithm for k rows: Σ φ = log Π (1 + e^m).

        To a few units of rounding of every row's: φ' = e^m/(1 + e^m), and of a product near 1 what
        it has beyond 1 is computed on its own. One too large for its format is not used. Where it
        cannot be asked for nothing whether there are such products, all is computed in every way.
        """
        import torch

        power = m.exp()
        base = power + 1.0
        product, host = base.prod(0), streams.on_host(m)
        total = product.log()
        if not host or not bool(product.amin() >= _CLEAR):
            total = total.where(product >= _CLEAR, _beyond_one(power, base).log1p_())
        if not host or not bool(product.amax() < inf):
            total = total.where(product < inf, self.value(m, y).sum(0))
            for each in (power, base):
                each.clamp_(max=torch.finfo(m.dtype).max)
        return total, power.div_(base)

    def slopes(self, y: Array) -> Bounds:
        return np.minimum(-y, 0.0), np.maximum(-y, 0.0)

    def curvatures(self, y: Array) -> Bounds:
        return bounds(y, 0.0, 0.25)

    @property
    def third(self) -> float:
        return 1.0 / (6.0 * sqrt(3.0))


def _beyond_one(powers: Tensor, bases: Tensor) -> Tensor:
    """Π_k (1 + e_k) − 1 without cancellation: e and 1 + e, [k, ...] -> [...]."""
    found = powers[0].clone()
    for power, base in zip(powers[1:], bases[1:], strict=True):
        found.mul_(base).add_(power)
    return found


def _clipped_change(r: Tensor, delta: Tensor, low: float, high: float) -> Tensor:
    """Change of h(r) = c r − c²/2 with c = r clipped to [low, high], from r to r + δ."""
    here, there = r.clamp(low, high), (r + delta).clamp(low, high)
    return here * delta + (there - here) * (r + delta - 0.5 * (here + there))


class _Huber(Loss):
    """½r² for |r| <= w, w|r| − ½w² beyond, r = m − y."""

    name = "huber"

    def value(self, m: Tensor, y: Tensor) -> Tensor:
        kept = (m - y).clamp(-self.width, self.width)
        return kept * (m - y - 0.5 * kept)

    def slope(self, m: Tensor, y: Tensor) -> Tensor:
        return (m - y).clamp(-self.width, self.width)

    def curvature(self, m: Tensor, y: Tensor) -> Tensor:
        return ((m - y).abs() <= self.width).to(m.dtype)

    def change(self, m: Tensor, delta: Tensor, y: Tensor) -> Tensor:
        return _clipped_change(m - y, delta, -self.width, self.width)

    def slopes(self, y: Array) -> Bounds:
        return bounds(y, -self.width, self.width)

    def curvatures(self, y: Array) -> Bounds:
        return bounds(y, 0.0, 1.0)


class _SmoothedHinge(Loss):
    """0 for s <= 0, s²/(2w) up to s = w, s − w/2 beyond, with s = 1 − y m and y = ±1."""

    name = "smoothed-hinge"
    targets = "signs"
    explained = False  # the truth's margins may be less than 1

    def value(self, m: Tensor, y: Tensor) -> Tensor:
        kept = (1.0 - y * m).clamp(0.0, self.width)
        return kept * (1.0 - y * m - 0.5 * kept) / self.width

    def slope(self, m: Tensor, y: Tensor) -> Tensor:
        return -y * (1.0 - y * m).clamp(0.0, self.width) / self.width

    def curvature(self, m: Tensor, y: Tensor) -> Tensor:
        s = 1.0 - y * m
        return ((s >= 0) & (s <= self.width)).to(m.dtype) / self.width

    def change(self, m: Tensor, delta: Tensor, y: Tensor) -> Tensor:
        return _clipped_change(1.0 - y * m, -y * delta, 0.0, self.width) / self.width

    def slopes(self, y: Array) -> Bounds:
        return np.minimum(-y, 0.0), np.maximum(-y, 0.0)

    def curvatures(self, y: Array) -> Bounds:
        return bounds(y, 0.0, 1.0 / self.width)


class _PseudoHuber(Loss):
    """w(sqrt(r² + w²) − w), r = m − y: smooth, and w|r| far out."""

    name = "pseudo-huber"

    def value(self, m: Tensor, y: Tensor) -> Tensor:
        square = (m - y) ** 2
        return self.width * square / ((square + self.width**2).sqrt() + self.width)

    def slope(self, m: Tensor, y: Tensor) -> Tensor:
        r = m - y
        return self.width * r / (r**2 + self.width**2).sqrt()

    def curvature(self, m: Tensor, y: Tensor) -> Tensor:
        return (1.0 + ((m - y) / self.width) ** 2) ** -1.5

    def change(self, m: Tensor, delta: Tensor, y: Tensor) -> Tensor:
        r, square = m - y, self.width**2
        roots = (r**2 + square).sqrt() + ((r + delta) ** 2 + square).sqrt()
        return self.width * delta * (2.0 * r + delta) / roots

    def slopes(self, y: Array) -> Bounds:
        return bounds(y, -self.width, self.width)

    def curvatures(self, y: Array) -> Bounds:
        return bounds(y, 0.0, 1.0)

    @property
    def third(self) -> float:
        """3u(1 + u²)^(−5/2)/w, largest at u = ½."""
        return 1.5 / (1.25**2 * sqrt(1.25)) / self.width


class _Poisson(Loss):
    """e^m − y m, the negative log-likelihood of counts y = 0, 1, 2, ... without log y!."""

    name = "poisson"
    targets = "counts"
    explained = False

    def value(self, m: Tensor, y: Tensor) -> Tensor:
        return m.exp() - y * m

    def slope(self, m: Tensor, y: Tensor) -> Tensor:
        return m.exp() - y

    def curvature(self, m: Tensor, y: Tensor) -> Tensor:
        return (m + 0.0 * y).exp()

    def change(self, m: Tensor, delta: Tensor, y: Tensor) -> Tensor:
        return (m.exp() - y) * delta + m.exp() * _expm1_beyond(delta)

    def slopes(self, y: Array) -> Bounds:
        return -y, np.full(y.shape, inf)

    def curvatures(self, y: Array) -> Bounds:
        return bounds(y, 0.0, inf)


def _expm1_beyond(delta: Tensor) -> Tensor:
    """e^δ − 1 − δ without cancellation: δ²/2 (1 + δ/3 (1 + δ/4 (...))) near 0."""
    near = delta.clamp(-0.25, 0.25)
    series = near.new_ones(near.shape)
    for k in range(13, 2, -1):
        series = 1.0 + near / k * series
    return (0.5 * near**2 * series).where(delta.abs() <= 0.25, delta.expm1() - delta)


_CONVEX: tuple[type[Loss], ...] = (
    _Squared,
    _Logistic,
    _Huber,
    _SmoothedHinge,
    _PseudoHuber,
    _Poisson,
)
LOSSES = {kind.name: kind for kind in (*_CONVEX, *NONCONVEX)}
"""Every loss by name."""
