"""Decentralized methods with a constant step size that reach the optimum itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from hzbench.core.method import Local, Method, Verb
from hzbench.core.registry import register
from hzbench.core.setting import Order, Protocol, UpdateFacts

if TYPE_CHECKING:
    from torch import Tensor


@register("method", "extra")
class Extra(Method):
    """EXTRA: decentralized gradient descent that adds up past disagreements and subtracts them.

    Formula: X+ = W X − D G(X) − S, S+ = S + ½ (X − W X), S_0 = 0; from two rounds on this is the
    paper's X_{t+1} = (I + W) X_t − ½ (I + W) X_{t−1} − D (G_t − G_{t−1}). Σ S = 0 throughout.

    Source: Shi, Ling, Wu, Yin, "EXTRA: an exact first-order algorithm for decentralized consensus
    optimization", SIAM Journal on Optimization 25 (2015).
    """

    protocols: ClassVar[tuple[Protocol, ...]] = ("matrix",)

    @property
    def update_order(self) -> Order:
        """Both at once."""
        return "simultaneous"

    def arrays(self) -> tuple[str, ...]:
        """The sum S of past disagreements, in units of x."""
        return (*super().arrays(), "dual")

    def update_facts(self) -> UpdateFacts:
        """EXTRA."""
        return UpdateFacts(rule="extra")

    def advance(self, local: Local, gradient: Verb, mix: Verb, step_size: Tensor) -> Local:
        """One step, one exchange, and the sum."""
        x, mixed = local["x"], mix(local["x"])
        direction, kept = self.direction(local, gradient(x))
        moved = mixed - step_size * direction - local["dual"]
        return {"x": moved, "dual": local["dual"] + (x - mixed) / 2, **kept}


@register("method", "exact_diffusion")
class ExactDiffusion(Method):
    """Exact diffusion (NIDS), or D² with lazy = false: diffusion that undoes its last exchange.

    Formula: H = X − D G(X), X+ = V (H + C), C+ = X+ − H, C_0 = 0, V = ½ (I + W), or W with
    lazy = false (eigenvalues of W above −1/3 are needed then); from two rounds on D² is
    X_{t+1} = W (2 X_t − X_{t−1} − D (G_t − G_{t−1})). Σ C = 0 throughout.

    Source: Yuan, Ying, Zhao, Sayed, "Exact diffusion for distributed optimization and learning",
    IEEE TSP 67 (2019); Tang, Lian, Yan, Zhang, Liu, "D²: decentralized training over decentralized
    data", ICML 2018.
    """

    protocols: ClassVar[tuple[Protocol, ...]] = ("matrix",)
    examples: ClassVar[tuple[Mapping[str, Any], ...]] = ({}, {"lazy": False})

    lazy: bool = Field(True, description="whether V is ½ (I + W), not W itself (D²)")

    def arrays(self) -> tuple[str, ...]:
        """What the last exchange changed, C."""
        return (*super().arrays(), "correction")

    def update_facts(self) -> UpdateFacts:
        """Exact diffusion."""
        return UpdateFacts(rule="exact-diffusion", lazy=self.lazy)

    def advance(self, local: Local, gradient: Verb, mix: Verb, step_size: Tensor) -> Local:
        """Adapt, correct, average."""
        direction, kept = self.direction(local, gradient(local["x"]))
        moved = local["x"] - step_size * direction
        corrected = moved + local["correction"]
        x = mix(corrected)
        if self.lazy:
            x = (corrected + x) / 2
        return {"x": x, "correction": x - moved, **kept}
