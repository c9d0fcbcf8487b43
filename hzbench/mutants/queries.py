"""Mutants of the queries that an estimator makes: where, and along which vectors."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hzbench.core.estimator import Estimator
from hzbench.core.mutant import Mutant
from hzbench.core.registry import register
from hzbench.core.streams import Rows
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
        if "smoothing" not in type(estimator).model_fields:
            return estimator
        return estimator.model_copy(update={"smoothing": 2 * estimator.model_dump()["smoothing"]})


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
