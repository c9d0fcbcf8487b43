"""Time to a target: when a mean gets below ε and stays there, with intervals over replicas.

The mean over replicas of |∇f|² is a curve over simulated seconds. Its time to ε is the first
recorded time from which on it is at most ε for the next 10 % of the time; an excursion below that
ends sooner does not count, and a record that ends sooner establishes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, nan

import numpy as np
from numpy.typing import NDArray

from hzbench.core.interval import CONFIDENCE, interval_errors

Array = NDArray[np.float64]

STAY = 0.1  # fraction of its time that the mean must stay below
RESAMPLES = 1000
_SEED = 20262


@dataclass(frozen=True, kw_only=True)
class TargetTime:
    """Time to ε of one run.

    Attributes:
        seconds: inf if the mean never gets there and stays, within the record.
        low, high: 95 % interval, by the quantiles over resampled replicas.
        until: the last recorded time; 1/1.1 of it is the latest time that it could establish.
        floor: the lowest mean over a tenth of the time, the last one of the record included.
    """

    seconds: float
    low: float
    high: float
    until: float
    floor: float

    @property
    def reached(self) -> bool:
        """Whether it gets there."""
        return self.seconds < inf

    @property
    def latest(self) -> float:
        """The latest time to ε that the record could have established."""
        return self.until / (1 + STAY)


@dataclass(frozen=True, kw_only=True)
class Ratio:
    """How many times as long one run takes as another.

    Attributes:
        ratio: T of the one over T of the other; a run that never arrives counts with the latest
            time that its record could have established, so that the ratio is a bound; nan if
            neither arrives.
        low, high: its interval; 0 or inf where one run (or a resample of it) never arrives.
        level: probability that the interval misses, by Student's t on the logarithm.
    """

    ratio: float
    low: float
    high: float
    level: float

    @property
    def outcome(self) -> str:
        """Of the one against the other: faster, slower, or undecided."""
        if self.high < 1:
            return "faster"
        return "slower" if self.low > 1 else "undecided"


def time_to_target(seconds: Array, means: Array, epsilon: float) -> Array:
    """First times at which curves get to ε and stay there over the next 10 % of the time.

    Arguments:
        seconds: times of the record, increasing, [P].
        means: curves, [P] or [P, k]; nan and inf are not below anything.
        epsilon: ε.

    Returns:
        Of every curve, [] or [k]; inf: never, within the record.
    """
    means = np.asarray(means, dtype=np.float64)
    curves = means.reshape(len(seconds), -1)
    above = ~(curves <= epsilon)
    rows = np.arange(len(seconds))
    leaves = np.where(above, rows[:, None], len(rows))
    leaves = np.minimum.accumulate(leaves[::-1], axis=0)[::-1]  # the next row above
    ends, known = _windows(seconds)
    stays = (leaves >= ends[:, None]) & ~above & known[:, None]
    first = np.where(stays.any(axis=0), stays.argmax(axis=0), len(rows))
    found: Array = np.append(seconds, inf)[first].reshape(means.shape[1:])
    return found


def lowest_level(seconds: Array, means: Array) -> Array:
    """The lowest ε that a curve reaches and keeps for a tenth of the time: its floor.

    Arguments:
        seconds: [P], increasing.
        means: [P] or [P, k].

    Returns:
        The least, over windows of a tenth of the time, of the largest mean in the window; [] or
        [k]; inf where nothing is finite.
    """
    means = np.asarray(means, dtype=np.float64)
    curves = np.where(np.isfinite(means), means, inf).reshape(len(seconds), -1)
    ends, known = _windows(seconds)
    tops = [curves[row:end].max(axis=0) for row, end in enumerate(ends) if known[row]]
    floor: Array = np.min(tops, axis=0).reshape(means.shape[1:])
    return floor


def _windows(seconds: Array) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    """Row after the last one of the next 10 % of every time, and whether the record holds it."""
    last = (1 + STAY) * seconds  # up to rounding: 1.1 · 50 is not 55
    ends = np.searchsorted(seconds, last * (1 + 1e-12), side="right")
    return ends, seconds[-1] >= last * (1 - 1e-12)


def target_time(seconds: Array, values: Array, epsilon: float) -> TargetTime:
    """Time to ε of the mean over replicas, with its interval: values [P, R]."""
    drawn = _resampled_times(seconds, values, epsilon)
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(drawn, (tail, 1 - tail), method="inverted_cdf")
    mean = values.mean(axis=1)
    return TargetTime(
        seconds=float(time_to_target(seconds, mean, epsilon)),
        low=float(low),
        high=float(high),
        until=float(seconds[-1]),
        floor=float(lowest_level(seconds, mean)),
    )


def time_ratio(
    own: tuple[Array, Array], other: tuple[Array, Array], epsilon: float, level: float
) -> Ratio:
    """Compare two runs on paired replicas: T of the one over T of the other.

    Arguments:
        own, other: seconds [P] and values [P, R] of each; replica r of both shares its seed.
            Expectations have R = 1, and the distance of record times is their interval.
        epsilon: ε.
        level: of this one interval; for m comparisons under one error rate give α/m.
    """
    times = [float(time_to_target(t, v.mean(axis=1), epsilon)) for t, v in (own, other)]
    if not any(np.isfinite(times)):
        return Ratio(ratio=nan, low=0.0, high=inf, level=level)
    drawn = [_resampled_times(t, v, epsilon) for t, v in (own, other)]
    latest = [t[-1] / (1 + STAY) for t, _ in (own, other)]
    one, two = (np.minimum(d, last) for d, last in zip(drawn, latest, strict=True))
    ratio = min(times[0], latest[0]) / min(times[1], latest[1])
    replicas, half = max(own[1].shape[1], other[1].shape[1]), 0.0
    if replicas > 1:
        error = float(np.std(np.log(one / two), ddof=1))
        half = interval_errors(replicas, 1 - level) * error
    grid = max(_spacing(t, min(at, t[-1])) for (t, _), at in zip((own, other), times, strict=True))
    half = max(half, grid)
    return Ratio(
        ratio=ratio,
        low=0.0 if np.isinf(drawn[1]).any() else ratio * np.exp(-half),
        high=inf if np.isinf(drawn[0]).any() else ratio * np.exp(half),
        level=level,
    )


def _spacing(seconds: Array, at: float) -> float:
    """Relative distance of the record points around a time, which no interval can undercut."""
    row = int(np.clip(np.searchsorted(seconds, at), 1, len(seconds) - 1))
    before = max(float(seconds[row - 1]), 1e-300)
    return float(min(np.log(max(float(seconds[row]), 1e-300) / before), 1.0))


def _resampled_times(seconds: Array, values: Array, epsilon: float) -> Array:
    """Times to ε of the means over resampled replicas, the same draws for all runs: [B]."""
    replicas = values.shape[1]
    random = np.random.default_rng(_SEED)
    weights = random.multinomial(replicas, np.full(replicas, 1 / replicas), RESAMPLES) / replicas
    with np.errstate(all="ignore"):
        means = values @ weights.T
    return time_to_target(seconds, means, epsilon)
