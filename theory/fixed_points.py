"""Where the mean of a run on generalized linear losses settles, to first order around x*.

Nodes with different f_i do not settle at x* = argmin (1/n) Σ f_i: each is pulled by its own h_i =
∇f_i(x*), the exchanges hold it back, and unequal Hessians turn what is left into a shift of x̄.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from hzbench.core.prediction import Assumption
from hzbench.core.setting import Setting
from hzbench.core.structure import GeneralizedLinear
from hzbench.theory.checks import assume, step_range
from hzbench.theory.gradients import row_gradients
from hzbench.theory.graphs import GraphError
from hzbench.theory.weights import contraction, mixing_matrix

Array = NDArray[np.float64]
LARGEST = 4000
_ZERO = 1e-9


@dataclass(frozen=True, kw_only=True)
class FixedPoint:
    """Where the mean dynamics settles.

    Attributes:
        mean: x̄, shape [d].
        queries: the points at which the nodes estimate their gradients, shape [n, d].
    """

    mean: Array
    queries: Array


def fixed_point_known(setting: Setting) -> Assumption:
    """Nothing pulls the nodes apart, or the linear system of the fixed point can be solved."""
    text = "where the mean settles can be computed"
    if _together(setting):
        return assume(text, True, "nothing pulls the nodes away from x*")
    try:
        _mean_exchange(setting)
    except GraphError as error:
        return assume(text, False, str(error))
    size = setting.nodes * setting.problem.dimension
    return assume(text, size <= LARGEST, f"n d = {size} (at most {LARGEST})")


def fixed_point(setting: Setting) -> FixedPoint:
    """The fixed point of the mean dynamics of a matrix or matching run, linearised at x*.

    Formula:
        with e the stacked x_i − x*, A = diag(A_i), W = E W ⊗ I: adapt-combine
        e = W(e − η(Ae + h)), combine-adapt e = (I − ηA)We − ηh, queries x* + We, simultaneous
        e = We − η(Ae + h). Exact for squared losses.

    Source:
        own derivation (extends C9 to unequal Hessians).

    Raises:
        GraphError: E W is not known.
    """
    n, optimum = setting.nodes, setting.problem.optimum
    if _together(setting):
        return FixedPoint(mean=optimum, queries=np.tile(optimum, (n, 1)))
    W, eta = _mean_exchange(setting), step_range(setting)[1]
    d = len(optimum)
    mix, eye = np.kron(W, np.eye(d)), np.eye(n * d)
    step = eye.copy()
    for i, A in enumerate(hessians(setting)):
        step[i * d : (i + 1) * d, i * d : (i + 1) * d] -= eta * A
    pull = -eta * _pulls(setting).ravel()
    if setting.order == "adapt-combine":
        e = np.linalg.solve(eye - mix @ step, mix @ pull)
    elif setting.order == "combine-adapt":
        e = np.linalg.solve(eye - step @ mix, pull)
    else:
        e = np.linalg.solve(2.0 * eye - mix - step, pull)
    queries = W @ e.reshape(n, d) if setting.order == "combine-adapt" else e.reshape(n, d)
    return FixedPoint(mean=optimum + e.reshape(n, d).mean(0), queries=optimum + queries)


def hessians(setting: Setting) -> Array:
    """A_i = ∇²f_i(x*) of generalized linear losses, shape [n, d, d]."""
    structure, x = setting.problem.structure, setting.problem.optimum
    assert isinstance(structure, GeneralizedLinear)
    ridge = structure.regularization * np.eye(len(x))
    found = []
    for members in structure.members:
        a = structure.features[members]
        bent = np.ones(len(a)) if structure.loss == "squared" else expit(a @ x) * expit(-(a @ x))
        found.append((a * bent[:, None]).T @ a / len(a) + ridge)
    return np.array(found)


def _pulls(setting: Setting) -> Array:
    """h_i = ∇f_i(x*), shape [n, d]."""
    structure, x = setting.problem.structure, setting.problem.optimum
    assert isinstance(structure, GeneralizedLinear)
    return np.array([row_gradients(structure, i, x).mean(0) for i in range(setting.nodes)])


def _together(setting: Setting) -> bool:
    """Whether every node estimates at x* once settled: equal optima, or a full average before."""
    h = _pulls(setting)
    if float(np.abs(h).max()) <= _ZERO * max(1.0, float(np.abs(setting.problem.optimum).max())):
        return True
    if setting.protocol != "matrix" or setting.order == "simultaneous":
        return False
    try:
        return contraction(mixing_matrix(setting.network, setting.nodes)) < _ZERO
    except GraphError:
        return False


def _mean_exchange(setting: Setting) -> Array:
    """E W, shape [n, n].

    Formula:
        uniform perfect matchings: (1 − w) I + w (J − I)/(n − 1).

    Raises:
        GraphError: a matrix that cannot be rebuilt, or matchings that leave a node idle: which
            gradient is missing is then noise that grows with |h_i|.
    """
    n, w = setting.nodes, setting.network.pair_weight
    if setting.protocol == "matrix":
        return mixing_matrix(setting.network, n)
    if setting.protocol != "matching" or setting.network.matching_law != "uniform" or n % 2:
        raise GraphError(
            f"{setting.protocol} with n = {n} and unequal f_i: known for a matrix and for perfect "
            "matchings"
        )
    others: Array = (np.ones((n, n)) - np.eye(n)) / (n - 1)
    return (1.0 - w) * np.eye(n) + w * others
