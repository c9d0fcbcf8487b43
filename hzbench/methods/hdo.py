"""Hybrid decentralized optimization."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from hzbench.core.method import Local, Method, Verb
from hzbench.core.registry import register
from hzbench.core.setting import Protocol

if TYPE_CHECKING:
    from torch import Tensor


@register("method", "hdo")
class HybridDecentralizedOptimization(Method):
    """Hybrid decentralized optimization: partners take a local step each, then both average.

    Formula: x_i ← x_j ← ½ (x_i − η_i G_i + x_j − η_j G_j); with momentum G_i is replaced by
    v_i+ = m v_i + (1 − m) G_i, whose buffer v stays with its node and is not averaged.

    Source: Ansaripour et al. 2025, Algorithm 1 (pair); its experiments use matchings.
    """

    protocols: ClassVar[tuple[Protocol, ...]] = ("pair", "matching")

    def advance(self, local: Local, gradient: Verb, mix: Verb, step_size: Tensor) -> Local:
        """Adapt, then average with the partner."""
        direction, kept = self.direction(local, gradient(local["x"]))
        return {"x": mix(local["x"] - step_size * direction), **kept}
