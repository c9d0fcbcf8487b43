"""The losses of generalized linear models: value, slope, curvature and the bounds of each.

One loss φ(m, y) of a margin m = a'x and a target y, one class. `change` is φ(m + δ, y) − φ(m, y)
without cancellation: its error is a few units of rounding of |δ| times the terms of φ'(m) (e^m + y
of the Poisson loss, |m|³ + |m|y of phase retrieval, else |φ'(m)| itself), that of `slope`, however
small δ is, where the difference of two values loses all digits of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, sqrt
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from hzbench.core import streams

if TYPE_CHECKING:
    from torch import Tensor

Array = NDArray[np.float64]
Bounds = tuple[Array, Array]
Targets = Literal["real", "signs", "counts", "nonnegative", "classes"]


@dataclass(frozen=True, kw_only=True)
class Loss:
    """Base of the losses; those that know a width use it as the size of a large residual.

    Attributes:
        name: as a spec words it.
        targets: which y make sense.
        explained: whether φ = 0, its least value, where a truth explains its target.
        identified: whether it is that at one margin only.
        width: w, the scale of the residual (a length of m).
    """

    name: ClassVar[str] = ""
    targets: ClassVar[Targets] = "real"
    explained: ClassVar[bool] = True
    identified: ClassVar[bool] = True
    width: float = 1.0

    def value(self, m: Tensor, y: Tensor) -> Tensor:
        """φ(m, y)."""
        raise NotImplementedError

    def slope(self, m: Tensor, y: Tensor) -> Tensor:
        """φ' in m."""
        raise NotImplementedError

    def curvature(self, m: Tensor, y: Tensor) -> Tensor:
        """φ'' in m (one of the two sides at a kink of φ')."""
        raise NotImplementedError

    def change(self, m: Tensor, delta: Tensor, y: Tensor) -> Tensor:
        """φ(m + δ, y) − φ(m, y) without cancellation."""
        raise NotImplementedError

    def together(self, m: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Σ_k φ(m_k, y_k) and every φ': margins [k, G, R], targets [k, G, 1] -> [G, R], [k, G, R].

        Where targets are signs the margins are y m, and y is 1.
        """
        return self.value(m, y).sum(0), self.slope(m, y)

    def slopes(self, y: Array) -> Bounds:
        """Least and largest φ' over all m, for each y (inf: unbounded)."""
        raise NotImplementedError

    def curvatures(self, y: Array) -> Bounds:
        """Least and largest φ'' over all m, for each y (inf: unbounded)."""
        raise NotImplementedError

    @property
    def third(self) -> float:
        """Bound on |φ'''| (inf: φ'' jumps or grows)."""
        return inf


def _bounds(y: Array, low: float, high: float) -> Bounds:
    return np.full(y.shape, low), np.full(y.shape, high)


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
        return _bounds(y, -inf, inf)

    def curvatures(self, y: Array) -> Bounds:
        return _bounds(y, 1.0, 1.0)

    @property
    def third(self) -> float:
        return 0.0


_STRAIGHT = 40.0
"""From here on log(1 + eᵗ) is t to the last digit of float64."""


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
        """From one exponential a row and one logarithm for k rows: φ = −log σ(m), φ' = σ(m) − 1.

        To a unit of rounding of 1 a row. A product of k that is too small for its format is not
        used; where that cannot be asked for nothing, all are computed both ways.
        """
        import torch

        kept = m.sigmoid()
        product, least = kept.prod(0), torch.finfo(m.dtype).tiny
        total = -product.log()
        if not streams.on_host(m) or not bool(product.amin() >= least):
            total = total.where(product >= least, self.value(m, y).sum(0))
        return total, kept.sub_(1.0)

    def slopes(self, y: Array) -> Bounds:
        return np.minimum(-y, 0.0), np.maximum(-y, 0.0)

    def curvatures(self, y: Array) -> Bounds:
        return _bounds(y, 0.0, 0.25)

    @property
    def third(self) -> float:
        return 1.0 / (6.0 * sqrt(3.0))


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
        return _bounds(y, -self.width, self.width)

    def curvatures(self, y: Array) -> Bounds:
        return _bounds(y, 0.0, 1.0)


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
        return _bounds(y, 0.0, 1.0 / self.width)


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
        return _bounds(y, -self.width, self.width)

    def curvatures(self, y: Array) -> Bounds:
        return _bounds(y, 0.0, 1.0)

    @property
    def third(self) -> float:
        """3u(1 + u²)^(−5/2)/w, largest at u = ½."""
        return 1.5 / (1.25**2 * sqrt(1.25)) / self.width


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
        return _bounds(y, -0.5 * self.width, 0.5 * self.width)

    def curvatures(self, y: Array) -> Bounds:
        return _bounds(y, -0.125, 1.0)

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
        return _bounds(y, -largest, largest)

    def curvatures(self, y: Array) -> Bounds:
        return _bounds(y, -0.25, 1.0)

    @property
    def third(self) -> float:
        """12u(1 − u²)/(1 + u²)⁴/w, largest at u² = 1 − 2/sqrt(5)."""
        square = 1.0 - 2.0 / sqrt(5.0)
        return 12.0 * sqrt(square) * (1.0 - square) / (1.0 + square) ** 4 / self.width


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
        return _bounds(y, 0.0, inf)


def _expm1_beyond(delta: Tensor) -> Tensor:
    """e^δ − 1 − δ without cancellation: δ²/2 (1 + δ/3 (1 + δ/4 (...))) near 0."""
    near = delta.clamp(-0.25, 0.25)
    series = near.new_ones(near.shape)
    for k in range(13, 2, -1):
        series = 1.0 + near / k * series
    return (0.5 * near**2 * series).where(delta.abs() <= 0.25, delta.expm1() - delta)


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
        return _bounds(y, -inf, inf)

    def curvatures(self, y: Array) -> Bounds:
        return -y, np.full(y.shape, inf)


LOSSES: dict[str, type[Loss]] = {
    kind.name: kind
    for kind in (
        _Squared,
        _Logistic,
        _Huber,
        _SmoothedHinge,
        _PseudoHuber,
        _Cauchy,
        _GemanMcClure,
        _Poisson,
        _PhaseRetrieval,
    )
}
"""Every loss by name."""
