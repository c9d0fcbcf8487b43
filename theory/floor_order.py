"""Theorem: which population has the lower noise floor, from the noise at the optimum."""

from dataclasses import dataclass

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
    step_range,
)
from hzbench.theory.directions import direction_moments
from hzbench.theory.gradients import row_gradients
from hzbench.theory.hybrid import equally_often
from hzbench.theory.oracles import averaging, batch_factor

Array = NDArray[np.float64]
_MARGIN = 0.1  # floors, and what blurs them, must be told apart by this fraction


@dataclass(frozen=True, kw_only=True)
class Floors:
    """Limits of (E f(x̄) − f*)/(η/4) as η → 0.

    Attributes:
        hybrid: Σ s_i/n² of this population.
        reference: Σ s_i/n1² of the reference.
        threshold: n_0* = n_1 (s_0/s_1 − 2), with s the means over each kind.
        offset: (f(x*_reference) − f*)/(η/4): the reference minimises a slightly different f.
    """

    hybrid: float
    reference: float
    threshold: float
    offset: float

    @property
    def difference(self) -> float:
        """Floor of the hybrid minus that of the reference."""
        return self.hybrid - self.reference


@register("theorem", "noise_floor_order", mutants=())
def noise_floor_order(setting: Setting) -> Prediction:
    """Sign of the hybrid's late gap minus that of its first-order nodes alone, on real data.

    Setting and assumptions: generalized linear losses on iid or replicated rows; one constant small
    step size; every node steps equally often; central differences or directional derivatives; the
    reference is the first-order nodes alone, sharing out the same rows.

    Formula:
        near the optimum E f(x̄) − f* → (η/4) Σ s_i/n², with s_i = tr Σ_i/b for a gradient and
        tr Σ_i/b + ((ω−1)/m)(|∇f_i|² + tr Σ_i/b) for differences: for equal data the hybrid is
        lower iff n_0 > n_0* = n_1((ω−1)/m − 1).

    Source:
        own derivation (D1, locally); the question is that of Ansaripour et al. 2025.

    Args:
        setting: the hybrid, with the reference in `setting.reference`.

    Returns:
        Kind order at the last record step: objective_gap_difference is −1 (hybrid lower) or +1.
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
        mutants=(),
    )


def floors(setting: Setting) -> Floors:
    """The floors of both populations, up to the common factor η/4."""
    other = setting.reference
    assert other is not None
    mine, theirs = estimate_noise(setting), estimate_noise(other)
    first = np.array([kind == "first" for kind in setting.kinds])
    n1 = int(first.sum())
    shift = _objective(setting, other.problem.optimum) - _objective(
        setting, setting.problem.optimum
    )
    return Floors(
        hybrid=float(mine.sum()) / setting.nodes**2,
        reference=float(theirs.sum()) / other.nodes**2,
        threshold=n1 * float(mine[~first].mean() / mine[first].mean() - 2),
        offset=shift / (step_range(setting)[1] / 4),
    )


def estimate_noise(setting: Setting) -> Array:
    """s_i, trace of the covariance of every node's estimate at the optimum, shape [n]."""
    d, structure = setting.problem.dimension, setting.problem.structure
    assert isinstance(structure, GeneralizedLinear)
    noise = np.empty(setting.nodes)
    for i, law in enumerate(setting.laws):
        gradients = row_gradients(structure, i, setting.problem.optimum)
        mean = gradients.mean(axis=0)
        assert law is not None
        data = float(((gradients - mean) ** 2).sum(1).mean()) * batch_factor(law.batch_size)
        noise[i] = data
        if isinstance(law, DifferenceLaw):
            growth, r = direction_moments(law.directions, d).omega - 1, averaging(law, d)
            own, each = (1 / law.samples,) * 2 if law.data == "fresh" else (1.0, r)
            noise[i] = own * data + growth * (r * float(mean @ mean) + each * data)
    return noise


def _objective(setting: Setting, x: Array) -> float:
    """f(x) = (1/n) Σ f_i(x)."""
    structure = setting.problem.structure
    assert isinstance(structure, GeneralizedLinear)
    margins = structure.features @ x
    y = structure.targets
    squared = structure.loss == "squared"
    losses = (margins - y) ** 2 / 2 if squared else np.logaddexp(0, -y * margins)
    data = float(np.mean([losses[rows].mean() for rows in structure.members]))
    return data + structure.regularization / 2 * float(x @ x)


def _assumptions(setting: Setting) -> tuple[Assumption, ...]:
    n1, n0 = setting.kinds.count("first"), setting.kinds.count("zeroth")
    low, high = step_range(setting)
    glm = isinstance(setting.problem.structure, GeneralizedLinear)
    bad = [
        i
        for i, law in enumerate(setting.laws)
        if isinstance(law, DifferenceLaw) and law.difference == "forward"
    ]
    edge = high * setting.problem.constants.smoothness
    return (
        iterates_move(setting),
        laws_known(setting),
        recorded(setting),
        momentum_zero(setting),
        assume("the losses are generalized linear", glm, type(setting.problem.structure).__name__),
        assume("the optimum is known", setting.problem.optimum.size > 0),
        assume("both kinds of nodes are present", n1 > 0 and n0 > 0, f"n_1 = {n1}, n_0 = {n0}"),
        assume("no forward differences", not bad, f"nodes {bad}" if bad else ""),
        equally_often(setting),
        assume("one positive step size", 0 < low == high, f"from {low:g} to {high:g}"),
        assume("constant in time", setting.schedule.constant, str(setting.schedule)),
        assume("the step size is small: η L < 1", edge < 1, f"η L = {edge:.3g}"),
        _reference(setting, n1),
    )


def _reference(setting: Setting, n1: int) -> Assumption:
    other = setting.reference
    text = "the reference is the first-order nodes alone, run alike"
    if other is None:
        return assume(text, False, "no reference")
    first = {law for law, k in zip(setting.laws, setting.kinds, strict=True) if k == "first"}
    fits = other.nodes == n1 and set(other.laws) == first and len(first) == 1
    alike = (
        other.order == setting.order
        and other.steps == setting.steps
        and other.schedule == setting.schedule
        and step_range(other) == step_range(setting)
        and equally_often(other).holds
    )
    return assume(text, fits and alike, f"reference of {other.nodes} nodes, n_1 = {n1}")


def _decided(numbers: Floors | None) -> tuple[Assumption, ...]:
    texts = ("the two floors differ enough", "both populations minimise nearly the same f")
    if numbers is None:
        return tuple(
            assume(text, False, "not checked: an assumption above fails") for text in texts
        )
    gap = abs(numbers.difference)
    detail = f"floors {numbers.hybrid:.4g} and {numbers.reference:.4g} (times η/4)"
    shift = f"f(x*_reference) − f* = {numbers.offset:.3g} (times η/4), difference {gap:.3g}"
    return (
        assume(texts[0], gap > _MARGIN * numbers.reference, detail),
        assume(texts[1], numbers.offset < _MARGIN * gap, shift),
    )
