"""Statements of the HDO paper as we read them in print, where a run says otherwise.

Each `*_as_printed` is rebuilt from notes on the extended version, not from its text; docs/errata.md
says what is known of the print, what we find and how to reproduce it.
"""

from collections.abc import Callable
from math import sqrt

import numpy as np

from hzbench.core.prediction import Assumption, Prediction, Source
from hzbench.core.registry import register
from hzbench.core.setting import Setting
from hzbench.core.structure import Quadratic
from hzbench.theory import sources
from hzbench.theory.bound_checks import all_pairs, run_assumptions
from hzbench.theory.checks import assume, conclude, is_quadratic, recorded, step_range
from hzbench.theory.hdo_constants import Array, HdoConstants
from hzbench.theory.hdo_lemmas import common_terms, one_step, optimum_known, strongly_convex
from hzbench.theory.hdo_states import MeanState
from hzbench.theory.stacks import is_diagonal, largest_difference

Weigh = Callable[[Setting], Array]
MOST_STEP = 1 / 16
BIASED = ("unsigned_coordinate",)


@register("theorem", "hdo_mean_recursion_as_printed", mutants=("one_endpoint",))
def hdo_mean_recursion_as_printed(setting: Setting) -> Prediction:
    """Lemma 13 of the HDO paper with the bias at order η², as eq. (39) has it; does not hold.

    Setting and assumptions: as for `hdo_mean_recursion`, and η ≤ 1/(16L), our stand-in for the
    lemma's step condition.

    Formula:
        E|mean+ − x*|² ≤ (1 − ηl/n) E|mean − x*|² − (4η/n) E(f(mean) − f*) + (2η/n) L E Γ +
        (4η²/n) B sqrt(E|mean − x*|²) + 4η²M/n².

    Guarantee:
        upper bound as read in print; false for a fixed ν and small η (docs/errata.md).

    Source:
        Lemma 13 and eq. (39), R_3 ≤ 2η²B/n, of Ansaripour et al. 2025, rebuilt from notes. Where
        all nodes agree the terms of order η are −ηl/n and −4η/n, fixed by our record of the
        counterexample; no constant at order η² matters when η is small.

    Args:
        setting: n nodes.

    Returns:
        Kind upper at the record steps that follow a known state: mean_distance.

    Example:
        `core-tight`, case `pairs-first-step`, step 1, n = 6, η = 0.05, l = L = 1, |x̄ − x*| = 1, no
        noise:
        mean_distance = 0.9752778 = 1 - 0.05/6 - 4*0.05/6*0.5 + 4*0.05**2/36.
    """
    L, eta = setting.problem.constants.smoothness, step_range(setting)[1]
    small = assume("η is small", eta * L <= MOST_STEP, f"ηL = {eta * L:g}, at most {MOST_STEP}")
    return one_step(
        setting,
        "hdo_mean_recursion_as_printed",
        "mean_distance",
        mean_recursion_as_printed,
        sources.HDO_MEAN_AS_PRINTED,
        extra=(strongly_convex(setting), optimum_known(setting), small),
        mutants=("one_endpoint",),
    )


def mean_recursion_as_printed(state: MeanState, eta: float, c: HdoConstants) -> float:
    """The right side of `hdo_mean_recursion_as_printed`."""
    bias = 4 * eta**2 / c.nodes * c.bias * sqrt(state.distance)
    keep = 1 - eta * c.convexity / c.nodes
    return keep * state.distance + common_terms(state, eta, c) + bias


@register("theorem", "hdo_fixed_point", mutants=BIASED)
def hdo_fixed_point(setting: Setting) -> Prediction:
    """Exact mean of a run of HDO that starts, in the mean, at the minimiser of (1/n) Σ f_i.

    Setting and assumptions: Algorithm 1, pairs uniform among all nodes, quadratics that share one
    Hessian A, so that every estimate here is unbiased.

    Formula:
        E mean+ = E mean − (2η/n) (1/n) Σ E∇f_i(x_i) = E mean − (2η/n) A (E mean − x*), so E mean
        stays at x* = argmin (1/n) Σ f_i if it starts there.

    Guarantee:
        exact.

    Source:
        own derivation (E8b).

    Args:
        setting: n nodes.

    Returns:
        Kind exact at all record steps from 1 on: mean_iterate.

    Example:
        `hdo-errata`, case `objective-by-node`, step 100, n_1 = 3, n_0 = 1, minimisers at 2 and 0:
        mean_iterate[0] = 1.5 = (3*2.0 + 0.0)/4.
    """
    return _stays(setting, "hdo_fixed_point", "(1/n) Σ f_i", _equal, sources.HDO_OBJECTIVE)


@register("theorem", "hdo_fixed_point_as_printed", mutants=BIASED)
def hdo_fixed_point_as_printed(setting: Setting) -> Prediction:
    """The same with the objective as defined in print, F_0 + F_1; holds only where they agree.

    Setting and assumptions: as for `hdo_fixed_point`, nodes of both types, start (in the mean) at
    the minimiser of F_0 + F_1, F_k the mean of f_i over the nodes of type k.

    Formula:
        E mean stays at argmin (F_0 + F_1).

    Guarantee:
        exact where it holds: both types have one minimiser, or n_0 = n_1.

    Source:
        the objective f = (1/n_0) Σ_{N0} f_i + (1/n_1) Σ_{N1} f_i of Ansaripour et al. 2025, whose
        (32), (34) and (54) use ∇f = (1/n) Σ ∇f_i; rebuilt from notes.

    Args:
        setting: n nodes.

    Returns:
        Kind exact at all record steps from 1 on: mean_iterate.

    Example:
        `hdo-errata`, case `objective-by-type`, step 100, n_1 = 3, n_0 = 1, minimisers at 2 and 0; a
        run says 1.5:
        mean_iterate[0] = 1 = (2.0 + 0.0)/2.
    """
    source = sources.HDO_OBJECTIVE_AS_PRINTED
    return _stays(setting, "hdo_fixed_point_as_printed", "F_0 + F_1", _by_type, source)


def _equal(setting: Setting) -> Array:
    return np.full(setting.nodes, 1.0 / setting.nodes)


def _by_type(setting: Setting) -> Array:
    """Half of the weight to each type (nan if one is missing)."""
    zeroth = np.array([kind == "zeroth" for kind in setting.kinds])
    with np.errstate(divide="ignore", invalid="ignore"):
        weights: Array = np.where(zeroth, 0.5 / zeroth.sum(), 0.5 / (~zeroth).sum())
    both = zeroth.any() and not zeroth.all()
    return weights if both else np.full(setting.nodes, np.nan)


def _stays(setting: Setting, theorem: str, of: str, weigh: Weigh, source: Source) -> Prediction:
    steps = tuple(t for t in setting.record if t >= 1)
    point = _minimiser(setting, weigh(setting))
    return conclude(
        theorem,
        statement=f"E mean stays at the minimiser of {of}.",
        source=source,
        kind="exact",
        assumptions=_stay_assumptions(setting, of, point),
        steps=steps,
        compute=lambda: ({"mean_iterate": np.tile(point, (len(steps), 1))}, {}),
        validity="quadratics with one Hessian; any noise, smoothing radius and number of steps",
        mutants=BIASED,
    )


def _minimiser(setting: Setting, weights: Array) -> Array:
    structure = setting.problem.structure
    if not isinstance(structure, Quadratic) or not np.isfinite(weights).all():
        return np.full(setting.problem.dimension, np.nan)
    A, b = structure.hessians[0], weights @ structure.linear
    if is_diagonal(A[None]) and A.diagonal().all():
        quotient: Array = b / A.diagonal()
        return quotient
    result: Array = np.linalg.lstsq(A, b)[0]
    return result


def _stay_assumptions(setting: Setting, of: str, point: Array) -> tuple[Assumption, ...]:
    structure = setting.problem.structure
    shared = isinstance(structure, Quadratic) and (largest_difference(structure.hessians) == 0)
    away = float(np.abs(setting.problem.initial.mean(0) - point).max())
    scale = max(1.0, float(np.abs(setting.problem.initial).max()))
    return (
        assume("one pair acts at each tick", setting.protocol == "pair", f"got {setting.protocol}"),
        all_pairs(setting),
        *run_assumptions(setting),
        is_quadratic(setting),
        assume("all nodes share one Hessian", shared),
        recorded(setting),
        assume(
            f"the mean starts at the minimiser of {of}",
            away <= 1e-9 * scale,
            f"largest deviation of a coordinate = {away:.3g}",
        ),
    )
