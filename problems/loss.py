"""What a loss of a margin knows: value, slope, curvature, change and the bounds of each."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor

Array = NDArray[np.float64]
Bounds = tuple[Array, Array]
Targets = Literal["real", "signs", "counts", "nonnegative", "classes"]


@dataclass(frozen=True, kw_only=True)
class Loss:
    """One loss φ(m, y) of a margin m = a'x and a target y, one class.

    `change` is φ(m + δ, y) − φ(m, y) without cancellation: its error is a few units of rounding of
    |δ| times the terms of φ'(m) (e^m + y of the Poisson loss, |m|³ + |m|y of phase retrieval, else
    |φ'(m)| itself), that of `slope`, however small δ is, where the difference of two values loses
    all digits of it.

    Losses that know a width use it as the size of a large residual.

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

        Where targets are signs the margins are −y m, and y is −1.
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


def bounds(y: Array, low: float, high: float) -> Bounds:
    """Two numbers for every y."""
    return np.full(y.shape, low), np.full(y.shape, high)
