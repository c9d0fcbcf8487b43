"""Stacks of symmetric matrices [n, d, d], one a node, that may all be the same one.

A problem declares one Hessian for all nodes as a read-only view, so that n d² numbers need not
exist; nothing here makes them.
"""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def one_if_shared(stack: Array) -> Array:
    """The first matrix alone, shape [1, d, d], if all nodes share it (a read-only view does)."""
    if stack.strides[0] == 0 or len(stack) == 1:
        return stack[:1]
    same = all(np.array_equal(matrix, stack[0]) for matrix in stack[1:])
    return stack[:1] if same else stack


def minimiser(A: Array, b: Array) -> Array:
    """x* = (mean A_i)^(-1) mean b_i, shape [d], without a copy of the stack.

    Raises:
        LinAlgError: the mean is singular.
    """
    mean = one_if_shared(A).mean(0)
    if is_diagonal(mean[None]) and mean.diagonal().all():
        result: Array = b.mean(0) / mean.diagonal()
        return result
    return np.asarray(np.linalg.solve(mean, b.mean(0)))


def mean_spectrum(A: Array) -> Array:
    """Eigenvalues of the mean of a stack [m, d, d] of symmetric matrices, ascending."""
    mean = one_if_shared(A).mean(0)
    found = mean.diagonal() if is_diagonal(mean[None]) else np.linalg.eigvalsh(mean)
    return np.sort(found)


def eigenvalue_range(stack: Array) -> tuple[float, float]:
    """The least and the greatest eigenvalue of all symmetric matrices of a stack [m, d, d]."""
    some = one_if_shared(stack)
    diagonal = is_diagonal(some)
    values = np.einsum("nkk->nk", some) if diagonal else np.linalg.eigvalsh(some)
    return float(values.min()), float(values.max())


def products(stack: Array, points: Array) -> Array:
    """M_i x_i of a stack [n, d, d] and points [n, d], shape [n, d]."""
    some = one_if_shared(stack)
    if is_diagonal(some):
        result: Array = np.einsum("nkk->nk", some) * points
    elif len(some) == 1:
        result = points @ some[0]
    else:
        result = np.einsum("nkl,nl->nk", some, points)
    return result


def largest_difference(stack: Array) -> float:
    """The largest entry of |M_i − M_0| over a stack [m, ...], one i at a time."""
    others = one_if_shared(stack)[1:]
    return max((float(np.abs(each - stack[0]).max()) for each in others), default=0.0)


def is_diagonal(stack: Array) -> bool:
    """Whether every matrix of a stack [m, d, d] is diagonal (without a copy of the stack)."""
    return all(np.count_nonzero(m) == np.count_nonzero(m.diagonal()) for m in one_if_shared(stack))
