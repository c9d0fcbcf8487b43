"""When the jobs of a worker arrive, in closed form: multiples, cumulative sums, inverses of work.

A chain is what a worker does when every arrival is followed by the next job at once. All of a
chain's times are computed together, so no error grows along it. Fixed clocks count ticks, integers
of the finest common unit, and clocks with outages are fractions; both are exact. The times of
other clocks are floats, and two within one part in 10¹² of each other are the same time.
"""

from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property, lru_cache
from math import inf, lcm
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hzbench.core.clock import FINEST, ClockFacts
from hzbench.theory.paces import computing_seconds, decimal, job_seconds

Time = int | float | Fraction
Times = NDArray[Any]
SAME = 1e-12


@dataclass(frozen=True, eq=False)
class Chains:
    """The chains of all workers of one clock.

    Attributes:
        facts: the clock in words.
    """

    facts: ClockFacts

    @property
    def exact(self) -> bool:
        """Whether times carry no rounding, so that only equal ones are ties."""
        return self.facts.law in ("fixed", "intervals")

    @cached_property
    def ticks_per_second(self) -> int:
        """Ticks in a second: the least common denominator of a fixed clock's times."""
        return lcm(*(total.denominator for total in job_seconds(self.facts)))

    @cached_property
    def _ticks(self) -> tuple[int, ...]:
        """Ticks of a whole job, shape [n]."""
        return tuple(int(total * self.ticks_per_second) for total in job_seconds(self.facts))

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
            it one job after the other; inf beyond the largest float.

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
        done, when = self._work(worker)
        down, up = self._links(worker)
        if down == up == 0:
            before = done(sent)
            return [when(before + j + 1) for j in range(count)]
        found: list[Time] = []
        for _ in range(count):
            sent = when(done(sent + down) + 1) + up
            if isinstance(sent, Fraction) and sent.denominator > FINEST:
                sent = Fraction(round(sent * FINEST), FINEST)
            found.append(sent)
        return found

    def _links(self, worker: int) -> tuple[Time, Time]:
        """Seconds to the worker and back; fractions where times are."""
        exact = decimal(self.facts.download[worker]), decimal(self.facts.upload[worker])
        return exact if self.exact else (float(exact[0]), float(exact[1]))

    def _drawn(self, worker: int, first: int, count: int) -> Times:
        """Whole durations of jobs first ... first + count − 1, each with its own address."""
        u = clock_uniforms(self.facts.seed, worker, first, count)
        base = float(computing_seconds(self.facts)[worker])
        if self.facts.law == "exponential":
            computing = base * -np.log1p(-u)
        else:
            computing = base * (1.0 + self.facts.spread * (2.0 * u - 1.0))
        whole: Times = computing + float(sum(self._links(worker)))
        return whole

    def work_by(self, worker: int, time: Time) -> Time:
        """V_i(t) of a worker whose speed changes in time: its jobs by then, without links."""
        return self._work(worker)[0](time)

    def least_time(self, worker: int, jobs: int) -> Time:
        """No sooner can a worker have done so many jobs; the mean time where times are drawn."""
        law = self.facts.law
        if law == "fixed":
            return jobs * self._ticks[worker]
        if law in ("exponential", "uniform"):
            return jobs * float(job_seconds(self.facts)[worker])
        return self._work(worker)[1](jobs)

    def _work(self, worker: int) -> tuple[Callable[[Any], Time], Callable[[Any], Time]]:
        """V and its inverse."""
        facts, job = self.facts, computing_seconds(self.facts)[worker]
        if facts.law == "power":
            p, unit = facts.exponents[worker], float(job)
            return lambda t: _power(t, p) / unit, lambda w: _power(w * unit, 1.0 / p)
        profile = profile_of(facts.rates[worker], facts.interval, job)
        return profile.work, profile.when


@dataclass(frozen=True, kw_only=True, eq=False)
class Profile:
    """Work done at rates that repeat; the units of work and time make all of it integers.

    A rate of ρ whole units does ρ units of work in an interval; time is counted in intervals.

    Attributes:
        rates: ρ of the intervals of one period, shape [P].
        interval: seconds of an interval.
        job: units of work of one job.
    """

    rates: tuple[int, ...]
    interval: Fraction
    job: Fraction

    @cached_property
    def _before(self) -> list[int]:
        """Units done before each interval of a period, shape [P]."""
        return [sum(self.rates[:k]) for k in range(len(self.rates))]

    def work(self, time: Time) -> Fraction:
        """V(t), in jobs."""
        u = Fraction(time) / self.interval
        whole = u.numerator // u.denominator
        periods, k = divmod(whole, len(self.rates))
        units = periods * sum(self.rates) + self._before[k] + self.rates[k] * (u - whole)
        return units / self.job

    def when(self, jobs: Fraction | int) -> Time:
        """The first time at which V is so many jobs > 0; inf if it never is."""
        period = sum(self.rates)
        if not period:
            return inf
        units = jobs * self.job
        whole = units // period
        if whole * period == units:
            whole -= 1  # the last instant of a period, not the first of the next
        rest = units - whole * period
        k = bisect_left(self._before, rest) - 1  # the last interval that begins with less
        u = whole * len(self.rates) + k + (rest - self._before[k]) / self.rates[k]
        return u * self.interval


@lru_cache(maxsize=256)
def profile_of(rates: Sequence[float], interval: float, job: Fraction) -> Profile:
    """The profile of rates in jobs of so many seconds at rate 1."""
    exact = [decimal(rate) for rate in rates]
    unit = lcm(*(rate.denominator for rate in exact))
    step = decimal(interval)
    return Profile(
        rates=tuple(int(rate * unit) for rate in exact), interval=step, job=job * unit / step
    )


def _power(base: float, exponent: float) -> float:
    """The power; inf beyond the largest float."""
    try:
        return float(base**exponent)
    except OverflowError:
        return inf


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
