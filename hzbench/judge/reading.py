"""Readings: is the mean of these seeds the number that a paper prints, up to a tolerance?

Student's t: its level is exact for normal replicas and approximate for the few that a paper has.

- consistent: within the tolerance, by two one-sided tests, each at the level (Schuirmann 1987);
- violated: outside, on one side, at half the level each (Bonferroni);
- inconclusive: otherwise, also with one seed, or when a replica diverged.
"""

from dataclasses import dataclass
from math import nan

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from hzbench.core.interval import interval_errors
from hzbench.core.verdict import Outcome

Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Mean:
    """What was measured.

    Attributes:
        measured, standard_error: over replicas.
        low, high: the 95 % interval of the mean.
    """

    measured: float
    standard_error: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class Read:
    """The outcome of one reading, and the p-value that decides."""

    outcome: Outcome
    p_value: float


def mean_of(values: Array) -> Mean:
    """Mean of replicas [R] with its interval; nan for the interval of one."""
    mean, error = float(values.mean()), nan
    if len(values) > 1 and np.isfinite(mean):
        error = float(values.std(ddof=1) / np.sqrt(len(values)))
    half = interval_errors(len(values)) * error
    return Mean(measured=mean, standard_error=error, low=mean - half, high=mean + half)


def judge_reading(values: Array, printed: float, tolerance: float, level: float) -> Read:
    """Judge whether the mean lies within `tolerance` of the printed number.

    Arguments:
        values: one a replica, [R].
        printed: the number of the paper.
        tolerance: what still counts as that number, in its units.
        level: probability of calling a number within violated, or one outside consistent.
    """
    mean, freedom = mean_of(values), max(1, len(values) - 1)
    gap = mean.measured - printed
    with np.errstate(all="ignore"):
        above, below = (np.divide(gap + tolerance * side, mean.standard_error) for side in (1, -1))
    if not (np.isfinite(gap) and not np.isnan(above) and not np.isnan(below)):
        return Read(outcome="inconclusive", p_value=nan)
    within = float(max(stats.t.sf(above, freedom), stats.t.cdf(below, freedom)))
    outside = float(min(1.0, 2 * min(stats.t.cdf(above, freedom), stats.t.sf(below, freedom))))
    if outside <= level:
        return Read(outcome="violated", p_value=outside)
    return Read(outcome="consistent" if within <= level else "inconclusive", p_value=within)
