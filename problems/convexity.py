"""When a computed curvature is positive: one rule for every problem."""

from __future__ import annotations

from math import fsum

import numpy as np
from numpy.typing import NDArray

from hzbench.problems.arrays import diagonal_of
from hzbench.problems.largest import largest_eigenvalue

Array = NDArray[np.float64]
ROUNDING = 1e-12
"""Below this fraction of the largest term an eigenvalue is 0: its error is about d units of 1e-16
of the largest one (Golub and Van Loan, "Matrix computations", section 8.1)."""


def least_curvature(matrix: Array, *shifts: float) -> float:
    """Least eigenvalue of a symmetric matrix [d, d] plus Σ shifts · I; exactly 0 within rounding.

    So a singular matrix is neither positive definite nor indefinite, whatever its last bits; held
    against the matrix alone, so that a shift is never lost beside it: of a positive semidefinite
    one and λ the result is λ at least. A diagonal matrix has its eigenvalues exactly.
    """
    diagonal = diagonal_of(matrix)
    if diagonal is not None:
        return shifted_curvature(float(diagonal.min()), 0.0, *shifts)
    spectrum = np.linalg.eigvalsh(matrix)
    return shifted_curvature(float(spectrum[0]), float(np.abs(spectrum).max()), *shifts)


def least_of_rows(rows: Array, weights: Array, *shifts: float) -> float:
    """The same of Σ_j w_j a_j a_j'; fewer rows than columns make no d × d matrix.

    Arguments:
        rows: a_j, shape [N, d].
        weights: w_j of one sign, shape [N].
        shifts: constants that are added.
    """
    count, d = rows.shape
    if (weights <= 0).all():
        most = largest_eigenvalue(rows, -count * weights) if weights.any() else 0.0
        return shifted_curvature(-most, most, *shifts)
    if np.count_nonzero(weights) < d:  # they do not span
        return shifted_curvature(0.0, 0.0, *shifts)
    return least_curvature((rows * weights[:, None]).T @ rows, *shifts)


def shifted_curvature(least: float, largest: float, *shifts: float) -> float:
    """The same from the least eigenvalue and the size of the matrix; 0: it is exact."""
    least = 0.0 if abs(least) <= ROUNDING * largest else least
    terms = (least, *shifts)
    total = fsum(terms)
    if min(terms) >= 0:
        return total
    error = ROUNDING * max(largest if least else 0.0, *map(abs, terms))
    return 0.0 if abs(total) <= error else total
