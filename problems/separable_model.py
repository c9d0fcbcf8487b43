"""The separable problem at run time: closed forms on a torch device."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import inf, nan
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from hzbench.core.constants import Constants
from hzbench.core.streams import Purpose, Rows, normals
from hzbench.core.structure import BatchSize, Separable
from hzbench.problems.quadratic_model import GradientNoise

if TYPE_CHECKING:
    import torch
    from torch import Tensor

Array = NDArray[np.float64]
_NO_PL = {
    "exponential": "fails: far out on one side φ' is bounded while f grows",
    "cosine": "fails: maxima are stationary",
    "quartic": "fails: the curvature at the minimiser is 0 in a coordinate without linear term",
}


@dataclass(frozen=True, kw_only=True, eq=False)
class SeparableProblem:
    """f_i(x) = Σ_k [c_ik φ(a_k x_k) − b_ik x_k] with sample noise ζ'x.

    Attributes:
        structure: the declared closed form, which is all there is to the problem.
        initial: starting points, shape [n, d].
        device: torch device name.
        dtype: "float64" or "float32".
    """

    structure: Separable
    initial: Array
    device: str
    dtype: Literal["float64", "float32"]

    @property
    def nodes(self) -> int:
        """The number of nodes n."""
        return len(self.structure.linear)

    @property
    def dimension(self) -> int:
        """The dimension d."""
        return int(self.structure.linear.shape[1])

    @property
    def evaluation_noise(self) -> float:
        """Standard deviation that every function call adds."""
        return self.structure.evaluation_noise

    @property
    def optimum(self) -> Array:
        """The minimiser, shape [d]; empty for the cosine, which has one in every period."""
        return np.zeros(0) if self.structure.term == "cosine" else self._minimiser

    @cached_property
    def _minimiser(self) -> Array:
        """Zero of the mean gradient, a minimiser, coordinate by coordinate; shape [d].

        exponential log(b/(ca))/a; quartic (b/(ca⁴))^(1/3); cosine π/a where c > 0 and 0 elsewhere,
        with c and b the means over the nodes.
        """
        it = self.structure
        c, b, a = it.coefficients.mean(0), it.linear.mean(0), it.rates
        if it.term == "exponential":
            return np.asarray(np.log(b / (c * a)) / a)
        if it.term == "quartic":
            return np.asarray(np.cbrt(b / (c * a**4)))
        return np.where(c > 0, np.pi / a, 0.0)

    @cached_property
    def constants(self) -> Constants:
        """Of all of R^d: exact for the cosine, inf where growth is unbounded.

        exponential and quartic are convex, not strongly, and neither smooth nor Hessian-Lipschitz
        everywhere (they are on bounded sets); the cosine has L = max |c|a², ρ_H = max |c|a³ and is
        weakly convex, strong_convexity = −max |c̄|a².
        """
        it = self.structure
        size, a, cosine = np.abs(it.coefficients), np.abs(it.rates), it.term == "cosine"
        shared = bool((it.coefficients == it.coefficients[0]).all())
        smooth, curved = float((size * a**2).max()), float((size * a**3).max())
        weak = -float((np.abs(it.coefficients.mean(0)) * a**2).max())
        return Constants(
            smoothness=smooth if cosine else inf,
            sample_smoothness=smooth if cosine else inf,
            polyak_lojasiewicz=self._polyak_lojasiewicz,
            strong_convexity=weak if cosine else 0.0,
            noise=tuple(map(float, it.noise.sum(1))),
            heterogeneity=self._heterogeneity,
            heterogeneity_holds="everywhere" if cosine or shared else "at the optimum",
            hessian_lipschitz=curved if cosine else inf,
            minimum=float(self._mean_value(self._minimiser)),
            how={
                "smoothness": "exact: largest |c| a²" if cosine else "φ'' is unbounded",
                "sample_smoothness": "a sample adds a linear term",
                "strong_convexity": "exact: −max |c̄| a²"
                if cosine
                else "φ is convex, flat in places",
                "polyak_lojasiewicz": _NO_PL[it.term],
                "noise": "exact: the trace of Σ_i",
                "heterogeneity": "exact: a convex parabola of φ'" if cosine else "exact",
                "hessian_lipschitz": "exact: largest |c| a³" if cosine else "φ'' is not Lipschitz",
                "minimum": "closed form, coordinate by coordinate",
            },
        )

    def sample(self, rows: Rows, batch_size: BatchSize, count: int) -> GradientNoise:
        """ζ ~ N(0, Σ_i/b); none for "full" or without noise."""
        if batch_size == "full" or not self.structure.noise.any():
            return GradientNoise(count=count, zeta=None)
        normal = normals(rows, Purpose.DATA, count * self.dimension).to(self._torch_dtype)
        scale = self._deviation[rows.node][:, None] / batch_size**0.5
        return GradientNoise(count=count, zeta=normal.view(len(rows), count, -1) * scale)

    def values(self, points: Tensor, node: Tensor, sample: GradientNoise) -> Tensor:
        """F_i(points; ζ): [B, s, p, d] -> [B, s, p]."""
        c, b = self._coefficients[node][:, None, None], self._linear[node][:, None, None]
        slope = b if sample.zeta is None else b - sample.zeta[:, :, None]
        return (c * self._term(points * self._rates) - slope * points).sum(-1)

    def gradients(self, points: Tensor, node: Tensor, sample: GradientNoise) -> Tensor:
        """Per coordinate c a φ'(a x) − b + ζ: [B, d] -> [B, s, d]."""
        exact = self._gradient(points, self._coefficients[node], self._linear[node])[:, None]
        if sample.zeta is None:
            return exact.expand(-1, sample.count, -1)
        return exact + sample.zeta

    def gradient_noise(self, x: Tensor, node: Tensor) -> Tensor:
        """The trace of Σ_i, whatever x: [B, d], [B] -> [B]."""
        del x
        return self._tensor(self.structure.noise.sum(1))[node]

    def gradient_covariance(self, x: Tensor, node: Tensor) -> Tensor:
        """Diag Σ_i, whatever x: [B, d], [B] -> [B, d, d]."""
        del x
        return self._tensor(self.structure.noise)[node].diag_embed()

    def batch_cost(self, node: Tensor, batch_size: BatchSize) -> Tensor:
        """b; the noise-free oracle "full" counts as one sample."""
        import torch

        return torch.full_like(node, 1 if batch_size == "full" else batch_size)

    def objective(self, x: Tensor) -> Tensor:
        """f(x): [R, d] -> [R]."""
        c, b = self._coefficients.mean(0), self._linear.mean(0)
        return (c * self._term(x * self._rates) - b * x).sum(-1)

    def objective_gradient(self, x: Tensor) -> Tensor:
        """∇f(x): [R, d] -> [R, d]."""
        return self._gradient(x, self._coefficients.mean(0), self._linear.mean(0))

    def _gradient(self, x: Tensor, c: Tensor, b: Tensor) -> Tensor:
        return c * self._rates * self._slope(x * self._rates) - b

    def _term(self, z: Tensor) -> Tensor:
        if self.structure.term == "quartic":
            return z.square().square() / 4
        return z.exp() if self.structure.term == "exponential" else z.cos()

    def _slope(self, z: Tensor) -> Tensor:
        if self.structure.term == "quartic":
            return z**3
        return z.exp() if self.structure.term == "exponential" else -z.sin()

    @property
    def _polyak_lojasiewicz(self) -> float:
        """0 where it fails; unknown for quartics with a linear term in every coordinate."""
        tilted = self.structure.term == "quartic" and self.structure.linear.mean(0).all()
        return nan if tilted else 0.0

    @property
    def _heterogeneity(self) -> float:
        """(1/n) Σ|∇f_i − ∇f|²: its maximum (φ' at ±1) for the cosine, else the optimum's value.

        Per coordinate it is a convex parabola of φ', so the maximum lies at an end.
        """
        it = self.structure
        c = (it.coefficients - it.coefficients.mean(0)) * it.rates
        b = it.linear - it.linear.mean(0)
        if it.term == "cosine":
            ends = [((c * s - b) ** 2).mean(0) for s in (-1.0, 1.0)]
            return float(np.maximum(*ends).sum())
        z = it.rates * self._minimiser
        slope = z**3 if it.term == "quartic" else np.exp(z)
        return float(((c * slope - b) ** 2).mean(0).sum())

    def _mean_value(self, x: Array) -> float:
        it, z = self.structure, self.structure.rates * x
        term = np.cos(z) if it.term == "cosine" else np.exp(z)
        term = z**4 / 4 if it.term == "quartic" else term
        return float(it.coefficients.mean(0) @ term - it.linear.mean(0) @ x)

    @cached_property
    def _coefficients(self) -> Tensor:
        return self._tensor(self.structure.coefficients)

    @cached_property
    def _rates(self) -> Tensor:
        return self._tensor(self.structure.rates)

    @cached_property
    def _linear(self) -> Tensor:
        return self._tensor(self.structure.linear)

    @cached_property
    def _deviation(self) -> Tensor:
        return self._tensor(np.sqrt(self.structure.noise))

    @property
    def _torch_dtype(self) -> torch.dtype:
        import torch

        return torch.float64 if self.dtype == "float64" else torch.float32

    def _tensor(self, values: Array) -> Tensor:
        import torch

        copy = np.ascontiguousarray(values).copy()
        return torch.from_numpy(copy).to(device=self.device, dtype=self._torch_dtype)
