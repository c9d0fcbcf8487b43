"""Theorems: upper bounds on the bias and the second moment of zeroth-order estimates."""

from collections.abc import Callable
from math import inf, isfinite

import numpy as np

from hzbench.core.prediction import Assumption, Prediction, Source
from hzbench.core.registry import register
from hzbench.core.setting import Setting
from hzbench.core.structure import DifferenceLaw, GradientLaw, Separable
from hzbench.theory import sources
from hzbench.theory.checks import Array, assume, conclude
from hzbench.theory.directions import direction_moments
from hzbench.theory.estimator_bounds import sample_smoothness
from hzbench.theory.gradients import evaluation_noise, sample_gradients
from hzbench.theory.oracles import batch_factor, call_noise
from hzbench.theory.probe import probe_assumptions, probe_steps
from hzbench.theory.smoothing import bias_limit, local_curvature, queries_values

BiasLimit = Callable[[Setting, int], float]
"""A bound β on |E G − ∇f| of one node; inf where there is none."""
PowerLimit = Callable[[Setting, int, float], float]
"""A bound on E|G|² of one node from E|∇F|², without the noise of calls; inf where there is none."""
BIAS_MUTANTS = ("missing_sqrt_d", "uniform_tangents")
POWER_MUTANTS = ("fresh_sample",)


@register("theorem", "smoothing_bias_bound", mutants=BIAS_MUTANTS)
def smoothing_bias_bound(setting: Setting) -> Prediction:
    """Upper bound on the squared bias of estimates at fixed iterates, for every law.

    Setting and assumptions: the iterates stay at the start; ∇f_i or its Hessian is Lipschitz where
    the queries fall (everywhere, or on their box for separable f_i and bounded vectors); n >= 2.

    Formula:
        E <e_i, e_j> = <b_i, b_j> <= β_i β_j for i ≠ j, with e_i = G_i − ∇f_i and β_i the least
        of the bounds listed in `theory/smoothing.py`: Lν sqrt(d), ½ρν² d, and others.

    Guarantee:
        upper bound; equality for cubes in one dimension, looser in more.

    Source:
        own derivation (A12).

    Args:
        setting: n >= 2 nodes in dimension d with moves = False.

    Returns:
        Kind upper at every record step from 1 on: estimate_bias_square [T'], which compares
        squares: a tightness of 9 says that |bias| is a third of its bound.

    Example:
        `core-estimators`, case `bias-bound[nodes.0.estimator.directions=gaussian]`, step 1, ρ = 2,
        ν = 0.4, d = 4:
        estimate_bias_square = 0.4096 = (0.5*2*0.4**2*4)**2.
    """
    return _bias_bound(
        setting,
        "smoothing_bias_bound",
        "|E G − ∇f| <= min(Lν E|v|, ½ρν² E|v|², ½Lν sqrt(E|u|⁴), ρν² sqrt(E|u|⁶)/6).",
        sources.SMOOTHING_BIAS,
        _own_bias,
    )


@register("theorem", "nesterov_spokoiny_bias", mutants=BIAS_MUTANTS)
def nesterov_spokoiny_bias(setting: Setting) -> Prediction:
    """The bias bounds of Nesterov and Spokoiny, squared, at fixed iterates.

    Setting and assumptions: as `smoothing_bias_bound`, but Gaussian vectors only.

    Formula:
        β = ½νL(d+3)^(3/2), or (ν²/6)ρ_H(d+4)² with a Lipschitz Hessian, whichever is less. (The
        second is recalled, not confirmed; the sharper bound of A12 implies it.)

    Guarantee:
        upper bound, not tight: for |bias| about d times that of `smoothing_bias_bound`.

    Source:
        Nesterov and Spokoiny 2017, Lemma 3 (A13).

    Args:
        setting: n >= 2 nodes in dimension d with moves = False.

    Returns:
        Kind upper at every record step from 1 on: estimate_bias_square [T'].

    Example:
        `core-estimators`, case `bias-bound-gaussian-wide`, step 1, ν = 1, L = 2, d = 4:
        estimate_bias_square = 343 = (0.5*1*2)**2*(4 + 3)**3.
    """
    return _bias_bound(
        setting,
        "nesterov_spokoiny_bias",
        "|E G − ∇f| <= ½νL(d+3)^(3/2), and <= (ν²/6)ρ_H(d+4)².",
        sources.NESTEROV_SPOKOINY_BIAS,
        _printed_bias,
    )


@register("theorem", "estimate_power_bound", mutants=POWER_MUTANTS)
def estimate_power_bound(setting: Setting) -> Prediction:
    """Upper bound on the second moment of estimates at fixed iterates, for every law.

    Setting and assumptions: the iterates stay at the start; every sample F is L-smooth where its
    queries fall; differences of function values, or gradients.

    Formula:
        E|G|² <= 2ω E|∇F|² + ½ν²L² E|u|⁶ + noise of function calls, with E|∇F|² = |h|² + tr S
        (equality E|G|² = E|∇F|² for gradients): Young's inequality for one vector, convexity for m.

    Guarantee:
        upper bound, not tight for differences; equality for gradients.

    Source:
        own derivation (A14).

    Args:
        setting: n nodes in dimension d with moves = False.

    Returns:
        Kind upper at every record step from 1 on: estimate_power [T'].

    Example:
        `core-estimators`, case `power-bound[nodes.0.estimator.directions=sphere]`, step 1:
        estimate_power = 123.9134.
    """
    return _power_bound(
        setting,
        "estimate_power_bound",
        "E|G|² <= 2ω E|∇F|² + ½ν²L² E|u|⁶.",
        sources.ESTIMATE_POWER,
        _own_power,
    )


@register("theorem", "nesterov_spokoiny_power", mutants=POWER_MUTANTS)
def nesterov_spokoiny_power(setting: Setting) -> Prediction:
    """The second-moment bound of Nesterov and Spokoiny at fixed iterates.

    Setting and assumptions: as `estimate_power_bound`, but Gaussian vectors only. Printed for one
    vector and an exact f; used for one sample F, and for m vectors by convexity.

    Formula:
        E|G|² <= ½ν²L²(d+6)³ + 2(d+4) E|∇F|² + noise of function calls.

    Guarantee:
        upper bound, not tight: 2(d+4)/(d+2) at best.

    Source:
        Nesterov and Spokoiny 2017, Theorem 4 (A13).

    Args:
        setting: n nodes in dimension d with moves = False.

    Returns:
        Kind upper at every record step from 1 on: estimate_power [T'].

    Example:
        `core-estimators`, case `power-bound-gaussian`, step 1: estimate_power = 265.2668.
    """
    return _power_bound(
        setting,
        "nesterov_spokoiny_power",
        "E|G|² <= ½ν²L²(d+6)³ + 2(d+4) E|∇F|².",
        sources.NESTEROV_SPOKOINY_POWER,
        _printed_power,
    )


def _own_bias(setting: Setting, node: int) -> float:
    law, d = setting.laws[node], setting.problem.dimension
    return bias_limit(law, d, local_curvature(setting, node))


def _printed_bias(setting: Setting, node: int) -> float:
    law, d, c = setting.laws[node], setting.problem.dimension, setting.problem.constants
    if not queries_values(law):
        return 0.0
    if not isinstance(law, DifferenceLaw) or law.directions != "gaussian":
        return inf
    nu = law.smoothing
    limits = (
        nu / 2 * c.smoothness * (d + 3) ** 1.5,
        nu**2 / 6 * c.hessian_lipschitz * (d + 4) ** 2,
    )
    return min((limit for limit in limits if isfinite(limit)), default=inf)


def _own_power(setting: Setting, node: int, slope: float) -> float:
    law, d = setting.laws[node], setting.problem.dimension
    assert isinstance(law, DifferenceLaw)
    u, L = direction_moments(law.directions, d), _query_smoothness(setting, node)
    return 2 * u.omega * slope + law.smoothing**2 * L**2 * u.sixth / 2


def _printed_power(setting: Setting, node: int, slope: float) -> float:
    law, d = setting.laws[node], setting.problem.dimension
    assert isinstance(law, DifferenceLaw)
    if law.directions != "gaussian":
        return inf
    L = _query_smoothness(setting, node)
    return law.smoothing**2 / 2 * L**2 * (d + 6) ** 3 + 2 * (d + 4) * slope


def _query_smoothness(setting: Setting, node: int) -> float:
    """L of every sample F where its queries fall."""
    if isinstance(setting.problem.structure, Separable):
        return local_curvature(setting, node).smoothness
    return sample_smoothness(setting, node)


def _bias_bound(
    setting: Setting, theorem: str, statement: str, source: Source, limit: BiasLimit
) -> Prediction:
    pair = assume("there are pairs of nodes", setting.nodes > 1, f"n = {setting.nodes}")

    def bounds() -> Array:
        return np.array([limit(setting, i) for i in range(setting.nodes)])

    def value() -> float:
        beta, n = bounds(), setting.nodes
        return float((beta.sum() ** 2 - (beta**2).sum()) / (n * (n - 1)))

    return _upper(
        setting,
        theorem,
        statement,
        source,
        BIAS_MUTANTS,
        "estimate_bias_square",
        (*probe_assumptions(setting), pair),
        bounds,
        value,
    )


def _power_bound(
    setting: Setting, theorem: str, statement: str, source: Source, limit: PowerLimit
) -> Prediction:
    def bounds() -> Array:
        structure, d = setting.problem.structure, setting.problem.dimension
        h, S = sample_gradients(structure, setting.problem.initial)
        found = np.full(setting.nodes, inf)
        for i, law in enumerate(setting.laws):
            if not isinstance(law, GradientLaw | DifferenceLaw):
                continue
            slope = float(h[i] @ h[i] + batch_factor(law.batch_size) * np.trace(S[i]))
            if isinstance(law, GradientLaw):
                found[i] = slope
            elif queries_values(law):
                noise = d * call_noise(law, evaluation_noise(structure))
                found[i] = limit(setting, i, slope) + noise
        return found

    return _upper(
        setting,
        theorem,
        statement,
        source,
        POWER_MUTANTS,
        "estimate_power",
        probe_assumptions(setting),
        bounds,
        lambda: float(bounds().mean()),
    )


def _upper(
    setting: Setting,
    theorem: str,
    statement: str,
    source: Source,
    mutants: tuple[str, ...],
    observable: str,
    assumptions: tuple[Assumption, ...],
    bounds: Callable[[], Array],
    value: Callable[[], float],
) -> Prediction:
    """One constant bound at every step, if each node has one."""
    steps = probe_steps(setting)
    text = "a bound is known for the estimator and the smoothness of every node"
    if all(assumption.holds for assumption in assumptions):
        bad = np.flatnonzero(~np.isfinite(bounds())).tolist()
        c = setting.problem.constants
        detail = f"nodes {bad}, L = {c.smoothness:g}, ρ_H = {c.hessian_lipschitz:g}" if bad else ""
        known = assume(text, not bad, detail)
    else:
        known = assume(text, False, "not checked: an assumption above fails")
    return conclude(
        theorem,
        statement=statement,
        source=source,
        kind="upper",
        assumptions=(*assumptions, known),
        steps=steps,
        compute=lambda: ({observable: np.full(len(steps), value())}, {}),
        validity="any smoothing radius",
        mutants=mutants,
    )
