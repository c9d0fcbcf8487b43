"""Universal clocks: speeds that change in time, with outages."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import accumulate
from typing import Annotated

import numpy as np
from pydantic import Field

from hzbench.clocks.fixed import PacedClock
from hzbench.core.clock import (
    FINEST,
    ROUNDING,
    ClockFacts,
    Integers,
    JobTimes,
    Time,
    Times,
    exact,
    per_worker,
)
from hzbench.core.registry import register


class PowerTimer:
    """V_i(t) = t^p_i / c_i; a job computes until the worker's V_i has grown by one unit.

    Where a job starts when the one before ended, V_i goes on from the number known there: counts
    stay whole, so that equal times are equal.
    """

    rounding, dtype, drawn = ROUNDING, float, False

    def __init__(self, times: JobTimes, exponents: Sequence[float]) -> None:
        self.times, self.exponents = times, exponents
        self.download = [float(each) for each in times.download]
        self.upload = [float(each) for each in times.upload]
        self.pace = [float(each) for each in times.computing]
        self.last: list[tuple[float, float]] = [(0.0, 0.0) for _ in self.pace]

    def arrive(self, worker: int, sent: Time) -> Time:
        """From the start of computing to one unit of work later, and back; inf: never."""
        start, p = float(sent) + self.download[worker], self.exponents[worker]
        ended, known = self.last[worker]
        try:
            done = known if start == ended else start**p / self.pace[worker]
            end = self._when((done + 1) * self.pace[worker], p)
        except OverflowError:
            return math.inf
        self.last[worker] = (end, done + 1)
        return end + self.upload[worker]

    def computed(self, nodes: Integers, start: Times, uniforms: Times) -> Times:
        """The start, one unit of work later."""
        del uniforms
        p, pace = np.array(self.exponents)[nodes], np.array(self.pace)[nodes]
        with np.errstate(over="ignore"):
            found: Times = (start**p + pace) ** (1 / p)
        return found

    def _when(self, work: float, p: float) -> float:
        """The root; square roots are correctly rounded."""
        return math.sqrt(work) if p == 2 else float(work ** (1 / p))

    def seconds(self, time: Time) -> float:
        """Itself."""
        return float(time)


Exponent = Annotated[float, Field(allow_inf_nan=False)]


@register("clock", "power")
class PowerClock(PacedClock):
    """Workers that grow faster (or tire): V_i(t) = t^p_i / τ_i units of work by time t.

    Formula: computing lasts from s to V_i⁻¹(V_i(s) + 1); p = 1 is the fixed clock.

    Source: the universal computation model, Tyurin & Richtárik 2024.
    """

    exponents: Exponent | tuple[Exponent, ...] = Field(
        1.0, description="p_i > 0: one number, or one a worker"
    )

    def mistakes(self, nodes: int) -> list[str]:
        """Exponents that are not one a worker, or of workers that never finish."""
        found = super().mistakes(nodes)
        values = self.exponents if isinstance(self.exponents, tuple) else (self.exponents,)
        if len(values) not in (1, nodes):
            found.append(
                f"exponents: got {len(values)} numbers for {nodes} workers; expected one, or one "
                "a worker; give as many as nodes"
            )
        if min(values, default=1.0) <= 0:
            found.append(
                f"exponents: got {min(values):g}; expected numbers above 0, or the worker never "
                "finishes; raise it"
            )
        return found

    def facts(self, work: Sequence[float], seed: int) -> ClockFacts:
        """The law "power"."""
        exponents = per_worker(self.exponents, len(work))
        return replace(super().facts(work, seed), law="power", exponents=exponents)

    def timer(self, work: Sequence[float], seed: int) -> PowerTimer:
        """Closed forms."""
        del seed
        return PowerTimer(self.times(work), per_worker(self.exponents, len(work)))


Rate = Annotated[float, Field(ge=0, allow_inf_nan=False)]


@register("clock", "intervals")
class IntervalClock(PacedClock):
    """Speeds that change from interval to interval, periodically; rate 0 is an outage.

    Formula: worker i does rates[i][k mod P]/τ_i units of work a second during [k h, (k+1) h),
    h = `interval`; computing takes one unit.

    Source: the universal computation model, Tyurin & Richtárik 2024.
    """

    examples = ({"rates": [[1.0, 0.0]] * 8},)

    rates: tuple[Annotated[tuple[Rate, ...], Field(min_length=1)], ...] = Field(
        description="one row a worker: its rate in the intervals of a period; 0: an outage"
    )
    interval: float = Field(1.0, gt=0, allow_inf_nan=False, description="seconds of an interval")

    def mistakes(self, nodes: int) -> list[str]:
        """Rows that are not one a worker, or of workers that never finish."""
        found = super().mistakes(nodes)
        if len(self.rates) != nodes:
            found.append(
                f"rates: got {len(self.rates)} rows for {nodes} workers; expected one a worker; "
                "give as many as nodes"
            )
        dead = [i for i, row in enumerate(self.rates) if sum(row) <= 0]
        if dead:
            found.append(
                f"rates: got workers {dead} that never work; expected a positive rate in some "
                "interval of every worker; raise one, or drop the worker"
            )
        return found

    def facts(self, work: Sequence[float], seed: int) -> ClockFacts:
        """The law "intervals"."""
        made = super().facts(work, seed)
        return replace(made, law="intervals", rates=self.rates, interval=self.interval)

    def timer(self, work: Sequence[float], seed: int) -> IntervalTimer:
        """The inverse of a piecewise linear V."""
        del seed
        return IntervalTimer(self.times(work), self.rates, exact(self.interval))


class IntervalTimer:
    """V_i piecewise linear, in exact fractions: rounding would jump across whole outages."""

    rounding, dtype, drawn = 0.0, object, False

    def __init__(
        self, times: JobTimes, rates: Sequence[Sequence[float]], interval: Fraction
    ) -> None:
        self.times, self.interval = times, interval
        self.speeds = [
            [exact(rate) / pace for rate in row]
            for row, pace in zip(rates, times.computing, strict=True)
        ]
        self.grown = [
            list(accumulate((speed * interval for speed in row), initial=Fraction(0)))
            for row in self.speeds
        ]

    def work(self, worker: int, time: Fraction) -> Fraction:
        """V_i(t): whole periods, whole intervals, and the part of this one."""
        row, grown = self.speeds[worker], self.grown[worker]
        interval = math.floor(time / self.interval)
        period, k = divmod(interval, len(row))
        return period * grown[-1] + grown[k] + row[k] * (time - interval * self.interval)

    def when(self, worker: int, work: Fraction) -> Fraction:
        """The first time at which V_i reaches it."""
        row, grown = self.speeds[worker], self.grown[worker]
        period = math.ceil(work / grown[-1]) - 1
        rest = work - period * grown[-1]
        k = bisect_left(grown, rest) - 1
        return (period * len(row) + k) * self.interval + (rest - grown[k]) / row[k]

    def arrive(self, worker: int, sent: Time) -> Time:
        """From the start of computing to one unit of work later, and back."""
        end = self.end(worker, Fraction(sent) + self.times.download[worker])
        return end + self.times.upload[worker]

    def computed(self, nodes: Integers, start: Times, uniforms: Times) -> Times:
        """The same for many, fractions in and out."""
        del uniforms
        jobs = [(int(node), Fraction(at)) for node, at in zip(nodes, start, strict=True)]
        known = {job: self.end(*job) for job in dict.fromkeys(jobs)}
        found: Times = np.array([known[job] for job in jobs], dtype=object)
        return found

    def end(self, worker: int, start: Fraction) -> Fraction:
        """One unit of work later."""
        end = self.when(worker, self.work(worker, start) + 1)
        return end if end.denominator <= FINEST else Fraction(round(end * FINEST), FINEST)

    def seconds(self, time: Time) -> float:
        """Correctly rounded."""
        return float(time)
