"""Mutants of the queries that an estimator makes: where, and along which vectors."""

from __future__ import annotations

from dataclasses import replace
from itertools import accumulate
from typing import TYPE_CHECKING

import torch

from hzbench.core.estimator import Estimate, Estimator
from hzbench.core.mutant import Mutant
from hzbench.core.problem import Problem
from hzbench.core.registry import register
from hzbench.core.streams import Rows
from hzbench.core.structure import BatchSize
from hzbench.estimators.one_point import ResidualFeedback
from hzbench.estimators.zeroth_order import ZerothOrder

if TYPE_CHECKING:
    from torch import Tensor


class _Unsigned(ZerothOrder):
    def draw(self, rows: Rows, d: int) -> Tensor:
        return super().draw(rows, d).abs()


@register("mutant", "unsigned_coordinate")
class UnsignedCoordinate(Mutant):
    """Random coordinates without their random sign.

    Formula: u = +sqrt(d) e_i, so E u ≠ 0: a forward difference has E G = ∇f + ½ν sqrt(d) diag A on
    a quadratic; a central one does not see it.

    Source: published code; theory.md A4.
    """

    def estimator(self, estimator: Estimator) -> Estimator:
        """Drop the sign."""
        if not isinstance(estimator, ZerothOrder) or estimator.directions != "coordinate":
            return estimator
        return _Unsigned(**estimator.model_dump())


@register("mutant", "independent_directions")
class IndependentDirections(Mutant):
    """The m vectors are drawn independently where the spec says orthogonal to each other.

    Formula: the factor (d−m)/(m(d−1)) of the variance becomes 1/m.

    Source: mutation study; theory.md A10.
    """

    def estimator(self, estimator: Estimator) -> Estimator:
        """Forget the sampling."""
        if not isinstance(estimator, ZerothOrder):
            return estimator
        return estimator.model_copy(update={"sampling": "iid"})


@register("mutant", "smoothing_doubled")
class SmoothingDoubled(Mutant):
    """The smoothing radius is twice the one that the spec says.

    Formula: ν → 2ν: on quadratics a central difference does not see it, elsewhere the bias grows.

    Source: a radius taken for a diameter; mutation study.
    """

    def estimator(self, estimator: Estimator) -> Estimator:
        """Double the radius of whatever has one."""
        return _radius(estimator, 2.0)


@register("mutant", "smoothing_halved")
class SmoothingHalved(Mutant):
    """The smoothing radius is half the one that the spec says.

    Formula: ν → ν/2: the noise of function calls weighs four times as much, the bias less.

    Source: a diameter taken for a radius; mutation study.
    """

    def estimator(self, estimator: Estimator) -> Estimator:
        """Halve the radius of whatever has one."""
        return _radius(estimator, 0.5)


def _radius(estimator: Estimator, factor: float) -> Estimator:
    if "smoothing" not in type(estimator).model_fields:
        return estimator
    return estimator.model_copy(update={"smoothing": factor * estimator.model_dump()["smoothing"]})


class _OverRadius(ZerothOrder):
    def estimate(self, problem: Problem, x: Tensor, rows: Rows, batch_size: BatchSize) -> Estimate:
        found = super().estimate(problem, x, rows, batch_size)
        return replace(found, gradient=2 * found.gradient)


@register("mutant", "central_over_radius")
class CentralOverRadius(Mutant):
    """A central difference is divided by ν instead of 2ν.

    Formula: G → 2G.

    Source: the divisor of a forward difference kept when the second value moved.
    """

    def estimator(self, estimator: Estimator) -> Estimator:
        """Double what a central difference gives."""
        if not isinstance(estimator, ZerothOrder) or estimator.difference != "central":
            return estimator
        return _OverRadius(**estimator.model_dump())


class _FirstStep(ZerothOrder):
    def draw(self, rows: Rows, d: int) -> Tensor:
        return super().draw(replace(rows, step=0 * rows.step), d)


class _FirstQuery(ResidualFeedback):
    def draw(self, rows: Rows, count: int, d: int) -> Tensor:
        return super().draw(replace(rows, step=0 * rows.step), count, d)


@register("mutant", "frozen_directions")
class FrozenDirections(Mutant):
    """Every step draws the random vectors of the first step again.

    Formula: u_{t,k} = u_{0,k}: every single difference has the right law, the run has not; a
    residual estimate is biased by −∇f(x_{t−1}).

    Source: a seed that is set afresh in every step; mutation study.
    """

    def estimator(self, estimator: Estimator) -> Estimator:
        """Draw at step 0."""
        if isinstance(estimator, ResidualFeedback):
            return _FirstQuery(**estimator.model_dump())
        if not isinstance(estimator, ZerothOrder):
            return estimator
        return _FirstStep(**estimator.model_dump())


class _Part(ZerothOrder):
    first: int
    last: int

    def draw(self, rows: Rows, d: int) -> Tensor:
        u = super().draw(rows, d).clone()
        u[..., : self.first] = 0.0
        u[..., self.last :] = 0.0
        return u


class _PerTensor(ZerothOrder):
    def estimate(self, problem: Problem, x: Tensor, rows: Rows, batch_size: BatchSize) -> Estimate:
        half = problem.dimension // 2
        sizes = getattr(problem, "tensors", (half, problem.dimension - half))
        ends = list(accumulate(sizes))
        found = [
            _Part(first=end - size, last=end, **self.model_dump()).estimate(
                problem, x, rows, batch_size
            )
            for end, size in zip(ends, sizes, strict=True)
        ]
        gradient = found[0].gradient
        for part in found[1:]:
            gradient = gradient + part.gradient
        return replace(found[0], gradient=gradient)


@register("mutant", "dot_per_tensor")
class DotPerTensor(Mutant):
    """The product <∇f, u> is taken tensor by tensor instead of over all of x.

    The tensors are those of a network; elsewhere two halves of x.

    Formula: G_t = u_t D(u_t) for every tensor t: the mean is right, the second moment is that of
    |t| dimensions instead of d: Σ_t (|t| + 2)|∇_t f|² instead of (d + 2)|∇f|² (Gaussian, m = 1).

    Source: the HDO authors' simulated variant.
    """

    def estimator(self, estimator: Estimator) -> Estimator:
        """Take the tensors apart."""
        if not isinstance(estimator, ZerothOrder):
            return estimator
        return _PerTensor(**estimator.model_dump())


class _SameVectors(ResidualFeedback):
    def draw(self, rows: Rows, count: int, d: int) -> Tensor:
        return super().draw(rows, 1, d).expand(-1, count, -1, -1)


@register("mutant", "reused_direction")
class ReusedDirection(Mutant):
    """Residual feedback perturbs the previous query by the vector of this one.

    Formula: G = u [F(x+νu) − F'(x'+νu)]/ν: biased by −∇f(x').

    Source: mutation study; theory.md A6.
    """

    def estimator(self, estimator: Estimator) -> Estimator:
        """Draw one vector for both queries."""
        if not isinstance(estimator, ResidualFeedback):
            return estimator
        return _SameVectors(**estimator.model_dump())


def of_the_node_before(values: Tensor, rows: Rows) -> Tensor:
    """Values [B, ...] that the node before it has in the same replica, in whatever order rows are.

    The first node of the rows of a replica takes those of the last.
    """
    order = (rows.replica * (rows.node.max() + 1) + rows.node).argsort()
    replica = rows.replica[order]
    first = torch.searchsorted(replica, replica)
    last = torch.searchsorted(replica, replica, right=True) - 1
    place = torch.arange(len(order), device=order.device)
    found = torch.empty_like(values)
    found[order] = values[order[torch.where(place == first, last, place - 1)]]
    return found


class _Mistaken(ResidualFeedback):
    def recall(
        self, problem: Problem, x: Tensor, rows: Rows, batch_size: BatchSize, memory: Tensor
    ) -> Estimate:
        return super().recall(problem, x, rows, batch_size, of_the_node_before(memory, rows))


@register("mutant", "neighbours_memory")
class NeighboursMemory(Mutant):
    """Residual feedback subtracts the value that another node remembers.

    Formula: G_i = u [F_i(x_i+νu) − F_{i−1}(x'_{i−1}+νu')]/ν: the mean is right, the variance grows
    by d (f_i − f_{i−1})²/ν².

    Source: one memory for all nodes; mutation study.
    """

    def estimator(self, estimator: Estimator) -> Estimator:
        """Take the memory of the node before."""
        if not isinstance(estimator, ResidualFeedback):
            return estimator
        return _Mistaken(**estimator.model_dump())


class _Stale(ResidualFeedback):
    def recall(
        self, problem: Problem, x: Tensor, rows: Rows, batch_size: BatchSize, memory: Tensor
    ) -> Estimate:
        found = super().recall(problem, x, rows, batch_size, memory)
        assert found.memory is not None
        return replace(found, memory=found.memory.where(memory.isnan(), memory))


@register("mutant", "stale_memory")
class StaleMemory(Mutant):
    """Residual feedback remembers its first value for ever.

    Formula: G_t = u_t [F_t(x_t+νu_t) − F_0(x_0+νu_0)]/ν: the mean is right, the variance grows as
    f moves away from its start.

    Source: a memory that is written once; mutation study.
    """

    def estimator(self, estimator: Estimator) -> Estimator:
        """Keep what is there."""
        if not isinstance(estimator, ResidualFeedback):
            return estimator
        return _Stale(**estimator.model_dump())
