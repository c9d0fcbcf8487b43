"""When a computed curvature is positive: one rule for every problem."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
ROUNDING = 1e-12
"""Below this fraction of the largest term an eigenvalue is 0: its error is about d units of 1e-16
of the largest one (Golub and Van Loan, "Matrix computations", section 8.1)."""


def least_curvature(matrix: Array, *shifts: float) -> float:
    """Least eigenvalue of a symmetric matrix [d, d] plus Σ shifts · I; exactly 0 within rounding.

    So a singular matrix is neither positive definite nor indefinite, whatever its last bits.
    """
    spectrum = np.linalg.eigvalsh(matrix)
    least = float(spectrum[0]) + sum(shifts)
    largest = max(float(np.abs(spectrum).max()), *map(abs, shifts), 0.0)
    return 0.0 if abs(least) <= ROUNDING * largest else least
