"""x² + 3 sin²x: nonconvex, yet gradient descent converges linearly."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from pydantic import Field

from hzbench.core.registry import register
from hzbench.problems.additive_component import AdditiveComponent, Facts, Maker

if TYPE_CHECKING:
    from torch import Tensor


class _SineSquare:
    def value(self, x: Tensor) -> Tensor:
        return (x**2 + 3 * x.sin() ** 2).sum(-1)

    def gradient(self, x: Tensor) -> Tensor:
        return 2 * x + 3 * (2 * x).sin()


@register("problem", "sine_square")
class SineSquareComponent(AdditiveComponent):
    """Σ_k x_k² + 3 sin² x_k: not convex, but every stationary point is the minimum (PL).

    Formula:
    f_i(x) = Σ_k (x_k² + 3 sin² x_k) − b_i'x, Σ b_i = 0; one sample adds ζ'x.

    Source: Karimi, Nutini and Schmidt, "Linear convergence of gradient and proximal-gradient
    methods under the Polyak-Łojasiewicz condition", 2016 (there with the constant 1/32).
    """

    label: ClassVar[str] = "sine_square"
    dimension: int = Field(3, ge=1, description="d")

    @property
    def d(self) -> int:
        """The dimension."""
        return self.dimension

    def function(self, make: Maker) -> _SineSquare:
        """The function; it has no arrays."""
        del make
        return _SineSquare()

    def facts(self) -> Facts:
        """Second derivative 2 + 6 cos 2x third −12 sin 2x a coordinate."""
        return Facts(
            optimum=np.zeros(self.d),
            smoothness=8.0,
            strong_convexity=-4.0,
            polyak_lojasiewicz=dominance(),
            hessian_lipschitz=12.0,
            minimum=0.0,
            how={
                "smoothness": "exact: max 2 + 6 cos 2x",
                "strong_convexity": "exact: min 2 + 6 cos 2x",
                "polyak_lojasiewicz": "least f'²/(2f), bounded below on 10⁵ cells and in the tails",
                "hessian_lipschitz": "exact: max 12|sin 2x|",
                "minimum": "closed form: 0 at 0",
            },
        )


@cache
def dominance(cells: int = 100_000) -> float:
    """A lower bound of f'²/(2f) over x ≠ 0, f = x² + 3 sin²x, by cells (it is .1756...).

    f is even. On (0, ½] f'' ≥ 2 + 6 cos 1 > 5, so the ratio is at least 5. Beyond 10 it is at least
    (2x − 3)²/(2x² + 6) ≥ 1.4. In a cell of width h between, f' is at least the lesser of its end
    values minus 8h/2 (|f''| ≤ 8), and f, which grows as f' > 0, at most its right value.
    """
    x = np.linspace(0.5, 10.0, cells + 1)
    slope, value = 2 * x + 3 * np.sin(2 * x), x**2 + 3 * np.sin(x) ** 2
    least = np.minimum(slope[:-1], slope[1:]) - 4 * (x[1] - x[0])
    return min(1.4, float((least**2 / (2 * value[1:])).min()) if (least > 0).all() else 0.0)
