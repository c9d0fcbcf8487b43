"""Mean and covariance of a server's registers where coordinates decouple and noise is constant.

The recursion of `server_moments` for the commonest case, gradients of quadratics that are diagonal
in one basis: every coordinate is a scalar, and the noise of an estimate does not depend on where it
is taken. All coordinates lie side by side, last, so that a register is one line of memory.
"""

import numpy as np
from numpy.typing import NDArray

from hzbench.theory.affine_system import Integers
from hzbench.theory.server_moments import Forms, Moments
from hzbench.theory.server_program import Gather, Step

Array = NDArray[np.float64]


class ScalarRegisters:
    """Mean [S, C] and covariance [S, S, C] of S registers, p = 1; noise is that of gradients."""

    def __init__(self, forms: Forms, count: int, start: Array) -> None:
        self.hessians = np.ascontiguousarray(forms.hessians[:, :, 0, 0].T)
        self.linear = np.ascontiguousarray(forms.linear[:, :, 0].T)
        self.noise = _variances(forms)
        self.mean = np.zeros((count, len(start)))
        self.mean[0] = start[:, 0]
        self.covariance = np.zeros((count, count, len(start)))

    def read(self, register: int) -> Moments:
        """The moments of one register."""
        return Moments(
            mean=self.mean[register][:, None].copy(),
            covariance=self.covariance[register, register][:, None, None].copy(),
        )

    def advance(self, step: Step) -> None:
        """One update and the arrivals before it."""
        for collect in step.collects:
            own = [] if collect.first else [collect.register]
            self._write(collect.register, own, np.ones(len(own)), (collect.gather,), 1.0)
        bins = step.bins.tolist()
        gains = np.concatenate([[1.0], -step.gains])
        self._write(step.new, [step.old, *bins], gains, step.gathers, -1.0)

    def _write(
        self,
        target: int,
        registers: list[int],
        gains: Array,
        gathers: tuple[Gather, ...],
        sign: float,
    ) -> None:
        """Target = Σ gains · registers + sign · (estimates of the gathers)."""
        mean, rows = self._sums(registers, gains)
        own = np.zeros(self.mean.shape[1])
        slopes = []
        for gather in gathers:
            slope = (sign * gather.gains) @ self.hessians[gather.workers]
            mean += slope * self.mean[gather.point]
            mean -= (sign * gather.gains) @ self.linear[gather.workers]
            rows += slope * self.covariance[gather.point]
            own += gather.squares @ self.noise[gather.workers]
            slopes.append((gather.point, slope))
        for register, gain in zip(registers, gains.tolist(), strict=True):
            own += gain * rows[register]
        for point, slope in slopes:
            own += slope * rows[point]
        self.mean[target] = mean
        self.covariance[target] = rows
        self.covariance[:, target] = rows
        self.covariance[target, target] = own

    def _sums(self, registers: list[int], gains: Array) -> tuple[Array, Array]:
        """Σ gains · registers: mean [C], and covariances with all registers [S, C]."""
        if not registers:
            return np.zeros_like(self.mean[0]), np.zeros_like(self.mean)
        if len(registers) == 1:
            only, gain = registers[0], gains[0]
            return gain * self.mean[only], gain * self.covariance[only]
        some: Integers = np.array(registers, dtype=np.int64)
        flat = self.covariance[some].reshape(len(registers), -1)
        return gains @ self.mean[some], (gains @ flat).reshape(self.mean.shape)


def _variances(forms: Forms) -> Array:
    """Variance of one estimate of every worker, wherever it is taken, shape [n, C]."""
    C, n = forms.hessians.shape[:2]
    anywhere = np.zeros((C, n, 2, 2))
    anywhere[:, :, 1, 1] = 1.0
    found = forms.noise(np.arange(n), anywhere)
    return np.ascontiguousarray(found[:, :, 0, 0].T)
