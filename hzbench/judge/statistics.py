"""The tests behind a verdict: Hotelling's T², Hall's t, exact intervals, deterministic comparison.

Every test comes with the smallest shift that it sees with power 0.9, since an agreement is worth
as much as the error it would have shown.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil, isfinite
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, special, stats

Array = NDArray[np.float64]
Against = Literal["alone", "any"]

POWER = 0.9
LEAST_REPLICAS = 1600
"""Below it the level of the tests is not trusted, so nothing is decided by them."""
MEASURABLE = 10
"""Below it the spread of replicas says nothing of how many are needed."""
DEPENDENT = 1e-10
"""Eigenvalue of the correlation matrix below which a combination of statistics is a constant."""


def clopper_pearson(successes: int, trials: int, confidence: float = 0.95) -> tuple[float, float]:
    """Return the exact two-sided interval of a binomial proportion (Clopper & Pearson 1934)."""
    tail = (1.0 - confidence) / 2.0
    lower = stats.beta.ppf(tail, successes, trials - successes + 1) if successes else 0.0
    failures = trials - successes
    upper = stats.beta.isf(tail, successes + 1, failures) if failures else 1.0
    return float(lower), float(upper)


@dataclass(frozen=True, kw_only=True)
class Directions:
    """The correlation matrix of p statistics, split at `DEPENDENT`.

    Attributes:
        deviations: standard deviation of each statistic, shape [p], positive.
        eigenvalues: the r retained ones, shape [r].
        kept: their eigenvectors, shape [p, r].
        dropped: eigenvectors along which the statistics do not vary, shape [p, p - r].
    """

    deviations: Array
    eigenvalues: Array
    kept: Array
    dropped: Array

    @property
    def rank(self) -> int:
        """Number r of statistics that are not combinations of others."""
        return int(self.eigenvalues.size)


def directions(covariance: Array) -> Directions:
    """Split the space of the statistics (covariance [p, p], positive diagonal)."""
    deviations = np.sqrt(np.diag(covariance))
    values, vectors = np.linalg.eigh(covariance / np.outer(deviations, deviations))
    keep = values > DEPENDENT
    return Directions(
        deviations=deviations,
        eigenvalues=values[keep],
        kept=vectors[:, keep],
        dropped=vectors[:, ~keep],
    )


def hotelling(shift: Array, covariance: Array, replicas: int, slack: Array) -> float:
    """Return the p-value of Hotelling's one-sample T² (Anderson 2003, section 5.2).

    Exactly dependent statistics are merged: T² lives in the r directions in which the replicas vary
    and follows F(r, R - r). Along a dropped direction the replicas agree to 1e-5 standard
    deviations, so a shift beyond that and beyond rounding is no chance: p = 0. The null hypothesis
    is the box of shifts that rounding may cause, so T² is its distance from the measured shift.

    Args:
        shift: mean over replicas minus prediction, shape [p].
        covariance: of one replica, shape [p, p], positive diagonal.
        replicas: R > p.
        slack: rounding granted to each statistic, shape [p].
    """
    split = directions(covariance)
    standardized = shift / split.deviations
    granted = np.sqrt(DEPENDENT) + np.abs(split.dropped).T @ (slack / split.deviations)
    if np.any(np.abs(split.dropped.T @ standardized) > granted):
        return 0.0
    whiten = split.kept.T / np.sqrt(split.eigenvalues)[:, None]
    box = np.maximum(slack / split.deviations, np.finfo(float).tiny)
    nearest = optimize.lsq_linear(whiten, whiten @ standardized, (-box, box), method="bvls")
    square = replicas * 2.0 * float(nearest.cost)
    r = split.rank
    return float(stats.f.sf(square * (replicas - r) / (r * (replicas - 1)), r, replicas - r))


def noncentrality(rank: int, replicas: int, level: float) -> float:
    """Return λ* at which T² of this rank rejects at the level with power 0.9 (noncentral F)."""
    freedom = replicas - rank
    critical = float(stats.f.isf(level, rank, freedom))

    def excess(value: float) -> float:
        return float(special.ncfdtr(rank, freedom, value, critical)) - (1.0 - POWER)

    high = rank * critical + 10.0
    while excess(high) > 0.0:
        high *= 2.0
    return float(optimize.brentq(excess, 0.0, high, xtol=1e-10))


def hotelling_visible(
    covariance: Array, replicas: int, level: float, against: Against = "alone"
) -> Array:
    """Return the smallest shift of each statistic that T² sees with power 0.9, shape [p].

    "alone": only this statistic shifts, δ_j = √(λ*/(R (S⁻¹)_jj)). "any": whatever the others do,
    δ_j = √(λ* S_jj/R), the worst case over their shifts. A statistic that is a combination of
    others cannot shift alone; there "alone" is at most the worst case.
    """
    split = directions(covariance)
    threshold = noncentrality(split.rank, replicas, level) / replicas
    if against == "any":
        return np.asarray(split.deviations * np.sqrt(threshold))
    precision = np.maximum(1.0, np.sum(split.kept**2 / split.eigenvalues, axis=1))
    return np.asarray(split.deviations * np.sqrt(threshold / precision))


def replicas_until(visible: Callable[[int], float], least: int) -> int:
    """Return the smallest R >= least with visible(R) <= 1; visible decreases like 1/√R.

    Args:
        visible: largest ratio of visible error to tolerance at R replicas.
        least: smallest R allowed.
    """
    ratio = visible(least)
    if not isfinite(ratio):
        raise ValueError("got a visible error that is not finite; expected a positive tolerance")
    low, high = least - 1, least
    while ratio > 1.0:
        low, high = high, max(high + 1, ceil(high * ratio**2))
        ratio = visible(high)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if visible(middle) <= 1.0 else (middle, high)
    return high
