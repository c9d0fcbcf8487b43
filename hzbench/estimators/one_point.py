"""Estimators that query every point once: one-point and residual feedback.

The residual estimator of the literature keeps the value of its last query, made at the last
iterate. That value is state of a run, which estimators do not hold (they are functions of the
iterate and of addressed draws); so here the previous iterate x' is a parameter and the previous
query is drawn afresh, with its own vectors and its own data sample. While the iterates stay (method
probe) this has exactly the law of one step of the published estimator; in a run it would be another
method, twice as dear, so it is refused there.
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
        value = values[:, 0] - values[:, 1:].sum(1)
        gradient = torch.bmm(value[:, None], u[:, 0])[:, 0] / (m * self.smoothing)
        calls = m * len(queries) * problem.batch_cost(rows.node, batch_size)
        return Estimate(gradient=gradient, calls={"function_calls": calls})

    def draw(self, rows: Rows, count: int, d: int) -> Tensor:
        """Independent vectors of every query, E uu' = I, shape [B, count, m, d]."""
        u = DIRECTIONS[self.directions](rows, count * self.samples, d)
        return u.view(len(u), count, self.samples, d)

    def queries(self, x: Tensor) -> list[Tensor]:
        """The centres of the queries, the iterates [B, d] first."""
        return [x]


@register("estimator", "residual_feedback")
class ResidualFeedback(OnePoint):
    """One value at the iterate minus the value of the previous query; studied with method probe.

    Formula: G = (1/m) Σ_k u_k [F(x+νu_k) − F'(x'+νu'_k)]/ν, with vectors u' and data sample F' of
    the previous query independent of those of this one.

    Source: Zhang, Zhou, Ji & Zavlanos 2022.
    """

    baseline: ClassVar[Literal["none", "residual"]] = "residual"

    previous: tuple[float, ...] = Field(
        (), description="x', the previous iterate of every node, d numbers; none: x itself"
    )

    def mistakes(self, dimension: int, moves: bool) -> list[str]:
        """A previous point of another dimension; iterates that move."""
        found = []
        if self.previous and len(self.previous) != dimension:
            found.append(
                f"got previous with {len(self.previous)} numbers; expected d = {dimension}; "
                "change one of them"
            )
        if moves:
            found.append(
                "got residual_feedback in a run that moves; expected method 'probe', since the "
                "value of the previous query is state that an estimator does not hold; take "
                "one_point or zeroth_order"
            )
        return found

    def queries(self, x: Tensor) -> list[Tensor]:
        """This iterate and the previous one."""
        previous = x.new_tensor(self.previous).expand_as(x) if self.previous else x
        return [x, previous]
