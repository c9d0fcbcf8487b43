"""Plain Python functions as estimators and steps: a user's own code, checked as it is.

These run one call a replica: slow beside a batched component, fast enough for a check.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from hzbench.core.estimator import Estimate, Estimator
from hzbench.core.method import Local, Method, Verb
from hzbench.core.problem import Problem
from hzbench.core.returned import returned_numbers
from hzbench.core.streams import Rows
from hzbench.core.structure import BatchSize, EstimatorLaw
from hzbench.estimators.zeroth_order import evaluate

if TYPE_CHECKING:
    from torch import Tensor

EstimatorFunction = Callable[[Callable[[Any], float], Any, np.random.Generator], Any]
StepFunction = Callable[[Callable[[Any], Any], Any, float], Any]
_SALT = 0x68_7A  # sets the users' streams apart from all others


class FunctionEstimator(Estimator):
    """An estimator given as `function(f, x, rng) -> g`.

    f(point) is the value of one data sample at a point [d] (the same sample in every call of one
    estimate); x is [d]; rng is a numpy Generator of its own for every replica, node and step.
    """

    function: Any
    declared: Any

    def law(self, batch_size: BatchSize) -> EstimatorLaw:
        """The law it is checked against."""
        law: EstimatorLaw = self.declared.law(batch_size)
        return law

    def estimate(self, problem: Problem, x: Tensor, rows: Rows, batch_size: BatchSize) -> Estimate:
        """Call the function once a row."""
        estimates = [self._one(problem, x, rows, batch_size, index) for index in range(len(rows))]
        return Estimate(gradient=torch.as_tensor(np.array(estimates), dtype=x.dtype), calls={})

    def _one(
        self, problem: Problem, x: Tensor, rows: Rows, batch_size: BatchSize, index: int
    ) -> Any:
        row = rows.take(torch.tensor([index]))
        sample = problem.sample(row, batch_size, 1)

        def value(point: Any) -> float:
            at = torch.as_tensor(np.asarray(point, dtype=np.float64)).to(x.dtype)
            return float(evaluate(problem, at.view(1, 1, 1, -1), row, sample))

        address = [_SALT, *row.keys[0].tolist(), int(row.node), int(row.step)]
        rng = np.random.default_rng(address)
        found = self.function(value, x[index].numpy().copy(), rng)
        return returned_numbers(found, (x.shape[1],), "the estimator", ", one a coordinate")


class FunctionMethod(Method):
    """A local step given as `function(gradient, x, step_size) -> x_new`, all arrays [B, d].

    Averaging is done around it, in the order of the method it is checked against.
    """

    function: Any
    inner: Any

    def arrays(self) -> tuple[str, ...]:
        """None: the function holds no state."""
        return ()

    def advance(self, local: Local, gradient: Verb, mix: Verb, step_size: Tensor) -> Local:
        """Step by the function, average as the inner method does."""
        order = self.inner.update_order
        x = local["x"]
        start = mix(x) if order == "combine-adapt" else x

        def ask(point: Any) -> Any:
            at = torch.as_tensor(np.asarray(point, dtype=np.float64)).to(x.dtype)
            return gradient(at).numpy()

        moved = self.function(ask, start.numpy().copy(), step_size.numpy())
        rows = ", one row a node that takes part, as x + ... gives"
        new = torch.as_tensor(
            returned_numbers(moved, tuple(x.shape), "the step", rows), dtype=x.dtype
        )
        return {"x": mix(new) if order == "adapt-combine" else new}
