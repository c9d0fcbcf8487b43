"""Seconds of a job from the words of a clock: theory's own reading of the spec."""

from fractions import Fraction
from functools import lru_cache
from math import sqrt

from hzbench.core.clock import ClockFacts

Seconds = tuple[Fraction, ...]


def decimal(number: float) -> Fraction:
    """A number as the decimal that it is written as.

    Example:
        0.1 is 1/10.
    """
    return Fraction(str(float(number)))


@lru_cache(maxsize=64)
def computing_seconds(clock: ClockFacts) -> Seconds:
    """c_i: the pace τ_i times the work of an estimate, without links, exact, shape [n].

    Source:
        the contract of `ClockFacts`.
    """
    n = len(clock.work)
    return tuple(_pace(clock, i, n) * decimal(clock.work[i - 1]) for i in range(1, n + 1))


def _pace(clock: ClockFacts, i: int, n: int) -> Fraction:
    """τ_i, i from 1."""
    if clock.pace == "given":
        return decimal(clock.seconds[i - 1])
    unit = decimal(clock.unit)
    if clock.pace == "two-speed":
        return unit * decimal(clock.slow_factor) if i > n - clock.slow else unit
    if clock.pace == "sqrt":
        return unit * decimal(sqrt(i))
    return unit * {"equal": 1, "linear": i, "square": i * i}[clock.pace]


@lru_cache(maxsize=64)
def job_seconds(clock: ClockFacts) -> Seconds:
    """Seconds of a job from its sending to its arrival, at the declared pace, exact, shape [n].

    Formula:
        download_i + c_i + upload_i.

    Source:
        the contract of `ClockFacts`.

    Example:
        pace sqrt, n = 4, download 0.5, upload 0.25: the last one is 2.75 = 0.5 + 2 + 0.25.
    """
    down, up = map(decimal, clock.download), map(decimal, clock.upload)
    return tuple(a + c + b for a, c, b in zip(down, computing_seconds(clock), up, strict=True))
