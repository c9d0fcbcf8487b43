"""Theorem: the exact mean of a run on quadratic forms, whatever the noise of its estimates."""

from dataclasses import replace

import numpy as np

from hzbench.core.prediction import Prediction
from hzbench.core.registry import register
from hzbench.core.setting import Setting
from hzbench.core.structure import GeneralizedLinear
from hzbench.theory import sources
from hzbench.theory.affine_system import Array, Integers
from hzbench.theory.checks import Values, conclude, is_quadratic, laws_declared
from hzbench.theory.dynamics import affordable_dense, build_model, observables, quadratic_parts
from hzbench.theory.least_squares_dynamics import is_least_squares
from hzbench.theory.quadratic_dynamics import dynamics_assumptions

MUTANTS = ("frozen_directions", "step_size_plus_5")


@register("theorem", "mean_dynamics", mutants=MUTANTS)
def mean_dynamics(setting: Setting) -> Prediction:
    """Exact mean iterate of a run on quadratic forms with any declared estimator.

    Setting and assumptions: quadratics or squared losses; every registered law, one-point and
    residual estimates too; protocols, orders and updates as in `quadratic_dynamics`.

    Formula:
        E[G_i | past] = A_i x_i − b_i (+ ½ν diag A_i with forward coordinate differences), so
        E z+ = Σ_ω p_ω T_ω E z. A residual estimate subtracts a value that is known before u is
        drawn, and E u = 0; a remembered value of whichever query leaves the mean alone. Its second
        moment does not close: E|G|² contains E f(x)² and E f(x) F', of degree 4 in the iterates,
        whose recursion needs degree 8, and so on.

    Guarantee:
        exact, of the mean alone.

    Source:
        own derivation (A1, A6, C1-C5, C13); the estimator is that of Zhang et al. 2022.

    Args:
        setting: n nodes in dimension d.

    Returns:
        Kind exact at all record steps: mean_iterate [T', d] without its spread.

    Example:
        `core-affine`, case `residual-ring`, step 10: mean_iterate[0] = 1.219545.
    """
    rows = isinstance(setting.problem.structure, GeneralizedLinear)
    structure = (is_least_squares if rows else is_quadratic)(setting)
    assumptions = dynamics_assumptions(setting, structure, laws_declared(setting))
    if structure.holds:
        A, _ = quadratic_parts(setting)
        assumptions = (*assumptions[:-1], affordable_dense(setting, A))
    return conclude(
        "mean_dynamics",
        statement="E G = h for every estimator on quadratics, so E z+ = Σ p_ω T_ω E z.",
        source=sources.MEAN_DYNAMICS,
        kind="exact",
        assumptions=assumptions,
        steps=setting.record,
        compute=lambda: _means(setting),
        validity="any step sizes; every draw of vectors is independent of the past",
        mutants=MUTANTS,
    )


def _means(setting: Setting) -> tuple[Values, Values]:
    """The last column of Z, which noise does not touch; its other entries mean nothing here."""
    model = build_model(setting)
    system, *later = (replace(each, noise=_silent) for each in (model.system, *model.later))
    values, _ = observables(setting, replace(model, system=system, later=tuple(later)))
    return {"mean_iterate": values["mean_iterate"]}, {}


def _silent(nodes: Integers, Z: Array) -> Array:
    """No noise, shape [C, B, p, p]."""
    p = Z.shape[2] - 1
    return np.zeros((len(Z), len(nodes), p, p))
