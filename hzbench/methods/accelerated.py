"""Accelerated gossip: Chebyshev rounds and stationary second-order gossip."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from hzbench.core.method import Local, Method, Verb
from hzbench.core.registry import register
from hzbench.core.setting import NetworkFacts, Protocol, UpdateFacts

if TYPE_CHECKING:
    from torch import Tensor


@register("method", "chebyshev")
class ChebyshevGossip(Method):
    """A local step, then K exchanges combined by Chebyshev's polynomial instead of W^K.

    Formula: X+ = p_K(W) (X − D G(X)), p_K(λ) = T_K(λ/ρ)/T_K(1/ρ), by
    Z_{k+1} = ω_{k+1} (W Z_k − Z_{k−1}) + Z_{k−1}; the mean moves as in gradient descent.

    Source: Scaman et al., "Optimal algorithms for smooth and strongly convex distributed
    optimization in networks", ICML 2017.
    """

    protocols: ClassVar[tuple[Protocol, ...]] = ("matrix",)

    rounds: int = Field(3, ge=1, le=1000, description="K, exchanges in one step")
    rate: float = Field(
        0.9, gt=0, lt=1, description="ρ, the second largest |eigenvalue| of W or a bound on it"
    )

    def network_facts(self, declared: NetworkFacts, nodes: int) -> NetworkFacts:
        """The declared network, accelerated."""
        del nodes
        words = {"acceleration": "chebyshev", "rounds": self.rounds, "rate": self.rate}
        return replace(declared, **words)  # type: ignore[arg-type]

    @property
    def exchanges(self) -> int:
        """K."""
        return self.rounds

    def advance(self, local: Local, gradient: Verb, mix: Verb, step_size: Tensor) -> Local:
        """Adapt, then K exchanges."""
        direction, kept = self.direction(local, gradient(local["x"]))
        before = local["x"] - step_size * direction
        x, ratio = mix(before), self.rate  # ratio = T_{k−1}(1/ρ)/T_k(1/ρ)
        for _ in range(1, self.rounds):
            ratio = 1 / (2 / self.rate - ratio)
            omega = 2 * ratio / self.rate
            before, x = x, omega * (mix(x) - before) + before
        return {"x": x, **kept}


@register("method", "second_order")
class SecondOrderGossip(Method):
    """A local step, then one exchange that also remembers the last one.

    Formula: Y = X − D G(X), X+ = γ W Y + (1 − γ)(Y − S), S+ = X+ − Y, S_0 = 0,
    γ = 2/(1 + sqrt(1 − ρ²)). The step moves the remembered state too, so the mean of S stays 0
    and the mean moves as in gradient descent.

    Source: Ghosh, Muthukrishnan, Schultz, "First- and second-order diffusive methods for rapid,
    coarse, distributed load balancing", 1998.
    """

    protocols: ClassVar[tuple[Protocol, ...]] = ("matrix",)

    rate: float = Field(
        0.9, gt=0, lt=1, description="ρ, the second largest |eigenvalue| of W or a bound on it"
    )

    def arrays(self) -> tuple[str, ...]:
        """The last exchange's change S."""
        return (*super().arrays(), "shift")

    def update_facts(self) -> UpdateFacts:
        """A memory of the last exchange."""
        return UpdateFacts(rule="second-order", rate=self.rate)

    def advance(self, local: Local, gradient: Verb, mix: Verb, step_size: Tensor) -> Local:
        """Adapt, then one exchange with memory."""
        direction, kept = self.direction(local, gradient(local["x"]))
        y = local["x"] - step_size * direction
        gamma = 2 / (1 + math.sqrt(1 - self.rate**2))
        x = gamma * mix(y) + (1 - gamma) * (y - local["shift"])
        return {"x": x, "shift": x - y, **kept}
