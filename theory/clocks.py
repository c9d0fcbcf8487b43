"""When the jobs of a worker arrive, in closed form: multiples, cumulative sums, inverses of work.

A chain is what a worker does when every arrival is followed by the next job at once. All of a
chain's times are computed together, so no error grows along it. Fixed clocks count ticks, integers
of the finest common unit, and are exact; the times of other clocks are floats, and two within one
part in 10¹² of each other are the same time.
"""

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from math import floor, inf, lcm
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hzbench.core.clock import ClockFacts

Time = int | float
Times = NDArray[Any]
SAME = 1e-12


@dataclass(frozen=True, eq=False)
class Chains:
    """The chains of all workers of one clock.

    Attributes:
        facts: the clock in words.
    """

    facts: ClockFacts

    @cached_property
    def ticks_per_second(self) -> int:
        """Ticks in a second: the least common denominator of a fixed clock's times."""
        facts = self.facts
        parts = (*facts.seconds, *facts.download, *facts.upload)
        return lcm(*(part.denominator for part in parts))

    @cached_property
    def _ticks(self) -> tuple[int, ...]:
        """Ticks of a whole job, shape [n]."""
        return tuple(int(total * self.ticks_per_second) for total in self.facts.totals)

    def seconds(self, time: Time) -> float:
        """A time in seconds, rounded once."""
        if self.facts.law != "fixed":
            return float(time)
        return float(Fraction(int(time), self.ticks_per_second))

    def arrivals(self, worker: int, sent: Time, first: int, count: int) -> list[Time]:
        """Arrival times of `count` jobs, the first of them sent at `sent`.

        Formula:
            fixed: sent + (j + 1) c, c = download + seconds + upload; exponential and uniform: sums
            of draws; power and intervals without communication: V⁻¹(V(sent) + j + 1), and with
            it one job after the other.

        Source:
            the contract of `ClockFacts`.

        Args:
            worker: i.
            sent: when the first is sent.
            first: number j of the first job among all that the worker has started.
            count: how many.
        """
        law = self.facts.law
        if law == "fixed":
            each = self._ticks[worker]
            return [sent + (j + 1) * each for j in range(count)]
        if law in ("exponential", "uniform"):
            steps = self._drawn(worker, first, count)
            return list((sent + np.cumsum(steps)).tolist())
        down, up = float(self.facts.download[worker]), float(self.facts.upload[worker])
        done, when = self._work(worker)
        if down == up == 0:
            before = done(float(sent))
            return [when(before + j + 1.0) for j in range(count)]
        found: list[Time] = []
        for _ in range(count):
            found.append(when(done(sent + down) + 1.0) + up)
            sent = found[-1]
        return found

    def _drawn(self, worker: int, first: int, count: int) -> Times:
        """Whole durations of jobs first ... first + count − 1, each with its own address."""
        u = clock_uniforms(self.facts.seed, worker, first, count)
        base = float(self.facts.seconds[worker])
        if self.facts.law == "exponential":
            computing = base * -np.log1p(-u)
        else:
            computing = base * (1.0 + self.facts.spread * (2.0 * u - 1.0))
        whole: Times = computing + float(self.facts.download[worker] + self.facts.upload[worker])
        return whole

    def work_by(self, worker: int, time: float) -> float:
        """V_i(t) of a worker whose speed changes in time: its jobs by then, without links."""
        return self._work(worker)[0](time)

    def _work(self, worker: int) -> tuple[Callable[[float], float], Callable[[float], float]]:
        """V and its inverse."""
        facts, unit = self.facts, float(self.facts.seconds[worker])
        if facts.law == "power":
            p = facts.exponents[worker]
            return lambda t: t**p / unit, lambda w: float((w * unit) ** (1.0 / p))
        profile = Profile(
            rates=np.array(facts.rates[worker]) / unit, interval=float(facts.interval)
        )
        return profile.work, profile.when


@dataclass(frozen=True, kw_only=True, eq=False)
class Profile:
    """Work done at rates that repeat.

    Attributes:
        rates: of the intervals of one period, shape [P].
        interval: seconds.
    """

    rates: Times
    interval: float

    @cached_property
    def _ends(self) -> Times:
        """Work done by the ends of the intervals of one period, from 0 on, shape [P + 1]."""
        return np.concatenate([[0.0], np.cumsum(self.rates * self.interval)])

    def work(self, time: float) -> float:
        """V(t)."""
        intervals = floor(_snapped(time / self.interval))
        periods, k = divmod(intervals, len(self.rates))
        inside = max(time - intervals * self.interval, 0.0)
        return float(periods * self._ends[-1] + self._ends[k] + self.rates[k] * inside)

    def when(self, work: float) -> float:
        """The first time at which V is `work` > 0; inf if it never is."""
        whole = float(self._ends[-1])
        if whole <= 0:
            return inf
        share = _snapped(work / whole)
        periods = int(share) - 1 if share == int(share) else floor(share)
        rest = work - periods * whole
        slack = SAME * whole  # what rounding has added to many sums of decimals
        k = min(int(np.searchsorted(self._ends[1:], rest - slack)), len(self.rates) - 1)
        while self.rates[k] == 0 and k:
            k -= 1
        inside = min(max((rest - self._ends[k]) / self.rates[k], 0.0), self.interval)
        return float((periods * len(self.rates) + k) * self.interval + inside)


def clock_uniforms(seed: int, worker: int, first: int, count: int) -> Times:
    """The first uniform of the addresses (replica 0, worker, job, CLOCK), shape [count]."""
    import torch

    from hzbench.core.streams import Purpose, Rows, replica_keys, uniforms

    rows = Rows(
        keys=replica_keys(seed, range(1)).expand(count, 2),
        replica=torch.zeros(count, dtype=torch.int64),
        node=torch.full((count,), worker),
        step=torch.arange(first, first + count),
    )
    return np.asarray(uniforms(rows, Purpose.CLOCK, 1)[:, 0].numpy(), dtype=np.float64)


def finite(chains: Chains, worker: int, sent: Time, first: int, count: int) -> list[Time]:
    """The arrivals of a chain that happen at all."""
    return [time for time in chains.arrivals(worker, sent, first, count) if time < inf]


def merged(times: dict[int, list[Time]], exact: bool) -> list[tuple[Time, int]]:
    """All (time, worker) in order; equal times by worker.

    Args:
        times: per worker, its arrivals in order.
        exact: whether times are ticks; floats within `SAME` of each other count as equal.
    """
    found = sorted((time, worker) for worker, own in times.items() for time in own)
    if exact:
        return found
    start = 0
    for end in range(1, len(found) + 1):
        if end < len(found) and found[end][0] <= found[start][0] * (1 + SAME):
            continue
        if end - start > 1:
            first = found[start][0]
            found[start:end] = sorted((first, worker) for _, worker in found[start:end])
        start = end
    return found


def _snapped(value: float) -> float:
    """The integer beside a value that rounding has moved off it."""
    near = round(value)
    return float(near) if abs(value - near) <= SAME * max(1.0, abs(near)) else value
