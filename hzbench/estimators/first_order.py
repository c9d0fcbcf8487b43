"""First-order estimators."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from hzbench.core.estimator import Estimate, Estimator
from hzbench.core.problem import Kind, Problem
from hzbench.core.registry import register
from hzbench.core.streams import Rows
from hzbench.core.structure import BatchSize, GradientLaw

if TYPE_CHECKING:
    from torch import Tensor


@register("estimator", "gradient")
class Gradient(Estimator):
    """Stochastic gradient: the mean of `batch_size` per-sample gradients ("full": exact).

    Formula: G = (1/b) Σ_k ∇F_i(x; ζ_k), E G = ∇f_i(x), Cov G = Σ_i(x)/b.

    Source: textbook; Ansaripour et al. 2025, Algorithm 1 (first-order nodes).
    """

    kind: ClassVar[Kind] = "first"

    def law(self, batch_size: BatchSize) -> GradientLaw:
        """A gradient oracle with that batch size."""
        return GradientLaw(batch_size=batch_size)

    def estimate(self, problem: Problem, x: Tensor, rows: Rows, batch_size: BatchSize) -> Estimate:
        """Average one batch of gradients: x [B, d] -> G [B, d]."""
        sample = problem.sample(rows, batch_size, 1)
        gradient = problem.gradients(x, rows.node, sample)[:, 0]
        cost = problem.batch_cost(rows.node, batch_size)
        return Estimate(gradient=gradient, calls={"gradient_calls": cost})
