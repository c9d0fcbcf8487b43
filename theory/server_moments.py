"""Mean and covariance of the registers of a server's run on quadratic forms.

Estimates of different jobs draw independently, given the points they are taken at, so a new sum
has the covariances that its linear part gives, and its own noise is added to its variance alone.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from hzbench.theory.affine_system import Integers, NoiseLaw
from hzbench.theory.server_program import Collect, Gather, Program, Step

Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Forms:
    """What the workers' estimates are in C blocks of p coordinates, the optimum at 0.

    Attributes:
        hessians: A_i, shape [C, n, p, p].
        linear: b_i, shape [C, n, p].
        noise: covariance of one estimate.
    """

    hessians: Array
    linear: Array
    noise: NoiseLaw


@dataclass(frozen=True, kw_only=True, eq=False)
class Moments:
    """Mean [C, p] and covariance [C, p, p] of the server's point."""

    mean: Array
    covariance: Array


class Recursion(Protocol):
    """Registers that a program moves; the first holds x^0."""

    def read(self, register: int) -> Moments:
        """The moments of one register."""

    def advance(self, step: Step) -> None:
        """One update and the arrivals before it."""


def moments(registers: Recursion, run: Program) -> Iterator[Moments]:
    """The moments of x^0, x^1, ..., x^K.

    Formula:
        x^{k+1} = x^k − Σ_J w_J B_J − Σ_s w_s g_s, B_J the sums of bins, g_s = A x^v − b + ξ_s with
        Cov ξ_s = N(E x^v x^v'); bins likewise.

    Source:
        own derivation; the second moment of what is alive, where impulse responses would carry
        one number for every estimate ever made.

    Args:
        registers: as many as the run has, at their start.
        run: the compiled run.
    """
    yield registers.read(0)
    for step in run.steps:
        registers.advance(step)
        yield registers.read(step.new)


class Registers:
    """Mean [C, S, p] and covariance [C, S p, S p] of S registers."""

    def __init__(self, forms: Forms, count: int, start: Array) -> None:
        C, p = start.shape
        self.forms, self.size = forms, p
        self.mean = np.zeros((C, count, p))
        self.mean[:, 0] = start
        self.covariance = np.zeros((C, count * p, count * p))

    def read(self, register: int) -> Moments:
        """The moments of one register."""
        own = self._part(register)
        return Moments(
            mean=self.mean[:, register].copy(), covariance=self.covariance[:, own, own].copy()
        )

    def advance(self, step: Step) -> None:
        """One update and the arrivals before it."""
        for collect in step.collects:
            self._collect(collect)
        registers = np.concatenate([[step.old], step.bins])
        gains = np.concatenate([[1.0], -step.gains])
        self._write(step.new, registers, gains, step.gathers, -1.0)

    def _collect(self, collect: Collect) -> None:
        own = [] if collect.first else [collect.register]
        registers = np.array(own, dtype=np.int64)
        self._write(collect.register, registers, np.ones(len(own)), (collect.gather,), 1.0)

    def _write(
        self,
        target: int,
        registers: Integers,
        gains: Array,
        gathers: tuple[Gather, ...],
        sign: float,
    ) -> None:
        """Target = Σ gains · registers + sign · (estimates of the gathers)."""
        C, count, p = self.mean.shape
        blocks = self.covariance.reshape(C, count, p, count * p)
        mean = np.tensordot(gains, self.mean[:, registers], axes=(0, 1))
        rows = np.tensordot(gains, blocks[:, registers], axes=(0, 1))
        own = np.zeros((C, p, p))
        slopes = []
        for gather in gathers:
            slope, offset, noise = self._estimates(gather)
            mean += sign * (np.einsum("ckl,cl->ck", slope, self.mean[:, gather.point]) - offset)
            rows += sign * (slope @ self.covariance[:, self._part(gather.point)])
            own += noise
            slopes.append((gather.point, slope))
        by_register = rows.reshape(C, p, count, p)
        own += np.tensordot(by_register[:, :, registers], gains, axes=(2, 0))
        for point, slope in slopes:
            own += sign * (by_register[:, :, point] @ slope.swapaxes(1, 2))
        here = self._part(target)
        self.mean[:, target] = mean
        self.covariance[:, here] = rows
        self.covariance[:, :, here] = rows.swapaxes(1, 2)
        self.covariance[:, here, here] = 0.5 * (own + own.swapaxes(1, 2))

    def _estimates(self, gather: Gather) -> tuple[Array, Array, Array]:
        """Σ a_i A_i [C, p, p], Σ a_i b_i [C, p] and Σ q_i Cov ξ_i [C, p, p]."""
        forms, workers = self.forms, gather.workers
        slope = np.tensordot(gather.gains, forms.hessians[:, workers], axes=(0, 1))
        offset = np.tensordot(gather.gains, forms.linear[:, workers], axes=(0, 1))
        second = self._second_moment(gather.point)
        shape = (len(second), len(workers), *second.shape[1:])
        noise = forms.noise(workers, np.broadcast_to(second[:, None], shape))
        return slope, offset, np.tensordot(gather.squares, noise, axes=(0, 1))

    def _second_moment(self, register: int) -> Array:
        """E (x, 1)(x, 1)', shape [C, p + 1, p + 1]."""
        mean, own = self.mean[:, register], self._part(register)
        full = np.empty((len(mean), self.size + 1, self.size + 1))
        extended = np.concatenate([mean, np.ones((len(mean), 1))], axis=1)
        np.multiply(extended[:, :, None], extended[:, None, :], out=full)
        full[:, :-1, :-1] += self.covariance[:, own, own]
        return full

    def _part(self, register: int) -> slice:
        return slice(register * self.size, (register + 1) * self.size)
