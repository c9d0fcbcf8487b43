"""Drawn clocks: the time of every job is a random draw around the worker's pace."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from hzbench.clocks.fixed import PacedClock
from hzbench.core.clock import ROUNDING, ClockFacts, Integers, JobTimes, Time, Times
from hzbench.core.registry import register

_AHEAD = 256  # draws of a worker taken at once


class DrawnClock(PacedClock):
    """Base: computing takes τ_i times a positive draw of mean 1."""

    law: ClassVar[Literal["exponential", "uniform"]]

    def facts(self, work: Sequence[float], seed: int) -> ClockFacts:
        """With the law."""
        return replace(super().facts(work, seed), law=self.law)

    def factor(self, uniform: Times) -> Times:
        """The draws of mean 1 that uniform numbers stand for."""
        raise NotImplementedError

    def timer(self, work: Sequence[float], seed: int) -> DrawnTimer:
        """Addressed draws: worker i's j-th job has the same time in every plan of the seed."""
        return DrawnTimer(self.times(work), self.factor, seed)


@register("clock", "exponential")
class ExponentialClock(DrawnClock):
    """Computing takes an exponential time of mean τ_i: workers without memory.

    Formula: τ_i (−ln(1 − u_ij)), u_ij uniform at the address (seed, worker i, job j).

    Source: the standard model of stragglers, e.g. Lee et al. 2018.
    """

    law: ClassVar[Literal["exponential", "uniform"]] = "exponential"

    def factor(self, uniform: Times) -> Times:
        """Inversion."""
        found: Times = -np.log1p(-uniform)
        return found


@register("clock", "uniform")
class UniformClock(DrawnClock):
    """Computing takes a uniform time around τ_i.

    Formula: τ_i (1 + spread (2 u_ij − 1)), u_ij uniform at the address (seed, worker i, job j).

    Source: textbook.
    """

    law: ClassVar[Literal["exponential", "uniform"]] = "uniform"

    spread: float = Field(0.5, gt=0, lt=1, description="half the width over the mean")

    def facts(self, work: Sequence[float], seed: int) -> ClockFacts:
        """With the spread."""
        return replace(super().facts(work, seed), spread=self.spread)

    def factor(self, uniform: Times) -> Times:
        """Inversion."""
        return 1 + self.spread * (2 * uniform - 1)


class DrawnTimer:
    """Times are seconds; draws are taken ahead, `_AHEAD` jobs of a worker at once."""

    rounding, dtype, drawn = ROUNDING, float, True

    def __init__(self, times: JobTimes, factor: Callable[[Times], Times], seed: int) -> None:
        self.times, self.factor, self.seed = times, factor, seed
        self.computing = [float(each) for each in times.computing]
        self.download = [float(each) for each in times.download]
        self.upload = [float(each) for each in times.upload]
        self.jobs = [0] * len(self.computing)
        self.ahead: list[list[float]] = [[] for _ in self.computing]

    def arrive(self, worker: int, sent: Time) -> Time:
        """The start, the way there, the worker's next draw, and the way back."""
        job, ahead = self.jobs[worker], self.ahead[worker]
        self.jobs[worker] = job + 1
        if job == len(ahead):
            ahead += self._draw(worker, job)
        computing = self.computing[worker] * ahead[job]
        return float(sent) + self.download[worker] + computing + self.upload[worker]

    def computed(self, nodes: Integers, start: Times, uniforms: Times) -> Times:
        """The start plus τ_i times the draw."""
        found: Times = start + np.array(self.computing)[nodes] * self.factor(uniforms)
        return found

    def seconds(self, time: Time) -> float:
        """Itself."""
        return float(time)

    def _draw(self, worker: int, first: int) -> list[float]:
        import torch

        from hzbench.core.streams import Purpose, Rows, replica_keys, uniforms

        step = torch.arange(first, first + _AHEAD)
        zero = torch.zeros_like(step)
        keys = replica_keys(self.seed, range(1)).expand(_AHEAD, 2)
        rows = Rows(keys=keys, replica=zero, node=zero + worker, step=step)
        found: list[float] = self.factor(uniforms(rows, Purpose.CLOCK, 1)[:, 0].numpy()).tolist()
        return found
