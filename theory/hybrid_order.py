"""Theorems: exact growth under all-reduce, and which of two populations is ahead."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hzbench.core.prediction import Prediction, Source
from hzbench.core.registry import register
from hzbench.core.setting import Setting
from hzbench.theory.checks import conclude
from hzbench.theory.dynamics import affordable, quadratic_parts
from hzbench.theory.hybrid_design import gap_at, pair_floor
from hzbench.theory.steady_checks import (
    Case,
    Check,
    all_reduce,
    basic,
    chain,
    common_hessian,
    isotropic,
    late_observables,
    one_step,
    uniform_pairs,
)
from hzbench.theory.steady_forms import all_reduce_factor

Array = NDArray[np.float64]

REVERSING = ("central_over_radius", "ignored_step_size")
_MARGIN = 0.05  # two gaps must differ by this fraction of the reference's
_ASYMPTOTIC = 0.1


@register("theorem", "all_reduce_growth", mutants=("step_size_plus_5", "missing_sqrt_d"))
def all_reduce_growth(setting: Setting) -> Prediction:
    """Exact second moment of all-reduce in closed form, on both sides of its stability limit.

    Setting and assumptions: W = J/n after the step, f_i = (a/2)|x − x*|², one starting point, mixed
    populations, any step sizes.

    Formula:
        E|x̄_t − x*|² = F^t v_0 + Ση²s/n² (1 − F^t)/(1 − F), F = (1 − η̄a)² + a²Ση²τ/n²: bounded iff
        F < 1, for one step size iff ηa < 2/(1 + Στ/n²).

    Guarantee:
        exact, at every step and on both sides of the limit.

    Source:
        own derivation (C6, D7).

    Args:
        setting: n nodes in dimension d.

    Returns:
        Kind exact at all record steps: objective_gap, gradient_norm, node_distance [T'].

    Example:
        `core-hybrid`, case `noise-free-optimum`, step 3, n = 8, τ = 3.75, ηa = n/(n + τ), no noise:
        objective_gap = 0.0162536 = 0.5*(3.75/(8 + 3.75))**3.
    """
    case = Case(setting)
    assumptions = chain(_growth_checks(case))
    ready = all(each.holds for each in assumptions)
    factor = f" = {_factor(case):.6g}" if ready else ""
    return conclude(
        "all_reduce_growth",
        statement=f"E|x̄_t − x*|² = F^t v_0 + Ση²s/n² (1 − F^t)/(1 − F), F{factor}.",
        source=Source(locator="own derivation (C6, D7)"),
        kind="exact",
        assumptions=assumptions,
        steps=setting.record,
        compute=lambda: (_growth(case), {}),
        validity="any step sizes; bounded in time iff F < 1",
        mutants=("step_size_plus_5", "missing_sqrt_d"),
    )


@register("theorem", "all_reduce_order", mutants=REVERSING)
def all_reduce_order(setting: Setting) -> Prediction:
    """Which of two populations has the lower gap under all-reduce, at any step sizes.

    Setting and assumptions: those of `all_reduce_growth` for the run and for its reference; both
    stable, since few replicas carry a mean that diverges; the two exact gaps differ by 5 %.

    Formula:
        sign of E f(x̄_T) − E f(x̄'_T), both in closed form. One step size, late: the hybrid is lower
        iff n_0 > n_0* = n_1(s_0/s_1 − 2) + ηaτ/(2 − ηa). Steps that give equal floors: it is faster
        iff n_0 > n_1(s_0/s_1 − 2). η_i ∝ 1/s_i: it is lower for every n_0 > 0.

    Guarantee:
        exact sign of a difference of exact means.

    Source:
        own derivation (D2-D5); the question is that of Ansaripour et al. 2025.

    Args:
        setting: the population, with the other in `setting.reference`.

    Returns:
        Kind order at the last record step: objective_gap_difference is −1 (this one lower) or +1.

    Example:
        `core-hybrid`, case `crossover-many`, step 40, n_1 = 3, n_0 = 16, s_0/s_1 = 4.75, τ = 3.75,
        ηa = 0.2:
        objective_gap_difference = -1 = -1 if 16 > 3*(4.75 - 2) + 0.2*3.75/(2 - 0.2) else 1.
    """
    case, other = Case(setting), setting.reference
    checks = list(_growth_checks(case))
    checks.append(("there is a reference population", lambda: (other is not None, "")))

    def reference_fits() -> tuple[bool, str]:
        assert other is not None
        failed = [a for a in chain(_growth_checks(Case(other))) if not a.holds]
        same = other.steps == setting.steps and other.record == setting.record
        detail = f"{failed[0].text}: {failed[0].detail}" if failed else f"{other.nodes} nodes"
        return same and not failed, detail

    def stable() -> tuple[bool, str]:
        assert other is not None
        mine, theirs = _factor(case), _factor(Case(other))
        return max(mine, theirs) < 1, f"F = {mine:.4g} and {theirs:.4g}"

    def apart() -> tuple[bool, str]:
        mine, theirs = _last_gaps(case)
        case.values = {"objective_gap_difference": np.array([np.sign(mine - theirs)])}
        enough = abs(mine - theirs) > _MARGIN * theirs
        return bool(enough), f"gaps {mine:.4g} and {theirs:.4g}"

    checks += [
        ("the reference fulfils the same assumptions", reference_fits),
        ("both populations are stable: F < 1", stable),
        ("the two exact gaps differ by 5 %", apart),
    ]
    return conclude(
        "all_reduce_order",
        statement="The population with the lower exact gap at the last step is ahead.",
        source=Source(locator="own derivation (D2-D5)"),
        kind="order",
        assumptions=chain(checks),
        steps=setting.record[-1:],
        compute=lambda: (case.values, {}),
        validity="any stable step sizes",
        mutants=REVERSING,
    )


@register("theorem", "pair_floor_order", mutants=REVERSING[:1])
def pair_floor_order(setting: Setting) -> Prediction:
    """Which of two populations has the lower floor when random pairs average, unequal f_i included.

    Setting and assumptions: uniform pairs on the complete graph, one Hessian, one small step size
    alike in both populations; the start is forgotten in both (by their exact recursions).

    Formula:
        floor (η/4n)[mean(s) + ζ²(n−2)/(n−1)]: heterogeneity ζ² acts as noise of every node, so it
        lowers n_0*. s_i is the noise at the optimum.

    Guarantee:
        order in the limit of small steps, late; the exact gap is within 10 % of the floor.

    Source:
        own derivation (D1, D8); the question is that of Ansaripour et al. 2025.

    Args:
        setting: the population, with the other in `setting.reference`.

    Returns:
        Kind order at the last record step: objective_gap_difference is −1 (this one lower) or +1.

    Example:
        `core-hybrid`, case `pairs-alike`, step 900, n_1 = 3, n_0 = 16, s_0/s_1 = 4.75, equal
        functions:
        objective_gap_difference = -1 = -1 if (3 + 16*4.75)/19**2 < 1/3 else 1.
    """
    case, other = Case(setting), setting.reference
    checks = list(_pair_checks(case))
    checks.append(("there is a reference population", lambda: (other is not None, "")))

    def reference_fits() -> tuple[bool, str]:
        assert other is not None
        failed = [a for a in chain(_pair_checks(Case(other))) if not a.holds]
        same = other.step_sizes[0] == setting.step_sizes[0] and other.record == setting.record
        detail = f"{failed[0].text}: {failed[0].detail}" if failed else f"{other.nodes} nodes"
        return same and not failed, detail

    def apart() -> tuple[bool, str]:
        assert other is not None
        mine, theirs = _pair_floor(case), _pair_floor(Case(other))
        gap, its = (float(late_observables(s)["objective_gap"][0]) for s in (setting, other))
        case.values = {"objective_gap_difference": np.array([np.sign(mine - theirs)])}
        enough = abs(mine - theirs) > _ASYMPTOTIC * theirs and abs(gap - its) > _MARGIN * its
        detail = f"floors {mine:.4g} and {theirs:.4g}, exact gaps {gap:.4g} and {its:.4g}"
        return enough and (mine - theirs) * (gap - its) > 0, detail

    checks += [
        ("the reference fulfils the same assumptions, with the same step size", reference_fits),
        ("the two floors differ by 10 %, the exact gaps by 5 % the same way", apart),
    ]
    return conclude(
        "pair_floor_order",
        statement="Floors (η/4n)[mean(s) + ζ²(n−2)/(n−1)] decide which population ends lower.",
        source=Source(locator="own derivation (D1, D8)"),
        kind="order",
        assumptions=chain(checks),
        steps=setting.record[-1:],
        compute=lambda: (case.values, {}),
        validity="asymptotic: small step sizes, late",
        mutants=REVERSING[:1],
    )


@dataclass(frozen=True, kw_only=True)
class Numbers:
    """Traces of a case: noise s and growth τ of every node, shape [n], and |x̄_0 − x*|²."""

    noise: Array
    growth: Array
    start: float


def _numbers(case: Case) -> Numbers:
    nodes = case.nodes
    return Numbers(
        noise=nodes.constant.sum(1),
        growth=nodes.growth,
        start=float(nodes.start[0] @ nodes.start[0]),
    )


def _factor(case: Case) -> float:
    return all_reduce_factor(case.curvature, case.setting.step_sizes, _numbers(case).growth)


def _growth_checks(case: Case) -> tuple[Check, ...]:
    def together() -> tuple[bool, str]:
        worst = float(np.ptp(case.nodes.start, axis=0).max())
        return worst == 0, f"largest difference = {worst:.3g}"

    return (
        *basic(case),
        *all_reduce(case),
        *isotropic(case)[:2],
        ("all nodes start at one point", together),
    )


def _growth(case: Case) -> dict[str, Array]:
    known, a = _numbers(case), case.curvature
    steps, t = case.setting.step_sizes, np.array(case.setting.record)
    gap = gap_at(a, steps, known.noise, known.growth, known.start, t)
    return {"objective_gap": gap, "gradient_norm": 2 * a * gap, "node_distance": 2 * gap / a}


def _last_gaps(case: Case) -> tuple[float, float]:
    assert case.setting.reference is not None
    mine, theirs = _growth(case), _growth(Case(case.setting.reference))
    return float(mine["objective_gap"][-1]), float(theirs["objective_gap"][-1])


def _pair_floor(case: Case) -> float:
    nodes = case.nodes
    zeta = float((nodes.offset**2).sum(1).mean())
    return pair_floor(case.step, nodes.floor_noise.sum(1), zeta)


def _pair_checks(case: Case) -> tuple[Check, ...]:
    setting = case.setting

    def near() -> tuple[bool, str]:
        fits = affordable(setting, quadratic_parts(setting)[0])
        if not fits.holds:
            return False, fits.detail
        floor = _pair_floor(case)
        if floor <= 0:
            return False, "the floor is 0: nothing is noisy and no node differs"
        off = float(late_observables(setting)["objective_gap"][0]) / floor - 1
        return abs(off) <= _ASYMPTOTIC, f"the exact gap is off the asymptotic floor by {off:.2g}"

    return (
        *basic(case),
        ("random pairs", lambda: (setting.protocol == "pair", setting.protocol)),
        uniform_pairs(case),
        common_hessian(case),
        one_step(case),
        ("the step size is small and the start forgotten: within 10 % of the floor", near),
    )
