"""What a run itself refutes: an f* that the mean iterate goes below."""

from __future__ import annotations

import numpy as np

from hzbench.core.constants import Constants
from hzbench.core.trace import Trace

_ROUNDING = {"float64": 1e-9, "float32": 1e-4}
"""Of 1 + |f*|: certified optima may miss f* by 1e-9 of it; float32 sums lose four of 7 digits."""


def refuted_minimum(trace: Trace, constants: Constants, dtype: str) -> tuple[str, ...]:
    """A sentence if f(mean) − f* < 0 beyond rounding in some replica at some step, else nothing.

    Values of f are noise-free, so one of them decides; only a user's own function may be noisy.

    Arguments:
        trace: what was measured.
        constants: of the problem, with f*.
        dtype: of the run.
    """
    gaps = trace.columns.get("objective_gap")
    if gaps is None or not gaps.size:
        return ()
    known = np.where(np.isfinite(gaps), gaps, np.inf)
    least, minimum = float(known.min()), constants.minimum
    if not least < -_ROUNDING[dtype] * (1.0 + abs(minimum)):
        return ()
    step = int(trace.steps[known.min(axis=1).argmin()])
    how = constants.how.get("minimum", "")
    return (
        f"f(mean) is {-least:.4g} below f* = {minimum:g}{f' ({how})' if how else ''} at step "
        f"{step}, so that is not the minimum and every objective_gap is wrong by as much at least; "
        "correct the minimum, or leave it out (a function whose values are noisy may dip below)",
    )
