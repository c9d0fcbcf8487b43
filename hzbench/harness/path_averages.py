"""Averages along a path, over steps 0 ... t − 1, from looks at the probe steps."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hzbench.core.problem import Problem
from hzbench.core.spec import Spec
from hzbench.harness.observables import Measure, Snapshot, gradient_norm, objective_gap
from hzbench.harness.setting import base_step_sizes

if TYPE_CHECKING:
    from torch import Tensor

Array = NDArray[np.float64]
WEIGHTED = "path_weighted_gap"
PATHS: dict[str, Measure] = {
    "path_gradient_norm": gradient_norm,
    "path_objective_gap": objective_gap,
    WEIGHTED: objective_gap,
}


class PathAverages:
    """Collects what the probe steps see.

    Attributes:
        seen: name -> what each look measured, weights included, each [R].
    """

    def __init__(self, names: Sequence[str], probes: Counter[int], weights: Array) -> None:
        self.probes, self.weights = probes, weights
        self.seen: dict[str, list[Tensor]] = {name: [] for name in names if name in PATHS}

    def look(self, at: Snapshot) -> None:
        """Measure if the step is a probe step (as often as it was drawn)."""
        count = self.probes[at.state.step]
        for name, seen in self.seen.items() if count else ():
            value = PATHS[name](at)
            weight = float(self.weights[at.state.step]) if name == WEIGHTED else 1.0
            seen.extend([weight * value] * count)

    def value(self, name: str, at: Snapshot) -> Tensor:
        """The average so far, [R]; before the first look what the start has."""
        import torch

        seen = self.seen[name] or [PATHS[name](at)]
        return torch.stack(seen).mean(0)


def path_weights(spec: Spec, problem: Problem) -> Array:
    """(1 − ηl/(2n))^(−t) over t < T with mean 1, η the mean base step size; shape [T].

    All 1 where f declares no strong convexity l, or the step is too long for such weights.
    """
    convexity = problem.constants.strong_convexity
    decay = float(base_step_sizes(spec).mean()) * convexity / (2 * spec.node_count)
    if not 0 < decay < 1:
        return np.ones(spec.run.steps)
    exponent = np.arange(spec.run.steps, dtype=np.float64) - spec.run.steps
    weights = np.exp(-np.log1p(-decay) * exponent)
    return np.asarray(weights / weights.mean())
