"""`hzbench advise`: should zeroth-order nodes join first-order ones, and how.

The idea: near the optimum all that matters of a node is its noise s_i and the growth τ_i of that
noise with the gradient; closed forms (theory/hybrid_design.py) turn them into floors, step sizes
and limits. All-reduce on the curvature L stands for the run: every protocol in which all nodes step
equally often has its floor for small steps, and no spectrum below L is less stable.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import floor, inf, log1p
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from hzbench.core.errors import UserMistakeError
from hzbench.core.structure import Difference, DirectionLaw
from hzbench.theory.directions import direction_moments
from hzbench.theory.hybrid_design import crossover_count, exact_floor, optimal_steps
from hzbench.theory.steady_forms import all_reduce_factor

Array = NDArray[np.float64]
Scheme = Literal["alone", "equal", "weighted"]
TINY, HUGE = 1e-100, 1e100  # beyond these, products of a few sizes leave double precision


@dataclass(frozen=True, kw_only=True)
class Question:
    """What is asked.

    Attributes:
        first: n_1, first-order nodes.
        zeroth: n_0, zeroth-order nodes that could join.
        dimension: d.
        noise: s_1, trace of the covariance of a first-order estimate at the optimum.
        ratio: noise of a zeroth-order estimate with one random vector over s_1; None: that of
            shared data and no noise of its own, ω.
        shared: part of s_1 that random vectors cannot average away (1: all vectors of an estimate
            use the same data; 0: each draws its own; above 1 only with a ratio: batches smaller
            than those of the first-order nodes).
        directions: law of the random vectors.
        difference: which difference; it sets the calls of an estimate.
        samples: candidates for m, the number of random vectors.
        gradient_cost: of one gradient, in any unit of time.
        function_cost: of one function value (or directional derivative), in the same unit.
        smoothness: L.
        strong_convexity: μ; it sets the speed.
        target: floor E f(x̄) − f* to reach.
    """

    first: int
    zeroth: int
    dimension: int
    noise: float = 1.0
    ratio: float | None = None
    shared: float = 1.0
    directions: DirectionLaw = "sphere"
    difference: Difference = "central"
    samples: tuple[int, ...] = (1, 2, 4, 8, 16)
    gradient_cost: float = 3.0
    function_cost: float = 1.0
    smoothness: float = 1.0
    strong_convexity: float = 0.1
    target: float = 1e-2

    def __post_init__(self) -> None:
        """Check the numbers.

        Raises:
            UserMistakeError: every number out of range, in one message.
        """
        found = [*self._counts_wrong(), *self._sizes_wrong(), *self._noise_wrong()]
        if self.strong_convexity > self.smoothness:
            found.append(
                f"got strong_convexity {self.strong_convexity:g} above smoothness "
                f"{self.smoothness:g}; expected at most that; lower it"
            )
        if found:
            raise UserMistakeError("\n".join(found))

    def _counts_wrong(self) -> list[str]:
        limits = {"first": 10**6, "zeroth": 10**6, "dimension": 10**9}
        shown = ((name, getattr(self, name), most) for name, most in limits.items())
        wrong = [
            f"got {name} = {value}; expected a whole number from 1 to {most}; correct it"
            for name, value, most in shown
            if not 1 <= value <= most
        ]
        if not self.samples or not all(1 <= m <= 10**9 for m in self.samples):
            wrong.append(
                f"got samples {list(self.samples)}; expected whole numbers from 1 to {10**9}; "
                "correct them"
            )
        return wrong

    def _sizes_wrong(self) -> list[str]:
        names = ("noise", "gradient_cost", "function_cost")
        shown = [
            (n, getattr(self, n)) for n in (*names, "smoothness", "strong_convexity", "target")
        ]
        wrong = [f"{name} = {value:g}" for name, value in shown if not TINY <= value <= HUGE]
        numbers = f"expected numbers from {TINY:g} to {HUGE:g}"
        return [f"got {', '.join(wrong)}; {numbers}; correct them"] if wrong else []

    def _noise_wrong(self) -> list[str]:
        """The ratio's default, ω, is that of equal batches: more than all of s_1 cannot stay."""
        most = 1.0 if self.ratio is None else HUGE
        if not 0.0 <= self.shared <= most:
            return [
                f"got shared = {self.shared:g}; expected a number from 0 to {most:g}, the part of "
                "the noise that no random vector averages away; correct it"
            ]
        least = max(self.shared, TINY)
        if self.ratio is not None and not least <= self.ratio <= HUGE:
            return [
                f"got ratio = {self.ratio:g}; expected a number from {least:g}, the part of the "
                f"noise that no random vector averages away, to {HUGE:g}; correct it"
            ]
        return []

    def zeroth_noise(self, m: int) -> float:
        """s_0(m) = s_1 [c + (r − c)/m], r the ratio at m = 1 and c the shared part."""
        single = direction_moments(self.directions, self.dimension).omega
        ratio = single if self.ratio is None else self.ratio
        return self.noise * (self.shared + (ratio - self.shared) / m)

    def growth(self, m: int) -> float:
        """τ(m) = (ω − 1)/m."""
        return (direction_moments(self.directions, self.dimension).omega - 1) / m

    def calls(self, m: int) -> int:
        """Function values (or derivatives) in one estimate."""
        return {"central": 2 * m, "forward": m + 1, "directional_derivative": m}[self.difference]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """One way to run, with the largest step sizes that keep the target floor.

    Attributes:
        scheme: first-order nodes alone, one step size for all, or one per kind.
        step_first, step_zeroth: step sizes of the two kinds (0: the kind does not run).
        floor: exact floor of all-reduce at the curvature L.
        limit: factor by which all step sizes could grow before the second moment diverges.
        rounds: rounds in which the gap's slowest mode falls by e in the mean square.
        time: rounds times the time of the slower kind's estimate.
        cost: rounds times the cost of all estimates of a round.
    """

    scheme: Scheme
    step_first: float
    step_zeroth: float
    floor: float
    limit: float
    rounds: float
    time: float
    cost: float


@dataclass(frozen=True, kw_only=True)
class Option:
    """What one number of random vectors gives.

    Attributes:
        samples: m.
        noise_ratio: s_0/s_1.
        threshold: n_0* at the equal step size (exact).
        needed: helpers from which equal step sizes help.
        floor_equal, floor_weighted: floor over that of the first-order nodes alone, at equal mean
            step size (that of `alone`, or less where it would be unstable).
        equal, weighted: the plans.
    """

    samples: int
    noise_ratio: float
    threshold: float
    needed: int
    floor_equal: float
    floor_weighted: float
    equal: Plan
    weighted: Plan


@dataclass(frozen=True, kw_only=True)
class Advice:
    """The answer.

    Attributes:
        question: what was asked.
        alone: the first-order nodes alone.
        options: one a candidate number of random vectors.
        samples: the best m.
        plan: the fastest plan.
        speed_up: time of `alone` over that of `plan`.
        join: whether zeroth-order nodes should join.
        sentence: the advice in words.
    """

    question: Question
    alone: Plan
    options: tuple[Option, ...]
    samples: int
    plan: Plan
    speed_up: float
    join: bool
    sentence: str


def advise(question: Question) -> Advice:
    """Compare all candidates and take the fastest plan that reaches the target floor."""
    alone = _plan(question, 0, 1, "alone")
    options = tuple(_option(question, m, alone) for m in dict.fromkeys(question.samples))
    pairs = [(plan, o.samples) for o in options for plan in (o.equal, o.weighted)]
    best, m = min(pairs, key=lambda pair: pair[0].time)
    speed_up = alone.time / best.time
    join = speed_up > 1.0
    if not join:
        best, speed_up = alone, 1.0
    return Advice(
        question=question,
        alone=alone,
        options=options,
        samples=m,
        plan=best,
        speed_up=speed_up,
        join=join,
        sentence=_sentence(question, options, m, best, speed_up),
    )


def noises(question: Question, n0: int, m: int) -> tuple[Array, Array]:
    """(s_i, τ_i) of n_1 first-order and n0 zeroth-order nodes, shape [n]."""
    n1 = question.first
    noise = np.array([question.noise] * n1 + [question.zeroth_noise(m)] * n0)
    return noise, np.array([0.0] * n1 + [question.growth(m)] * n0)


def steps_of(question: Question, n0: int, m: int, mean_step: float, scheme: Scheme) -> Array:
    """Step sizes of all nodes with a given mean: equal, or of the lowest exact floor."""
    noise, growth = noises(question, n0, m)
    if scheme == "weighted":
        return optimal_steps(question.smoothness, mean_step, noise, growth)
    return np.full(len(noise), mean_step)


def floor_ratio(question: Question, n0: int, m: int, step: float, scheme: Scheme) -> float:
    """Floor with n0 helpers over the floor without, at one mean step size; inf if unstable."""
    L = question.smoothness
    alone = exact_floor(L, np.full(question.first, step), *noises(question, 0, 1))
    try:
        steps = steps_of(question, n0, m, step, scheme)
    except ValueError:
        return inf
    return exact_floor(L, steps, *noises(question, n0, m)) / alone


def _option(question: Question, m: int, alone: Plan) -> Option:
    n0, eta = question.zeroth, alone.step_first
    equal = _plan(question, n0, m, "equal")
    zeroth = question.zeroth_noise(m)
    threshold = crossover_count(
        question.first,
        question.noise,
        zeroth,
        edge=eta * question.smoothness,
        growth=question.growth(m),
    )
    return Option(
        samples=m,
        noise_ratio=zeroth / question.noise,
        threshold=threshold,
        needed=max(1, floor(threshold) + 1),
        floor_equal=floor_ratio(question, n0, m, eta, "equal"),
        floor_weighted=floor_ratio(question, n0, m, eta, "weighted"),
        equal=equal,
        weighted=_plan(question, n0, m, "weighted"),
    )


def _plan(question: Question, n0: int, m: int, scheme: Scheme) -> Plan:
    """The largest mean step size whose floor is at most the target, and what it gives.

    Larger steps than the fastest contraction, (1 + Στη²/(nη̄)²)^(−1)/L, only add noise: they are
    never taken, which keeps every plan at half its stability limit or less.
    """
    L, n1 = question.smoothness, question.first
    noise, growth = noises(question, n0, m)

    def found(mean_step: float) -> Array:
        return steps_of(question, n0, m, mean_step, scheme)

    steps = found(_largest(lambda step: _fits(question, found, step, noise, growth), 1.0 / L))
    weight = float(steps**2 @ growth) / (len(steps) * steps.mean()) ** 2
    limit = float(2.0 / (L * (1.0 + weight)) / steps.mean())
    rounds = rounds_to_shrink(question.strong_convexity, steps, growth)
    gradient, values = question.gradient_cost, question.function_cost * question.calls(m)
    return Plan(
        scheme=scheme,
        step_first=float(steps[0]),
        step_zeroth=float(steps[-1]) if n0 else 0.0,
        floor=exact_floor(L, steps, noise, growth),
        limit=limit,
        rounds=rounds,
        time=rounds * (max(gradient, values) if n0 else gradient),
        cost=rounds * (n1 * gradient + n0 * values),
    )


def rounds_to_shrink(mu: float, steps: Array, growth: Array) -> float:
    """Rounds in which the mean square of a mode of curvature μ falls by e, at least one.

    Formula:
        −1/ln F, F = (1 − η̄μ)² + μ²Ση_i²τ_i/n²: exact where every curvature is μ. Steeper modes
        beside it change what of its noise comes back to it: 0.2 % fewer rounds in README's example.

    Source:
        own derivation (C6).
    """
    noisy = float(steps**2 @ growth) / len(steps) ** 2
    decay = 2.0 * steps.mean() * mu - mu**2 * (steps.mean() ** 2 + noisy)
    return max(1.0, -1.0 / log1p(-decay)) if decay < 1.0 else 1.0


def _fits(
    question: Question,
    found: Callable[[float], Array],
    step: float,
    noise: Array,
    growth: Array,
) -> bool:
    """Whether a mean step reaches the target without passing the fastest contraction."""
    L = question.smoothness
    try:
        steps = found(step)
    except ValueError:
        return False
    weight = float(steps**2 @ growth) / (len(steps) * step) ** 2
    fast = step * L * (1.0 + weight) <= 1.0 and all_reduce_factor(L, steps, growth) < 1.0
    return fast and exact_floor(L, steps, noise, growth) <= question.target


def _largest(fits: Callable[[float], bool], high: float) -> float:
    """The largest step that fits, by bisection in the logarithm (fits is monotone)."""
    if fits(high):
        return high
    low = high
    while not fits(low):
        low /= 2.0
        if low < 1e-12 * high:
            raise UserMistakeError(
                "got a target floor that no step size reaches in double precision; expected one "
                "nearer to the noise; raise --target or lower --noise"
            )
    high = 2.0 * low
    for _ in range(60):
        middle = (low * high) ** 0.5
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low


def _sentence(
    question: Question, options: tuple[Option, ...], m: int, best: Plan, speed_up: float
) -> str:
    chosen = next(option for option in options if option.samples == m)
    if best.scheme == "alone":
        return (
            f"No: with these costs no candidate reaches the floor {question.target:g} sooner than "
            f"the {question.first} first-order nodes alone."
        )
    how = "with step sizes by kind" if best.scheme == "weighted" else "with one step size for all"
    needed = f"one step size for all helps from n0 = {chosen.needed} on"
    return (
        f"Yes: let all {question.zeroth} join with m = {m}, {how}; expect {speed_up:.3g} times the "
        f"speed at the same floor ({needed})."
    )
