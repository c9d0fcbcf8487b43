"""Clock: how long every worker takes, in simulated seconds; words for theory, a timer for plans.

Nothing here reads the machine's clock. Where seconds are decimals, fixed clocks and those with
outages compute with exact fractions, so that equal times are equal: three jobs of .1 s end at .3 s,
together with one of .3 s.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Annotated, Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from hzbench.core.component import Component

Time = int | float | Fraction
ROUNDING = 1e-12  # of times that are floats
Times = NDArray[Any]
Integers = NDArray[np.int64]
FINEST = 1 << 1024  # exact times stay multiples of 1/FINEST, however long links and outages beat
_Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]
PerWorker = _Seconds | tuple[_Seconds, ...]
Pace = Literal["equal", "sqrt", "linear", "square", "two-speed", "given"]


@dataclass(frozen=True, kw_only=True)
class ClockFacts:
    """How long a job of every worker takes, in the words of the spec; nothing is computed here.

    Worker i's seconds of computing are c_i = τ_i w_i, w_i = `work[i]` and τ_i by `pace`, i = 1 ...
    n: equal: `unit`; sqrt: unit √i (the float's decimal); linear: unit i; square: unit i²;
    two-speed: unit, of the last `slow` workers unit `slow_factor`; given: `seconds[i]`. All numbers
    are read as the decimals that they are written as.

    A job of worker i that is sent at time s waits `download[i]`, computes, waits `upload[i]`, and
    arrives. Worker i's jobs are counted j = 0, 1, ... in the order of their starts, stopped ones
    included. Arrivals at equal times are served in the order of the workers' indices; where times
    are floats, those within 1e-12 of each other, relatively, are equal.

    Attributes:
        law: fixed: computing takes c_i, and times are exact sums of fractions.
            exponential: it takes c_i (−ln(1 − u_ij)); uniform: c_i (1 + `spread` (2 u_ij − 1));
            u_ij the first uniform of the address (key of replica 0 of `seed`, node i, step j,
            purpose CLOCK).
            power: worker i has done V_i(t) = t^`exponents[i]` / c_i units of work by time t, and
            computing takes one unit: from s to V_i⁻¹(V_i(s) + 1), the first such time.
            intervals: the same with a rate of `rates[i][k mod P]` / c_i during [k·`interval`,
            (k+1)·`interval`); times are exact fractions (multiples of 1/`FINEST` once they need a
            larger denominator).
        work: per worker, shape [n].
        pace, unit, slow, slow_factor, seconds: see above.
        download, upload: seconds, per worker, shape [n].
        spread: of uniform.
        exponents: of power, shape [n].
        rates: of intervals, shape [n][P].
        interval: of intervals, in seconds.
        seed: of the drawn laws. All replicas of a run with a server share these draws.
    """

    law: Literal["fixed", "exponential", "uniform", "power", "intervals"] = "fixed"
    work: tuple[float, ...]
    pace: Pace = "equal"
    unit: float = 1.0
    slow: int = 1
    slow_factor: float = 10.0
    seconds: tuple[float, ...] = ()
    download: tuple[float, ...]
    upload: tuple[float, ...]
    spread: float = 0.0
    exponents: tuple[float, ...] = ()
    rates: tuple[tuple[float, ...], ...] = ()
    interval: float = 1.0
    seed: int = 0


@dataclass(frozen=True, kw_only=True)
class JobTimes:
    """What the product reads off a clock: exact seconds of the parts of a job, shape [n] each."""

    download: tuple[Fraction, ...]
    computing: tuple[Fraction, ...]
    upload: tuple[Fraction, ...]

    @property
    def totals(self) -> tuple[Fraction, ...]:
        """Seconds of a whole job."""
        parts = zip(self.download, self.computing, self.upload, strict=True)
        return tuple(sum(part, Fraction(0)) for part in parts)


class Timer(Protocol):
    """When jobs end: `arrive` for servers, `computed` for gossip."""

    @property
    def times(self) -> JobTimes:
        """Of a job of every worker; where its time is drawn or changes, at the declared pace."""

    @property
    def rounding(self) -> float:
        """Times that differ by this fraction or less are equal; 0: times are exact."""

    @property
    def dtype(self) -> type:
        """Of arrays of times: float, or object where they are fractions."""

    @property
    def drawn(self) -> bool:
        """Whether every job takes a draw."""

    def arrive(self, worker: int, sent: Time) -> Time:
        """When a job sent to a worker at that time arrives; inf: never.

        Called once a job, in the order of every worker's starts.
        """

    def computed(self, nodes: Integers, start: Times, uniforms: Times) -> Times:
        """When computing ends that these nodes start then, without links; inf: never.

        Arguments:
            nodes: int [B].
            start: [B].
            uniforms: in [0, 1), read where jobs take a draw, [B].
        """

    def seconds(self, time: Time) -> float:
        """A time in seconds."""


class Clock(Component):
    """Base of registered clocks: fields are the keys of the spec's [clock] table."""

    download: PerWorker = Field(
        0.0, description="seconds to send a point to a worker: one number, or one a worker"
    )
    upload: PerWorker = Field(
        0.0, description="seconds to send an estimate to the server: one number, or one a worker"
    )

    def mistakes(self, nodes: int) -> list[str]:
        """Why the clock does not fit n workers; empty if it does."""
        given = {"download": self.download, "upload": self.upload}
        return [
            f"{name}: got {len(value)} numbers for {nodes} workers; expected one, or one a worker; "
            "give as many as nodes"
            for name, value in given.items()
            if isinstance(value, tuple) and len(value) != nodes
        ]

    def facts(self, work: Sequence[float], seed: int) -> ClockFacts:
        """What theory reads.

        Arguments:
            work: per worker, the work of one estimate in units of what the clock times, [n].
            seed: of the run.
        """
        raise NotImplementedError

    def timer(self, work: Sequence[float], seed: int) -> Timer:
        """A fresh timer of the run; the same arguments as `facts`."""
        raise NotImplementedError


def exact(value: float) -> Fraction:
    """Read a float as the decimal that it is written as: 0.1 is 1/10.

    Raises:
        ValueError: not finite.
    """
    if not math.isfinite(value):
        raise ValueError(f"got {value}; expected a finite number of seconds")
    return Fraction(repr(float(value)))


def per_worker(value: PerWorker, nodes: int) -> tuple[float, ...]:
    """One number a worker, from one for all or one each."""
    return value if isinstance(value, tuple) else (value,) * nodes
