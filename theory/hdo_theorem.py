"""Theorems: Theorem 1 of the HDO paper in both cases, with an explicit chain of constants of ours.

The chain: Lemma 2 bounds ΣΓ by ΣM, Lemma 3 bounds M by Γ, the gradient (or the gap) and V, Lemma 14
the mean's steps. With a, g, V and B of `HdoConstants`: M ≤ aL²Γ + g|∇f|² + V.
"""

from collections.abc import Callable
from math import inf, sqrt

import numpy as np
from numpy.typing import NDArray

from hzbench.core.prediction import Assumption, Prediction
from hzbench.core.registry import register
from hzbench.core.setting import Setting
from hzbench.theory import sources
from hzbench.theory.bound_checks import MUTANTS, last_recorded
from hzbench.theory.checks import assume, conclude, step_range
from hzbench.theory.hdo_constants import HdoConstants, hdo_constants, node_convexity
from hzbench.theory.hdo_lemmas import optimum_known, pair_assumptions, strongly_convex
from hzbench.theory.hdo_states import start_state

Array = NDArray[np.float64]
Limits = Callable[[HdoConstants], tuple[float, ...]]
VALIDITY = "pairs uniform among all nodes; a bound is not tight, so agreement is a sanity check"


@register("theorem", "hdo_nonconvex_bound", mutants=MUTANTS)
def hdo_nonconvex_bound(setting: Setting) -> Prediction:
    """Upper bound on the path's mean squared gradient of HDO (Theorem 1, nonconvex, explicit).

    Setting and assumptions: Algorithm 1, pairs uniform among all nodes, f_i L-smooth, bounded
    heterogeneity and noise, one step size.

    Formula:
        (1/T) Σ E|∇f(x̄_t)|² ≤ 4n[(f_0−f*)/(2ηT) + ηK_1 + η²K_2 + η³K_3 + η⁴K_4] +
        (16nL² + 16ηaL³)Γ_0/T, K_1 = 2LV_0/n², K_2 = (16L²V_0 + B²/η²)/n, K_3 = 2LV_2/n²,
        K_4 = 16L²V_2/n with V = V_0 + η²V_2, if η ≤ 1/(4L sqrt(a)), η ≤ n/(16Lg),
        η ≤ 1/(L sqrt(128 g)); a, g, V, B from Lemmas 1, 3 and 5.

    Guarantee:
        upper bound, not tight: bound/measured 3.9 at best in `core`.

    Source:
        the statement is Theorem 1 of Ansaripour et al. 2025; K_1 ... K_4 and the step conditions
        are ours (own derivation; theirs are not quoted here).

    Args:
        setting: n nodes.

    Returns:
        Kind upper at step T: path_gradient_norm.

    Example:
        `core-tight`, case `pairs-without-noise`, step 4000, n = 12, η = 0.039, f_0 − f* = 0.5, no
        noise:
        path_gradient_norm = 0.0769231 = 4*12*0.5/(2*0.039*4000).
    """
    return conclude(
        "hdo_nonconvex_bound",
        statement="(1/T) Σ_t E|∇f(x̄_t)|² is at most the bound of the formula.",
        source=sources.HDO_THEOREM,
        kind="upper",
        assumptions=_with_limits(setting, (), nonconvex_limits),
        steps=(setting.steps,),
        compute=lambda: ({"path_gradient_norm": np.array([_nonconvex(setting)])}, {}),
        validity=VALIDITY,
        mutants=MUTANTS,
    )


@register("theorem", "hdo_convex_bound", mutants=MUTANTS)
def hdo_convex_bound(setting: Setting) -> Prediction:
    """Upper bound on weighted gap and last distance of HDO (Theorem 1, strongly convex, explicit).

    Setting and assumptions: as for `hdo_nonconvex_bound`, every f_i l-strongly convex with the l
    that f declares (the weights use it).

    Formula:
        Σ w_t (E f(x̄_t) − f*)/Σ w_t + (l/4) E|x̄_T − x*|² ≤ n|x̄_0−x*|²/(2ηW) + (512/15)Lη²V +
        (4/l)B² + (4η/n)V + (128n/15)(L + 2ηaL²/n)Γ_0/W, w_t = (1−ηl/(2n))^(−t−1), W = Σ w_t over
        t < T, if η ≤ 1/(4l), η² ≤ 15/(512aL²), η² ≤ 15/(1024Lq), η ≤ n/(8q), q = 2Lg. By
        convexity f(y_T), y_T the weighted mean of the x̄_t, is below the weighted mean of f(x̄_t).

    Guarantee:
        upper bound, not tight: bound/measured 3.4 at best in `core`.

    Source:
        the statement is Theorem 1 of Ansaripour et al. 2025 (with l/8); all constants are ours
        (own derivation from the repaired Lemma 13).

    Args:
        setting: n nodes.

    Returns:
        Kind upper at step T: path_weighted_gap, mean_distance.

    Example:
        `core-tight`, case `pairs-without-noise`, step 4000, n = 12, η = 0.039, l = 1, |x̄_0 − x*| =
        1, no noise:
        path_weighted_gap = 0.00037444 = 12/(2*0.039*((1 - 0.039/24)**-4000 - 1)/(0.039/24)).
    """
    extra = (strongly_convex(setting), _shared_convexity(setting), optimum_known(setting))
    return conclude(
        "hdo_convex_bound",
        statement="Weighted gap + (l/4) E|x̄_T − x*|² is at most the bound of the formula.",
        source=sources.HDO_THEOREM,
        kind="upper",
        assumptions=_with_limits(setting, extra, convex_limits),
        steps=(setting.steps,),
        compute=lambda: (_convex(setting), {}),
        validity=VALIDITY,
        mutants=MUTANTS,
    )


def chain(c: HdoConstants, eta: float) -> tuple[float, float, float, float]:
    """(K_1, K_2, K_3, K_4) of `hdo_nonconvex_bound`; B/η and V_2 are those of ν = η/c."""
    n, L = c.nodes, c.smoothness
    radius = c.smoothing / eta**2
    bias = (c.bias / eta) ** 2
    return (
        2 * L * c.variance / n**2,
        (16 * L**2 * c.variance + bias) / n,
        2 * L * radius / n**2,
        16 * L**2 * radius / n,
    )


def nonconvex_bound(
    c: HdoConstants, eta: float, steps: int, *, gap: float, potential: float
) -> float:
    """The right side of `hdo_nonconvex_bound`."""
    n, L = c.nodes, c.smoothness
    powers = sum(eta ** (k + 1) * K for k, K in enumerate(chain(c, eta)))
    start = (16 * n * L**2 + 16 * eta * c.consensus * L**3) * potential / steps
    return 4 * n * (gap / (2 * eta * steps) + powers) + start


def convex_bound(
    c: HdoConstants, eta: float, steps: int, *, distance: float, potential: float
) -> float:
    """The right side of `hdo_convex_bound`."""
    n, L, mu = c.nodes, c.smoothness, c.convexity
    W = total_weight(eta * mu / (2 * n), steps)
    start = 128 * n / 15 * (L + 2 * eta * c.consensus * L**2 / n) * potential / W
    noise = (512 / 15 * L * eta**2 + 4 * eta / n) * c.noise
    return n * distance / (2 * eta * W) + noise + 4 / mu * c.bias**2 + start


def total_weight(decay: float, steps: int) -> float:
    """W = Σ_{t=1}^T (1 − decay)^(−t)."""
    return float(((1 - decay) ** -steps - 1) / decay)


def nonconvex_limits(c: HdoConstants) -> tuple[float, ...]:
    """The three upper limits on η in `hdo_nonconvex_bound`."""
    L, a, g = c.smoothness, c.consensus, c.gradient
    return 1 / (4 * L * sqrt(a)), c.nodes / (16 * L * g), 1 / (L * sqrt(128 * g))


def convex_limits(c: HdoConstants) -> tuple[float, ...]:
    """The four upper limits on η in `hdo_convex_bound`."""
    L, q = c.smoothness, 2 * c.smoothness * c.gradient
    return (
        1 / (4 * c.convexity) if c.convexity else inf,
        sqrt(15 / (512 * c.consensus)) / L,
        sqrt(15 / (1024 * L * q)),
        c.nodes / (8 * q),
    )


def _nonconvex(setting: Setting) -> float:
    start, eta = start_state(setting), step_range(setting)[1]
    return nonconvex_bound(
        hdo_constants(setting), eta, setting.steps, gap=start.gap, potential=start.potential
    )


def _convex(setting: Setting) -> dict[str, Array]:
    start, eta, c = start_state(setting), step_range(setting)[1], hdo_constants(setting)
    right = convex_bound(c, eta, setting.steps, distance=start.distance, potential=start.potential)
    gap, distance = np.array([right]), np.array([4 / c.convexity * right])
    return {"path_weighted_gap": gap, "mean_distance": distance}


def _shared_convexity(setting: Setting) -> Assumption:
    own, declared = node_convexity(setting), setting.problem.constants.strong_convexity
    return assume(
        "every f_i is as strongly convex as f (its l makes the weights)",
        own >= declared * (1 - 1e-9),
        f"least l of a node = {own:g}, l of f = {declared:g}",
    )


def _with_limits(
    setting: Setting, extra: tuple[Assumption, ...], limits: Limits
) -> tuple[Assumption, ...]:
    listed = (*pair_assumptions(setting), last_recorded(setting), *extra)
    text = "the step size is below every limit of the theorem"
    if not all(assumption.holds for assumption in listed):
        return (*listed, assume(text, False, "not checked: an assumption above fails"))
    c, eta = hdo_constants(setting), step_range(setting)[1]
    found = limits(c)
    told = ", ".join(f"{limit:.4g}" for limit in found)
    constants = ", ".join(f"K_{k + 1} = {K:.4g}" for k, K in enumerate(chain(c, eta)))
    return (*listed, assume(text, eta <= min(found), f"η = {eta:g}, limits {told}; {constants}"))
