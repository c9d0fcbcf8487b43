"""The judge judged: how often it rejects what is true.

Two measurements. Fresh blocks: the p-values of a check on independent blocks of replicas that were
never looked at before; this calibrates theory, product and test together. Resamples: blocks drawn
with replacement from a large pool of such replicas, against the mean of the pool, which is exactly
true there; this calibrates the test alone, far into the tail.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hzbench.core.contrast import contrasted
from hzbench.core.prediction import Prediction
from hzbench.core.trace import Trace
from hzbench.judge.exact import p_value
from hzbench.judge.rate import rate_selection, scalars, window
from hzbench.judge.select import Selection, select
from hzbench.judge.statistics import clopper_pearson

Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class FalseAlarms:
    """How often p <= level among p-values whose prediction is true.

    Attributes:
        level: nominal.
        alarms, trials: counts.
        low, high: 95 % Clopper-Pearson interval of the rate.
        least: lower limit of the interval that is simultaneous over all rates of the study.
    """

    level: float
    alarms: int
    trials: int
    low: float
    high: float
    least: float

    @property
    def rate(self) -> float:
        """The measured rate."""
        return self.alarms / self.trials

    @property
    def kept(self) -> bool:
        """Whether the simultaneous interval contains the level or lies below it."""
        return self.least <= self.level


def statistics_of(
    trace: Trace,
    prediction: Prediction,
    observables: Sequence[str] | None = None,
    steps: Sequence[int] | None = None,
) -> Selection:
    """What a check tests: its statistics that vary (kinds exact and rate)."""
    if prediction.kind == "rate":
        names = scalars(trace, prediction, observables)
        return rate_selection(trace, prediction, names, window(trace, prediction, steps))
    chosen = select(contrasted(trace, prediction), prediction, observables, steps)
    return chosen.where(~chosen.certain)


def block_p_values(pool: Selection, size: int) -> Array:
    """P-values of disjoint blocks of `size` replicas, in order."""
    blocks = pool.values.shape[1] // size
    cuts = np.split(pool.values[:, : blocks * size], blocks, axis=1)
    return np.array([p_value(replace(pool, values=cut)) for cut in cuts])


def resampled_p_values(pool: Selection, size: int, count: int, seed: int) -> Array:
    """P-values of `count` blocks drawn with replacement, against the mean of the pool."""
    rng = np.random.default_rng(seed)
    true = replace(pool, predicted=pool.values.mean(axis=1))
    total = pool.values.shape[1]
    found = np.empty(count)
    for k in range(count):
        drawn = pool.values[:, rng.integers(total, size=size)]
        found[k] = p_value(replace(true, values=drawn))
    return found


def false_alarms(p_values: Array, level: float, rates: int) -> FalseAlarms:
    """Count p <= level.

    Args:
        p_values: of true predictions.
        level: nominal.
        rates: number of rates in the study, which share 5 % of simultaneous error.
    """
    alarms, trials = int(np.count_nonzero(p_values <= level)), len(p_values)
    low, high = clopper_pearson(alarms, trials)
    least, _ = clopper_pearson(alarms, trials, 1.0 - 0.05 / rates)
    return FalseAlarms(level=level, alarms=alarms, trials=trials, low=low, high=high, least=least)
