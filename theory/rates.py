"""Theorems: averages over a path, and rates and slopes, of the exact curve on the record grid."""

from dataclasses import replace

import numpy as np

from hzbench.core.prediction import Fit, Prediction
from hzbench.core.registry import register
from hzbench.core.setting import Setting
from hzbench.core.structure import Quadratic
from hzbench.theory import sources
from hzbench.theory.checks import Values, assume, conclude
from hzbench.theory.least_squares_dynamics import least_squares_dynamics
from hzbench.theory.quadratic_dynamics import quadratic_dynamics

MUTANTS = ("step_size_plus_5", "one_endpoint", "self_pairs")
SLOPE_MUTANTS = ("missing_sqrt_d", "uniform_tangents")  # a slope is blind to factors of the curve
CURVES = ("objective_gap", "consensus_potential", "node_distance")
_LEAST_RECORD = 4
_VISIBLE_DECAY = 3.0


@register("theorem", "path_dynamics", mutants=MUTANTS)
def path_dynamics(setting: Setting) -> Prediction:
    """Exact mean of the path average of |∇f(mean)|² on quadratics and squared losses.

    Setting and assumptions: those of quadratic_dynamics or least_squares_dynamics; the last step is
    recorded.

    Formula:
        (1/T) Σ_{s<T} E|∇f(mean_s)|², from the exact second moments at every step.

    Guarantee:
        exact.

    Source:
        own derivation (C1-C5, C12); what E1, E4 and Theorem 1 of the paper bound.

    Args:
        setting: n nodes.

    Returns:
        Kind exact at step T: path_gradient_norm.

    Example:
        `core-judge`, case `path-and-rate-pair`, step 160: path_gradient_norm = 0.3795084.
    """
    everywhere = _exact(replace(setting, record=tuple(range(setting.steps))))
    ends = bool(setting.record) and setting.record[-1] == setting.steps
    return conclude(
        "path_dynamics",
        statement="(1/T) Σ_{s<T} E|∇f(mean_s)|² follows from the second moments at every step.",
        source=sources.QUADRATIC_DYNAMICS,
        kind="exact",
        assumptions=(
            *everywhere.assumptions,
            assume("the last step is recorded", ends, f"T = {setting.steps}"),
        ),
        steps=(setting.steps,),
        compute=lambda: (
            {"path_gradient_norm": np.array([everywhere.values["gradient_norm"].mean()])},
            {},
        ),
        validity=everywhere.validity,
        mutants=MUTANTS,
    )


@register("theorem", "decay_rate", mutants=MUTANTS)
def decay_rate(setting: Setting) -> Prediction:
    """Rate r of the fit c exp(−r t) + floor, against the same fit of the exact curve.

    Setting and assumptions: those of quadratic_dynamics or least_squares_dynamics; at least four
    positive record points, over which the curve falls by more than a factor 3.

    Formula:
        argmin_r over c, floor of Σ_t (c e^{−rt} + floor − m_t)²/m_t² on the record points, m the
        exact curve; the measured means are fitted with the same weights.

    Guarantee:
        rate, compared with the same fit of the exact curve, not with an asymptotic one.

    Source:
        own derivation (C1-C5, F3).

    Args:
        setting: n nodes.

    Returns:
        Kind rate, fit "floor", at the positive record points: the exact objective_gap,
        consensus_potential and node_distance, whichever fall.

    Example:
        `core-judge`, case `path-and-rate-pair`, step 160: objective_gap = 0.0115441.
    """
    return _fitted(setting, "decay_rate", "floor", "The means decay at the rate of the exact curve")


@register("theorem", "decay_slope", mutants=SLOPE_MUTANTS)
def decay_slope(setting: Setting) -> Prediction:
    """Log-log slope over the record points, against the slope of the exact curve there.

    Setting and assumptions: as decay_rate.

    Formula:
        Σ_t w_t log m_t with the weights w of the least-squares line in log t. The asymptotic
        exponent (−1 for inverse-time steps) is never used: on a finite grid it is wrong.

    Guarantee:
        rate, compared with the same fit of the exact curve, not with an asymptotic one.

    Source:
        own derivation (C1-C5, F3).

    Args:
        setting: n nodes.

    Returns:
        Kind rate, fit "power", at the positive record points: as decay_rate.

    Example:
        `core-judge`, case `slope-inverse-time`, step 60: objective_gap = 0.0060503.
    """
    return _fitted(setting, "decay_slope", "power", "The means fall with the slope of the curve")


def _exact(setting: Setting) -> Prediction:
    quadratic = isinstance(setting.problem.structure, Quadratic)
    return quadratic_dynamics(setting) if quadratic else least_squares_dynamics(setting)


def _fitted(setting: Setting, theorem: str, fit: Fit, statement: str) -> Prediction:
    steps = tuple(step for step in setting.record if step > 0)
    curve = _exact(replace(setting, record=steps)) if steps else _exact(setting)
    falling = {name: curve.values[name] for name in CURVES if _falls(curve, name)}
    enough = len(steps) >= _LEAST_RECORD

    def compute() -> tuple[Values, Values]:
        return falling, {}

    return conclude(
        theorem,
        statement=f"{statement} on the same grid.",
        source=sources.QUADRATIC_DYNAMICS,
        kind="rate",
        assumptions=(
            *curve.assumptions,
            assume("at least four positive steps are recorded", enough, f"steps = {steps}"),
            assume(
                "some exact curve falls by more than a factor 3",
                bool(falling),
                f"falling: {', '.join(falling) or 'none'}",
            ),
        ),
        steps=steps,
        compute=compute,
        validity=f"{curve.validity}; a fit to the record points, not an asymptotic exponent",
        mutants=MUTANTS if fit == "floor" else SLOPE_MUTANTS,
        fit=fit,
    )


def _falls(curve: Prediction, name: str) -> bool:
    values = curve.values.get(name)
    if values is None or not np.isfinite(values).all() or values.min() <= 0:
        return False
    return bool(values[0] > _VISIBLE_DECAY * values[-1])
