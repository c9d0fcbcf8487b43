"""Centralized SGD."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from hzbench.core.method import Local, Method, Verb
from hzbench.core.registry import register
from hzbench.core.setting import NetworkFacts, Protocol

if TYPE_CHECKING:
    from torch import Tensor


@register("method", "centralized")
class CentralizedSGD(Method):
    """Centralized (all-reduce) SGD: after every step all nodes hold the mean.

    Formula: X+ = (J/n)(X − D G(X)).

    Source: textbook minibatch SGD with n workers.
    """

    protocols: ClassVar[tuple[Protocol, ...]] = ("matrix",)
    own_network: ClassVar[bool] = True

    def network_facts(self, declared: NetworkFacts, nodes: int) -> NetworkFacts:
        """All-reduce, whatever the spec's network says."""
        del declared, nodes
        return NetworkFacts(graph="complete", weights="uniform")

    def advance(self, local: Local, gradient: Verb, mix: Verb, step_size: Tensor) -> Local:
        """Adapt, then average over all."""
        direction, kept = self.direction(local, gradient(local["x"]))
        return {"x": mix(local["x"] - step_size * direction), **kept}
