"""Log-sum-exp: the smooth maximum of affine functions."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import sqrt
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from hzbench.core.registry import register
from hzbench.problems.additive_component import AdditiveComponent, Facts, Maker
from hzbench.problems.arrays import TRUTH, generator
from hzbench.problems.reference import Minimum, minimum_of, tenfold

if TYPE_CHECKING:
    from torch import Tensor

Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class _LogSumExp:
    slopes: Tensor  # a_j, [N, d]
    offsets: Tensor  # c_j, [N]
    temperature: float
    regularization: float

    def value(self, x: Tensor) -> Tensor:
        z = (x @ self.slopes.T - self.offsets) / self.temperature
        ridge = 0.5 * self.regularization * (x * x).sum(-1)
        return self.temperature * z.logsumexp(-1) + ridge

    def gradient(self, x: Tensor) -> Tensor:
        z = (x @ self.slopes.T - self.offsets) / self.temperature
        return z.softmax(-1) @ self.slopes + self.regularization * x


@dataclass(frozen=True, kw_only=True, eq=False)
class _Reference:
    """The same in numpy, with its Hessian."""

    slopes: Array
    offsets: Array
    temperature: float
    regularization: float

    def value(self, x: Array) -> float:
        return self._weights(x)[0] + 0.5 * self.regularization * float(x @ x)

    def gradient(self, x: Array) -> Array:
        return np.asarray(self._weights(x)[1] @ self.slopes + self.regularization * x)

    def hessian(self, x: Array) -> Array:
        p, a = self._weights(x)[1], self.slopes
        mean = p @ a
        spread = a.T @ (p[:, None] * a) - np.outer(mean, mean)
        return np.asarray(spread / self.temperature + self.regularization * np.eye(len(x)))

    def _weights(self, x: Array) -> tuple[float, Array]:
        """ρ log Σ exp and the softmax weights p."""
        z = (self.slopes @ x - self.offsets) / self.temperature
        top = z.max()
        terms = np.exp(z - top)
        return self.temperature * float(top + np.log(terms.sum())), terms / terms.sum()


@register("problem", "log_sum_exp")
class LogSumExpComponent(AdditiveComponent):
    """Smooth maximum of N seeded affine functions, with a quadratic penalty; strongly convex.

    Formula:
    f_i(x) = ρ log Σ_j exp((a_j'x − c_j)/ρ) + (λ/2)|x|² − b_i'x, a_j ~ N(0, I/d), c_j ~ N(0, 1),
    Σ b_i = 0; one sample adds ζ'x. Small ρ: nearly a maximum, hardly smooth.

    Source: Nesterov, "Smooth minimization of non-smooth functions", 2005.
    """

    label: ClassVar[str] = "log_sum_exp"
    dimension: int = Field(5, ge=1, description="d")
    terms: int = Field(20, ge=1, description="N, affine functions")
    temperature: float = Field(1.0, gt=0, allow_inf_nan=False, description="ρ")
    regularization: float = Field(
        0.01, gt=0, allow_inf_nan=False, description="λ of the penalty (λ/2)|x|²"
    )

    @property
    def d(self) -> int:
        """The dimension."""
        return self.dimension

    def function(self, make: Maker) -> _LogSumExp:
        """The function on tensors."""
        slopes, offsets = self._drawn()
        return _LogSumExp(
            slopes=make(slopes),
            offsets=make(offsets),
            temperature=self.temperature,
            regularization=self.regularization,
        )

    def facts(self) -> Facts:
        """Constants by the spread of the slopes, the optimum by Newton's method.

        v'∇²g v is the variance of a_j'v/ρ under weights p, times ρ, plus λ|v|²; a variable in an
        interval of length r has a variance of at most r²/4 and a third central moment of at most
        r³/(6 sqrt(3)), here with r = D|v|/ρ, D the largest distance between two slopes.
        """
        a, _ = self._drawn()
        largest = float(np.sqrt(((a[:, None] - a) ** 2).sum(axis=2).max()))
        found = self._minimum()
        return Facts(
            optimum=found.optimum,
            smoothness=largest**2 / (4 * self.temperature) + self.regularization,
            strong_convexity=self.regularization,
            polyak_lojasiewicz=self.regularization,
            hessian_lipschitz=largest**3 / (6 * sqrt(3.0) * self.temperature**2),
            minimum=found.value,
            how={
                "smoothness": "largest |a_j − a_k|²/(4ρ) + λ (variance of a bounded variable)",
                "strong_convexity": "λ; the rest is convex",
                "polyak_lojasiewicz": "strong convexity",
                "hessian_lipschitz": "largest |a_j − a_k|³/(6 sqrt(3) ρ²) (third central moment)",
                "minimum": found.how,
            },
        )

    def _minimum(self) -> Minimum:
        slopes, offsets = self._drawn()
        f = _Reference(
            slopes=slopes,
            offsets=offsets,
            temperature=self.temperature,
            regularization=self.regularization,
        )
        softer = [replace(f, temperature=t) for t in tenfold(1.0, self.temperature)]
        return minimum_of(f, softer, self.d, self.regularization)

    def _drawn(self) -> tuple[Array, Array]:
        source = generator(self.instance_seed, TRUTH)
        slopes = source.standard_normal((self.terms, self.d)) / np.sqrt(self.d)
        return slopes, source.standard_normal(self.terms)
