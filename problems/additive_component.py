"""What the spec's keys of all problems of one function share: tilts, noise and starting points."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import nan
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from hzbench.core.constants import Constants
from hzbench.core.problem import Placement
from hzbench.problems.additive_model import AdditiveProblem, Function, tensor
from hzbench.problems.arrays import (
    LINEAR,
    Vector,
    array,
    array_mistakes,
    generator,
    raise_mistakes,
    when,
)
from hzbench.problems.starting import StartedComponent

if TYPE_CHECKING:
    from torch import Tensor

Array = NDArray[np.float64]
Maker = Callable[[Array], "Tensor"]


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What is known of g, as in `Constants`; `how` has a word for each number that is not nan."""

    optimum: Array = field(default_factory=lambda: np.zeros(0))
    smoothness: float = nan
    strong_convexity: float = nan
    polyak_lojasiewicz: float = nan
    hessian_lipschitz: float = nan
    minimum: float = nan
    how: Mapping[str, str]


class AdditiveComponent(StartedComponent):
    """Base of the problems f_i(x) = g(x) − b_i'x, Σ b_i = 0, with Gaussian noise ζ'x."""

    label: ClassVar[str] = ""
    heterogeneity: float = Field(
        0.0,
        ge=0,
        allow_inf_nan=False,
        description="ζ: seeded tilts b_i of mean zero over the nodes with (1/n) Σ|b_i|² = ζ²",
    )
    noise: float | Vector = Field(
        0.0, description="standard deviation of ζ a coordinate: one number or d of them"
    )
    evaluation_noise: float = Field(
        0.0, ge=0, allow_inf_nan=False, description="standard deviation that a function call adds"
    )

    @property
    def d(self) -> int:
        """The dimension."""
        raise NotImplementedError

    def facts(self) -> Facts:
        """What is known of g."""
        raise NotImplementedError

    def function(self, make: Maker) -> Function:
        """The function g, its arrays made tensors."""
        raise NotImplementedError

    def own_mistakes(self) -> list[str]:
        """Mistakes in the keys of g."""
        return []

    def mistakes(self, placement: Placement) -> list[str]:
        """Every mistake."""
        found = self.own_mistakes()
        if found:
            return found
        found = array_mistakes("noise", self.noise, (), (self.d,))
        least = 0.0 if found else float(array(self.noise).min())
        found += when(least < 0, f"got noise {least:g}; expected deviations >= 0; drop the sign")
        return found + self.start_mistakes(placement.nodes, self.d)

    def build(self, placement: Placement) -> AdditiveProblem:
        """The problem on the placement's nodes.

        Raises:
            SpecError: `mistakes` are not empty.
        """
        raise_mistakes(self.mistakes(placement), self.label)
        n, known = placement.nodes, self.facts()
        return AdditiveProblem(
            function=self.function(lambda a: tensor(a, placement.device, placement.dtype)),
            constants=self._constants(n, known),
            optimum=known.optimum,
            **self._parts(placement),
        )

    def _parts(self, placement: Placement) -> dict[str, Any]:
        """What no function changes."""
        n = placement.nodes
        return {
            "tilts": self._tilts(n),
            "deviation": np.broadcast_to(array(self.noise), (self.d,)).copy(),
            "evaluation_noise": self.evaluation_noise,
            "initial": self.starts(n, self.d),
            "device": placement.device,
            "dtype": placement.dtype,
        }

    def _constants(self, nodes: int, known: Facts) -> Constants:
        variance = float((np.broadcast_to(array(self.noise), (self.d,)) ** 2).sum())
        return Constants(
            smoothness=known.smoothness,
            sample_smoothness=known.smoothness,
            strong_convexity=known.strong_convexity,
            polyak_lojasiewicz=known.polyak_lojasiewicz,
            noise=(variance,) * nodes,
            heterogeneity=float((self._tilts(nodes) ** 2).sum() / nodes),
            hessian_lipschitz=known.hessian_lipschitz,
            minimum=known.minimum,
            how={
                "noise": "exact: the trace of the covariance of ζ",
                "heterogeneity": "exact: (1/n) Σ|b_i|²",
                "sample_smoothness": "a sample adds a linear term",
                **known.how,
            },
        )

    def _tilts(self, n: int) -> Array:
        if n == 1 or self.heterogeneity == 0:
            return np.zeros((n, self.d))
        drawn = generator(self.instance_seed, LINEAR).standard_normal((n, self.d))
        drawn -= drawn.mean(axis=0)
        return np.asarray(drawn * (self.heterogeneity / np.sqrt((drawn**2).sum() / n)))
