"""Logistic regression on real data: constants that hold everywhere, a certified optimum."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from hzbench.core.constants import Constants
from hzbench.core.registry import register
from hzbench.problems.linear_component import LinearModelComponent
from hzbench.problems.linear_model import Loss
from hzbench.problems.reference import newton
from hzbench.problems.shares import Shares

Array = NDArray[np.float64]
_THIRD_DERIVATIVE = 1.0 / (6.0 * np.sqrt(3.0))  # max of |σ''|


@register("problem", "logistic")
class LogisticComponent(LinearModelComponent):
    """Two-class logistic regression with a quadratic penalty, on rows shared out among the nodes.

    Formula:
    f_i(x) = (1/|M_i|) Σ_{j in M_i} log(1 + exp(−y_j a_j'x)) + (λ/2)|x|²; a batch is b rows of M_i
    with replacement.

    Source: Nocedal and Wright, "Numerical Optimization", 2006, chapter 3 (the damped Newton method
    of the optimum).
    """

    label: ClassVar[str] = "logistic"
    loss: ClassVar[Loss] = "logistic"
    data: str = Field("breast_cancer", description="data set of scikit-learn with two classes")
    regularization: float = Field(
        0.01, gt=0, allow_inf_nan=False, description="λ of the penalty (λ/2)|x|²"
    )

    def solve(self, shares: Shares) -> tuple[Array, float, Constants]:
        """Optimum by Newton's method; every constant holds everywhere."""
        penalty = self.regularization
        objective = _Objective(shares, penalty)
        start = np.zeros(shares.features.shape[1])
        optimum = newton(objective.value, objective.gradient, objective.hessian, start)
        gradient = objective.gradient(optimum)
        curvature = float(np.linalg.eigvalsh(shares.second_moments).max())
        constants = Constants(
            smoothness=0.25 * curvature + penalty,
            strong_convexity=penalty,
            noise=tuple(map(float, _noise(shares))),
            heterogeneity=_heterogeneity(shares),
            hessian_lipschitz=_THIRD_DERIVATIVE * _cubes(shares),
            minimum=objective.value(optimum),
        )
        return optimum, float(gradient @ gradient) / (2 * penalty), constants


class _Objective:
    """f, ∇f and ∇²f in numpy."""

    def __init__(self, shares: Shares, penalty: float) -> None:
        self._signed = shares.targets[:, None] * shares.features
        self._weights = shares.row_weights
        self._penalty = penalty

    def value(self, x: Array) -> float:
        losses = np.logaddexp(0.0, -self._signed @ x)
        return float(self._weights @ losses + 0.5 * self._penalty * x @ x)

    def gradient(self, x: Array) -> Array:
        slopes = -self._weights * self._wrong(x)
        return np.asarray(slopes @ self._signed + self._penalty * x)

    def hessian(self, x: Array) -> Array:
        wrong = self._wrong(x)
        scaled = (self._weights * wrong * (1.0 - wrong))[:, None] * self._signed
        return np.asarray(self._signed.T @ scaled + self._penalty * np.eye(len(x)))

    def _wrong(self, x: Array) -> Array:
        """Probability of the wrong class, σ(−y a'x)."""
        return np.asarray(0.5 * (1.0 - np.tanh(0.5 * (self._signed @ x))))


def _noise(shares: Shares) -> Array:
    """A sample's gradient is at most |a_j| long, so tr Cov <= mean |a_j|²; 0 for a single row."""
    squares = np.trace(shares.second_moments, axis1=1, axis2=2)
    return np.where(shares.counts > 1, shares.per_node(squares), 0.0)


def _heterogeneity(shares: Shares) -> float:
    """ζ² that holds for every x.

    With ψ_j = σ(−y_j a_j'x) = ½ + r_j, |r_j| <= ½, and q_ij = p_ij − (1/n) Σ_k p_kj:
    |∇f_i − ∇f| = |Σ_j q_ij ψ_j y_j a_j| <= ½ |Σ_j q_ij y_j a_j| + ½ Σ_j |q_ij| |a_j|.
    """
    excess = shares.probabilities - shares.row_weights
    if len(shares.distinct) == 1:
        return 0.0
    centre = np.linalg.norm(excess @ (shares.targets[:, None] * shares.features), axis=1)
    spread = np.abs(excess) @ np.linalg.norm(shares.features, axis=1)
    return float(((0.5 * (centre + spread)) ** 2).mean())


def _cubes(shares: Shares) -> float:
    """Largest mean |a_j|³ of a node: bounds |∇³ of the mean of a_j'x|."""
    cubes = np.linalg.norm(shares.features, axis=1) ** 3
    return float(max(cubes[rows].mean() for rows in shares.distinct))
