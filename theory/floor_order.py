"""Theorem: which population has the lower noise floor, from the noise at the optimum."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import inf

import numpy as np
from numpy.typing import NDArray

from hzbench.core.prediction import Assumption, Prediction
from hzbench.core.registry import register
from hzbench.core.setting import Setting
from hzbench.core.structure import DifferenceLaw, GeneralizedLinear
from hzbench.theory import sources
from hzbench.theory.checks import (
    assume,
    conclude,
    iterates_move,
    laws_known,
    momentum_zero,
    recorded,
    smoothing_positive,
    step_range,
)
from hzbench.theory.directions import direction_moments
from hzbench.theory.estimator_bounds import objective, row_bias_bound
from hzbench.theory.fixed_points import fixed_point, fixed_point_known
from hzbench.theory.gradients import row_gradients
from hzbench.theory.hybrid import equally_often, noise_growth, run_alike, start_factor
from hzbench.theory.noise_spread import finite_step_factor, spread_known
from hzbench.theory.oracles import averaging, batch_factor

Array = NDArray[np.float64]
_SMALL = 0.05  # of the difference: each shift of the mean, and there are at most three of them
_LARGE = 0.5  # of the difference: what finite steps may add; 0.5 + (3 sqrt(0.05))² < 1


@dataclass(frozen=True, kw_only=True)
class Floors:
    """Limits of (E f(x̄) − f*)/(η/4) as η → 0, and what blurs them, in the same unit.

    Attributes:
        hybrid: Σ s_i/n² of this population.
        reference: Σ s_i/n1² of the reference.
        threshold: n_0* = n_1 (s_0/s_1 − 2), with s the means over each kind.
        bias: B²/(2μ), B = (1/n) Σ b_i: the most that smoothing moves the hybrid's mean.
        start: the most that is left of the start at the last record step, of either population.
        offset: f − f* where the mean of the reference settles, whose f may differ slightly.
        shift: f − f* where the mean of the hybrid settles.
        excess: the most that finite steps add to the lower floor.
    """

    hybrid: float
    reference: float
    threshold: float
    bias: float
    start: float
    offset: float
    shift: float
    excess: float

    @property
    def difference(self) -> float:
        """Floor of the hybrid minus that of the reference."""
        return self.hybrid - self.reference


@register("theorem", "noise_floor_order", mutants=("missing_sqrt_d",))
def noise_floor_order(setting: Setting) -> Prediction:
    """Sign of the hybrid's late gap minus that of its first-order nodes alone, on real data.

    Setting and assumptions: generalized linear losses; one constant small step size; every node
    steps equally often; central differences or directional derivatives; the reference is the
    first-order nodes alone, run alike on the same rows. What could reverse the order is bounded,
    and small beside the difference: bias by smoothing, what is left of the start, unequal f_i,
    finite steps.

    Formula:
        near the optimum E f(x̄) − f* → (η/4) Σ s_i/n², with s_i = tr Σ_i/b for a gradient and
        tr Σ_i/b + ((ω−1)/m)(|∇f_i|² + tr Σ_i/b) for differences: for equal data the hybrid is
        lower iff n_0 > n_0* = n_1((ω−1)/m − 1). The mean settles where ∇f = −(1/n) Σ bias_i, so
        smoothing costs |∇f|²/(2μ) <= B²/(2μ); finite steps multiply a floor by at most the factor
        of `finite_step_factor`, 2/(2 − ηL(1 + Στ_i/n²)) for W = J/n and more the slower W mixes
        (quadratic f, noise growing with |∇f_i(x_i)|² alone). Means that move by gaps g_j move
        together by at most (Σ sqrt g_j)².

    Guarantee:
        order in the limit of small steps, late, with what could reverse it bounded.

    Source:
        own derivation (D1, locally); the question is that of Ansaripour et al. 2025.

    Args:
        setting: the hybrid, with the reference in `setting.reference`.

    Returns:
        Kind order at the last record step: objective_gap_difference is −1 (hybrid lower) or +1.

    Example:
        `quick`, case `cancer-crossover-4-4`, step 200, d = 30, m = 4, n_1 = n_0 = 4:
        objective_gap_difference = 1 = -1 if 4 > 4*((30 - 1)/4 - 1) else 1.
    """
    ready = _assumptions(setting)
    numbers = floors(setting) if all(a.holds for a in ready) else None
    sign = -1.0 if numbers is None or numbers.difference < 0 else 1.0
    return conclude(
        "noise_floor_order",
        statement="The hybrid ends lower iff n_0 > n_0* = n_1 (s_0/s_1 − 2)"
        + (f" = {numbers.threshold:.4g}." if numbers else "."),
        source=sources.HYBRID_CROSSOVER,
        kind="order",
        assumptions=(*ready, *_decided(numbers)),
        steps=setting.record[-1:],
        compute=lambda: ({"objective_gap_difference": np.array([sign])}, {}),
        validity="asymptotic: small step sizes, near the optimum, late; nothing is claimed early",
        mutants=("missing_sqrt_d",),
    )


def floors(setting: Setting) -> Floors:
    """The floors of both populations and what blurs them, over the common factor η/4."""
    other = setting.reference
    assert other is not None
    unit = step_range(setting)[1] / 4
    here, there = fixed_point(setting), fixed_point(other)
    mine = estimate_noise(setting, here.queries)
    theirs = estimate_noise(other, there.queries)
    first = np.array([kind == "first" for kind in setting.kinds])
    hybrid, reference = (float(s.sum()) / len(s) ** 2 for s in (mine, theirs))
    lower, noise = (setting, mine) if hybrid < reference else (other, theirs)
    factor = finite_step_factor(lower, noise, noise_growth(lower))
    best = objective(setting, setting.problem.optimum)
    bias = mean_bias(setting) ** 2 / (2 * setting.problem.constants.strong_convexity)
    return Floors(
        hybrid=hybrid,
        reference=reference,
        threshold=int(first.sum()) * float(mine[~first].mean() / mine[first].mean() - 2),
        bias=bias / unit,
        start=max(_start(setting), _start(other)) / unit,
        offset=(objective(setting, there.mean) - best) / unit,
        shift=(objective(setting, here.mean) - best) / unit,
        excess=min(hybrid, reference) * (factor - 1.0),
    )


def estimate_noise(setting: Setting, points: Array) -> Array:
    """s_i, trace of the covariance of every node's estimate at its point, shape [n].

    Args:
        setting: the laws and the rows.
        points: one a node, shape [n, d].
    """
    d, structure = setting.problem.dimension, setting.problem.structure
    assert isinstance(structure, GeneralizedLinear)
    noise = np.empty(setting.nodes)
    for i, law in enumerate(setting.laws):
        gradients = row_gradients(structure, i, points[i])
        mean = gradients.mean(axis=0)
        assert law is not None
        data = float(((gradients - mean) ** 2).sum(1).mean()) * batch_factor(law.batch_size)
        noise[i] = data
        if isinstance(law, DifferenceLaw):
            growth, r = direction_moments(law.directions, d).omega - 1, averaging(law, d)
            own, each = (1 / law.samples,) * 2 if law.data == "fresh" else (1.0, r)
            noise[i] = own * data + growth * (r * float(mean @ mean) + each * data)
    return noise


def mean_bias(setting: Setting) -> float:
    """B: a bound on the bias of the nodes' mean estimate, (1/n) Σ b_i."""
    structure = setting.problem.structure
    assert isinstance(structure, GeneralizedLinear)
    laws = enumerate(setting.laws)
    limits = [row_bias_bound(structure, i, w) for i, w in laws if isinstance(w, DifferenceLaw)]
    return sum(limits) / setting.nodes


def _start(setting: Setting) -> float:
    """The most that the last record step keeps of the mean over nodes of f(x_i) − f*."""
    constants, best = setting.problem.constants, objective(setting, setting.problem.optimum)
    gap = np.mean([objective(setting, x) for x in setting.problem.initial]) - best
    return float(gap) * start_factor(setting, constants.strong_convexity, constants.smoothness)


def _assumptions(setting: Setting) -> tuple[Assumption, ...]:
    n1, n0 = setting.kinds.count("first"), setting.kinds.count("zeroth")
    low, high = step_range(setting)
    constants = setting.problem.constants
    glm = isinstance(setting.problem.structure, GeneralizedLinear)
    bad = [
        i
        for i, law in enumerate(setting.laws)
        if isinstance(law, DifferenceLaw) and law.difference == "forward"
    ]
    edge, mu = high * constants.smoothness, constants.strong_convexity
    ready = (
        iterates_move(setting),
        laws_known(setting),
        smoothing_positive(setting),
        recorded(setting),
        momentum_zero(setting),
        assume("the losses are generalized linear", glm, type(setting.problem.structure).__name__),
        assume("the optimum is known", setting.problem.optimum.size > 0),
        assume("f is strongly convex", 0 < mu < inf, f"μ = {mu:g}"),
        assume("both kinds of nodes are present", n1 > 0 and n0 > 0, f"n_1 = {n1}, n_0 = {n0}"),
        assume("no forward differences", not bad, f"nodes {bad}" if bad else ""),
        equally_often(setting),
        spread_known(setting),
        assume("one positive step size", 0 < low == high, f"from {low:g} to {high:g}"),
        assume("constant in time", setting.schedule.constant, str(setting.schedule)),
        assume("the step size is small: η L < 1", edge < 1, f"η L = {edge:.3g}"),
        _reference(setting, n1),
    )
    return ready + tuple(_settling(setting, all(a.holds for a in ready)))


def _reference(setting: Setting, n1: int) -> Assumption:
    other = setting.reference
    text = "the reference is the first-order nodes alone, run alike"
    if other is None:
        return assume(text, False, "no reference")
    first = {law for law, k in zip(setting.laws, setting.kinds, strict=True) if k == "first"}
    fits = other.nodes == n1 and set(other.laws) == first and len(first) == 1
    same = type(other.problem.structure) is type(setting.problem.structure)
    shared = equally_often(other).holds and spread_known(other).holds
    alike = same and shared and run_alike(setting)
    detail = f"reference of {other.nodes} nodes, n_1 = {n1}"
    return assume(text, fits and alike, detail + ("" if alike else ", not run alike"))


def _settling(setting: Setting, ready: bool) -> Iterator[Assumption]:
    """Both fixed points can be computed."""
    for name, each in (("hybrid", setting), ("reference", setting.reference)):
        text = f"where the mean of the {name} settles can be computed"
        if not ready or each is None:
            yield assume(text, False, "not checked: an assumption above fails")
        else:
            known = fixed_point_known(each)
            yield assume(text, known.holds, known.detail)


def _decided(numbers: Floors | None) -> tuple[Assumption, ...]:
    texts = (
        "the smoothing bias is small",
        "the start is forgotten",
        "both populations minimise nearly the same f",
        "unequal f_i hardly move the mean of the hybrid",
        "the two floors differ by more than finite steps can",
    )
    if numbers is None:
        return tuple(assume(t, False, "not checked: an assumption above fails") for t in texts)
    gap = abs(numbers.difference)
    shifts = (
        ("B²/(2μ)", numbers.bias),
        ("left of f_0 − f*", numbers.start),
        ("f − f* where the reference settles", numbers.offset),
        ("f − f* where the hybrid settles", numbers.shift),
    )
    small = [
        assume(
            text,
            size < _SMALL * gap,
            f"{name} = {size:.3g}, difference of the floors {gap:.3g} (times η/4; "
            f"at most {_SMALL} of it)",
        )
        for text, (name, size) in zip(texts, shifts, strict=False)
    ]
    detail = (
        f"floors {numbers.hybrid:.4g} and {numbers.reference:.4g}; finite steps add at most "
        f"{numbers.excess:.3g} to the lower one (times η/4; at most {_LARGE} of the difference)"
    )
    return (*small, assume(texts[-1], numbers.excess < _LARGE * gap, detail))
