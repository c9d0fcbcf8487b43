"""The separable problem as a spec words it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from hzbench.core.problem import Placement
from hzbench.core.registry import register
from hzbench.core.structure import Separable, Term
from hzbench.problems.arrays import (
    Matrix,
    Vector,
    array,
    array_mistakes,
    raise_mistakes,
    when,
)
from hzbench.problems.separable_model import SeparableProblem
from hzbench.problems.starting import StartedComponent

Array = NDArray[np.float64]


@register("problem", "separable")
class SeparableComponent(StartedComponent):
    """Sums of exponentials, cosines or quartics: where zeroth-order bias exists, in closed form.

    Formula:
    f_i(x) = Σ_k [c_ik φ(a_k x_k) − b_ik x_k] with φ(z) = e^z, cos z or z⁴/4, one sample
    F_i(x, ζ) = f_i(x) + ζ'x with ζ ~ N(0, Σ/b) shared by all evaluations of the sample.

    Source: this suite; the smoothed gradients are derived in hzbench.theory (A11).
    """

    examples: ClassVar[tuple[Mapping[str, Any], ...]] = (
        {"dimension": 3, "noise": 0.2, "rates": 0.8},
        {"dimension": 2, "term": "exponential", "rates": [0.5, -0.7]},
        {"dimension": 2, "term": "quartic", "linear_terms": [[1, 0], [0, 1], [1, 1], [0.5, 1]]},
    )
    example_nodes: ClassVar[int] = 4

    term: Term = Field("cosine", description="φ: exponential, cosine or quartic")
    dimension: int = Field(ge=1, description="d")
    coefficients: float | Vector | Matrix = Field(
        1.0,
        description="c_ik: one number, d of them, or n×d; positive means unless cosine",
    )
    rates: float | Vector = Field(1.0, description="a_k: one number or d of them, not 0")
    linear_terms: Matrix | None = Field(
        None,
        description="b_i, n×d; default: the optimum at 0 for exponential (b = mean c · a), else 0",
    )
    noise: float | Vector = Field(
        0.0, description="standard deviation of ζ a coordinate: one number or d of them"
    )
    evaluation_noise: float = Field(
        0.0, ge=0, allow_inf_nan=False, description="standard deviation that a function call adds"
    )

    def mistakes(self, placement: Placement) -> list[str]:
        """Every mistake: shapes, zero rates, negative noise, and an f without a minimiser."""
        n, d = placement.nodes, self.dimension
        shapes: dict[str, tuple[tuple[int, ...], ...]] = {
            "coefficients": ((), (d,), (n, d)),
            "rates": ((), (d,)),
            "linear_terms": ((n, d),),
            "noise": ((), (d,)),
            "initial": ((), (d,), (n, d)),
        }
        found = [
            mistake
            for name, allowed in shapes.items()
            if (value := getattr(self, name)) is not None
            for mistake in array_mistakes(name, value, *allowed)
        ]
        return found or [*self._value_mistakes(), *self._minimiser_mistakes(n)]

    def build(self, placement: Placement) -> SeparableProblem:
        """The problem on the placement's nodes.

        Raises:
            SpecError: `mistakes` are not empty.
        """
        raise_mistakes(self.mistakes(placement), "separable")
        n, d = placement.nodes, self.dimension
        start = self.starts(n, d)
        return SeparableProblem(
            structure=Separable(
                term=self.term,
                coefficients=self._full(self.coefficients, n),
                rates=self._rates,
                linear=self._linear(n),
                noise=self._full(array(self.noise) ** 2, n),
                evaluation_noise=self.evaluation_noise,
            ),
            initial=start,
            device=placement.device,
            dtype=placement.dtype,
        )

    @property
    def _rates(self) -> Array:
        return np.broadcast_to(array(self.rates), (self.dimension,)).copy()

    def _full(self, value: Any, n: int) -> Array:
        return np.broadcast_to(array(value), (n, self.dimension)).copy()

    def _linear(self, n: int) -> Array:
        if self.linear_terms is not None:
            return array(self.linear_terms)
        if self.term != "exponential":
            return np.zeros((n, self.dimension))
        return self._full(self._full(self.coefficients, n).mean(0) * self._rates, n)

    def _value_mistakes(self) -> list[str]:
        noise, zeros = float(array(self.noise).min()), not array(self.rates).all()
        return [
            *when(noise < 0, f"got noise {noise:g}; expected deviations >= 0; drop the sign"),
            *when(zeros, "got a rate of 0; expected rates that are not 0; change it"),
        ]

    def _minimiser_mistakes(self, n: int) -> list[str]:
        """What keeps f = (1/n) Σ f_i from having a minimiser."""
        c, b = self._full(self.coefficients, n).mean(0), self._linear(n).mean(0)
        if self.term == "cosine":
            tilt = float(np.abs(b).max())
            return when(
                tilt > 1e-12,
                f"got linear_terms whose mean has an entry of size {tilt:.3g}; expected mean 0, "
                "since a tilted cosine has no minimum; subtract the mean",
            )
        least = float(c.min())
        found = when(
            least <= 0,
            f"got coefficients whose mean is {least:.3g} in a coordinate; expected positive means, "
            "or f has no minimum; raise them",
        )
        slope = float((b / self._rates).min())
        return found + when(
            self.term == "exponential" and slope <= 0,
            f"got linear_terms whose mean over rate is {slope:.3g} in a coordinate; expected it "
            "positive, or the exponential has no minimum; change its sign",
        )
