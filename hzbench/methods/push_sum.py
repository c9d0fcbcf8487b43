"""Stochastic gradient push: decentralized SGD on directed graphs."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

from hzbench.core.method import Local, Method, Verb
from hzbench.core.registry import register
from hzbench.core.setting import NetworkFacts, Protocol, UpdateFacts

if TYPE_CHECKING:
    from torch import Tensor


@register("method", "push_sum")
class PushSum(Method):
    """Stochastic gradient push: nodes send shares, and divide by what shares of 1 would become.

    Formula: Y = W (w∘X − D G(X)), w+ = W w, X+ = Y/w+, w_0 = 1; W has columns that sum to 1 and may
    be directed. X is the de-biased iterate (z of the paper), w∘X its x, whose sum only local steps
    move; Σ w = n throughout. With a doubly stochastic W, w stays 1 and this is decentralized SGD.

    Source: Assran, Loizou, Ballas, Rabbat, "Stochastic gradient push for distributed deep
    learning", ICML 2019, Algorithm 1; Nedić and Olshevsky 2016.
    """

    protocols: ClassVar[tuple[Protocol, ...]] = ("matrix",)

    def arrays(self) -> tuple[str, ...]:
        """The push-sum weight w, one number a node."""
        return (*super().arrays(), "weight")

    def begin(self, x: Tensor) -> Local:
        """Every weight starts at 1."""
        momentum = {name: x.new_zeros(x.shape) for name in super().arrays()}
        return {**momentum, "weight": x.new_ones(len(x), 1)}

    def network_facts(self, declared: NetworkFacts, nodes: int) -> NetworkFacts:
        """The declared network, whose rows need not sum to 1."""
        del nodes
        return replace(declared, column_stochastic=True)

    def update_facts(self) -> UpdateFacts:
        """Push-sum."""
        return UpdateFacts(rule="push-sum")

    def advance(self, local: Local, gradient: Verb, mix: Verb, step_size: Tensor) -> Local:
        """Adapt what will be sent, send shares of it and of the weight, divide."""
        direction, kept = self.direction(local, gradient(local["x"]))
        weight = mix(local["weight"])
        x = mix(local["weight"] * local["x"] - step_size * direction) / weight
        return {"x": x, "weight": weight, **kept}
