"""What a run of a contest is asked, and the curves that answer."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, floor, inf, log

import numpy as np
from numpy.typing import NDArray

from hzbench.judge.target_time import STAY, time_to_target

Array = NDArray[np.float64]
START = 1e-4  # of the horizon: the first record time but 0
TRIES = 10  # the horizon is halved so often for a first try, where nothing is expected


@dataclass(frozen=True, kw_only=True)
class Question:
    """What a run is asked, and when it may stop.

    Attributes:
        target: ε.
        horizon: seconds after which it stops in any case.
        resolution: relative distance of record times.
        margin: it goes on until this many times the first time to ε of any of its step sizes.
        separate: whether replicas are kept apart; otherwise their mean and a standard error on
            top of it are all that is kept, and what is compared with ε.
        expected: when the answer is expected, in seconds; 0: no idea.
    """

    target: float
    horizon: float
    resolution: float
    margin: float = 1 + STAY
    separate: bool = False
    expected: float = 0.0

    @property
    def first(self) -> float:
        """Length of a first try: with the margin, where an answer is expected."""
        wanted = self.margin * (1 + 2 * self.resolution) * self.expected
        return min(wanted or self.horizon / 2**TRIES, self.horizon)

    @property
    def times(self) -> Array:
        """Record times: 0, and a geometric grid up to the horizon.

        The grid is that of all questions, so that equal runs give equal times.
        """
        first, last = (log(share * self.horizon) / self.resolution for share in (START, 1.0))
        points = np.arange(floor(first), ceil(last - 1e-9) + 1)
        return np.concatenate([[0.0], np.exp(self.resolution * points)])

    def answered(self, seconds: Array, means: Array) -> bool:
        """Whether some curve is at ε and stays, with the margin behind it; or all blew up.

        Arguments:
            seconds: [P].
            means: [P, G].
        """
        if not len(means):
            return False
        if not np.isfinite(means[-1]).any():
            return True
        first = float(time_to_target(seconds, means, self.target).min())
        return first < inf and bool(seconds[-1] >= self.margin * first)


@dataclass(frozen=True, kw_only=True)
class Curves:
    """|∇f|² over seconds.

    Attributes:
        seconds: record times, [P].
        values: of all replicas [P, G, R]; or means and a standard error on top, or expectations,
            [P, G, 1].
        exact: whether they are expectations.
    """

    seconds: Array
    values: Array
    exact: bool = False

    @property
    def means(self) -> Array:
        """Means over replicas, [P, G]."""
        with np.errstate(all="ignore"):
            found: Array = self.values.mean(axis=2)
        return found
