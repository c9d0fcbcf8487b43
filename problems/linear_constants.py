"""Constants of every generalized linear model, from the bounds that its loss declares.

With φ'' of row j in [l_j, h_j] over all margins, the Hessian of f_i lies between the means of
l_j aa' and h_j aa'; with φ' in [c_j − r_j, c_j + r_j] so does every gradient. A bound that is
infinite gives a constant that does not hold (inf), and noise and heterogeneity at the optimum only.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from math import inf, isfinite, nan

import numpy as np
from numpy.typing import NDArray

from hzbench.core.constants import Constants
from hzbench.problems.convexity import least_of_rows
from hzbench.problems.loss import Loss
from hzbench.problems.penalties import Penalty
from hzbench.problems.reference import Minimum, minimum_of, tenfold
from hzbench.problems.shares import Shares

Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class LinearFacts:
    """f as numpy sees it: its minimum if there is one to find, and what can be declared.

    Attributes:
        shares: the rows and who holds them.
        loss: φ.
        regularization: λ.
        penalty: the separable penalty, or None.
        known: a point where every loss is at its least value 0, if one is known.
    """

    shares: Shares
    loss: Loss
    regularization: float
    penalty: Penalty | None = None
    known: Array | None = None

    def value(self, x: Array) -> float:
        """f(x)."""
        smooth = self.shares.row_weights @ self._at("value", self.shares.features @ x)
        ridge = 0.5 * self.regularization * x @ x
        return float(smooth + ridge + (0.0 if self.penalty is None else self._extra("value", x)))

    def gradient(self, x: Array) -> Array:
        """∇f(x), shape [d]."""
        slopes = self.shares.row_weights * self._at("slope", self.shares.features @ x)
        return np.asarray(slopes @ self.shares.features + self._penalty_slope(x))

    def hessian(self, x: Array) -> Array:
        """∇²f(x), shape [d, d]."""
        bend = self.shares.row_weights * self._at("curvature", self.shares.features @ x)
        extra = 0.0 if self.penalty is None else self._extra("curvature", x)
        data = self.shares.features.T @ (bend[:, None] * self.shares.features)
        return np.asarray(data + np.diag(np.broadcast_to(self.regularization + extra, x.shape)))

    def solve(self) -> tuple[Array, float, Constants]:
        """Optimum [d] (empty: unknown, or one of several), bound on f(optimum) − f*, constants."""
        found = self.minimise()
        optimum = found.optimum if self._is_unique else np.zeros(0)
        return optimum, found.gap, self._constants(found)

    def minimise(self) -> Minimum:
        """The minimum, where there is one to find."""
        if self._is_explained and self.known is not None:
            how = "closed form: every loss is 0, its least value, at the truth"
            how += "" if self._is_unique else ", one of several minimisers"
            return Minimum(optimum=self.known, value=0.0, gap=0.0, how=how)
        if not self.convexity > 0:
            return Minimum()
        if self.penalty is None and self.shares.features.shape[0] < self.shares.features.shape[1]:
            return self._minimum_of_wide()
        wider = tenfold(max(1.0, self.loss.width), self.loss.width)
        softer = [replace(self, loss=replace(self.loss, width=width)) for width in wider]
        return minimum_of(self, softer, self.shares.features.shape[1], self.convexity)

    def _minimum_of_wide(self) -> Minimum:
        """With fewer rows than columns x* lies in their span (λ > 0): as many unknowns as rows."""
        basis, lengths = np.linalg.qr(self.shares.features.T)
        shares = replace(self.shares, features=np.ascontiguousarray(lengths.T))
        found = replace(self, shares=shares, known=None).minimise()
        return replace(found, optimum=basis @ found.optimum) if found.optimum.size else found

    @property
    def _is_explained(self) -> bool:
        """Whether f is 0, its least value, at the truth, and so every loss at every minimiser."""
        return self.known is not None and self.regularization == 0 and self.penalty is None

    @cached_property
    def _is_unique(self) -> bool:
        """Whether there is one minimiser: μ > 0, or all margins known and rows that span R^d."""
        if not self._is_explained:
            return self.convexity > 0
        spans = least_of_rows(self.shares.features, self.shares.row_weights) > 0
        return self.loss.identified and spans

    def _constants(self, found: Minimum) -> Constants:
        noise, noise_holds = self._noise(found.optimum)
        spread, spread_holds = self._heterogeneity(found.optimum)
        words = {
            "smoothness": _told(
                self.smoothness,
                "largest eigenvalue of a node's mean of sup|φ''| aa' "
                f"({self.shares.how_largest}), plus the penalties",
            ),
            "sample_smoothness": _told(
                self.smoothness, "largest sup|φ''| |a|², plus the penalties"
            ),
            "strong_convexity": "least eigenvalue of the mean of inf φ'' aa', plus the penalties",
            "polyak_lojasiewicz": "strong convexity" if self.convexity > 0 else "",
            "hessian_lipschitz": _told(
                self.loss.third, "sup|φ'''| times a node's largest mean |a|³, plus the penalty"
            ),
            "noise": f"{'mean sup|φ′|² |a|²' if noise_holds == 'everywhere' else 'exact'} per node",
            "heterogeneity": "φ' within its range" if spread_holds == "everywhere" else "exact",
            "minimum": found.how,
        }
        mu = self.convexity
        return Constants(
            smoothness=self.smoothness,
            sample_smoothness=self._sample_smoothness,
            strong_convexity=mu,
            polyak_lojasiewicz=mu if mu > 0 else nan,
            noise=noise,
            noise_holds=noise_holds,
            heterogeneity=spread,
            heterogeneity_holds=spread_holds,
            hessian_lipschitz=self._hessian_lipschitz,
            minimum=found.value,
            how=words,
        )

    @cached_property
    def smoothness(self) -> float:
        """L of every f_i; inf if φ'' is unbounded."""
        size = self._sizes
        if not np.isfinite(size).all():
            return inf
        return (
            float(self.shares.curvatures_of(size).max())
            + self.regularization
            + self._extra_smoothness
        )

    @cached_property
    def convexity(self) -> float:
        """μ of f; negative: weakly convex only; 0 where it is within rounding of 0."""
        low = self.loss.curvatures(self.shares.targets)[0]
        extra = 0.0 if self.penalty is None else self.penalty.curvatures[0]
        weights = self.shares.row_weights * low
        return least_of_rows(self.shares.features, weights, self.regularization, extra)

    @cached_property
    def _sizes(self) -> Array:
        """Sup |φ''| of every row, shape [N]."""
        low, high = self.loss.curvatures(self.shares.targets)
        return np.maximum(np.abs(low), high)

    @property
    def _extra_smoothness(self) -> float:
        if self.penalty is None:
            return 0.0
        low, high = self.penalty.curvatures
        return max(abs(low), high)

    @property
    def _sample_smoothness(self) -> float:
        held = np.unique(self.shares.flat)
        lengths = (self.shares.features[held] ** 2).sum(axis=1)
        most = float((self._sizes[held] * lengths).max())
        return most + self.regularization + self._extra_smoothness

    @property
    def _hessian_lipschitz(self) -> float:
        cubes = np.linalg.norm(self.shares.features, axis=1) ** 3
        data = max(float(cubes[rows].mean()) for rows in self.shares.distinct)
        extra = 0.0 if self.penalty is None else self.penalty.third
        return self.loss.third * data + extra

    def _noise(self, optimum: Array) -> tuple[tuple[float, ...], str]:
        """Tr Cov of one row's gradient: a bound for every x, else its value at the optimum."""
        low, high = self.loss.slopes(self.shares.targets)
        size = np.maximum(np.abs(low), np.abs(high))
        if np.isfinite(size).all():
            squares = size**2 * (self.shares.features**2).sum(axis=1)
            means = np.array([squares[rows].mean() for rows in self.shares.distinct])
            bound = np.where(self.shares.counts > 1, self.shares.per_node(means), 0.0)
            return tuple(map(float, bound)), "everywhere"
        if not optimum.size:
            return (nan,) * len(self.shares.members), "nowhere: the optimum is unknown"
        rows = self._row_gradients(optimum)
        exact = np.array([rows[held].var(axis=0).sum() for held in self.shares.distinct])
        return tuple(map(float, self.shares.per_node(exact))), "at the optimum"

    def _heterogeneity(self, optimum: Array) -> tuple[float, str]:
        """ζ² for every x, else at the optimum.

        With φ'_j = c_j + r_j, |r_j| ≤ w_j, and q_ij = p_ij − (1/n) Σ_k p_kj:
        |∇f_i − ∇f| = |Σ_j q_ij φ'_j a_j| ≤ |Σ_j q_ij c_j a_j| + Σ_j |q_ij| w_j |a_j|.
        """
        if len(self.shares.distinct) == 1:
            return 0.0, "everywhere"
        low, high = self.loss.slopes(self.shares.targets)
        excess, a = self.shares.probabilities - self.shares.row_weights, self.shares.features
        if isfinite(float(np.abs(low).max() + np.abs(high).max())):
            centre = np.linalg.norm(excess @ ((0.5 * (low + high))[:, None] * a), axis=1)
            spread = np.abs(excess) @ (0.5 * (high - low) * np.linalg.norm(a, axis=1))
            return float(((centre + spread) ** 2).mean()), "everywhere"
        if not optimum.size:
            return nan, "nowhere: the optimum is unknown"
        apart = excess @ self._row_gradients(optimum)
        return float((apart**2).sum(axis=1).mean()), "at the optimum"

    def _row_gradients(self, x: Array) -> Array:
        """φ'_j a_j, shape [N, d]."""
        slopes = self._at("slope", self.shares.features @ x)
        return np.asarray(slopes[:, None] * self.shares.features)

    def _penalty_slope(self, x: Array) -> Array:
        extra = 0.0 if self.penalty is None else self._extra("slope", x)
        return np.asarray(self.regularization * x + extra)

    def _at(self, what: str, margins: Array) -> Array:
        """Value, slope or curvature of φ at margins [N]."""
        import torch

        pair = torch.from_numpy(margins), torch.from_numpy(self.shares.targets)
        return np.asarray(getattr(self.loss, what)(*pair).numpy())

    def _extra(self, what: str, x: Array) -> Array:
        import torch

        return np.asarray(getattr(self.penalty, what)(torch.from_numpy(x)).numpy())


def _told(value: float, how: str) -> str:
    """How a bound on derivatives was obtained, or why there is none."""
    return how if isfinite(value) else "fails: φ'' jumps or grows without bound"
