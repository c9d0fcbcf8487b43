"""Trace: what one run measured, replica by replica."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

OK, DIVERGED = 0, 1


@dataclass(frozen=True, kw_only=True)
class Trace:
    """Observables at record points.

    Attributes:
        steps: record points, shape [T'], increasing; 0 is the start.
        columns: observable -> [T', R] or [T', R, k], float64. Costs are columns too
            (gradient_calls, function_calls, derivative_calls, floats_sent).
        status: per replica, 0 = ok, 1 = diverged; shape [R]. Failed replicas are counted, never
            dropped: their columns hold what was seen, non-finite values included.
        provenance: versions, device, seed, digest.
    """

    steps: NDArray[np.int64]
    columns: Mapping[str, NDArray[np.float64]]
    status: NDArray[np.int8]
    provenance: Mapping[str, Any] = field(default_factory=dict)

    @property
    def replicas(self) -> int:
        """R."""
        return int(self.status.shape[0])

    @property
    def diverged(self) -> int:
        """Number of replicas that diverged."""
        return int(np.count_nonzero(self.status == DIVERGED))

    def at(self, observable: str, step: int) -> NDArray[np.float64]:
        """Return one column at one record point, shape [R] or [R, k].

        Raises:
            KeyError: the observable or the step was not recorded.
        """
        index = np.flatnonzero(self.steps == step)
        if observable not in self.columns or index.size == 0:
            raise KeyError(
                f"got {observable} at step {step}; expected one of "
                f"{sorted(self.columns)} at {self.steps.tolist()}"
            )
        values: NDArray[np.float64] = self.columns[observable][int(index[0])]
        return values
