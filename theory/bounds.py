"""Theorems: upper bounds on the mean squared gradient along a run on smooth functions."""

from math import inf, sqrt

import numpy as np

from hzbench.core.prediction import Assumption, Prediction, Source
from hzbench.core.registry import register
from hzbench.core.setting import Setting
from hzbench.theory import sources
from hzbench.theory.bound_checks import (
    MUTANTS,
    BoundInputs,
    all_pairs,
    bound_inputs,
    constants_known,
    last_recorded,
    mixes,
    round_contraction,
    run_assumptions,
    steps_every_round,
)
from hzbench.theory.checks import assume, conclude, step_range
from hzbench.theory.estimator_bounds import estimator_bounds

VALIDITY = "all smooth f; a bound is not tight, so agreement is a sanity check only"


@register("theorem", "dsgd_nonconvex_bound", mutants=MUTANTS)
def dsgd_nonconvex_bound(setting: Setting) -> Prediction:
    """Upper bound on the path's mean squared gradient in synchronous rounds.

    Setting and assumptions: f_i L-smooth, (1/n) Σ|∇f_i − ∇f|² ≤ ζ², |E G_i − ∇f_i| ≤ b_i,
    E|G_i − E G_i|² ≤ σ_i² + τ|∇f_i|²; W doubly stochastic or a uniform matching of all nodes,
    E|WY|² ≤ (1−p)|Y|²; adapt-combine with one constant step size, every node stepping each round.

    Formula:
        (1/T) Σ_t E|∇f(x̄_t)|² ≤ 2[4(f_0−f*)/(ηT) + 4B² + (2Lη/n)(s₂ + 2τζ²) + 20L²η²Q/p +
        20L²Γ_0/(pT)], Q = (6/p)(ζ² + b₂) + (1−p)(s₂ + 2τζ²), if η ≤ 1/L, η ≤ n/(4Lτ),
        η² ≤ p²/(4L²(6 + 2τp(1−p))), η² ≤ p/(80L²τ(1−p)); B, b₂, s₂ the means of b_i, b_i², σ_i².

    Guarantee:
        upper bound, not tight: bound/measured 7.3 at best in `core`.

    Source:
        own derivation (E1).

    Args:
        setting: n nodes.

    Returns:
        Kind upper at step T: path_gradient_norm.

    Example:
        `core-tight`, case `rounds-without-noise`, step 600, f_0 − f* = 0.5, no noise, one function:
        path_gradient_norm = 0.1066667 = 8*0.5/(0.0625*600).
    """
    rounds = (steps_every_round(setting), mixes(setting))
    return _bound(setting, "dsgd_nonconvex_bound", sources.DSGD_BOUND, rounds)


@register("theorem", "pair_nonconvex_bound", mutants=MUTANTS)
def pair_nonconvex_bound(setting: Setting) -> Prediction:
    """Upper bound on the path's mean squared gradient in the pair protocol.

    Setting and assumptions: as for `dsgd_nonconvex_bound`, but at each tick one pair, uniform
    among all pairs of nodes, adapts and averages.

    Formula:
        (1/T) Σ_t E|∇f(x̄_t)|² ≤ 2[2n(f_0−f*)/(ηT) + 20nL²Γ_0/T + 80L²η²K + 4B² + (4Lη/n)K],
        K = s₂ + 2b₂ + 2(2+τ)ζ², if η ≤ n/(8L(2+τ)) and η ≤ 1/(L sqrt(320(2+τ))).

    Guarantee:
        upper bound, not tight: bound/measured 7.8 at best in `core`.

    Source:
        own derivation (E4), with Lemma 2 of Ansaripour et al. 2025.

    Args:
        setting: n nodes.

    Returns:
        Kind upper at step T: path_gradient_norm.

    Example:
        `core-tight`, case `pairs-without-noise`, step 4000, n = 12, η = 0.039, f_0 − f* = 0.5, no
        noise:
        path_gradient_norm = 0.153846 = 4*12*0.5/(0.039*4000).
    """
    pairs = (
        assume("one pair acts at each tick", setting.protocol == "pair", f"got {setting.protocol}"),
        all_pairs(setting),
    )
    return _bound(setting, "pair_nonconvex_bound", sources.PAIR_BOUND, pairs)


def dsgd_bound(g: BoundInputs) -> float:
    """The right side of `dsgd_nonconvex_bound`."""
    p, L, o = g.contraction, g.smoothness, g.oracle
    spread = o.noise + 2 * o.growth * g.heterogeneity
    Q = 6 / p * (g.heterogeneity + o.bias_square) + (1 - p) * spread
    return 2 * (
        4 * g.gap / (g.eta * g.steps)
        + 4 * o.bias**2
        + 2 * L * g.eta / g.nodes * spread
        + 20 * L**2 * g.eta**2 * Q / p
        + 20 * L**2 * g.potential / (p * g.steps)
    )


def pair_bound(g: BoundInputs) -> float:
    """The right side of `pair_nonconvex_bound`."""
    n, L, o = g.nodes, g.smoothness, g.oracle
    K = o.noise + 2 * o.bias_square + 2 * (2 + o.growth) * g.heterogeneity
    return 2 * (
        2 * n * g.gap / (g.eta * g.steps)
        + 20 * n * L**2 * g.potential / g.steps
        + 80 * L**2 * g.eta**2 * K
        + 4 * o.bias**2
        + 4 * L * g.eta / n * K
    )


def dsgd_step_limits(L: float, n: int, p: float, growth: float) -> tuple[float, ...]:
    """The four upper limits on η in `dsgd_nonconvex_bound`."""
    spread = growth * (1 - p)
    return (
        1 / L,
        n / (4 * L * growth) if growth else inf,
        p / (2 * L * sqrt(6 + 2 * p * spread)),
        sqrt(p / (80 * spread)) / L if spread > 0 else inf,
    )


def pair_step_limits(L: float, n: int, growth: float) -> tuple[float, ...]:
    """The two upper limits on η in `pair_nonconvex_bound`."""
    return n / (8 * L * (2 + growth)), 1 / (L * sqrt(320 * (2 + growth)))


def _bound(
    setting: Setting, theorem: str, source: Source, exchange: tuple[Assumption, ...]
) -> Prediction:
    common = (
        *exchange,
        *run_assumptions(setting),
        last_recorded(setting),
        *constants_known(setting),
    )
    small = _step_small(setting, all(assumption.holds for assumption in common))
    formula = pair_bound if setting.protocol == "pair" else dsgd_bound
    return conclude(
        theorem,
        statement="(1/T) Σ_t E|∇f(x̄_t)|² is at most the bound of the formula.",
        source=source,
        kind="upper",
        assumptions=(*common, small),
        steps=(setting.steps,),
        compute=lambda: ({"path_gradient_norm": np.array([formula(bound_inputs(setting))])}, {}),
        validity=VALIDITY,
        mutants=MUTANTS,
    )


def _step_small(setting: Setting, checkable: bool) -> Assumption:
    text = "the step size is below every limit of the theorem"
    if not checkable:
        return assume(text, False, "not checked: an assumption above fails")
    L, growth = setting.problem.constants.smoothness, estimator_bounds(setting).growth
    if setting.protocol == "pair":
        limits = pair_step_limits(L, setting.nodes, growth)
    else:
        limits = dsgd_step_limits(L, setting.nodes, round_contraction(setting), growth)
    eta = step_range(setting)[1]
    listed = ", ".join(f"{limit:.4g}" for limit in limits)
    return assume(text, eta <= min(limits), f"η = {eta:g}, limits {listed}, τ = {growth:g}")
