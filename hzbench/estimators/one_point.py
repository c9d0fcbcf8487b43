"""Estimators that query every point once: one-point and residual feedback.

A residual estimate subtracts the value of its node's previous query, which the node remembers. The
first one has no previous query and makes one, at the start: with its own vectors and data sample.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from hzbench.core import streams
from hzbench.core.estimator import Estimate, Estimator
from hzbench.core.problem import Kind, Problem
from hzbench.core.registry import register
from hzbench.core.streams import Rows
from hzbench.core.structure import BatchSize, DirectionLaw, OnePointLaw
from hzbench.estimators.directions import DIRECTIONS
from hzbench.estimators.zeroth_order import evaluate

if TYPE_CHECKING:
    import torch
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
        queries = self.queries(x)
        u, values = self.query(problem, queries, rows, batch_size)
        calls = self.samples * len(queries) * problem.batch_cost(rows.node, batch_size)
        return Estimate(
            gradient=self.gradient(u, values[:, 0] - values[:, 1:].sum(1)),
            calls={"function_calls": calls},
            memory=values[:, 0] if self.memory_size else None,
        )

    def query(
        self, problem: Problem, at: list[Tensor], rows: Rows, batch_size: BatchSize
    ) -> tuple[Tensor, Tensor]:
        """The vectors around the first centre [B, m, d], the values of all queries [B, q, m]."""
        import torch

        u = self.draw(rows, len(at), problem.dimension).to(at[0].dtype)
        points = torch.stack(at, dim=1)[:, :, None] + self.smoothing * u
        sample = problem.sample(rows, batch_size, len(at))
        return u[:, 0], evaluate(problem, points, rows, sample)

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
        if not self.previous:
            return [x, x]
        return [x, _point(self.previous, x.dtype, x.device).expand_as(x)]

    def recall(
        self, problem: Problem, x: Tensor, rows: Rows, batch_size: BatchSize, memory: Tensor
    ) -> Estimate:
        """From the memory where there is one, from a query of its own where there is none yet.

        Where to ask whether a row has none would mean to wait, all of them make that query.
        """
        first = memory.isnan().any(1, keepdim=True)
        alone = streams.on_host(x) and not bool(first.any())
        queries = self.queries(x)[: 1 if alone else 2]
        u, values = self.query(problem, queries, rows, batch_size)
        previous = memory if alone else values[:, 1].where(first, memory)
        cost = self.samples * problem.batch_cost(rows.node, batch_size)
        return Estimate(
            gradient=self.gradient(u, values[:, 0] - previous),
            calls={"function_calls": cost * (1 + first[:, 0].long())},
            memory=values[:, 0],
        )


@cache
def _point(numbers: tuple[float, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    """A point [d] that goes to the device once, and stays: a captured round may read it."""
    import torch

    return torch.tensor(numbers, dtype=dtype, device=device)
