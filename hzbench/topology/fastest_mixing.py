"""Fastest mixing weights: a semidefinite program over the edge weights."""

from __future__ import annotations

import warnings
from contextlib import suppress
from typing import Any

import numpy as np

from hzbench.core.errors import UserMistakeError
from hzbench.core.registry import register
from hzbench.topology.graphs import Graph
from hzbench.topology.weights import Matrix, WeightRule

MOST_NODES = 50
_SOLVED = ("optimal", "optimal_inaccurate")
_GAPS = ("tol_gap_abs", "tol_gap_rel", "tol_feas")
_ROUNDING = 1e-12  # of a rate
_TIGHT = {
    **dict.fromkeys(_GAPS, 1e-11),
    **{f"reduced_{name}": 1e-8 for name in _GAPS},
    "equilibrate_enable": False,  # the rows are of one size; scaling them costs digits here
}
_SETTINGS: tuple[dict[str, Any], ...] = (_TIGHT, {"equilibrate_enable": False}, {})


@register("weights", "fastest-mixing")
class FastestMixing(WeightRule):
    """The non-negative symmetric W on the graph whose second largest |eigenvalue| is least.

    The program is solved numerically, to about 1e-9; the best equal weights are known exactly and
    are taken where they mix as fast, so that no digit is lost where all edges are alike.

    Formula: min s subject to −sI ≤ W − 11'/n ≤ sI, W = I − Σ_e w_e L_e, w ≥ 0, diagonal ≥ 0.

    Source: Boyd, Diaconis, Xiao, "Fastest mixing Markov chain on a graph", SIAM Review 46 (2004).
    """

    def build(self, graph: Graph) -> Matrix:
        """W, by cvxpy and CLARABEL; at most 50 nodes."""
        n, edges = len(graph), sorted((min(e), max(e)) for e in graph.edges)
        if n > MOST_NODES:
            raise UserMistakeError(
                f"got fastest-mixing weights on {n} nodes; expected at most {MOST_NODES}, since "
                "the semidefinite program grows fast; take weights metropolis or best-constant"
            )
        if not edges:
            return np.eye(n)
        incidence = np.zeros((n, len(edges)))
        for column, (i, j) in enumerate(edges):
            incidence[i, column], incidence[j, column] = 1.0, -1.0
        weight = np.clip(_solve(incidence), 0.0, None)
        weight /= max(1.0, float((np.abs(incidence) @ weight).max()))  # diagonal stays >= 0
        solved, equal = _matrix(incidence, weight), _matrix(incidence, _equal_weights(incidence))
        return equal if _rate(equal) <= _rate(solved) + _ROUNDING else solved


def _matrix(incidence: Matrix, weight: Matrix) -> Matrix:
    n = len(incidence)
    return np.asarray(np.eye(n) - (incidence * weight) @ incidence.T, dtype=np.float64)


def _rate(matrix: Matrix) -> float:
    """The second largest |eigenvalue|."""
    return float(np.linalg.norm(matrix - 1.0 / len(matrix), 2))


def _equal_weights(incidence: Matrix) -> Matrix:
    """The best w ≥ 0 with the same value on all edges, min(1/Δ, 2/(λ_2 + λ_n)), shape [E]."""
    spectrum = np.linalg.eigvalsh(incidence @ incidence.T)
    degree = float(np.abs(incidence).sum(1).max())
    best = min(1.0 / degree, 2.0 / float(spectrum[1] + spectrum[-1]))
    return np.full(incidence.shape[1], best)


def _solve(incidence: Matrix) -> Matrix:
    """Optimal edge weights, shape [E]."""
    try:
        import cvxpy as cp
    except ImportError:
        raise UserMistakeError(
            "got weights fastest-mixing without cvxpy; expected it installed; "
            "run pip install 'hzbench[reference]' or take weights best-constant"
        ) from None
    n, count = incidence.shape
    weight, bound = cp.Variable(count, nonneg=True), cp.Variable()
    basis = _off_consensus(n)  # W − 11'/n is 0 on agreement: n − 1 dimensions are enough
    reduced = basis.T @ incidence
    centred = np.eye(n - 1) - reduced @ cp.diag(weight) @ reduced.T
    limits = [centred << bound * np.eye(n - 1), centred >> -bound * np.eye(n - 1)]
    limits.append(np.abs(incidence) @ weight <= 1)
    problem = cp.Problem(cp.Minimize(bound), limits)
    for settings in _SETTINGS:  # tight tolerances can be out of reach: then the solver's own
        with warnings.catch_warnings(), suppress(cp.SolverError):
            warnings.simplefilter("ignore", UserWarning)  # "inaccurate": the reduced tolerances
            problem.solve(solver=cp.CLARABEL, warm_start=False, **settings)
        if problem.status in _SOLVED:
            break
    if problem.status not in _SOLVED:
        raise UserMistakeError(
            f"got no fastest-mixing weights: the solver ended with {problem.status!r}; expected "
            "an optimum; take weights metropolis or best-constant"
        )
    return np.asarray(weight.value, dtype=np.float64)


def _off_consensus(n: int) -> Matrix:
    """An orthonormal basis of the vectors that sum to 0, shape [n, n − 1]."""
    full, _ = np.linalg.qr(np.column_stack([np.ones(n), np.eye(n)[:, 1:]]))
    return np.asarray(full[:, 1:], dtype=np.float64)
