"""Which observables a problem knows enough to measure."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hzbench.core.problem import HidesCoordinates, Problem, Validates
from hzbench.core.state import State

if TYPE_CHECKING:
    from torch import Tensor

_GAPS = ("objective_gap", "path_objective_gap", "path_weighted_gap", "objective_gap_difference")
_DISTANCES = ("node_distance", "mean_distance", "mean_distance_square")
_SLOPES = ("gradient_norm", "path_gradient_norm", "estimate_bias_square", "probe_sums")
VALIDATION = tuple(
    f"validation_{what}{how}" for what in ("loss", "accuracy") for how in ("", "_spread")
)


def validated(state: State, problem: Problem) -> dict[str, Tensor]:
    """Every name of VALIDATION: mean and standard deviation over the nodes, shape [R] each."""
    assert isinstance(problem, Validates)
    found: dict[str, Tensor] = {}
    for name, values in problem.validation(state.x).items():
        found[name] = values.mean(1)
        found[f"{name}_spread"] = values.std(1, correction=0)
    return found


def lacking(problem: Problem) -> dict[str, str]:
    """Observables that cannot be measured on it, and what each would need."""
    missing: dict[str, str] = {}
    if np.isnan(problem.constants.minimum):
        missing |= dict.fromkeys(_GAPS, "a problem whose f* is known; take objective")
    if not np.size(problem.optimum):
        missing |= dict.fromkeys(_DISTANCES, "a problem whose x* is known; take mean_iterate")
    if getattr(problem, "gradient_free", False):
        missing |= dict.fromkeys(_SLOPES, "a problem with gradients; take objective")
    if not isinstance(problem, HidesCoordinates):
        missing["hidden_coordinates"] = "a problem that hides some; take zero_chain"
    if not isinstance(problem, Validates):
        missing |= dict.fromkeys(VALIDATION, "a problem with data set aside; take objective")
    return missing


def always(problem: Problem) -> tuple[str, ...]:
    """What every run records: the gap (f itself where f* is unknown), Γ and |∇f|².

    Where data is set aside, validation stands for these passes over all training data.
    """
    missing = lacking(problem)
    if isinstance(problem, Validates):
        return ("consensus_potential", *VALIDATION)
    value = "objective" if "objective_gap" in missing else "objective_gap"
    names = (value, "consensus_potential", "gradient_norm")
    return tuple(name for name in names if name not in missing)
