"""Universal clocks: speeds that change in time, with outages."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated

from pydantic import Field

from hzbench.clocks.fixed import PacedClock
from hzbench.core.clock import ROUNDING, ClockFacts, PerWorker, Time, exact, per_worker
from hzbench.core.registry import register

SLACK = 1e-12  # relative; sums of decimals that end an interval must not fall behind its outage


class UniversalTimer:
    """A job computes until the worker's work V_i has grown by one unit.

    Where a job starts when the one before ended, V_i goes on from the number known there: counts
    stay whole, so that equal times are equal.
    """

    rounding = ROUNDING

    def __init__(self, facts: ClockFacts) -> None:
        self.download = [float(each) for each in facts.download]
        self.upload = [float(each) for each in facts.upload]
        self.pace = [float(each) for each in facts.seconds]
        self.last: list[tuple[Time, float]] = [(0.0, 0.0) for _ in facts.seconds]

    def work(self, worker: int, time: float) -> float:
        """V_i(t) times the pace."""
        raise NotImplementedError

    def when(self, worker: int, work: float) -> float:
        """The first time at which that much is done."""
        raise NotImplementedError

    def arrive(self, worker: int, sent: Time) -> Time:
        """From the start of computing to one unit of work later, and back."""
        start = sent + self.download[worker]
        ended, known = self.last[worker]
        done = known if start == ended else self.work(worker, start) / self.pace[worker]
        end = self.when(worker, (done + 1) * self.pace[worker])
        self.last[worker] = (end, done + 1)
        return end + self.upload[worker]

    def seconds(self, time: Time) -> float:
        """Itself."""
        return float(time)


class PowerTimer(UniversalTimer):
    """V_i(t) = t^p_i / τ_i."""

    def __init__(self, facts: ClockFacts) -> None:
        super().__init__(facts)
        self.exponents = facts.exponents

    def work(self, worker: int, time: float) -> float:
        """The power."""
        return float(time ** self.exponents[worker])

    def when(self, worker: int, work: float) -> float:
        """The root; square roots are correctly rounded."""
        p = self.exponents[worker]
        try:
            return math.sqrt(work) if p == 2 else float(work ** (1 / p))
        except OverflowError:
            return math.inf


@register("clock", "power")
class PowerClock(PacedClock):
    """Workers that grow faster (or tire): V_i(t) = t^p_i / τ_i units of work by time t.

    Formula: computing lasts from s to V_i⁻¹(V_i(s) + 1); p = 1 is the fixed clock.

    Source: the universal computation model, Tyurin & Richtárik 2024.
    """

    exponents: PerWorker = Field(1.0, description="p_i > 0: one number, or one a worker")

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
        exponents = tuple(float(p) for p in per_worker(self.exponents, len(work)))
        return replace(super().facts(work, seed), law="power", exponents=exponents)

    def timer(self, work: Sequence[float], seed: int) -> PowerTimer:
        """Closed forms."""
        return PowerTimer(self.facts(work, seed))


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
        return replace(made, law="intervals", rates=self.rates, interval=exact(self.interval))

    def timer(self, work: Sequence[float], seed: int) -> IntervalTimer:
        """The inverse of a piecewise linear V."""
        return IntervalTimer(self.facts(work, seed))


class IntervalTimer(UniversalTimer):
    """V_i piecewise linear: whole periods, then whole intervals, then a part."""

    def __init__(self, facts: ClockFacts) -> None:
        super().__init__(facts)
        self.rates, self.interval = facts.rates, float(facts.interval)
        self.grown = [self._cumulated(row) for row in facts.rates]

    def _cumulated(self, row: tuple[float, ...]) -> list[float]:
        """Work by the start of every interval of a period, and by its end, [P + 1]."""
        grown = [0.0]
        for rate in row:
            grown.append(grown[-1] + rate * self.interval)
        return grown

    def work(self, worker: int, time: float) -> float:
        """Whole periods, whole intervals, and the part of this one."""
        row, grown = self.rates[worker], self.grown[worker]
        interval = math.floor(time / self.interval * (1 + SLACK))
        period, k = divmod(interval, len(row))
        inside = max(0.0, time - interval * self.interval)
        return period * grown[-1] + grown[k] + row[k] * inside

    def when(self, worker: int, work: float) -> float:
        """The first time at which V_i reaches it."""
        row, grown = self.rates[worker], self.grown[worker]
        whole = grown[-1]
        period = max(0, math.ceil(work / whole * (1 - SLACK)) - 1)
        rest = work - period * whole
        busy = [k for k, rate in enumerate(row) if rate > 0]
        k = next((k for k in busy if grown[k + 1] >= rest - SLACK * whole), busy[-1])
        inside = min(max(rest - grown[k], 0.0) / row[k], self.interval)
        return (period * len(row) + k) * self.interval + inside
