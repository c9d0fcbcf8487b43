"""Time that asynchronous methods take, in closed form, in units of L Δ/ε seconds.

Everywhere R = σ²/ε, τ_i the seconds of one gradient of worker i, L the smoothness,
Δ = f(x^0) − inf f, and ε the target of E|∇f|². The formulas hold up to absolute
constants: ratios of them and their slopes are what runs can be compared with.
"""

from collections.abc import Callable, Sequence
from math import log

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
TimeOf = Callable[[float], float]
"""R -> seconds in units of L Δ/ε."""


def minibatch_time(seconds: Sequence[float], noise_ratio: float) -> float:
    """Rounds of one gradient of every worker.

    Formula:
        τ_n (1 + R/n).

    Source:
        Tyurin and Richtárik 2023 (table); a round lasts τ_n and averages n gradients.

    Args:
        seconds: τ_i, shape [n].
        noise_ratio: R.

    Example:
        τ = (1, 3), R = 4: 9 = 3*(1 + 4/2).
    """
    return max(seconds) * (1.0 + noise_ratio / len(seconds))


def heterogeneous_time(seconds: Sequence[float], noise_ratio: float) -> float:
    """The optimal time where nothing is known of how alike the workers' data are.

    Formula:
        τ_n + (R/n) τ_avg.

    Source:
        Malenia: Tyurin and Richtárik 2023; Ringleader ASGD: Maranjyan and Richtárik 2025.

    Args:
        seconds: τ_i, shape [n].
        noise_ratio: R.

    Example:
        τ = (1, 3), R = 4: 7 = 3 + 4/2*2.
    """
    return max(seconds) + noise_ratio / len(seconds) * float(np.mean(seconds))


def homogeneous_time(seconds: Sequence[float], noise_ratio: float) -> float:
    """The optimal time where all workers have the same data.

    Formula:
        min_m ((1/m) Σ_{i<=m} 1/τ_i)⁻¹ (1 + R/m), workers from fast to slow.

    Source:
        Rennala: Tyurin and Richtárik 2023; Ringmaster ASGD: Maranjyan, Tyurin and Richtárik 2025.

    Args:
        seconds: τ_i, shape [n].
        noise_ratio: R.

    Example:
        τ = (1, 3), R = 1: 2 = 1*(1 + 1/1), the fast worker alone.
    """
    return float(_prefix_times(seconds, noise_ratio).min())


def fastest_workers(seconds: Sequence[float], noise_ratio: float) -> int:
    """The m at which `homogeneous_time` is attained: those whom naive optimal ASGD employs.

    Example:
        τ = (1, 3), R = 1: 1.
    """
    return int(_prefix_times(seconds, noise_ratio).argmin()) + 1


def asgd_time(seconds: Sequence[float], noise_ratio: float) -> float:
    """Vanilla and delay-adaptive asynchronous SGD on homogeneous data.

    Formula:
        ((1/n) Σ 1/τ_i)⁻¹ (1 + R/n).

    Source:
        Mishchenko et al. 2022; Koloskova et al. 2022 (as compared by Tyurin and Richtárik 2023).

    Args:
        seconds: τ_i, shape [n].
        noise_ratio: R.

    Example:
        τ = (1, 3), R = 4: 4.5 = 2/(1 + 1/3)*(1 + 4/2).
    """
    return float(_prefix_times(seconds, noise_ratio)[-1])


def _prefix_times(seconds: Sequence[float], noise_ratio: float) -> Array:
    """((1/m) Σ_{i<=m} 1/τ_i)⁻¹ (1 + R/m) of the m fastest, shape [n]."""
    fast = np.sort(np.asarray(seconds, dtype=float))
    result: Array = (np.arange(1, len(fast) + 1) + noise_ratio) / np.cumsum(1.0 / fast)
    return result


def homogeneous_time_with_links(
    seconds: Sequence[float], links: Sequence[float], noise_ratio: float
) -> float:
    """The optimal time on the same data where sending a gradient takes time.

    Formula:
        min_k max{max(τ_{π_k→j}, h_{π_k}), R (Σ_{i<=k} 1/h_{π_i})⁻¹}, π by max(h, τ→j): h the
        seconds of a gradient, τ→j those of the way to the server.

    Source:
        Fragile SGD: Tyurin and Richtárik 2024, for one server.

    Args:
        seconds: h_i, shape [n].
        links: τ_{i→j}, shape [n].
        noise_ratio: R.

    Example:
        h = (1, 1), τ→j = (0, 10), R = 4: 4 = 4/1, without the far worker.
    """
    h, reach = np.asarray(seconds, dtype=float), np.maximum(seconds, links)
    order = np.argsort(reach, kind="stable")
    waiting = np.maximum(reach[order], noise_ratio / np.cumsum(1.0 / h[order]))
    return float(waiting.min())


def heterogeneous_time_with_links(
    seconds: Sequence[float], links: Sequence[float], noise_ratio: float
) -> float:
    """The optimal time on different data where sending a gradient takes time.

    Formula:
        max{max_i τ_i→j, max_i h_i, (R/n) h_avg}.

    Source:
        Amelie SGD: Tyurin and Richtárik 2024.

    Args:
        seconds: h_i, shape [n].
        links: τ_{i→j}, shape [n].
        noise_ratio: R.

    Example:
        h = (1, 1), τ→j = (0, 10), R = 4: 10 = max(10, 1, 2).
    """
    average = noise_ratio / len(seconds) * float(np.mean(seconds))
    return max(*seconds, *links, average)


def noise_slope(time_of: TimeOf, noise: float, larger: float, smaller: float) -> float:
    """Slope of log T against log(1/ε) between two targets, of a time in units of L Δ/ε.

    Args:
        time_of: R -> seconds in units of L Δ/ε.
        noise: σ².
        larger, smaller: the two targets ε.

    Example:
        T = 1 + R, σ² = 1, ε from 1 to 1/3: 0.6309 = log(2)/log(3).
    """
    later, earlier = time_of(noise / smaller), time_of(noise / larger)
    return log(later / earlier) / log(larger / smaller)


def tridiagonal_slope(time_of: TimeOf, noise: float, larger: float, smaller: float) -> float:
    """The slope of log time against log(1/ε) on Nesterov's tridiagonal quadratic.

    Formula:
        2/3 + d log T/d log(1/ε). The spectral measure of e_1 has density sqrt(λ) near 0, so
        without noise |∇f(x_k)|² falls like (γk)^{−3/2}, and K is ε^{−2/3}, not ε^{−1}; T comes on
        top by the steps that noise asks for. Holds while γ k λ_min << 1.

    Source:
        own derivation.

    Args:
        time_of: R -> seconds in units of L Δ/ε.
        noise: σ².
        larger, smaller: the two targets ε.

    Example:
        minibatch, n = 32, σ² = 1, ε from 0.01 to 0.001: 1.560 = 2/3 + log10((32+1000)/(32+100)).
    """
    return 2.0 / 3.0 + noise_slope(time_of, noise, larger, smaller)


def ringleader_round_bound(seconds: Sequence[float]) -> float:
    """The longest that a round (n updates) of Ringleader ASGD may take.

    Formula:
        2 τ_n; attained. Any n consecutive updates that do not start with a round may take longer.

    Source:
        Maranjyan and Richtárik 2025; here tested on random speeds.

    Example:
        τ = (1, 3): 6 = 2*3.
    """
    return 2.0 * max(seconds)


def malenia_round_bound(seconds: Sequence[float], batch: float) -> float:
    """The longest that a round of Malenia with batch S may take.

    Formula:
        τ_n + (S/n) τ_avg.

    Source:
        Tyurin and Richtárik 2023; here tested on random speeds.

    Example:
        τ = (1, 3), S = 4: 7 = 3 + 4/2*2.
    """
    return heterogeneous_time(seconds, batch)


def rennala_round_bound(seconds: Sequence[float], batch: float) -> float:
    """The longest that a round of Rennala with batch S may take.

    Formula:
        min_m (Σ_{i<=m} 1/τ_i)⁻¹ (S + m).

    Source:
        Tyurin and Richtárik 2023; here tested on random speeds.

    Example:
        τ = (1, 3), S = 4: 4.5 = (4 + 2)/(1 + 1/3), sooner than 5 = (4 + 1)/1.
    """
    return float(_prefix_times(seconds, batch).min())


def ringmaster_time_bound(seconds: Sequence[float], threshold: int) -> float:
    """The longest that R consecutive updates of Ringmaster ASGD may take, R the threshold.

    Formula:
        2 min_m (Σ_{i<=m} 1/τ_i)⁻¹ (R + m).

    Source:
        Maranjyan, Tyurin and Richtárik 2025; the factor 2 is slack on every random schedule tried
        here (largest ratio .51).

    Example:
        τ = (1, 3), R = 4: 9 = 2*(4 + 2)/(1 + 1/3).
    """
    return 2.0 * rennala_round_bound(seconds, threshold)
