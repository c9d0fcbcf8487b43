"""Full coordinate differences: no random direction, one difference a coordinate."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from hzbench.core.estimator import Estimate, Estimator
from hzbench.core.problem import Kind, Problem
from hzbench.core.registry import register
from hzbench.core.streams import Rows
from hzbench.core.structure import BatchSize, CoordinateLaw
from hzbench.estimators.zeroth_order import difference

if TYPE_CHECKING:
    from torch import Tensor


@register("estimator", "coordinate_difference")
class CoordinateDifference(Estimator):
    """Difference the function along every coordinate: 2d calls (central) or d + 1 (forward).

    Formula: G_k = [F(x+νe_k) − F(x−νe_k)]/(2ν), or [F(x+νe_k) − F(x)]/ν with one base evaluation
    for all k; all evaluations share one data sample.

    Source: Kiefer & Wolfowitz 1952.
    """

    kind: ClassVar[Kind] = "zeroth"
    examples: ClassVar[tuple[Mapping[str, Any], ...]] = ({}, {"difference": "forward"})

    difference: Literal["central", "forward"] = Field("central", description="which difference")
    smoothing: float = Field(
        1e-3, ge=1e-50, allow_inf_nan=False, description="ν, the step of the difference (length)"
    )

    def law(self, batch_size: BatchSize) -> CoordinateLaw:
        """The declared law of G."""
        return CoordinateLaw(**self.model_dump(), batch_size=batch_size)

    def estimate(self, problem: Problem, x: Tensor, rows: Rows, batch_size: BatchSize) -> Estimate:
        """All d differences at once (holds 2d or d + 1 points a row): x [B, d] -> G [B, d]."""
        import torch

        d, nu = problem.dimension, self.smoothing
        step = (nu * torch.eye(d, dtype=x.dtype, device=x.device)).expand(len(x), 1, d, d)
        sample, central = problem.sample(rows, batch_size, 1), self.difference == "central"
        change = difference(problem, x, step, rows, sample, central=central)
        calls = (2 * d if central else d + 1) * problem.batch_cost(rows.node, batch_size)
        gradient = change[:, 0] / ((2 if central else 1) * nu)
        return Estimate(gradient=gradient, calls={"function_calls": calls})
