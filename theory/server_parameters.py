"""Parameters that the theory of asynchronous methods asks for: step size, batch, threshold.

From L (every f_i is L-smooth), σ² (trace of the noise of one gradient) and the target ε of E|∇f|².
Formulas marked RECALLED are from memory of the papers and have not been confirmed against them.
"""

from collections.abc import Sequence
from math import ceil, inf

from hzbench.theory.time_complexity import fastest_workers


def batch_of(noise: float, target: float, workers: int = 1) -> int:
    """S: Rennala's gradients a round, or Malenia's harmonic batch with `workers` = n.

    Formula:
        max(n, ceil(σ²/ε)), n = 1 for Rennala.

    Source:
        Rennala: the authors' code (stepsizes.py); Malenia: RECALLED, Tyurin and Richtárik 2023.

    Example:
        σ² = 1, ε = 0.3: 4 = ceil(3.33).
    """
    return max(workers, ceil(_ratio(noise, target)))


def delay_threshold(noise: float, target: float) -> int:
    """R: delays from which Ringmaster ASGD discards.

    Formula:
        max(1, ceil(σ²/ε)).

    Source:
        RECALLED, Maranjyan, Tyurin and Richtárik 2025.

    Example:
        σ² = 1, ε = 0.3: 4 = ceil(3.33).
    """
    return batch_of(noise, target)


def round_step(smoothness: float, noise: float, target: float, batch: int) -> float:
    """γ of Rennala, Malenia and minibatch rounds whose estimate has variance at most σ²/S.

    Formula:
        min(1/L, ε S/(2 L σ²)).

    Source:
        Rennala: the authors' code (stepsizes.py); Malenia: RECALLED, the same. With the descent
        lemma, avg E|∇f|² <= 2Δ/(γK) + γ L σ²/S, which is ε after K = 4Δ/(γ ε) rounds (own
        derivation). A minibatch of one gradient of every worker has S = n.

    Args:
        smoothness: L.
        noise: σ².
        target: ε.
        batch: S.

    Example:
        L = 2, σ² = 1, ε = 0.1, S = 4: 0.1 = 0.1*4/(2*2*1).
    """
    return min(1.0, 0.5 * batch / _ratio(noise, target) if noise else inf) / smoothness


def ringmaster_step(smoothness: float, noise: float, target: float, threshold: int) -> float:
    """γ of Ringmaster ASGD.

    Formula:
        min(1/(2 R L), ε/(4 L σ²)).

    Source:
        RECALLED, Maranjyan, Tyurin and Richtárik 2025; consistent with
        avg |∇f|² <= 2Δ/(γK) + 2γLσ² at K = 4Δ/(γ ε) (own derivation).

    Example:
        L = 2, σ² = 1, ε = 0.1, R = 10: 0.0125 = min(1/40, 0.1/8).
    """
    quiet = 0.25 / _ratio(noise, target) if noise else inf
    return min(0.5 / threshold, quiet) / smoothness


def ringleader_step(
    smoothness: float, noise: float, target: float, workers: int, harmonic_batch: float
) -> float:
    """γ of Ringleader ASGD.

    Formula:
        min(1/(8 n L), ε B/(10 L σ²)), B = inf_k (1/n Σ 1/b_i^k)⁻¹; known to be at least
        τ_n/(2 τ_avg) (`harmonic_batch_bound`).

    Source:
        Maranjyan and Richtárik 2025.

    Args:
        smoothness: L.
        noise: σ².
        target: ε.
        workers: n.
        harmonic_batch: B.

    Example:
        L = 2, σ² = 1, ε = 0.1, n = 4, B = 2: 0.01 = min(1/64, 0.1*2/20).
    """
    quiet = 0.1 * harmonic_batch / _ratio(noise, target) if noise else inf
    return min(0.125 / workers, quiet) / smoothness


def harmonic_batch_bound(seconds: Sequence[float]) -> float:
    """The least B that Ringleader's rounds can have; no worker arrives less than once a round.

    Formula:
        max(1, τ_n/(2 τ_avg)).

    Source:
        Maranjyan and Richtárik 2025 (the second term); b_i >= 1 (the first).

    Example:
        τ = (1, 1, 1, 13): 1.625 = 13/(2*4).
    """
    return max(1.0, max(seconds) * len(seconds) / (2.0 * sum(seconds)))


def employed(seconds: Sequence[float], noise: float, target: float) -> int:
    """m*: how many of the fastest workers naive optimal ASGD employs.

    Formula:
        argmin_m (1/m Σ_{i<=m} 1/τ_i)⁻¹ (1 + σ²/(ε m)).

    Source:
        RECALLED, Maranjyan, Tyurin and Richtárik 2025.

    Example:
        τ = (1, 3), σ² = ε: 1.
    """
    return fastest_workers(seconds, _ratio(noise, target))


def delay_cap(smoothness: float, step_size: float) -> float:
    """The cap c in γ min(1, c/δ) of delay-adaptive ASGD.

    Formula:
        1/(4 L γ): the step is γ up to δ = n, then at most 1/(4 L δ).

    Source:
        RECALLED, Koloskova, Stich and Jaggi 2022.

    Example:
        L = 2, γ = 0.01: 12.5 = 1/(4*2*0.01).
    """
    return 1.0 / (4.0 * smoothness * step_size)


def updates_needed(gap: float, step_size: float, target: float) -> int:
    """K after which the step sizes above give avg E|∇f|² <= ε.

    Formula:
        ceil(4 Δ/(γ ε)).

    Source:
        own derivation from avg |∇f|² <= 2Δ/(γK) + ε/2; Ringmaster: 8RLΔ/ε + 16σ²LΔ/ε² and
        Ringleader: 32nLΔ/ε + 40σ²LΔ/(Bε²) are at least that (RECALLED).

    Args:
        gap: Δ = f(x^0) − inf f.
        step_size: γ.
        target: ε.

    Example:
        Δ = 1, γ = 0.01, ε = 0.1: 4000 = 4/(0.01*0.1).
    """
    return ceil(4.0 * gap / (step_size * target) - 1e-9)


def _ratio(noise: float, target: float) -> float:
    """σ²/ε, from decimals without the last bit of rounding.

    Raises:
        ValueError: a target that is not positive.
    """
    if not target > 0:
        raise ValueError(f"got the target {target}; expected ε > 0; raise it")
    return round(noise / target, 12)
