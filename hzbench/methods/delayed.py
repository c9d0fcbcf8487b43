"""Decentralized SGD with stale gradients."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from hzbench.core.method import Local, Method, Verb
from hzbench.core.registry import register
from hzbench.core.setting import Protocol, UpdateFacts

if TYPE_CHECKING:
    from torch import Tensor


@register("method", "delayed_sgd")
class DelayedSGD(Method):
    """Decentralized SGD whose gradients are τ rounds old.

    Formula: X+ = W (X − D G(X_{t−τ})), every node at its own iterate of τ rounds ago, at the start
    in the first τ rounds. A quadratic with curvature a is stable without noise iff
    η a < 2 sin(π/(4τ + 2)).

    Source: Agarwal & Duchi 2011; Arjevani, Shamir, Srebro 2020.
    """

    protocols: ClassVar[tuple[Protocol, ...]] = ("matrix",)

    delay: int = Field(1, ge=0, le=100, description="τ, the age of every gradient (rounds)")

    def arrays(self) -> tuple[str, ...]:
        """The last τ iterates, the newest first."""
        return (*super().arrays(), *self._past)

    @property
    def _past(self) -> tuple[str, ...]:
        return tuple(f"past_{age}" for age in range(1, self.delay + 1))

    def begin(self, x: Tensor) -> Local:
        """The past is the start."""
        return {**super().begin(x), **dict.fromkeys(self._past, x)}

    def update_facts(self) -> UpdateFacts:
        """A delay."""
        return UpdateFacts(rule="delayed", delay=self.delay)

    def advance(self, local: Local, gradient: Verb, mix: Verb, step_size: Tensor) -> Local:
        """Adapt with an old gradient, then average; the past moves on by one."""
        iterates = [local["x"], *(local[name] for name in self._past)]
        direction, kept = self.direction(local, gradient(iterates[-1]))
        past = dict(zip(self._past, iterates, strict=False))
        return {"x": mix(local["x"] - step_size * direction), **past, **kept}
