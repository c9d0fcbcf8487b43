"""When zeroth-order nodes help, and how to let them: closed forms on numbers.

n_1 first-order nodes with noise s_1 and n_0 zeroth-order nodes with noise s_0 (traces at the
optimum) on f = (a/2)|x − x*|²; τ is the growth of a node's noise with |h|². All-reduce unless said.
"""

from dataclasses import dataclass
from math import inf

import numpy as np
from numpy.typing import NDArray

from hzbench.theory.steady_forms import all_reduce_factor

Array = NDArray[np.float64]


def crossover_count(
    n1: int, first: float, zeroth: float, *, edge: float = 0.0, growth: float = 0.0
) -> float:
    """n_0*: with one step size the hybrid's floor is lower iff n_0 > n_0*.

    Formula:
        n_0* = n_1(s_0/s_1 − 2) + ηa τ/(2 − ηa); exact at any ηa = `edge` < 2.

    Source:
        own derivation (D1, D2).
    """
    return n1 * (zeroth / first - 2.0) + edge * growth / (2.0 - edge)


def exact_floor(a: float, steps: Array, noise: Array, growth: Array) -> float:
    """E f(x̄) − f* in the steady state; inf beyond the stability limit.

    Formula:
        (a/2) Ση_i²s_i/n²/(1 − F), F = (1 − η̄a)² + a²Ση_i²τ_i/n².

    Source:
        own derivation (C6, D5).
    """
    F = all_reduce_factor(a, steps, growth)
    return float(0.5 * a * (steps**2 @ noise) / len(steps) ** 2 / (1.0 - F)) if F < 1 else inf


def gap_at(
    a: float, steps: Array, noise: Array, growth: Array, start: float, t: int | Array
) -> Array:
    """E f(x̄_t) − f* from |x̄_0 − x*|² = `start`, stable or not.

    Formula:
        (a/2)(F^t v_0 + Ση_i²s_i/n² · (1 − F^t)/(1 − F)).

    Source:
        own derivation (C6).
    """
    F = all_reduce_factor(a, steps, growth)
    t = np.asarray(t, dtype=float)
    injected = (steps**2 @ noise) / len(steps) ** 2
    summed = t if F == 1.0 else (1.0 - F**t) / (1.0 - F)
    result: Array = 0.5 * a * (F**t * start + injected * summed)
    return result


@dataclass(frozen=True, kw_only=True)
class Budget:
    """Hybrid over first-order alone, both with the step size that gives the target floor.

    Attributes:
        rounds: ratio of the rounds (parallel time) to a given accuracy.
        calls: ratio of the estimates drawn by all nodes together.
    """

    rounds: float
    calls: float


def budget(n1: int, n0: int, first: float, zeroth: float) -> Budget:
    """What a fixed floor costs, small and equal step sizes.

    Formula:
        rounds (Σs/n²)/(s_1/n_1); estimates mean(s)/s_1, at least 1 whenever s_0 ≥ s_1: per estimate
        zeroth-order nodes with equal steps never help, they only run beside the others.

    Source:
        own derivation (D3).
    """
    n, total = n1 + n0, n1 * first + n0 * zeroth
    return Budget(rounds=total / n**2 / (first / n1), calls=total / n / first)


def inverse_variance_steps(mean_step: float, noise: Array) -> Array:
    """η_i ∝ 1/s_i with mean `mean_step`, shape [n].

    Formula:
        floor uniform/weighted = mean(s) mean(1/s); hybrid/first-order alone =
        (n_1/s_1)/(n_1/s_1 + n_0/s_0) < 1 for every n_0 > 0: no crossover (small steps).

    Source:
        own derivation (D4).
    """
    weights = 1.0 / noise
    result: Array = mean_step * weights / weights.mean()
    return result


def optimal_steps(a: float, mean_step: float, noise: Array, growth: Array) -> Array:
    """The step sizes of given mean with the lowest exact floor, shape [n].

    Formula:
        η_i ∝ 1/e_i, e_i = s_i + τ_i a²v, with v = E|x̄|² = η̄²/((1 − (1−η̄a)²) Σ1/e_i) the steady
        state that they cause. Far from the optimum a²v is |∇f|²: a zeroth-order node deserves more
        weight as the gradient shrinks.

    Source:
        own derivation (D5).

    Raises:
        ValueError: no step sizes of this mean are stable, or some node is noise-free.
    """
    damping = 1.0 - (1.0 - mean_step * a) ** 2
    if (noise <= 0).any():
        raise ValueError("got a noise-free node; expected noise > 0; give it all the weight")
    loudest = 0.0 if (growth <= 0).any() else (mean_step * a) ** 2 / float(np.sum(1.0 / growth))
    if loudest >= damping:
        raise ValueError(f"got a mean step of {mean_step:.4g}; expected a stable one; lower it")
    level = 0.0
    for _ in range(100_000):
        effective = noise + growth * a**2 * level
        following = mean_step**2 / (damping * float(np.sum(1.0 / effective)))
        if abs(following - level) <= 1e-15 * following:
            break
        level = following
    return inverse_variance_steps(mean_step, noise + growth * a**2 * level)


def weighting_bias(a: float, steps: Array, offsets: Array) -> Array:
    """E x̄ − x* that unequal step sizes cause, shape [d].

    Formula:
        Ση_iβ_i/(aΣη_i), 0 if each kind's β sum to 0.

    Source:
        own derivation (D6).
    """
    result: Array = steps @ offsets / (a * steps.sum())
    return result


def noise_free_optimum(n: int, growth: float) -> tuple[float, float]:
    """(ηa, F) of the fastest contraction of E|x̄|² by n equal nodes without additive noise.

    Formula:
        ηa = n/(n + τ), F = τ/(n + τ): linear speed-up until n ≈ τ = (ω − 1)/m.

    Source:
        own derivation (D7).
    """
    return n / (n + growth), growth / (n + growth)


def pair_floor(eta: float, noise: Array, heterogeneity: float) -> float:
    """E f(x̄) − f* of random pairs on the complete graph, small steps: unequal f_i act as noise.

    Formula:
        (η/4n)[mean(s) + ζ²(n − 2)/(n − 1)], ζ² = (1/n) Σ|β_i|²; with fixed matrices and a common
        Hessian there is no ζ term.

    Source:
        own derivation (D8).

    Args:
        eta: step size.
        noise: s_i at the optimum (τ_i|β_i|² included), shape [n].
        heterogeneity: ζ².
    """
    n = len(noise)
    extra = heterogeneity * (n - 2) / (n - 1)
    return float(eta / (4 * n) * (noise.mean() + extra))
