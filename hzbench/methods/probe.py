"""Probe: an estimator alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np

from hzbench.core.method import Local, Method, Verb
from hzbench.core.registry import register
from hzbench.core.setting import NetworkFacts, Protocol

if TYPE_CHECKING:
    from torch import Tensor


@register("method", "probe")
class Probe(Method):
    """Draw fresh estimates at the starting points and move nothing: studies an estimator alone.

    Formula: x_i+ = x_i; the estimates G_i are recorded.

    Source: this suite.
    """

    protocols: ClassVar[tuple[Protocol, ...]] = ("matrix",)
    own_network: ClassVar[bool] = True
    moves: ClassVar[bool] = False

    def arrays(self) -> tuple[str, ...]:
        """The last estimates."""
        return ("estimate",)

    def network_facts(self, declared: NetworkFacts, nodes: int) -> NetworkFacts:
        """No mixing, whatever the spec's network says."""
        del declared
        return NetworkFacts(graph="complete", weights="explicit", matrix=np.eye(nodes))

    def advance(self, local: Local, gradient: Verb, mix: Verb, step_size: Tensor) -> Local:
        """Record an estimate."""
        del mix, step_size
        return {"x": local["x"], "estimate": gradient(local["x"])}
