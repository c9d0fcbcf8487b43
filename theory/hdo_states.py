"""What theory knows of a run just before a recorded step: the inputs of one-step bounds."""

from dataclasses import dataclass, replace

import numpy as np

from hzbench.core.prediction import Assumption
from hzbench.core.setting import Setting
from hzbench.core.structure import GeneralizedLinear, Quadratic
from hzbench.theory.affine_moments import advance
from hzbench.theory.affine_system import AffineSystem, Array, node_moments
from hzbench.theory.checks import assume
from hzbench.theory.dynamics import (
    affordable,
    build_model,
    observables,
    quadratic_parts,
    unique_minimiser,
)
from hzbench.theory.estimator_bounds import objective
from hzbench.theory.gradients import true_gradients
from hzbench.theory.hdo_constants import power_coefficients


@dataclass(frozen=True, kw_only=True)
class MeanState:
    """Expectations at one step.

    Attributes:
        gap: E f(mean) − f*.
        potential: E Γ.
        distance: E|mean − x*|².
        power: M = (1/n) Σ E|G_i|², the second moment of the estimates drawn there.
    """

    gap: float
    potential: float
    distance: float
    power: float


def steps_after(setting: Setting) -> tuple[int, ...]:
    """Record steps t whose state at t − 1 is known: all from 1 on if exact moments are, else 1."""
    later = tuple(t for t in setting.record if t >= 1)
    return later if has_moments(setting) else tuple(t for t in later if t == 1)


def has_moments(setting: Setting) -> bool:
    """Whether the exact second-moment recursion gives the state at every step."""
    structure = setting.problem.structure
    squared = isinstance(structure, GeneralizedLinear) and structure.loss == "squared"
    if not (isinstance(structure, Quadratic) or squared):
        return False
    A, _ = quadratic_parts(setting)
    return unique_minimiser(A).holds and affordable(setting, A).holds


def known_before(setting: Setting) -> Assumption:
    """Some recorded step comes right after a known state."""
    return assume(
        "the state before some recorded step is known (the start, or any step of a quadratic)",
        bool(steps_after(setting)),
        f"record = {setting.record}; record step 1",
    )


def states_before(setting: Setting) -> list[MeanState]:
    """The state one step before each of `steps_after`."""
    if not has_moments(setting):
        return [start_state(setting)]
    before = tuple(t - 1 for t in steps_after(setting))
    known = replace(setting, record=before)
    model = build_model(known)
    values, _ = observables(known, model)
    powers = _powers(model.system, model.start, before)
    return [
        MeanState(
            gap=float(values["objective_gap"][k]),
            potential=float(values["consensus_potential"][k]),
            distance=float(values["node_distance"][k] - values["consensus_potential"][k]),
            power=powers[k],
        )
        for k in range(len(before))
    ]


def _powers(system: AffineSystem, start: Array, steps: tuple[int, ...]) -> list[float]:
    """M at some steps of a run with constant step sizes, from exact moments."""
    Z, found = system.start(start), []
    for t in range(steps[-1] + 1):
        if t in steps:
            found.append(_power(system, Z))
        Z = advance(system, Z, 1.0)
    return found


def _power(system: AffineSystem, Z: Array) -> float:
    """(1/n) Σ E|G_i|² = (1/n) Σ (E|h_i|² + tr Cov G_i)."""
    n = system.shape[1]
    own = node_moments(system, Z)
    B = np.concatenate([system.hessians, -system.linear[..., None]], axis=3)
    total = B @ own @ B.swapaxes(2, 3) + system.noise(np.arange(n), own)
    return float(np.einsum("cnkk->", total)) / n


def start_state(setting: Setting) -> MeanState:
    """The start of any run; M from Lemma 5."""
    X, optimum = setting.problem.initial, setting.problem.optimum
    mean = X.mean(0)
    return MeanState(
        gap=objective(setting, mean) - setting.problem.constants.minimum,
        potential=float(((X - mean) ** 2).sum(1).mean()),
        distance=float(((mean - optimum) ** 2).sum()),
        power=start_power_bound(setting),
    )


def start_power_bound(setting: Setting) -> float:
    """Lemma 5 at the starting points: (1/n) Σ (a_i |∇f_i(x_i)|² + v_i + w_i)."""
    gradients = true_gradients(setting.problem.structure, setting.problem.initial)
    slope, variance, smoothing = power_coefficients(setting)
    return float((slope * (gradients**2).sum(1) + variance + smoothing).mean())
