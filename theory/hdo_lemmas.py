"""Theorems: the one-step lemmas of the HDO paper, on exact or bounded inputs."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from hzbench.core.prediction import Assumption, Prediction, Source
from hzbench.core.registry import register
from hzbench.core.setting import Setting
from hzbench.theory import sources
from hzbench.theory.bound_checks import all_pairs, constants_known, laws_bounded, run_assumptions
from hzbench.theory.checks import assume, conclude, laws_known, smoothing_positive, step_range
from hzbench.theory.estimator_bounds import objective
from hzbench.theory.hdo_constants import (
    HdoConstants,
    hdo_constants,
    node_convexity,
    power_coefficients,
    silent_calls,
    weighted_heterogeneity,
)
from hzbench.theory.hdo_states import (
    MeanState,
    known_before,
    start_power_bound,
    states_before,
    steps_after,
)

LARGER = ("central_over_radius", "ignored_batch_size")
VALIDITY = "pairs uniform among all nodes; one step; a bound, so agreement is a sanity check only"
Array = NDArray[np.float64]
StepBound = Callable[[MeanState, float, HdoConstants], float]


@register("theorem", "hdo_consensus_step", mutants=("lost_average",))
def hdo_consensus_step(setting: Setting) -> Prediction:
    """Upper bound on the disagreement after one pair has acted (Lemma 2 of the HDO paper).

    Setting and assumptions: Algorithm 1, pairs uniform among all nodes, one step size; any f. The
    state before the step is known: exactly on quadratics, at the start otherwise.

    Formula:
        E Γ+ ≤ (1 − 1/(2n)) E Γ + (4/n) η² M, M = (1/n) Σ E|G_i|².

    Guarantee:
        upper bound, not tight: an exchange alone brings 1/(n − 1), the lemma grants 1/(2n).

    Source:
        Lemma 2 of Ansaripour et al. 2025; proved again from the exact identity (C10).

    Args:
        setting: n nodes.

    Returns:
        Kind upper at the record steps that follow a known state: consensus_potential.

    Example:
        `hdo-errata`, case `exchange-alone`, step 1, n = 8, Γ = 3.3673940, hardly a step:
        consensus_potential = 3.156932 = 3.3673940*(1 - 1/16).
    """
    return one_step(
        setting,
        "hdo_consensus_step",
        "consensus_potential",
        consensus_step,
        sources.HDO_CONSENSUS_STEP,
        mutants=("lost_average",),
    )


@register("theorem", "hdo_mean_step", mutants=("step_size_plus_2",))
def hdo_mean_step(setting: Setting) -> Prediction:
    """Upper bound on how far the mean moves in one step (Lemma 14 of the HDO paper).

    Setting and assumptions: as for `hdo_consensus_step`; the step before is recorded too, since
    the observable looks back to the previous record point.

    Formula:
        E|mean+ − mean|² ≤ 4η²M/n².

    Guarantee:
        upper bound; tight (equality where both estimates agree).

    Source:
        Lemma 14 of Ansaripour et al. 2025; proved again from
        Δ = −(η/n)(G_i + G_j) and |a + b|² ≤ 2|a|² + 2|b|².

    Args:
        setting: n nodes.

    Returns:
        Kind upper at the record steps whose predecessor is a known record step: mean_shift.

    Example:
        `core-tight`, case `pairs-first-step`, step 1, n = 6, η = 0.05, |G| = 1:
        mean_shift = 0.000277778 = 4*0.05**2/36.
    """
    return one_step(
        setting,
        "hdo_mean_step",
        "mean_shift",
        mean_step,
        sources.HDO_MEAN_STEP,
        adjacent=True,
        mutants=("step_size_plus_2",),
    )


@register("theorem", "hdo_mean_recursion", mutants=("one_endpoint",))
def hdo_mean_recursion(setting: Setting) -> Prediction:
    """Upper bound on the mean's distance to the optimum after one step (Lemma 13, repaired).

    Setting and assumptions: as for `hdo_consensus_step`, every f_i l-strongly convex and L-smooth.

    Formula:
        E|mean+ − x*|² ≤ (1 − ηl/(2n)) E|mean − x*|² − (4η/n) E(f(mean) − f*) + (2η/n) L E Γ +
        (8η/(nl)) B² + 4η²M/n², B = (1/n) Σ (ν_i/2) L (d+3)^(3/2) over zeroth-order nodes.

    Guarantee:
        upper bound; nearly tight for small steps without noise, bias and disagreement.

    Source:
        Lemma 13 (4) of Ansaripour et al. 2025 with the bias at order η, where it belongs (E7);
        all constants from our own proof: convexity and smoothness of f_i at x_i, then
        (4η/n) B |mean − x*| ≤ (ηl/(2n))|mean − x*|² + (8η/(nl)) B².

    Args:
        setting: n nodes.

    Returns:
        Kind upper at the record steps that follow a known state: mean_distance.

    Example:
        `core-tight`, case `pairs-first-step`, step 1, n = 6, η = 0.05, l = L = 1, |x̄ − x*| = 1, no
        noise:
        mean_distance = 0.9794444 = 1 - 0.05/12 - 4*0.05/6*0.5 + 4*0.05**2/36.
    """
    return one_step(
        setting,
        "hdo_mean_recursion",
        "mean_distance",
        mean_recursion,
        sources.HDO_MEAN_RECURSION,
        extra=(strongly_convex(setting), optimum_known(setting)),
        mutants=("one_endpoint",),
    )


@register("theorem", "hdo_estimate_power", mutants=LARGER)
def hdo_estimate_power(setting: Setting) -> Prediction:
    """Upper bound on the second moment of the estimates at fixed points (Lemma 5).

    Setting and assumptions: the iterates stay at the start and every node draws an estimate.

    Formula:
        (1/n) Σ E|G_i|² ≤ (1/n) Σ_{N1} (|∇f_i|² + s_i²) + (1/n) Σ_{N0} [2(d+4)(|∇f_i|² + s_i²) +
        ν²L²(d+6)³/2].

    Guarantee:
        upper bound; equality for gradients, 2(d+4)/(d+2) at best for differences.

    Source:
        Lemma 5 of Ansaripour et al. 2025, after Nesterov and Spokoiny 2017.

    Args:
        setting: n nodes with moves = False.

    Returns:
        Kind upper at every record step from 1 on: estimate_power.

    Example:
        `core-tight`, case `differences-at-rest`, step 1, at the optimum, d = 16, batches of 4,
        noise 0.5, ν = 0.001:
        estimate_power = 40.00532 = 2*(16 + 4)*16*0.5**2/4 + 0.001**2*(16 + 6)**3/2.
    """
    return _at_start(
        setting,
        "hdo_estimate_power",
        sources.HDO_ESTIMATE_POWER,
        lambda: start_power_bound(setting),
    )


@register("theorem", "hdo_second_moment", mutants=LARGER)
def hdo_second_moment(setting: Setting) -> Prediction:
    """Upper bound on the second moment of the estimates by disagreement and gap (Lemma 3).

    Setting and assumptions: as for `hdo_estimate_power`.

    Formula:
        M ≤ 6(d+4)L²Γ + (6(d+4) Σ_{N0} ς_i² + 3 Σ_{N1} ς_i²)/n + 6(2d+9)L(f(mean) − f*) +
        (2(d+4) Σ_{N0} s_i² + Σ_{N1} s_i²)/n + Σ_{N0} ν²L²(d+6)³/(2n), ς_i² ≥ |∇f_i − ∇f|².

    Guarantee:
        upper bound; at the optimum of one function equality for gradients, 2(d+4)/(d+2) for
        differences; looser elsewhere, so not tight.

    Source:
        Lemma 3 of Ansaripour et al. 2025.

    Args:
        setting: n nodes with moves = False.

    Returns:
        Kind upper at every record step from 1 on: estimate_power.

    Example:
        `core-tight`, case `differences-at-rest`, step 1, at the optimum, d = 16, batches of 4,
        noise 0.5, ν = 0.001:
        estimate_power = 40.00532 = 2*(16 + 4)*16*0.5**2/4 + 0.001**2*(16 + 6)**3/2.
    """
    return _at_start(
        setting, "hdo_second_moment", sources.HDO_SECOND_MOMENT, lambda: second_moment(setting)
    )


def consensus_step(state: MeanState, eta: float, c: HdoConstants) -> float:
    """The right side of Lemma 2."""
    return (1 - 1 / (2 * c.nodes)) * state.potential + 4 / c.nodes * eta**2 * state.power


def mean_step(state: MeanState, eta: float, c: HdoConstants) -> float:
    """The right side of Lemma 14."""
    return 4 * eta**2 * state.power / c.nodes**2


def mean_recursion(state: MeanState, eta: float, c: HdoConstants) -> float:
    """The right side of `hdo_mean_recursion`."""
    n, half = c.nodes, eta * c.convexity / (2 * c.nodes)
    bias = 8 * eta / (n * c.convexity) * c.bias**2
    return (1 - half) * state.distance + common_terms(state, eta, c) + bias


def common_terms(state: MeanState, eta: float, c: HdoConstants) -> float:
    """What the two versions of the mean recursion share: gap, disagreement, second moment."""
    n = c.nodes
    gap = -4 * eta / n * state.gap
    return gap + 2 * eta / n * c.smoothness * state.potential + mean_step(state, eta, c)


def second_moment(setting: Setting) -> float:
    """The right side of Lemma 3 at the starting points."""
    X, d = setting.problem.initial, setting.problem.dimension
    L = setting.problem.constants.smoothness
    slope, variance, smoothing = power_coefficients(setting)
    mean = X.mean(0)
    gap = objective(setting, mean) - setting.problem.constants.minimum
    potential = float(((X - mean) ** 2).sum(1).mean())
    rest = 3 * weighted_heterogeneity(setting, slope) + float((variance + smoothing).mean())
    return 6 * (d + 4) * L**2 * potential + 6 * (2 * d + 9) * L * gap + rest


def strongly_convex(setting: Setting) -> Assumption:
    """Every f_i is l-strongly convex with the l that f declares."""
    own, declared = node_convexity(setting), setting.problem.constants.strong_convexity
    return assume(
        "every f_i is l-strongly convex",
        own > 0,
        f"least l of a node = {own:g}, l of f = {declared:g}",
    )


def optimum_known(setting: Setting) -> Assumption:
    """The minimiser is declared."""
    return assume("x* is known", setting.problem.optimum.size > 0)


def pair_assumptions(setting: Setting) -> tuple[Assumption, ...]:
    """Algorithm 1 with uniform pairs, constants that hold everywhere, at least two nodes."""
    return (
        assume("one pair acts at each tick", setting.protocol == "pair", f"got {setting.protocol}"),
        all_pairs(setting),
        *run_assumptions(setting),
        *constants_known(setting),
        silent_calls(setting),
    )


def one_step(
    setting: Setting,
    theorem: str,
    observable: str,
    bound: StepBound,
    source: Source,
    *,
    extra: tuple[Assumption, ...] = (),
    adjacent: bool = False,
    mutants: tuple[str, ...],
) -> Prediction:
    """A bound on one observable after one step, at every record step that follows a known state."""
    assumptions = (*pair_assumptions(setting), *extra)
    known = all(assumption.holds for assumption in assumptions)
    steps = steps_after(setting) if known else ()
    kept = tuple(t for t in steps if t - 1 in setting.record) if adjacent else steps
    if known:
        assumptions = (*assumptions, known_before(setting), _adjacent(setting, kept, adjacent))

    def compute() -> tuple[dict[str, Array], dict[str, Array]]:
        constants, eta = hdo_constants(setting), step_range(setting)[1]
        pairs = zip(steps, states_before(setting), strict=True)
        right = [bound(state, eta, constants) for t, state in pairs if t in kept]
        return {observable: np.array(right)}, {}

    return conclude(
        theorem,
        statement=f"E {observable} after one step is at most the bound of the formula.",
        source=source,
        kind="upper",
        assumptions=assumptions,
        steps=kept,
        compute=compute,
        validity=VALIDITY,
        mutants=mutants,
    )


def _adjacent(setting: Setting, kept: tuple[int, ...], needed: bool) -> Assumption:
    fine = bool(kept) or not needed
    return assume("some two consecutive steps are recorded", fine, f"record = {setting.record}")


def _at_start(
    setting: Setting, theorem: str, source: Source, bound: Callable[[], float]
) -> Prediction:
    steps = tuple(t for t in setting.record if t >= 1)
    assumptions = (
        assume("the iterates stay at the start", not setting.moves, f"moves = {setting.moves}"),
        assume(
            "every node draws an estimate at every step",
            setting.protocol == "matrix",
            f"protocol = {setting.protocol}",
        ),
        laws_known(setting),
        laws_bounded(setting),
        smoothing_positive(setting),
        *constants_known(setting),
        silent_calls(setting),
        assume("a step after the start is recorded", bool(steps), f"record = {setting.record}"),
    )
    return conclude(
        theorem,
        statement="(1/n) Σ E|G_i|² is at most the bound of the formula.",
        source=source,
        kind="upper",
        assumptions=assumptions,
        steps=steps,
        compute=lambda: ({"estimate_power": np.full(len(steps), bound())}, {}),
        validity="any points; a bound, so agreement is a sanity check only",
        mutants=LARGER,
    )
