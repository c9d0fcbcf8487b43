"""The largest eigenvalue of a weighted second moment of rows, or a bound on it for very wide data.

Up to `SMALL` rows or columns it is exact, from the smaller Gram matrix. Beyond, k steps of Lanczos
from a random start reach θ >= (1 − ε) λ_max, whatever the spectrum, but for a probability of
1.648 sqrt(d) e^(−sqrt(ε)(2k−1)), so that θ/(1 − ε) is an upper bound; no d × d matrix is formed.

Source: Kuczyński and Woźniakowski, "Estimating the largest eigenvalue by the power and Lanczos
algorithms with a random start", SIAM J. Matrix Anal. Appl. 1992, theorem 4.2.
"""

from __future__ import annotations

from collections.abc import Callable
from math import log, sqrt

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigvalsh_tridiagonal

Array = NDArray[np.float64]

SMALL = 3000
STEPS = 160
FAILURE = 1e-10  # probability that the bound is none
_SEED = 20253
_ROUNDING = 1e-12


def largest_eigenvalue(rows: Array, weights: Array) -> float:
    """λ_max of (1/M) Σ_j w_j a_j a_j', exact or bounded from above.

    Arguments:
        rows: a_j, shape [M, d].
        weights: w_j >= 0, shape [M].
    """
    count, d = rows.shape
    if min(count, d) > SMALL:
        return lanczos_bound(lambda v: rows.T @ (weights * (rows @ v)) / count, d)
    scaled = rows * np.sqrt(weights / count)[:, None]
    gram = scaled @ scaled.T if count < d else scaled.T @ scaled
    return float(np.linalg.eigvalsh(gram)[-1])


def how(count: int, d: int) -> str:
    """How that number of so many rows was obtained."""
    if min(count, d) <= SMALL:
        return "exact"
    return f"bound by {STEPS} steps of Lanczos, {_excess(d, STEPS):.1%} above what they found"


def lanczos_bound(product: Callable[[Array], Array], d: int, steps: int = STEPS) -> float:
    """Upper bound on λ_max of a positive semidefinite matrix that is known by its products.

    Arguments:
        product: v -> Av, [d] -> [d].
        d: dimension.
        steps: k, products that are taken.
    """
    v = np.random.default_rng(_SEED).normal(size=d)
    basis, diagonal, beside = np.zeros((min(steps, d), d)), [], []
    for row in basis:
        row[:] = v / np.linalg.norm(v)
        image = product(row)
        diagonal.append(float(row @ image))
        v = image - basis.T @ (basis @ image)
        v -= basis.T @ (basis @ v)  # twice is enough
        beside.append(float(np.linalg.norm(v)))
        if beside[-1] <= _ROUNDING * max(diagonal):  # all that the start can reach
            break
    found = float(eigvalsh_tridiagonal(np.array(diagonal), np.array(beside[:-1]))[-1])
    whole = len(diagonal) == d or beside[-1] <= _ROUNDING * max(diagonal)
    return found * (1.0 + _ROUNDING if whole else 1.0 + _excess(d, len(diagonal)))


def _excess(d: int, steps: int) -> float:
    """1/(1 − ε) − 1 at the stated probability; inf where so few steps bound nothing."""
    epsilon = (log(1.648 * sqrt(d) / FAILURE) / (2 * steps - 1)) ** 2
    return epsilon / (1.0 - epsilon) if epsilon < 1.0 else float("inf")
