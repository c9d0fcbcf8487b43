"""What the engine asks of an estimator of a local gradient."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from hzbench.core.component import Component
from hzbench.core.problem import Kind, Problem
from hzbench.core.streams import Rows
from hzbench.core.structure import BatchSize, EstimatorLaw

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """Estimates of local gradients and what they cost.

    Attributes:
        gradient: G, shape [B, d].
        calls: oracle calls a row by kind (gradient_calls, function_calls, derivative_calls), each
            counted per data sample, shape [B].
        memory: what the nodes keep for their next estimates, shape [B, memory_size]; None: nothing.
    """

    gradient: Tensor
    calls: dict[str, Tensor]
    memory: Tensor | None = None


class Estimator(Component):
    """Base of registered estimators: fields are the keys of a node group's estimator table."""

    kind: ClassVar[Kind] = "first"

    def law(self, batch_size: BatchSize) -> EstimatorLaw:
        """The declared law that theory reads; None if no moments are known."""
        del batch_size
        return None

    @property
    def uses_gradients(self) -> bool:
        """Whether estimates need ∇F, as those of first-order nodes do."""
        return self.kind == "first"

    def mistakes(self, dimension: int, moves: bool) -> list[str]:
        """What keeps these parameters from a problem in R^d and from iterates that move."""
        del dimension, moves
        return []

    def estimate(self, problem: Problem, x: Tensor, rows: Rows, batch_size: BatchSize) -> Estimate:
        """Estimate ∇f_i(x) for every row, from nothing but the row: x [B, d]."""
        raise NotImplementedError

    @property
    def memory_size(self) -> int:
        """How many numbers a node keeps from one estimate to its next; they are nan at first."""
        return 0

    def recall(
        self, problem: Problem, x: Tensor, rows: Rows, batch_size: BatchSize, memory: Tensor
    ) -> Estimate:
        """Estimate with what every row's node has kept: memory [B, memory_size]."""
        del memory
        return self.estimate(problem, x, rows, batch_size)
