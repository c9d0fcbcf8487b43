"""Asynchronous pools of gradients and zeroth-order workers: who helps, with which weight.

A zeroth-order worker is faster and noisier: Cov of its estimate has trace ω |∇f_i|² + κ σ², and one
takes c times as long as a gradient. These are upper bounds up to constants and ratios of them; no
matching lower bound is claimed, since random directions reveal every coordinate.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, sqrt

import numpy as np
from numpy.typing import NDArray

from hzbench.core.structure import CoordinateLaw, DifferenceLaw, EstimatorLaw, GradientLaw
from hzbench.theory.directions import direction_moments
from hzbench.theory.oracles import averaging, batch_factor

Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class NoiseFactors:
    """Trace of the noise of one estimate: `growth` |∇f_i|² + `factor` σ².

    Attributes:
        growth: ω.
        factor: κ.
    """

    growth: float
    factor: float


def noise_factors(law: EstimatorLaw, dimension: int) -> NoiseFactors:
    """ω and κ of an estimator in the limit of small smoothing.

    Formula:
        gradients: 0 and 1/b; m independent Gaussian vectors with one data sample: (d + 1)/m and
        (d + m + 1)/m.

    Source:
        own derivation (A2, A3): the trace of the covariance with r h h' + r' S.

    Args:
        law: of the estimator.
        dimension: d.

    Example:
        Gaussian, m = 1, d = 10: ω = 11, κ = 12.
    """
    if not isinstance(law, GradientLaw | CoordinateLaw | DifferenceLaw):
        raise TypeError(f"got the law {law}; expected a gradient or differences; give its law")
    batch = batch_factor(law.batch_size)
    if not isinstance(law, DifferenceLaw):
        return NoiseFactors(growth=0.0, factor=batch)
    u, r = direction_moments(law.directions, dimension), averaging(law, dimension)
    per_vector = u.kappa * (dimension + 2) + u.gamma - 1.0
    fresh = law.data == "fresh"
    data, own = (1.0 / law.samples, 1.0 / law.samples) if fresh else (1.0, r)
    return NoiseFactors(growth=r * per_vector, factor=batch * (data + own * per_vector))


def equilibrium_time_homogeneous(
    seconds: Sequence[float], equilibrium_weights: Sequence[float]
) -> float:
    """Time of a pool on the same data, in units of L Δ/ε.

    Formula:
        min_m [τ_(m) + (Σ_{i<=m} 1/(τ_i ν_i))⁻¹], workers from fast to slow, ν_i = σ_i²/ε + ω_i,
        each estimate weighted by 1/ν_i. The set that is best for a given slowest worker holds all
        faster ones.

    Source:
        own derivation; ν_i = R is the time of Tyurin and Richtárik 2023 up to a factor 2.

    Args:
        seconds: τ_i, shape [n].
        equilibrium_weights: ν_i, shape [n].

    Example:
        τ = (1, 3), ν = (4, 6): 5 = 1 + 4, the fast worker alone, where both take 3 + 36/11.
    """
    tau, nu = np.asarray(seconds, dtype=float), np.asarray(equilibrium_weights, dtype=float)
    order = np.argsort(tau, kind="stable")
    with np.errstate(divide="ignore"):
        rates = np.cumsum(1.0 / (tau[order] * nu[order]))
    return float((tau[order] + 1.0 / rates).min())


def equilibrium_time_heterogeneous(
    seconds: Sequence[float], equilibrium_weights: Sequence[float]
) -> float:
    """Time of a pool on different data, in units of L Δ/ε.

    Formula:
        max τ_i + n⁻² Σ τ_i ν_i with ν_i = (κ_i σ² + ω_i ζ_i²)/ε, ζ_i = |∇f_i(x*)|: under
        heterogeneity zeroth-order noise does not vanish at stationarity.

    Source:
        own derivation; ν_i = R gives τ_n + (R/n) τ_avg.

    Args:
        seconds: τ_i, shape [n].
        equilibrium_weights: ν_i, shape [n].

    Example:
        τ = (1, 3), ν = (4, 6): 8.5 = 3 + (4 + 18)/4.
    """
    tau, nu = np.asarray(seconds, dtype=float), np.asarray(equilibrium_weights, dtype=float)
    return float(tau.max() + (tau * nu).sum() / len(tau) ** 2)


def pool_time_ratio(throughput: float, factor: float, weight: float = 1.0) -> float:
    """P1: time with zeroth-order workers over time without, where noise decides.

    Formula:
        (1 + κ w² x)/(1 + w x)², x = n0/(c n1) the zeroth-order estimates per gradient. Below 1 iff
        w (κ − x) < 2; least at w = 1/κ, where it is 1/(1 + x/κ) < 1 always.

    Source:
        own derivation.

    Args:
        throughput: x.
        factor: κ, noise of a zeroth-order estimate over that of a gradient.
        weight: w of a zeroth-order estimate, where a gradient has 1.

    Example:
        x = 3, κ = 12, w = 1: 2.3125 = (1 + 36)/16.
    """
    return (1.0 + factor * weight**2 * throughput) / (1.0 + weight * throughput) ** 2


def best_weight(factor: float) -> float:
    """P1: the weight that minimises `pool_time_ratio`, 1/κ; then zeroth-order workers always help.

    Example:
        κ = 12: 0.08333 = 1/12.
    """
    return 1.0 / factor


def break_even_ratio(cost_per_vector: float, dimension: int, samples: int) -> float:
    """P1: n0/n1 above which unweighted zeroth-order workers help, where noise decides.

    Formula:
        c_1 (d + 1 − m): κ < 2 + x with κ = (d + m + 1)/m, x = n0/(c_1 m n1).

    Source:
        own derivation; Gaussian vectors, one data sample for all of them.

    Args:
        cost_per_vector: c_1, seconds of one vector over those of a gradient.
        dimension: d.
        samples: m.

    Example:
        c_1 = 2/3, d = 10, m = 1: 6.667 = 2/3*(10 + 1 - 1).
    """
    return cost_per_vector * (dimension + 1 - samples)


def zeroth_order_alone(growth: float, cost: float) -> float:
    """P2: the number of zeroth-order workers beyond which they beat gradients without noise.

    Formula:
        n0 > c ω/(1 − c), from c (1 + ω/n0) < 1; never if c >= 1.

    Source:
        own derivation.

    Args:
        growth: ω.
        cost: c, seconds of an estimate over those of a gradient.

    Example:
        ω = 11, c = 0.5: 11 = 0.5*11/(1 - 0.5).
    """
    return cost * growth / (1.0 - cost) if cost < 1 else inf


def straggler_switch(factor: float, cost: float, noise_ratio: float) -> float:
    """P3: the number of workers beyond which the slowest should leave gradients, on different data.

    Formula:
        n* = sqrt((c κ_e − 1)/(1 − c) R), κ_e = κ + ω ζ²/σ², as long as c τ_n >= τ_{n−1}: the round
        becomes (1 − c) τ_n shorter, and the average (c κ_e − 1) R τ_n/n² longer.

    Source:
        own derivation. The law K ∝ 1 + ν/n behind it fails on isotropic quadratics, where one step
        is enough; there crossings are .9 to 2.2 times n*.

    Args:
        factor: κ_e.
        cost: c.
        noise_ratio: R = σ²/ε.

    Example:
        κ_e = 12, c = 0.5, R = 100: 31.62 = sqrt((6 - 1)/(1 - 0.5)*100).
    """
    if cost >= 1:
        return inf
    return sqrt(max(cost * factor - 1.0, 0.0) / (1.0 - cost) * noise_ratio)
