"""The game behind the lower bounds: how soon can a pool of workers reveal the next coordinate?

After a coordinate is revealed at time s, only jobs sent at s or later can reveal the next one, so
worker i's k-th chance comes at s + k τ_i at the earliest, and succeeds with probability p_i. Where
all workers restart at s, all chances come that early: the waiting time X is then least, in law.
"""

from collections.abc import Sequence
from fractions import Fraction
from math import lcm, log1p

import numpy as np
from numpy.typing import NDArray
from scipy.signal import fftconvolve

Array = NDArray[np.float64]

_TAIL = 45.0  # e^−45 of the mass is left out
LARGEST_GRID = 1 << 20


def game_value(seconds: Sequence[float], probabilities: Sequence[float]) -> float:
    """G: the mean waiting time for one coordinate.

    Formula:
        E min_i τ_i Geom(p_i) = ∫_0^∞ Π_i (1 − p_i)^{floor(t/τ_i)} dt, summed exactly between the
        merged multiples of the τ_i.

    Source:
        own derivation; within constants it is min_m (Σ_{i<=m} 1/τ_i)⁻¹ (m + 1/p).

    Args:
        seconds: τ_i of a whole job, shape [n].
        probabilities: p_i in (0, 1], shape [n].

    Example:
        τ = (1, 2), p = ½: 1.7142857 = 12/7: survival is 1, ½, then ⅛ of the last at every 2 s.
    """
    times, survival = waiting_law(seconds, probabilities)
    steps = np.diff(np.concatenate([[0.0], times]))
    return float(steps @ np.concatenate([[1.0], survival[:-1]]))


def waiting_law(seconds: Sequence[float], probabilities: Sequence[float]) -> tuple[Array, Array]:
    """Times t and P(X > t) at all times at which somebody has a chance, shapes [m]."""
    tau, p = np.asarray(seconds, dtype=float), np.asarray(probabilities, dtype=float)
    sure = p >= 1.0
    rate = np.where(sure, np.inf, [-log1p(-min(each, 1 - 1e-16)) for each in p])
    horizon = float(np.min(np.where(sure, tau, _horizon(tau[~sure], rate[~sure]))))
    counts = np.floor(horizon / tau * (1 + 1e-12)).astype(int)
    times = np.concatenate([t * np.arange(1, c + 1) for t, c in zip(tau, counts, strict=True)])
    losses = np.repeat(rate, counts)
    order = np.argsort(times, kind="stable")
    return times[order], np.exp(-np.cumsum(losses[order]))


def _horizon(tau: Array, rate: Array) -> float:
    """A time by which the chances multiply to less than e^−45."""
    if not len(tau):
        return float("inf")
    return float((_TAIL + rate.sum()) / (rate / tau).sum())


def mean_hidden(
    seconds: Sequence[Fraction], probabilities: Sequence[float], length: int, times: Array
) -> Array:
    """The least mean number of coordinates that are still hidden at given times.

    Formula:
        Σ_{j=1}^T P(X_1 + ... + X_j > t), X_j independent copies of the waiting time. Its integral
        over t is Σ j G = T (T + 1) G/2. On a grid of the common unit of the τ_i; where that is
        finer than 2²⁰ steps, times are rounded down to a coarser grid, which only lowers the
        result.

    Source:
        own derivation.

    Args:
        seconds: τ_i of a whole job, exact, shape [n].
        probabilities: p_i, shape [n].
        length: T.
        times: t, shape [m].

    Example:
        τ = (1), p = ½, T = 1, t = 2: 0.25 = 0.5**2.
    """
    unit, ticks = grid(seconds, float(np.max(times, initial=0.0)))
    ends = np.floor(np.asarray(times) / float(unit) * (1 + 1e-12)).astype(int)
    mass = _waiting_mass(ticks, probabilities, int(ends.max(initial=0)) + 1)
    total, hidden = mass.copy(), np.zeros(len(ends))
    for _ in range(length):
        within = np.minimum(np.cumsum(total), 1.0)
        hidden += 1.0 - within[ends]
        total = np.maximum(fftconvolve(total, mass)[: len(mass)], 0.0)
    return hidden


def grid(seconds: Sequence[Fraction], last: float) -> tuple[Fraction, list[int]]:
    """A unit of time, and the τ_i in it, rounded down where the exact unit is too fine."""
    unit = Fraction(1, lcm(*(each.denominator for each in seconds)))
    shared = np.gcd.reduce(np.array([int(each / unit) for each in seconds], dtype=object))
    unit *= int(shared)
    while last / float(unit) > LARGEST_GRID:
        unit *= 2
    return unit, [int(each / unit) for each in seconds]


def _waiting_mass(ticks: Sequence[int], probabilities: Sequence[float], size: int) -> Array:
    """P(X = k units) for k < size."""
    survival, k = np.ones(size), np.arange(size)
    for tick, p in zip(ticks, probabilities, strict=True):
        survival = survival * ((1.0 - p) ** (k // tick) if tick else 0.0)
    return -np.diff(np.concatenate([[1.0], survival]))
