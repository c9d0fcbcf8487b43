"""Theorems: upper bounds in synchronous rounds for strongly convex (or PL) and for convex f."""

from collections.abc import Callable
from math import e, inf, isfinite, sqrt

import numpy as np
from numpy.typing import NDArray

from hzbench.core.prediction import Assumption, Prediction
from hzbench.core.registry import register
from hzbench.core.setting import Setting
from hzbench.core.structure import GeneralizedLinear, Quadratic
from hzbench.theory import sources
from hzbench.theory.bound_checks import (
    MUTANTS,
    BoundInputs,
    bound_inputs,
    constants_known,
    last_recorded,
    mixes,
    round_contraction,
    run_assumptions,
    steps_every_round,
)
from hzbench.theory.bounds import VALIDITY, dsgd_step_limits
from hzbench.theory.checks import assume, conclude, step_range
from hzbench.theory.estimator_bounds import estimator_bounds
from hzbench.theory.stacks import eigenvalue_range

Array = NDArray[np.float64]
Limits = Callable[[float, int, float, float], tuple[float, ...]]


@register("theorem", "dsgd_pl_bound", mutants=MUTANTS)
def dsgd_pl_bound(setting: Setting) -> Prediction:
    """Upper bound on the optimality gap in synchronous rounds when f is strongly convex (or PL).

    Setting and assumptions: as for `dsgd_nonconvex_bound`, and |∇f|² ≥ 2μ(f − f*).

    Formula:
        E f(x̄_t) − f* ≤ (1−r)^t (f_0 − f* + cΓ_0) + [1 − (1−r)^t]/r · [ηB² +
        (Lη²/2n)(s₂ + 2τζ²) + cη²Q], c = 10ηL²/p, r = min(ημ/4, p/8), Q as in
        `dsgd_nonconvex_bound`, if η ≤ 1/L, η ≤ n/(4Lτ), η² ≤ p²/(4L²(6 + 2τp(1−p))),
        η² ≤ p/(160L²τ(1−p)).

    Guarantee:
        upper bound, not tight: the exponent ημ/4 is an eighth of that of a quadratic.

    Source:
        own derivation (E2).

    Args:
        setting: n nodes.

    Returns:
        Kind upper at every record step from 1 on: objective_gap.

    Example:
        `core-tight`, case `rounds-without-noise`, step 300, f_0 − f* = 0.5, μ = 1, no noise:
        objective_gap = 0.0044375 = 0.5*(1 - 0.0625/4)**300.
    """
    mu = setting.problem.constants.strong_convexity
    curved = assume("f is strongly convex", isfinite(mu) and mu > 0, f"μ = {mu:g}")
    assumptions = _assumptions(setting, (curved,), pl_step_limits)
    steps = tuple(t for t in setting.record if t >= 1)
    return conclude(
        "dsgd_pl_bound",
        statement="E f(x̄_t) − f* is at most the bound of the formula.",
        source=sources.PL_BOUND,
        kind="upper",
        assumptions=assumptions,
        steps=steps,
        compute=lambda: (
            {"objective_gap": pl_bound(bound_inputs(setting), mu, np.array(steps, dtype=float))},
            {},
        ),
        validity=VALIDITY,
        mutants=MUTANTS,
    )


@register("theorem", "dsgd_convex_bound", mutants=MUTANTS)
def dsgd_convex_bound(setting: Setting) -> Prediction:
    """Upper bound on the path's mean optimality gap in synchronous rounds when every f_i is convex.

    Setting and assumptions: as for `dsgd_nonconvex_bound`, every f_i convex, x* known.

    Formula:
        (1/T) Σ_t E f(x̄_t) − f* ≤ 2e[|x̄_0−x*|²/(ηT) + (3/2)L(4Γ_0/(pT) + 4η²Q/p) + ηB²(T+2) +
        (η/n)(s₂ + 2τζ²)], with 1 for e if B = 0, if η ≤ 1/(16L), η ≤ n/(8Lτ),
        η² ≤ p²/(4L²(6 + 2τp(1−p))), η² ≤ p/(131L²τ(1−p)).

    Guarantee:
        upper bound, not tight: bound/measured 7.3 at best in `core`.

    Source:
        own derivation (E3).

    Args:
        setting: n nodes.

    Returns:
        Kind upper at step T: path_objective_gap.

    Example:
        `core-tight`, case `rounds-without-noise`, step 600, |x̄_0 − x*| = 1, no noise, one
        function:
        path_objective_gap = 0.0533333 = 2*1/(0.0625*600).
    """
    optimum = setting.problem.optimum
    known = assume("x* is known", optimum.size > 0)
    extra = (last_recorded(setting), all_convex(setting), known)
    return conclude(
        "dsgd_convex_bound",
        statement="(1/T) Σ_t E f(x̄_t) − f* is at most the bound of the formula.",
        source=sources.CONVEX_BOUND,
        kind="upper",
        assumptions=_assumptions(setting, extra, convex_step_limits),
        steps=(setting.steps,),
        compute=lambda: (
            {
                "path_objective_gap": np.array(
                    [convex_bound(bound_inputs(setting), _start(setting))]
                )
            },
            {},
        ),
        validity=VALIDITY,
        mutants=MUTANTS,
    )


def pl_bound(g: BoundInputs, mu: float, t: Array) -> Array:
    """The right side of `dsgd_pl_bound` at steps t, shape [T']."""
    p, L, o = g.contraction, g.smoothness, g.oracle
    spread, Q = _spread(g)
    c = 10 * g.eta * L**2 / p
    r = min(g.eta * mu / 4, p / 8)
    floor = g.eta * o.bias**2 + L * g.eta**2 / (2 * g.nodes) * spread + c * g.eta**2 * Q
    left = (1 - r) ** t
    result: Array = left * (g.gap + c * g.potential) + (1 - left) / r * floor
    return result


def convex_bound(g: BoundInputs, distance: float) -> float:
    """The right side of `dsgd_convex_bound`, with distance = |x̄_0 − x*|²."""
    p, L, o = g.contraction, g.smoothness, g.oracle
    spread, Q = _spread(g)
    factor = 2 * (e if o.bias > 0 else 1.0)
    consensus = 4 * g.potential / (p * g.steps) + 4 * g.eta**2 * Q / p
    return factor * (
        distance / (g.eta * g.steps)
        + 1.5 * L * consensus
        + g.eta * o.bias**2 * (g.steps + 2)
        + g.eta / g.nodes * spread
    )


def pl_step_limits(L: float, n: int, p: float, growth: float) -> tuple[float, ...]:
    """The four upper limits on η in `dsgd_pl_bound`."""
    slow, many, mixed, _ = dsgd_step_limits(L, n, p, growth)
    return slow, many, mixed, _noise_limit(160, L, p, growth)


def convex_step_limits(L: float, n: int, p: float, growth: float) -> tuple[float, ...]:
    """The four upper limits on η in `dsgd_convex_bound`."""
    _, many, mixed, _ = dsgd_step_limits(L, n, p, growth)
    return 1 / (16 * L), many / 2, mixed, _noise_limit(131, L, p, growth)


def _noise_limit(factor: float, L: float, p: float, growth: float) -> float:
    spread = growth * (1 - p)
    return sqrt(p / (factor * spread)) / L if spread > 0 else inf


def _spread(g: BoundInputs) -> tuple[float, float]:
    """(s₂ + 2τζ², Q)."""
    p, o = g.contraction, g.oracle
    spread = o.noise + 2 * o.growth * g.heterogeneity
    return spread, 6 / p * (g.heterogeneity + o.bias_square) + (1 - p) * spread


def _start(setting: Setting) -> float:
    offset = setting.problem.initial.mean(0) - setting.problem.optimum
    return float(offset @ offset)


def all_convex(setting: Setting) -> Assumption:
    """Every f_i is convex, from the declared structure."""
    structure = setting.problem.structure
    text = "every f_i is convex"
    if isinstance(structure, Quadratic):
        least, greatest = eigenvalue_range(structure.hessians)
        scale = max(abs(least), abs(greatest))
        return assume(text, least >= -1e-12 * scale, f"smallest eigenvalue = {least:.3g}")
    fine = isinstance(structure, GeneralizedLinear) and structure.regularization >= 0
    return assume(text, fine, f"structure = {type(structure).__name__}")


def _assumptions(
    setting: Setting, extra: tuple[Assumption, ...], limits: Limits
) -> tuple[Assumption, ...]:
    listed = (
        steps_every_round(setting),
        mixes(setting),
        *run_assumptions(setting),
        *constants_known(setting),
        *extra,
    )
    text = "the step size is below every limit of the theorem"
    if not all(assumption.holds for assumption in listed):
        return (*listed, assume(text, False, "not checked: an assumption above fails"))
    L, growth = setting.problem.constants.smoothness, estimator_bounds(setting).growth
    found = limits(L, setting.nodes, round_contraction(setting), growth)
    eta = step_range(setting)[1]
    told = ", ".join(f"{limit:.4g}" for limit in found)
    small = assume(text, eta <= min(found), f"η = {eta:g}, limits {told}, τ = {growth:g}")
    return (*listed, small)
