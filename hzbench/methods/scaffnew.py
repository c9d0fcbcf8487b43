"""Scaffnew: local steps with control variates, and a coin that decides when to average."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from hzbench.core.method import Local, Method, Verb
from hzbench.core.registry import register
from hzbench.core.setting import NetworkFacts, Protocol, UpdateFacts

if TYPE_CHECKING:
    from torch import Tensor


@register("method", "scaffnew")
class Scaffnew(Method):
    """Scaffnew (ProxSkip): local steps with control variates, all-reduce with probability p.

    Formula: X̂ = X − D G + p C; X+ = (J/n) X̂ with probability p, else X̂; C+ = C + X+ − X̂, C_0 = 0.
    With a constant step size η this is the paper's with h_i = p c_i/η; Σ c_i = 0 throughout.

    Source: Mishchenko et al., "ProxSkip: Yes! Local gradient steps provably lead to communication
    acceleration! Finally!", ICML 2022, Algorithm 2.
    """

    protocols: ClassVar[tuple[Protocol, ...]] = ("matrix",)
    own_network: ClassVar[bool] = True

    probability: float = Field(0.3, gt=0, le=1, description="p, of an exchange in a round")

    def arrays(self) -> tuple[str, ...]:
        """The control variates, in units of x."""
        return (*super().arrays(), "control")

    def network_facts(self, declared: NetworkFacts, nodes: int) -> NetworkFacts:
        """All-reduce under a coin, whatever the spec's network says."""
        del declared, nodes
        facts = NetworkFacts(graph="complete", weights="uniform")
        return replace(facts, exchange_probability=self.probability)

    def update_facts(self) -> UpdateFacts:
        """Control variates."""
        return UpdateFacts(rule="control-variate")

    def advance(self, local: Local, gradient: Verb, mix: Verb, step_size: Tensor) -> Local:
        """A corrected local step, then perhaps an exchange, which corrects the variates."""
        direction, kept = self.direction(local, gradient(local["x"]))
        moved = local["x"] - step_size * direction + self.probability * local["control"]
        x = mix(moved)
        return {"x": x, "control": local["control"] + x - moved, **kept}
