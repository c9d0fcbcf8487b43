"""Fixed clock: every worker always takes the same time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from hzbench.core.clock import (
    Clock,
    ClockFacts,
    Integers,
    JobTimes,
    Time,
    Times,
    exact,
    per_worker,
)
from hzbench.core.registry import register


class PacedClock(Clock):
    """Base of clocks whose workers have a pace τ_i: given, or by a law of the worker's index."""

    pace: Literal["equal", "sqrt", "linear", "square", "two-speed"] = Field(
        "equal",
        description="τ_i = unit times 1, √i, i, i² (i = 1 ... n), or two-speed: 1 for all but the "
        "last `slow` workers, which take slow_factor",
    )
    unit: float = Field(1.0, gt=0, allow_inf_nan=False, description="seconds of the pace's unit")
    slow: int = Field(1, ge=1, description="two-speed: number of slow workers, the last ones")
    slow_factor: float = Field(
        10.0, gt=0, allow_inf_nan=False, description="two-speed: how much longer they take"
    )
    seconds: tuple[Annotated[float, Field(gt=0, allow_inf_nan=False)], ...] = Field(
        (), description="τ_i, one a worker; stands for `pace`"
    )

    def mistakes(self, nodes: int) -> list[str]:
        """Numbers that are not one a worker, or two paces."""
        found = super().mistakes(nodes)
        if self.seconds and len(self.seconds) != nodes:
            found.append(
                f"seconds: got {len(self.seconds)} numbers for {nodes} workers; expected one a "
                "worker; give as many as nodes"
            )
        if self.seconds and self.pace != "equal":
            found.append(
                f"pace: got {self.pace!r} and seconds; expected one of them, since seconds would "
                "win; drop one"
            )
        wanted = {"slow": self.pace == "two-speed", "slow_factor": self.pace == "two-speed"}
        wanted |= {"unit": not self.seconds}
        found += [
            f"{key}: got {getattr(self, key):g}, which nothing reads; expected it left out, or "
            f"{'no seconds' if key == 'unit' else 'pace two-speed'}; correct one of them"
            for key, read in wanted.items()
            if not read and getattr(self, key) != type(self).model_fields[key].default
        ]
        if self.pace == "two-speed" and self.slow >= nodes:
            found.append(
                f"slow: got {self.slow} of {nodes} workers; expected fewer than all; lower it"
            )
        return found

    def paces(self, work: Sequence[float]) -> tuple[Fraction, ...]:
        """τ_i times the work of worker i's estimates, exact, [n]."""
        n = len(work)
        laws = {
            "equal": [1.0] * n,
            "sqrt": [math.sqrt(i + 1) for i in range(n)],
            "linear": [i + 1.0 for i in range(n)],
            "square": [(i + 1.0) ** 2 for i in range(n)],
            "two-speed": [1.0] * (n - self.slow) + [self.slow_factor] * self.slow,
        }
        unit = Fraction(1) if self.seconds else exact(self.unit)
        values = self.seconds or laws[self.pace]
        return tuple(unit * exact(v) * exact(w) for v, w in zip(values, work, strict=True))

    def times(self, work: Sequence[float]) -> JobTimes:
        """The parts of a job, exact."""
        download, upload = per_worker(self.download, len(work)), per_worker(self.upload, len(work))
        return JobTimes(
            download=tuple(exact(each) for each in download),
            computing=self.paces(work),
            upload=tuple(exact(each) for each in upload),
        )

    def facts(self, work: Sequence[float], seed: int) -> ClockFacts:
        """The keys as they are; the law is fixed unless a subclass says otherwise."""
        n = len(work)
        return ClockFacts(
            work=tuple(work),
            pace="given" if self.seconds else self.pace,
            unit=self.unit,
            slow=self.slow,
            slow_factor=self.slow_factor,
            seconds=self.seconds,
            download=per_worker(self.download, n),
            upload=per_worker(self.upload, n),
            seed=seed,
        )


@register("clock", "fixed")
class FixedClock(PacedClock):
    """Every estimate of worker i takes τ_i seconds.

    Formula: a job sent at time s arrives at s + download_i + τ_i + upload_i; sums are exact
    fractions, so that equal times are equal.

    Source: the fixed computation model of Mishchenko et al. 2022; with communication, Tyurin &
    Richtárik 2024.
    """

    def timer(self, work: Sequence[float], seed: int) -> FixedTimer:
        """Integer times in the largest unit that divides all."""
        del seed
        return FixedTimer(self.times(work))


class FixedTimer:
    """Times are whole multiples of one unit."""

    rounding, dtype, drawn = 0.0, float, False

    def __init__(self, times: JobTimes) -> None:
        self.times = times
        self.computing = np.array(times.computing, dtype=np.float64)
        self.units_a_second = math.lcm(*(each.denominator for each in times.totals))
        self.durations = [int(each * self.units_a_second) for each in times.totals]

    def arrive(self, worker: int, sent: Time) -> Time:
        """The start plus what this worker always takes."""
        return sent + self.durations[worker]

    def computed(self, nodes: Integers, start: Times, uniforms: Times) -> Times:
        """The start plus τ_i."""
        del uniforms
        return start + self.computing[nodes]

    def seconds(self, time: Time) -> float:
        """A whole number of units, in seconds, correctly rounded."""
        return float(time / self.units_a_second)
