"""Orderings of runs: is this run below (or above) those, at one step, on the same seeds?

Replica r of two runs shares its seed, so the test is on paired differences, with Student's t: its
level is exact for normal differences and approximate for the few seeds that an experiment has.

- consistent: below every other run, each at the level (intersection-union, Berger 1982);
- violated: above at least one of them, the level split among them (Bonferroni);
- inconclusive: otherwise, also with one seed, or when a compared replica diverged.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import nan

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from hzbench.core.interval import CONFIDENCE, interval_errors
from hzbench.core.verdict import Outcome
from hzbench.judge.wording import number

Array = NDArray[np.float64]

RESAMPLES = 2000
_SEED = 20250


@dataclass(frozen=True, kw_only=True)
class Crossing:
    """From which record step on the mean difference stays negative, up to the last one.

    Attributes:
        step: that step; 0: from the start; nan: never.
        low, high: 2.5 % and 97.5 % quantiles over resampled seeds (never counts as infinite).
    """

    step: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class PairOrder:
    """One paired comparison.

    Attributes:
        difference: mean of this run minus the other.
        low, high: its 95 % interval.
        confirming: p-value for the claimed sign.
        against: p-value against it.
        crossing: when the claimed sign begins to last.
    """

    difference: float
    low: float
    high: float
    confirming: float
    against: float
    crossing: Crossing


@dataclass(frozen=True, kw_only=True)
class Ordered:
    """The outcome of one ordering, with its comparisons by the other run's name."""

    outcome: Outcome
    reason: str
    p_value: float
    pairs: Mapping[str, PairOrder]


def judge_ordering(
    own: Array, others: Mapping[str, Array], row: int, steps: Array, sign: int, level: float
) -> Ordered:
    """Judge whether sign times this run lies below sign times every other run.

    Arguments:
        own: values at the record points, [T', R].
        others: name -> [T', R], same seeds.
        row: the record point of the claim.
        steps: record points, [T'].
        sign: 1 for below, −1 for above.
        level: probability of calling a true ordering violated, or a false one consistent.
    """
    pairs = {name: _pair(own - other, sign, row, steps) for name, other in others.items()}
    against = min(1.0, len(pairs) * min(pair.against for pair in pairs.values()))
    worst = max(pairs, key=lambda name: pairs[name].confirming)
    if not all(np.isfinite(pair.difference) for pair in pairs.values()):
        return Ordered(
            outcome="inconclusive", reason="a compared replica diverged", p_value=nan, pairs=pairs
        )
    outcome: Outcome = "inconclusive"
    if against <= level:
        outcome = "violated"
        worst = min(pairs, key=lambda name: pairs[name].against)
    elif pairs[worst].confirming <= level:
        outcome = "consistent"
    p_value = against if outcome == "violated" else pairs[worst].confirming
    return Ordered(
        outcome=outcome,
        reason=_reason(outcome, worst, pairs[worst]),
        p_value=p_value,
        pairs=pairs,
    )


def crossing(differences: Array, steps: Array) -> Crossing:
    """When the mean difference begins to stay negative: [T', R], [T']."""
    replicas = differences.shape[1]
    random = np.random.default_rng(_SEED)
    drawn = random.integers(0, replicas, (RESAMPLES, replicas))
    sampled = _settles(differences[:, drawn].mean(axis=2), steps)
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(sampled, (tail, 1 - tail), method="inverted_cdf")
    step = settles(differences.mean(axis=1), steps)
    return Crossing(step=step, low=float(low), high=float(high))


def settles(mean: Array, steps: Array) -> float:
    """The first record step from which a curve [T'] stays negative; nan if its end is not."""
    step = float(_settles(mean[:, None], steps)[0])
    return step if np.isfinite(step) else nan


def _settles(means: Array, steps: Array) -> Array:
    """The first record step from which a column stays negative, else inf: [T', k] -> [k]."""
    wrong = ~(means < 0)
    back = np.where(wrong.any(axis=0), wrong[::-1].argmax(axis=0), len(steps))
    found: Array = np.append(steps, np.inf)[len(steps) - back]
    return found


def _pair(difference: Array, sign: int, row: int, steps: Array) -> PairOrder:
    values = difference[row]
    replicas, mean = len(values), float(values.mean())
    error = float(values.std(ddof=1) / np.sqrt(replicas)) if replicas > 1 else nan
    with np.errstate(all="ignore"):
        t = np.divide(sign * mean, error)
    freedom = max(1, replicas - 1)
    half = interval_errors(replicas) * error
    decided = np.isfinite(t)
    return PairOrder(
        difference=mean,
        low=mean - half,
        high=mean + half,
        confirming=float(stats.t.cdf(t, freedom)) if decided else 1.0,
        against=float(stats.t.sf(t, freedom)) if decided else 1.0,
        crossing=crossing(sign * difference, steps),
    )


def _reason(outcome: Outcome, name: str, pair: PairOrder) -> str:
    """The comparison that decides, with its interval."""
    which = {"consistent": "closest: ", "violated": "farthest off: "}.get(outcome, "")
    interval = f"(95 %: {number(pair.low)} ... {number(pair.high)})"
    return f"{which}{number(pair.difference)} from {name!r} {interval}"
