"""`hzbench advise --server`: should zeroth-order workers join an asynchronous pool, and how.

The server waits for nobody, so what counts of a worker is how much information it delivers a
second: 1/(τ ν), τ its seconds an estimate and ν = κσ²/ε + ω its noise at the target ε of E|∇f|².
Who is slow may also be left out: max τ falls, and the rate with it.
Closed forms are in theory/hybrid_pools.py; they are upper bounds up to constants, whose ratios runs
confirm where noise decides.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import floor, inf
from typing import Literal

from hzbench.core.errors import UserMistakeError
from hzbench.core.structure import Difference, DifferenceLaw, DirectionLaw
from hzbench.theory.hybrid_pools import (
    best_weight,
    equilibrium_time_homogeneous,
    noise_factors,
    pool_time_ratio,
    straggler_switch,
    zeroth_order_alone,
)

Pool = Literal["gradients", "helpers", "all"]
LEAST_GAIN = 1.01  # speed-up from which joining is worth a word
_MOST = {"first": 10**6, "zeroth": 10**6, "dimension": 10**12, "samples": 10**12}
_MOST_RATIO = 1e100  # σ²/ε, and c, beyond which doubles lose what is compared


@dataclass(frozen=True, kw_only=True)
class PoolQuestion:
    """What is asked of a pool.

    Attributes:
        first, zeroth: n_1 workers with gradients, n_0 without that could join.
        dimension: d.
        noise: σ², trace of the covariance of a gradient; 0: exact gradients.
        target: ε of E|∇f|².
        heterogeneity: ζ² = |∇f_i(x*)|²; above 0 every worker has data of its own.
        directions, difference: of the random vectors.
        samples: candidates for m.
        gradient_cost, function_cost: seconds of a gradient, and of a function value.
    """

    first: int
    zeroth: int
    dimension: int
    noise: float = 1.0
    target: float = 1e-2
    heterogeneity: float = 0.0
    directions: DirectionLaw = "sphere"
    difference: Difference = "central"
    samples: tuple[int, ...] = (1, 2, 4, 8, 16)
    gradient_cost: float = 3.0
    function_cost: float = 1.0

    def __post_init__(self) -> None:
        """Check the numbers.

        Raises:
            UserMistakeError: every number out of range, in one message.
        """
        counts = {"first": self.first, "zeroth": self.zeroth, "dimension": self.dimension}
        counts |= {"samples": max(self.samples) if min(self.samples, default=0) > 0 else 0}
        found = [
            f"got {name} = {value}; expected a whole number from 1 to {_MOST[name]:,}; correct it"
            for name, value in counts.items()
            if not 1 <= value <= _MOST[name]
        ]
        names = ("target", "gradient_cost", "function_cost")
        wrong = [f"{name} = {getattr(self, name):g}" for name in names if not self._sound(name)]
        if wrong:
            found.append(f"got {', '.join(wrong)}; expected finite numbers above 0; correct them")
        found += [
            f"got {name} = {getattr(self, name):g}; expected a finite number from 0 on; correct it"
            for name in ("noise", "heterogeneity")
            if not 0 <= getattr(self, name) < inf
        ]
        if not found and not max(self.noise, self.heterogeneity) <= _MOST_RATIO * self.target:
            found.append(
                f"got noise = {self.noise:g}, heterogeneity = {self.heterogeneity:g} at target = "
                f"{self.target:g}; expected at most {_MOST_RATIO:g} times the target; correct them"
            )
        ratio = self.function_cost / self.gradient_cost if not wrong else 1.0
        if not 1 / _MOST_RATIO <= ratio <= _MOST_RATIO:
            found.append(
                f"got function_cost = {self.function_cost:g} and gradient_cost = "
                f"{self.gradient_cost:g}; expected numbers within {_MOST_RATIO:g} times each "
                "other; correct them"
            )
        if self.noise == 0 < self.heterogeneity:
            found.append(
                "got noise = 0 with heterogeneity; expected noise above 0 there, since the rule "
                "compares ζ² with σ²; raise it"
            )
        if found:
            raise UserMistakeError("\n".join(found))

    def _sound(self, name: str) -> bool:
        return 0 < float(getattr(self, name)) < inf

    def law(self, m: int) -> DifferenceLaw:
        """The estimator of a zeroth-order worker."""
        return DifferenceLaw(
            directions=self.directions,
            difference=self.difference,
            samples=m,
            smoothing=0.0,
            batch_size=1,
            data="shared",
        )

    def seconds(self, m: int) -> float:
        """One estimate of a zeroth-order worker."""
        calls = {"central": 2 * m, "forward": m + 1, "directional_derivative": m}
        return self.function_cost * calls[self.difference]


@dataclass(frozen=True, kw_only=True)
class PoolOption:
    """What one number of random vectors gives.

    Attributes:
        samples: m.
        cost: c, seconds of an estimate over those of a gradient.
        factor, growth: κ and ω of its noise.
        throughput: x, zeroth-order estimates per gradient.
        ratio_equal, ratio_weighted: time over that of the gradients alone where noise decides,
            with equal weights and with weight 1/κ (P1).
        weight: of an estimate where a gradient has 1, by 1/ν at the target: R/(κR + ω), R = σ²/ε.
        helps_from: n_0 from which equal weights help (P1).
        alone_from: n_0 from which zeroth-order workers alone win without noise (P2); inf: never.
        speed_up: of the best pool at the target with these weights over the gradients alone, by
            equilibrium times min_m [τ_(m) + (Σ_{i<=m} 1/(τ_i ν_i))⁻¹]; at least 1; different data:
            nan.
        pool: who takes part in it; different data: none.
        straggler_from: n from which the slowest worker should leave gradients, if it is slower
            than the next by 1/c at least (P3); same data: nan.
    """

    samples: int
    cost: float
    factor: float
    growth: float
    throughput: float
    ratio_equal: float
    ratio_weighted: float
    weight: float
    helps_from: int
    alone_from: float
    speed_up: float
    pool: Pool | None
    straggler_from: float


@dataclass(frozen=True, kw_only=True)
class PoolAdvice:
    """The answer: one option a candidate, the best of them, and a sentence."""

    question: PoolQuestion
    options: tuple[PoolOption, ...]
    samples: int
    sentence: str


def advise_pool(question: PoolQuestion) -> PoolAdvice:
    """Compare all candidates by what they make of the whole pool."""
    options = tuple(_option(question, m) for m in dict.fromkeys(question.samples))
    if question.heterogeneity:
        best = min(options, key=lambda option: option.straggler_from)
        sentence = _switch(question, best)
    else:
        best = max(options, key=lambda option: option.speed_up)
        sentence = _join(question, best)
    return PoolAdvice(question=question, options=options, samples=best.samples, sentence=sentence)


def _option(question: PoolQuestion, m: int) -> PoolOption:
    found = noise_factors(question.law(m), question.dimension)
    c = question.seconds(m) / question.gradient_cost
    x = question.zeroth / (c * question.first)
    ratio = question.noise / question.target
    different = question.heterogeneity > 0
    factor = found.factor
    if different:
        factor += found.growth * question.heterogeneity / question.noise
    pool, speed_up = _best_pool(question, m, factor, found.growth)
    return PoolOption(
        samples=m,
        cost=c,
        factor=factor,
        growth=found.growth,
        throughput=x,
        ratio_equal=pool_time_ratio(x, factor),
        ratio_weighted=pool_time_ratio(x, factor, best_weight(factor)),
        weight=ratio / noisy if (noisy := factor * ratio + found.growth) else 1 / factor,
        helps_from=max(1, floor(c * question.first * (factor - 2)) + 1),
        alone_from=float(f"{zeroth_order_alone(found.growth, c):.12g}"),  # 18, not 17.999…
        speed_up=float("nan") if different else speed_up,
        pool=None if different else pool,
        straggler_from=_whole(straggler_switch(factor, c, ratio)) if different else float("nan"),
    )


def _whole(limit: float) -> float:
    """The least whole number above a limit."""
    return limit if limit == inf else float(floor(limit) + 1)


def _best_pool(question: PoolQuestion, m: int, factor: float, growth: float) -> tuple[Pool, float]:
    """Who should take part, and the equilibrium time of the gradients alone over theirs."""
    R, n1, n0 = question.noise / question.target, question.first, question.zeroth
    gradients, weights = [question.gradient_cost] * n1, [R] * n1
    helpers, theirs = [question.seconds(m)] * n0, [factor * R + growth] * n0
    alone = equilibrium_time_homogeneous(gradients, weights)
    together = equilibrium_time_homogeneous(gradients + helpers, weights + theirs)
    if together >= alone:
        return "gradients", 1.0
    without = equilibrium_time_homogeneous(helpers, theirs)
    return "helpers" if without <= together else "all", alone / together


def _join(question: PoolQuestion, best: PoolOption) -> str:
    if best.speed_up <= LEAST_GAIN:
        return (
            f"No: at E|∇f|² = {question.target:g} the whole pool is at most 1 % faster than the "
            f"{question.first} workers with gradients alone."
        )
    if best.pool == "helpers":
        return (
            f"Yes: let the {question.zeroth} without gradients work alone, with "
            f"m = {best.samples}; expect {best.speed_up:.3g} times the speed of the "
            f"{question.first} with gradients at E|∇f|² = {question.target:g}, which those would "
            "only hold up."
        )
    return (
        f"Yes: let all {question.zeroth} join with m = {best.samples}, each estimate with weight "
        f"{best.weight:.3g} of a gradient's; expect {best.speed_up:.3g} times the speed at "
        f"E|∇f|² = {question.target:g} (equal weights help from n0 = {best.helps_from} on)."
    )


def _switch(question: PoolQuestion, best: PoolOption) -> str:
    workers, limit = question.first + question.zeroth, best.straggler_from
    if limit == inf:
        return (
            "No: every candidate takes as long as a gradient or longer, so with data of their own "
            "all workers should keep to gradients."
        )
    say = "Yes" if workers >= limit else "No"
    return (
        f"{say}: with data of their own, the slowest of n workers should take m = {best.samples} "
        f"vectors in place of a gradient from n = {limit:.0f} on (here n = {workers}), if its "
        f"gradients take at least {1 / best.cost:.3g} times as long as the next worker's; all "
        "others should keep to gradients."
    )
