"""Local SGD without communication."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np

from hzbench.core.method import Local, Method, Verb
from hzbench.core.registry import register
from hzbench.core.setting import NetworkFacts, Protocol

if TYPE_CHECKING:
    from torch import Tensor


@register("method", "local")
class LocalSGD(Method):
    """Every node on its own, without communication: W = I.

    Formula: x_i ← x_i − η_i G_i.

    Source: the lower end of every comparison.
    """

    protocols: ClassVar[tuple[Protocol, ...]] = ("matrix",)
    own_network: ClassVar[bool] = True

    def network_facts(self, declared: NetworkFacts, nodes: int) -> NetworkFacts:
        """No mixing, whatever the spec's network says."""
        del declared
        return NetworkFacts(graph="complete", weights="explicit", matrix=np.eye(nodes))

    def advance(self, local: Local, gradient: Verb, mix: Verb, step_size: Tensor) -> Local:
        """A local step."""
        del mix
        direction, kept = self.direction(local, gradient(local["x"]))
        return {"x": local["x"] - step_size * direction, **kept}
