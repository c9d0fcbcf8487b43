"""Gradient tracking."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from hzbench.core.method import Local, Method, Verb
from hzbench.core.registry import register
from hzbench.core.setting import Order, Protocol, UpdateFacts

if TYPE_CHECKING:
    from torch import Tensor


@register("method", "gradient_tracking")
class GradientTracking(Method):
    """Gradient tracking: every node steps along its running estimate of the mean gradient.

    Formula: simultaneous (DIGing) Y+ = W Y + G − G_before, X+ = W X − D Y+; adapt-combine
    Y+ = W (Y + G − G_before), X+ = W (X − D Y+); G_before is the last round's estimate, Y and
    G_before start at 0, so Σ Y = Σ G in every round.

    Source: Nedić, Olshevsky, Shi 2017 (DIGing); Xu et al. 2015 (adapt-combine).
    """

    protocols: ClassVar[tuple[Protocol, ...]] = ("matrix",)

    order: Literal["adapt-combine", "simultaneous"] = Field(
        "adapt-combine", description="whether the local step comes before the averaging"
    )

    @property
    def update_order(self) -> Order:
        """As declared."""
        return self.order

    def arrays(self) -> tuple[str, ...]:
        """The tracker Y and the last estimate."""
        return (*super().arrays(), "tracker", "gradient")

    def update_facts(self) -> UpdateFacts:
        """Tracking."""
        return UpdateFacts(rule="tracking")

    @property
    def exchanges(self) -> int:
        """The tracker is there before the step along it is sent, unless both are sent at once."""
        return 2 if self.order == "adapt-combine" else 1

    def advance(self, local: Local, gradient: Verb, mix: Verb, step_size: Tensor) -> Local:
        """Correct the tracker, then step along it; two exchanges."""
        estimate = gradient(local["x"])
        change = estimate - local["gradient"]
        first = self.order == "adapt-combine"
        tracker = mix(local["tracker"] + change) if first else mix(local["tracker"]) + change
        direction, kept = self.direction(local, tracker)
        step = step_size * direction
        x = mix(local["x"] - step) if first else mix(local["x"]) - step
        return {"x": x, "tracker": tracker, "gradient": estimate, **kept}
