"""Zeroth-order estimators: differences along random vectors.

The idea: G = (1/m) Σ_k u_k D(u_k), where D is a difference of function values along u_k, and every
law of u is scaled so that E uu' = I. On a quadratic the central difference is exactly <∇f, u>, so
G is unbiased and its variance is that of uu'∇f; elsewhere the smoothing ν trades bias for noise.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from hzbench.core import streams
from hzbench.core.estimator import Estimate, Estimator
from hzbench.core.problem import Kind, Problem, Sample
from hzbench.core.registry import register
from hzbench.core.streams import Purpose, Rows
from hzbench.core.structure import BatchSize, Difference, DifferenceLaw, DirectionLaw

if TYPE_CHECKING:
    from torch import Tensor


def gaussian(rows: Rows, m: int, d: int) -> Tensor:
    """Draw u ~ N(0, I), shape [B, m, d]."""
    return streams.normals(rows, Purpose.DIRECTION, m * d).view(-1, m, d)


def sphere(rows: Rows, m: int, d: int) -> Tensor:
    """Draw u uniform on the sphere of radius sqrt(d), shape [B, m, d]."""
    import torch

    u = gaussian(rows, m, d)
    length = torch.linalg.vector_norm(u, dim=-1, keepdim=True)
    scaled: Tensor = math.sqrt(d) * u / length
    return scaled


def rademacher(rows: Rows, m: int, d: int) -> Tensor:
    """Draw u with independent fair signs, shape [B, m, d]."""
    return streams.signs(rows, Purpose.DIRECTION, m * d).view(-1, m, d)


def coordinate(rows: Rows, m: int, d: int) -> Tensor:
    """Draw u = ± sqrt(d) e_i, i uniform and the sign fair, shape [B, m, d]."""
    import torch

    drawn = streams.words(rows, Purpose.DIRECTION, m)
    index, sign = (drawn >> 1) * d >> 31, 1 - 2 * (drawn & 1)
    u = torch.zeros(len(rows), m, d, dtype=torch.float64, device=drawn.device)
    return u.scatter_(2, index[:, :, None], (math.sqrt(d) * sign.double())[:, :, None])


DIRECTIONS: dict[str, Callable[[Rows, int, int], Tensor]] = {
    "gaussian": gaussian,
    "sphere": sphere,
    "rademacher": rademacher,
    "coordinate": coordinate,
}


@register("estimator", "zeroth_order")
class ZerothOrder(Estimator):
    """Mean over m random vectors u of u times a difference of function values along u.

    Formula: G = (1/m) Σ_k u_k D_k with D_k = [F(x+νu_k) − F(x−νu_k)]/(2ν) (central),
    [F(x+νu_k) − F(x)]/ν (forward, one base evaluation for all k that share a sample) or
    <∇F(x), u_k> (directional_derivative); E u u' = I for every law.

    Source: Nesterov & Spokoiny 2017; Ansaripour et al. 2025, Algorithm 1 (zeroth-order nodes).
    """

    kind: ClassVar[Kind] = "zeroth"

    directions: DirectionLaw = Field("sphere", description="law of the random vectors u")
    difference: Difference = Field("central", description="which difference along u")
    samples: int = Field(1, gt=0, le=100_000, description="m, random vectors averaged (rv)")
    smoothing: float = Field(
        1e-3, ge=1e-50, allow_inf_nan=False, description="ν, smoothing radius (length)"
    )
    data: Literal["shared", "fresh"] = Field(
        "shared", description="the m differences share one data sample, or each draws its own"
    )

    def law(self, batch_size: BatchSize) -> DifferenceLaw:
        """The declared law of G."""
        return DifferenceLaw(**self.model_dump(), batch_size=batch_size)

    def estimate(self, problem: Problem, x: Tensor, rows: Rows, batch_size: BatchSize) -> Estimate:
        """Average m differences: x [B, d] -> G [B, d]."""
        import torch

        m = self.samples
        u = self.draw(rows, problem.dimension).to(x.dtype)
        count = m if self.data == "fresh" else 1
        sample = problem.sample(rows, batch_size, count)
        along = self._differences(problem, x, u, rows, sample)
        gradient = torch.bmm(along[:, None, :], u)[:, 0] / m
        cost = problem.batch_cost(rows.node, batch_size)
        return Estimate(gradient=gradient, calls=self._calls(cost))

    def draw(self, rows: Rows, d: int) -> Tensor:
        """The random vectors, E uu' = I, shape [B, m, d]."""
        return DIRECTIONS[self.directions](rows, self.samples, d)

    def _differences(
        self, problem: Problem, x: Tensor, u: Tensor, rows: Rows, sample: Sample
    ) -> Tensor:
        """Differences along u [B, m, d], shape [B, m]."""
        import torch

        if self.difference == "directional_derivative":
            exact = problem.gradients(x, rows.node, sample)
            if exact.shape[1] == 1:
                return torch.bmm(u, exact.transpose(1, 2))[:, :, 0]
            return (u * exact).sum(-1)
        fresh = self.data == "fresh"
        u = u[:, :, None] if fresh else u[:, None]  # [B, s, p, d]
        base = x[:, None, None]
        if self.difference == "central":
            points = torch.cat([base + self.smoothing * u, base - self.smoothing * u], dim=2)
            values = evaluate(problem, points, rows, sample)
            ahead, behind = values.chunk(2, dim=2)
            return ((ahead - behind) / (2 * self.smoothing)).flatten(1)
        points = torch.cat([base + self.smoothing * u, base.expand(-1, u.shape[1], -1, -1)], dim=2)
        values = evaluate(problem, points, rows, sample)
        return ((values[:, :, :-1] - values[:, :, -1:]) / self.smoothing).flatten(1)

    def _calls(self, cost: Tensor) -> dict[str, Tensor]:
        m = self.samples
        if self.difference == "directional_derivative":
            return {"derivative_calls": m * cost}
        if self.difference == "central":
            return {"function_calls": 2 * m * cost}
        return {"function_calls": (2 * m if self.data == "fresh" else m + 1) * cost}


def evaluate(problem: Problem, points: Tensor, rows: Rows, sample: Sample) -> Tensor:
    """Function values with the noise that each call adds: points [B, s, p, d] -> [B, s, p]."""
    values = problem.values(points, rows.node, sample)
    if problem.evaluation_noise == 0.0:
        return values
    count = values[0].numel() if len(rows) else 0
    noise = streams.normals(rows, Purpose.EVALUATION, count).view_as(values).to(values.dtype)
    return values + problem.evaluation_noise * noise
