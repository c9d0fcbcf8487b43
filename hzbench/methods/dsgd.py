"""Decentralized SGD."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from hzbench.core.method import Local, Method, Verb
from hzbench.core.registry import register
from hzbench.core.setting import Order, Protocol

if TYPE_CHECKING:
    from torch import Tensor


@register("method", "dsgd")
class DecentralizedSGD(Method):
    """Decentralized SGD over a fixed mixing matrix W.

    Formula: adapt-combine X+ = W(X − D G(X)); combine-adapt Z = WX, X+ = Z − D G(Z);
    simultaneous X+ = WX − D G(X), with D = diag(η_i).

    Source: Lian et al. 2017 (D-PSGD, simultaneous); Cattivelli & Sayed 2010 (the two orders).
    """

    protocols: ClassVar[tuple[Protocol, ...]] = ("matrix",)

    order: Literal["adapt-combine", "combine-adapt", "simultaneous"] = Field(
        "adapt-combine", description="whether the local step comes before the averaging"
    )

    @property
    def update_order(self) -> Order:
        """As declared."""
        return self.order

    def advance(self, local: Local, gradient: Verb, mix: Verb, step_size: Tensor) -> Local:
        """One round in the declared order."""
        x = local["x"]
        mixed = x if self.order == "adapt-combine" else mix(x)
        at = mixed if self.order == "combine-adapt" else x
        direction, kept = self.direction(local, gradient(at))
        moved = mixed - step_size * direction
        return {"x": mix(moved) if self.order == "adapt-combine" else moved, **kept}
