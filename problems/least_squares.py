"""Ridge regression on real data: squared loss, exact moments, closed-form optimum."""

from __future__ import annotations

from dataclasses import replace
from math import nan
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve_triangular

from hzbench.core.constants import Constants
from hzbench.core.registry import register
from hzbench.problems.arrays import when
from hzbench.problems.convexity import least_of_rows
from hzbench.problems.linear_component import LinearModelComponent
from hzbench.problems.reference import certified
from hzbench.problems.shares import Shares

Array = NDArray[np.float64]
_REFINEMENTS = 5
_NOWHERE = "nowhere: the optimum is unknown"


@register("problem", "ridge")
class RidgeComponent(LinearModelComponent):
    """Least squares with a quadratic penalty, on rows of data shared out among the nodes.

    Formula:
    f_i(x) = (1/|M_i|) Σ_{j in M_i} ½ (a_j'x − y_j)² + (λ/2)|x|²; a batch is b rows of M_i with
    replacement.

    Source: Hoerl and Kennard, "Ridge regression", Technometrics, 1970.
    """

    label: ClassVar[str] = "ridge"
    loss: ClassVar[str] = "squared"

    def instance_mistakes(self, shares: Shares) -> list[str]:
        """A singular mean Hessian: no unique optimum."""
        least = _convexity(shares, self.regularization)
        return when(
            not least > 0,
            f"got a least-squares Hessian with the eigenvalue {least:.2g}; expected a "
            "positive definite one; raise regularization or drop dependent columns",
        )

    def solve(self, shares: Shares) -> tuple[Array, float, Constants]:
        """Optimum by one factorisation; noise and heterogeneity are those at the optimum."""
        penalty = self.regularization
        convexity = _convexity(shares, penalty)
        found = certified(
            lambda x: _value(shares, x, penalty),
            lambda x: _gradient(shares, x, penalty),
            _optimum(shares, penalty),
            convexity,
            "linear solve",
        )
        known = found.optimum.size > 0
        largest = float(shares.curvatures.max()) + penalty
        lengths = (shares.features[np.unique(shares.flat)] ** 2).sum(axis=1)
        shared = len(shares.distinct) == 1
        constants = Constants(
            smoothness=largest,
            sample_smoothness=float(lengths.max()) + penalty,
            strong_convexity=convexity,
            polyak_lojasiewicz=convexity,
            noise=_noise(shares, found.optimum) if known else (nan,) * len(shares.members),
            noise_holds="at the optimum" if known else _NOWHERE,
            heterogeneity=_heterogeneity(shares, found.optimum, penalty),
            heterogeneity_holds="everywhere" if shared else "at the optimum" if known else _NOWHERE,
            hessian_lipschitz=0.0,
            minimum=found.value,
            how={
                "smoothness": f"largest eigenvalue of the nodes' Hessians: {shares.how_largest}",
                "sample_smoothness": "exact: largest |a|² + λ",
                "strong_convexity": "least eigenvalue of the mean aa', 0 within rounding, plus λ",
                "polyak_lojasiewicz": "strong convexity",
                "noise": "exact, from the rows",
                "heterogeneity": "exact, from the rows",
                "hessian_lipschitz": "exact: the Hessian is constant",
                "minimum": found.how,
            },
        )
        return found.optimum, found.gap, constants


def _convexity(shares: Shares, penalty: float) -> float:
    return least_of_rows(shares.features, shares.row_weights, penalty)


def _optimum(shares: Shares, penalty: float) -> Array:
    """x* by QR of the rows, fewer than d in their span, then steps R⁻¹R⁻ᵀ∇f that shorten ∇f.

    H = Σ w aa' + λI is never formed, so that a λ far below its rounding counts.

    Source: Björck, "Numerical methods for least squares problems", 1996, sections 2.4 and 2.6.
    """
    count, d = shares.features.shape
    if count < d:
        basis, lengths = np.linalg.qr(shares.features.T)
        within = replace(shares, features=np.ascontiguousarray(lengths.T))
        return np.asarray(basis @ _optimum(within, penalty))
    root = np.sqrt(shares.row_weights)
    stacked = np.vstack([root[:, None] * shares.features, np.sqrt(penalty) * np.eye(d)])
    q, factor = np.linalg.qr(stacked)
    x = solve_triangular(factor, (root * shares.targets) @ q[:count])
    gradient = _gradient(shares, x, penalty)
    for _ in range(_REFINEMENTS):
        new = x - solve_triangular(factor, solve_triangular(factor, gradient, trans="T"))
        ahead = _gradient(shares, new, penalty)
        if not np.linalg.norm(ahead) < np.linalg.norm(gradient):
            break
        x, gradient = new, ahead
    return np.asarray(x)


def _gradient(shares: Shares, x: Array, penalty: float) -> Array:
    residual = shares.features @ x - shares.targets
    return np.asarray((shares.row_weights * residual) @ shares.features + penalty * x)


def _value(shares: Shares, x: Array, penalty: float) -> float:
    residual = shares.features @ x - shares.targets
    return float(0.5 * shares.row_weights @ residual**2 + 0.5 * penalty * x @ x)


def _noise(shares: Shares, x: Array) -> tuple[float, ...]:
    """Trace of the covariance of a_j (a_j'x − y_j) over M_i, one a node."""
    slopes = (shares.features @ x - shares.targets)[:, None] * shares.features
    each = np.array([slopes[rows].var(axis=0).sum() for rows in shares.distinct])
    return tuple(map(float, shares.per_node(each)))


def _heterogeneity(shares: Shares, x: Array, penalty: float) -> float:
    """(1/n) Σ|∇f_i(x) − ∇f(x)|²; 0 when all nodes hold the same rows, nan for no x."""
    if len(shares.distinct) == 1:
        return 0.0
    if not x.size:
        return nan
    gradients = shares.second_moments @ x - shares.cross_moments + penalty * x
    return float(((gradients - gradients.mean(axis=0)) ** 2).sum(axis=1).mean())
