"""Local SGD: several local steps between exchanges."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from hzbench.core.method import Local, Method, Verb
from hzbench.core.registry import register
from hzbench.core.setting import NetworkFacts, Protocol

if TYPE_CHECKING:
    from torch import Tensor


@register("method", "local_sgd")
class LocalSGD(Method):
    """Local SGD: K local steps, then one exchange; with W = J/n this is FedAvg.

    Formula: X+ = W (X − D G(X)) in the rounds K, 2K, ..., X+ = X − D G(X) in all others.

    Source: Stich, "Local SGD converges fast and communicates little", ICLR 2019; McMahan et al.,
    "Communication-efficient learning of deep networks from decentralized data", AISTATS 2017.
    """

    protocols: ClassVar[tuple[Protocol, ...]] = ("matrix",)

    local_steps: int = Field(4, ge=1, le=1000, description="K, local steps between exchanges")

    def network_facts(self, declared: NetworkFacts, nodes: int) -> NetworkFacts:
        """The declared network, with pauses."""
        del nodes
        return replace(declared, exchange_period=self.local_steps)

    def advance(self, local: Local, gradient: Verb, mix: Verb, step_size: Tensor) -> Local:
        """Adapt, then average where the round exchanges."""
        direction, kept = self.direction(local, gradient(local["x"]))
        return {"x": mix(local["x"] - step_size * direction), **kept}
