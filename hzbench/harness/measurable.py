"""Which observables a problem knows enough to measure."""

from __future__ import annotations

import numpy as np

from hzbench.core.problem import Problem

_GAPS = ("objective_gap", "path_objective_gap", "path_weighted_gap", "objective_gap_difference")
_DISTANCES = ("node_distance", "mean_distance")
_SLOPES = ("gradient_norm", "path_gradient_norm", "estimate_bias_square", "probe_sums")


def lacking(problem: Problem) -> dict[str, str]:
    """Observables that cannot be measured on it, and what each would need."""
    missing: dict[str, str] = {}
    if np.isnan(problem.constants.minimum):
        missing |= dict.fromkeys(_GAPS, "a problem whose f* is known; take objective")
    if not np.size(problem.optimum):
        missing |= dict.fromkeys(_DISTANCES, "a problem whose x* is known; take mean_iterate")
    if getattr(problem, "gradient_free", False):
        missing |= dict.fromkeys(_SLOPES, "a problem with gradients; take objective")
    return missing


def always(problem: Problem) -> tuple[str, ...]:
    """What every run records: the gap (f itself where f* is unknown), Γ and |∇f|²."""
    missing = lacking(problem)
    value = "objective" if "objective_gap" in missing else "objective_gap"
    names = (value, "consensus_potential", "gradient_norm")
    return tuple(name for name in names if name not in missing)
