"""Estimators that query every point once: one-point and residual feedback.

A residual estimate subtracts the value of its node's previous query, which the node remembers. The
first one has no previous query and makes one, at the start: with its own vectors and data sample.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from hzbench.core.estimator import Estimate, Estimator
from hzbench.core.problem import Kind, Problem
from hzbench.core.registry import register
from hzbench.core.streams import Rows
from hzbench.core.structure import BatchSize, DirectionLaw, OnePointLaw
from hzbench.estimators.directions import DIRECTIONS
from hzbench.estimators.zeroth_order import evaluate

if TYPE_CHECKING:
    from torch import Tensor


@register("estimator", "one_point")
class OnePoint(Estimator):
    """Mean over m random vectors u of u times a function value: no difference at all.

    Formula: G = (1/m) Σ_k u_k F(x+νu_k)/ν with E u u' = I; unbiased on quadratics, but its variance
    grows like f(x)²/ν².

    Source: Flaxman, Kalai & McMahan 2005.
    """

    kind: ClassVar[Kind] = "zeroth"
    baseline: ClassVar[Literal["none", "residual"]] = "none"

    directions: DirectionLaw = Field("gaussian", description="law of the random vectors u")
    samples: int = Field(1, gt=0, le=100_000, description="m, random vectors averaged (rv)")
    smoothing: float = Field(
        1e-1, ge=1e-50, allow_inf_nan=False, description="ν, smoothing radius (length)"
    )

    def law(self, batch_size: BatchSize) -> OnePointLaw:
        """The declared law of G."""
        return OnePointLaw(**self.model_dump(), batch_size=batch_size, baseline=self.baseline)

    def estimate(self, problem: Problem, x: Tensor, rows: Rows, batch_size: BatchSize) -> Estimate:
        """Average m values: x [B, d] -> G [B, d]."""
        import torch

        m, queries = self.samples, self.queries(x)
        u = self.draw(rows, len(queries), problem.dimension).to(x.dtype)
        points = torch.stack(queries, dim=1)[:, :, None] + self.smoothing * u
        sample = problem.sample(rows, batch_size, len(queries))
        values = evaluate(problem, points, rows, sample)  # [B, queries, m]
        calls = m * len(queries) * problem.batch_cost(rows.node, batch_size)
        return Estimate(
            gradient=self.gradient(u[:, 0], values[:, 0] - values[:, 1:].sum(1)),
            calls={"function_calls": calls},
            memory=values[:, 0] if self.memory_size else None,
        )

    def gradient(self, u: Tensor, value: Tensor) -> Tensor:
        """(1/m) Σ_k u_k value_k/ν: u [B, m, d], value [B, m] -> G [B, d]."""
        import torch

        return torch.bmm(value[:, None], u)[:, 0] / (self.samples * self.smoothing)

    def draw(self, rows: Rows, count: int, d: int) -> Tensor:
        """Independent vectors of every query, E uu' = I, shape [B, count, m, d]."""
        u = DIRECTIONS[self.directions](rows, count * self.samples, d)
        return u.view(len(u), count, self.samples, d)

    def queries(self, x: Tensor) -> list[Tensor]:
        """The centres of the queries, the iterates [B, d] first."""
        return [x]


@register("estimator", "residual_feedback")
class ResidualFeedback(OnePoint):
    """One value at the iterate minus the value of the node's previous query, which it remembers.

    Formula: G_t = (1/m) Σ_k u_tk [F_t(x_t+νu_tk) − F_{t−1}(x_{t−1}+νu_{t−1,k})]/ν, t counting the
    node's own estimates; the first one queries `previous` for its baseline, at twice the cost.

    Source: Zhang, Zhou, Ji & Zavlanos 2022.
    """

    baseline: ClassVar[Literal["none", "residual"]] = "residual"

    previous: tuple[float, ...] = Field(
        (), description="x' of every node's first estimate, d numbers; none: x itself"
    )

    def mistakes(self, dimension: int, moves: bool) -> list[str]:
        """A previous point of another dimension."""
        del moves
        if not self.previous or len(self.previous) == dimension:
            return []
        return [
            f"got previous with {len(self.previous)} numbers; expected d = {dimension}; "
            "change one of them"
        ]

    @property
    def memory_size(self) -> int:
        """The m values of the last query."""
        return self.samples

    def queries(self, x: Tensor) -> list[Tensor]:
        """This iterate and the previous one."""
        previous = x.new_tensor(self.previous).expand_as(x) if self.previous else x
        return [x, previous]

    def recall(
        self, problem: Problem, x: Tensor, rows: Rows, batch_size: BatchSize, memory: Tensor
    ) -> Estimate:
        """From the memory where there is one; a first estimate where there is none yet."""
        first = memory.isnan().any(1)
        if bool(first.all()):
            return self.estimate(problem, x, rows, batch_size)
        u = self.draw(rows, 1, problem.dimension)[:, 0].to(x.dtype)
        sample = problem.sample(rows, batch_size, 1)
        values = evaluate(problem, (x[:, None] + self.smoothing * u)[:, None], rows, sample)[:, 0]
        gradient = self.gradient(u, values - memory)
        calls = self.samples * problem.batch_cost(rows.node, batch_size)
        if bool(first.any()):
            index = first.nonzero()[:, 0]
            begun = self.estimate(problem, x[index], rows.take(index), batch_size)
            assert begun.memory is not None
            gradient[index], values[index] = begun.gradient, begun.memory
            calls[index] = begun.calls["function_calls"]
        return Estimate(gradient=gradient, calls={"function_calls": calls}, memory=values)
