"""The zero-chain of the lower bounds: a gradient shows one more coordinate at a time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import e, inf, pi, sqrt
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from hzbench.core.constants import Constants
from hzbench.core.problem import Placement
from hzbench.core.registry import register
from hzbench.core.streams import Purpose, Rows, uniforms
from hzbench.core.structure import BatchSize, ZeroChain
from hzbench.problems.additive_component import AdditiveComponent, Facts, Maker
from hzbench.problems.additive_model import AdditiveProblem
from hzbench.problems.arrays import Initial, raise_mistakes
from hzbench.problems.quadratic_model import GradientNoise

if TYPE_CHECKING:
    from torch import Tensor

SMOOTHNESS = 152.0  # of the unscaled chain
LARGEST = 23.0  # bound on |∂_j| of the unscaled chain


@dataclass(frozen=True, kw_only=True)
class Chain:
    """G(x) = a F(x/λ), F(x) = −Ψ(1)Φ(x_1) + Σ_{k≥2} [Ψ(−x_{k−1})Φ(−x_k) − Ψ(x_{k−1})Φ(x_k)].

    Attributes:
        height: a.
        scale: λ.
    """

    height: float
    scale: float

    def value(self, x: Tensor) -> Tensor:
        """G: [..., d] -> [...]."""
        here, before = self._chained(x)
        terms = _bump(-before) * _rise(-here) - _bump(before) * _rise(here)
        return self.height * terms.sum(-1)

    def gradient(self, x: Tensor) -> Tensor:
        """∇G: [..., d] -> [..., d]."""
        here, before = self._chained(x)
        slope = -(_bump(-before) + _bump(before)) * _rise_slope(here)
        follow = -_bump_slope(-before) * _rise(-here) - _bump_slope(before) * _rise(here)
        slope[..., :-1] += follow[..., 1:]
        return self.height / self.scale * slope

    def hidden(self, x: Tensor) -> Tensor:
        """Which coordinates lie beyond prog = the last one with |x_k| > λ/4: bool [..., d]."""
        seen = (x.abs() > self.scale / 4).flip(-1).cumsum(-1).flip(-1)
        return seen == 0

    def _chained(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """x/λ, and what comes before each coordinate: 1 before the first."""
        here = x / self.scale
        before = here.roll(1, -1)
        before[..., 0] = 1.0
        return here, before


def _bump(x: Tensor) -> Tensor:
    """Ψ(x) = exp(1 − 1/(2x − 1)²) for x > ½, else 0."""
    wide = (2 * x - 1).clamp(min=1e-3)  # exp(1 − 10⁶) is 0
    return (1 - wide**-2).exp()


def _bump_slope(x: Tensor) -> Tensor:
    return _bump(x) * 4 * (2 * x - 1).clamp(min=1e-3) ** -3


def _rise(x: Tensor) -> Tensor:
    """Φ(x) = sqrt(e) ∫_{−∞}^x exp(−t²/2) dt."""
    return sqrt(e * pi / 2) * (-x / sqrt(2.0)).erfc()


def _rise_slope(x: Tensor) -> Tensor:
    return sqrt(e) * (-0.5 * x**2).exp()


@dataclass(frozen=True, kw_only=True)
class ChainSample(GradientNoise):
    """One data sample: the additive noise, and what hidden coordinates are multiplied by.

    Attributes:
        factor: mean of ξ/p over the batch, ξ ~ Bernoulli(p), shape [B, s].
    """

    factor: Tensor


@dataclass(frozen=True, kw_only=True, eq=False)
class ZeroChainProblem(AdditiveProblem):
    """The chain with its oracle: [g]_j = ∂_j f · (ξ/p if j is hidden else 1) − b_ij + ζ_j.

    Function values are those of the chain itself: the oracle hides coordinates from gradients only.

    Attributes:
        chain: the function, with what it hides.
        probability: p.
    """

    values_are_exact: ClassVar[bool] = True
    chain: Chain
    probability: float

    @property
    def zero_chain(self) -> ZeroChain | None:
        """What gradients hide; None where tilts or additive noise give coordinates away."""
        if self.tilts.any() or self.deviation.any():
            return None
        return ZeroChain(probability=self.probability, scale=self.chain.scale)

    def hidden_coordinates(self, x: Tensor) -> Tensor:
        """How many coordinates are still hidden at x: [R, d] -> [R]."""
        return self.chain.hidden(x).sum(-1).to(x.dtype)

    def sample(self, rows: Rows, batch_size: BatchSize, count: int) -> GradientNoise:
        """Coins of the batch, drawn behind the additive noise; none for "full"."""
        noise = super().sample(rows, batch_size, count)
        if batch_size == "full" or self.probability == 1.0:
            return noise
        drawn = uniforms(rows, Purpose.DATA, count * batch_size, count * self.dimension)
        shown = (drawn < self.probability).to(self._scale.dtype)
        mean = shown.view(len(rows), count, batch_size).mean(-1)
        return ChainSample(count=count, zeta=noise.zeta, factor=mean / self.probability)

    def gradients(self, points: Tensor, node: Tensor, sample: GradientNoise) -> Tensor:
        """The oracle's gradient: [B, d] -> [B, s, d]."""
        whole = super().gradients(points, node, sample)
        if not isinstance(sample, ChainSample):
            return whole
        hidden = self.chain.gradient(points) * self.chain.hidden(points)
        return whole + (sample.factor[:, :, None] - 1.0) * hidden[:, None]

    def gradient_noise(self, x: Tensor, node: Tensor) -> Tensor:
        """Tr Σ + (1/p − 1) Σ_{hidden} (∂_j f)²: [B, d], [B] -> [B]."""
        hidden = self.chain.gradient(x) * self.chain.hidden(x)
        odds = 1.0 / self.probability - 1.0
        return super().gradient_noise(x, node) + odds * hidden.square().sum(-1)

    def gradient_covariance(self, x: Tensor, node: Tensor) -> Tensor:
        """Σ + (1/p − 1) hh', h the hidden part of ∇f (one coin for all): [B, d] -> [B, d, d]."""
        hidden = self.chain.gradient(x) * self.chain.hidden(x)
        odds = 1.0 / self.probability - 1.0
        return super().gradient_covariance(x, node) + odds * hidden[:, :, None] * hidden[:, None]


@register("problem", "zero_chain")
class ZeroChainComponent(AdditiveComponent):
    """The chain on which no method of its class is fast: every gradient reveals one coordinate.

    Formula:
    f_i(x) = (Lλ²/152) F(x/λ) − b_i'x, F(x) = −Ψ(1)Φ(x_1) + Σ_{k≥2} [Ψ(−x_{k−1})Φ(−x_k) −
    Ψ(x_{k−1})Φ(x_k)], Ψ(x) = exp(1 − 1/(2x−1)²) for x > ½ else 0,
    Φ(x) = sqrt(e) ∫_{−∞}^x e^{−t²/2} dt; a gradient sample multiplies ∂_j f by ξ/p,
    ξ ~ Bernoulli(p), where j > prog = max{k: |x_k| > λ/4}; function values hide nothing.

    Source: Carmon, Duchi, Hinder and Sidford, "Lower bounds for finding stationary points I", 2020;
    Arjevani et al., "Lower bounds for non-convex stochastic optimization", 2023.
    """

    examples: ClassVar[tuple[Mapping[str, Any], ...]] = (
        {"probability": 0.3},
        {"smoothness": 5.0, "scale": 2.0, "noise": 0.1, "initial": 3.0},
    )
    label: ClassVar[str] = "zero_chain"
    dimension: int = Field(6, ge=1, description="T, length of the chain and dimension")
    smoothness: float = Field(1.0, gt=0, allow_inf_nan=False, description="L")
    scale: float = Field(1.0, gt=0, allow_inf_nan=False, description="λ, length of a link")
    probability: float = Field(
        1.0, gt=0, le=1, description="p, that a gradient shows the next coordinate"
    )
    initial: Initial = Field(
        0.0,
        description="start: radius r (every node at r·(1, ..., 1)/sqrt(d)), one point, or n points;"
        " at 0 all is hidden",
    )

    @property
    def d(self) -> int:
        """The length of the chain."""
        return self.dimension

    def function(self, make: Maker) -> Chain:
        """The scaled chain; it has no arrays."""
        del make
        return self._chain

    def facts(self) -> Facts:
        """L and the bound on |∂_j| are those of the papers; the minimum has no closed form."""
        paper = "F is 152-smooth (Arjevani et al., Lemma 2; not derived here)"
        return Facts(
            smoothness=self.smoothness,
            strong_convexity=-self.smoothness,
            how={"smoothness": paper, "strong_convexity": paper},
        )

    def build(self, placement: Placement) -> ZeroChainProblem:
        """The problem on the placement's nodes.

        Raises:
            SpecError: `mistakes` are not empty.
        """
        raise_mistakes(self.mistakes(placement), self.label)
        return ZeroChainProblem(
            function=self._chain,
            chain=self._chain,
            probability=self.probability,
            constants=self._constants(placement.nodes, self.facts()),
            optimum=self.facts().optimum,
            **self._parts(placement),
        )

    @property
    def _chain(self) -> Chain:
        height = self.smoothness * self.scale**2 / SMOOTHNESS
        return Chain(height=height, scale=self.scale)

    def _constants(self, nodes: int, known: Facts) -> Constants:
        """At most one hidden coordinate has a slope: the next one."""
        plain = super()._constants(nodes, known)
        slope = LARGEST * self.smoothness * self.scale / SMOOTHNESS
        jump = (1.0 / self.probability - 1.0) * slope**2
        words = {
            "noise": "tr Cov ζ + (1/p − 1) max|∂_j f|², |∂_j F| ≤ 23 (Arjevani et al., Lemma 2)",
            "sample_smoothness": "fails where prog grows, unless p = 1",
        }
        return replace(
            plain,
            sample_smoothness=plain.smoothness if self.probability == 1 else inf,
            noise=tuple(value + jump for value in plain.noise),
            how={**plain.how, **words},
        )
