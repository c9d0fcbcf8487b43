"""Decentralized SGD with random masks: of the gradients, or of what is exchanged."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from hzbench.core.method import Local, Method, Verb
from hzbench.core.registry import register
from hzbench.core.setting import Protocol, UpdateFacts

if TYPE_CHECKING:
    from torch import Tensor


class _Masked(Method):
    protocols: ClassVar[tuple[Protocol, ...]] = ("matrix",)

    kept: int = Field(1, ge=1, description="k, coordinates that a mask keeps, at most d")

    @property
    def mask_size(self) -> int:
        """As declared."""
        return self.kept


@register("method", "rand_k_sgd")
class RandKSGD(_Masked):
    """Decentralized SGD that applies k random coordinates of every step.

    Formula: X+ = W (X − Q), Q = (d/k) M∘(D G), unbiased; with memory Q = M∘(E + D G),
    E+ = E + D G − Q, E_0 = 0 (error feedback). Every node draws its mask M afresh.

    Source: Stich, Cordonnier, Jaggi, "Sparsified SGD with memory", NeurIPS 2018.
    """

    examples: ClassVar[tuple[Mapping[str, Any], ...]] = ({"kept": 2}, {"kept": 2, "memory": True})

    memory: bool = Field(False, description="whether what a mask drops is kept for later rounds")

    def arrays(self) -> tuple[str, ...]:
        """The error memory E, if there is one."""
        return (*super().arrays(), *(("error",) if self.memory else ()))

    def update_facts(self) -> UpdateFacts:
        """Masks of the step."""
        return UpdateFacts(rule="sparsified", kept=self.kept, memory=self.memory)

    def advance(self, local: Local, gradient: Verb, mix: Verb, step_size: Tensor) -> Local:
        """Adapt by what the mask keeps, then average."""
        direction, kept = self.direction(local, gradient(local["x"]))
        wanted = step_size * direction
        if self.memory:
            wanted = local["error"] + wanted
            applied = local["mask"] * wanted
            return {"x": mix(local["x"] - applied), "error": wanted - applied, **kept}
        scale = wanted.shape[1] / self.kept
        return {"x": mix(local["x"] - scale * local["mask"] * wanted), **kept}


@register("method", "choco_sgd")
class ChocoSGD(_Masked):
    """CHOCO-SGD: nodes exchange k random coordinates of the change since they last spoke.

    Formula: H = X − D G, P+ = P + M∘(H − P), X+ = H + γ (W P+ − P+); P are the public copies that
    neighbours hold, P_0 = 0; every node draws its mask M afresh. The mean moves as in SGD.

    Source: Koloskova, Stich, Jaggi, "Decentralized stochastic optimization and gossip algorithms
    with compressed communication", ICML 2019, Algorithm 2.
    """

    consensus_step: float = Field(
        0.3,
        gt=0,
        le=1,
        allow_inf_nan=False,
        description="γ, how far nodes move to their neighbours",
    )

    def arrays(self) -> tuple[str, ...]:
        """The public copies P."""
        return (*super().arrays(), "public")

    def floats(self, width: int) -> int:
        """Only what the mask keeps is sent (indices not counted)."""
        return min(self.kept, width)

    def update_facts(self) -> UpdateFacts:
        """Masks of what is exchanged."""
        return UpdateFacts(
            rule="compressed-exchange", kept=self.kept, consensus_step=self.consensus_step
        )

    def advance(self, local: Local, gradient: Verb, mix: Verb, step_size: Tensor) -> Local:
        """Adapt, update the public copies, move towards those of the neighbours."""
        direction, kept = self.direction(local, gradient(local["x"]))
        half = local["x"] - step_size * direction
        public = local["public"] + local["mask"] * (half - local["public"])
        return {
            "x": half + self.consensus_step * (mix(public) - public),
            "public": public,
            **kept,
        }
