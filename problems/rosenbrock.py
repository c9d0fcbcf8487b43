"""The Rosenbrock chain: one long, curved valley."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from pydantic import Field

from hzbench.core.registry import register
from hzbench.problems.additive_component import AdditiveComponent, Facts, Maker

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class _Rosenbrock:
    steepness: float

    def value(self, x: Tensor) -> Tensor:
        here, following = x[..., :-1], x[..., 1:]
        return (self.steepness * (following - here**2) ** 2 + (1 - here) ** 2).sum(-1)

    def gradient(self, x: Tensor) -> Tensor:
        here, wall = x[..., :-1], 2 * self.steepness * (x[..., 1:] - x[..., :-1] ** 2)
        out = x.new_zeros(x.shape)
        out[..., :-1] = -2 * here * wall - 2 * (1 - here)
        out[..., 1:] += wall
        return out


@register("problem", "rosenbrock")
class RosenbrockComponent(AdditiveComponent):
    """Chain of Rosenbrock functions: nonconvex, badly scaled, minimum 0 at (1, ..., 1).

    Formula:
    f_i(x) = Σ_{k<d} [α(x_{k+1} − x_k²)² + (1 − x_k)²] − b_i'x, Σ b_i = 0; one sample adds ζ'x.

    Source: Rosenbrock, "An automatic method for finding the greatest or least value of a function",
    1960.
    """

    label: ClassVar[str] = "rosenbrock"
    dimension: int = Field(4, ge=2, description="d")
    steepness: float = Field(10.0, gt=0, allow_inf_nan=False, description="α, the valley's walls")

    @property
    def d(self) -> int:
        """The dimension."""
        return self.dimension

    def function(self, make: Maker) -> _Rosenbrock:
        """The function; it has no arrays."""
        del make
        return _Rosenbrock(steepness=self.steepness)

    def facts(self) -> Facts:
        """Every term is a square, all of them 0 at (1, ..., 1); f'' in x_k has −4α x_{k+1}."""
        return Facts(
            optimum=np.ones(self.d),
            smoothness=inf,
            strong_convexity=-inf,
            hessian_lipschitz=inf,
            minimum=0.0,
            how={
                "smoothness": "fails: quartic growth",
                "sample_smoothness": "fails: quartic growth",
                "strong_convexity": "fails: the curvature −4α x_{k+1} has no lower bound",
                "hessian_lipschitz": "fails: the third derivative 24α x_k is unbounded",
                "minimum": "closed form: a sum of squares, 0 at (1, ..., 1)",
            },
        )
