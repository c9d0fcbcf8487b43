"""Probe ticks: what the martingale test needs of the state before and after single steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hzbench.core.errors import UserMistakeError
from hzbench.core.probe import ProbeSums
from hzbench.core.problem import MeasuresNoise, Problem
from hzbench.core.state import State
from hzbench.core.streams import Rows

if TYPE_CHECKING:
    from torch import Tensor

Array = NDArray[np.float64]


def noise_meter(problem: Problem) -> MeasuresNoise:
    """The problem, which knows the noise of its gradient samples.

    Raises:
        UserMistakeError: it does not.
    """
    if isinstance(problem, MeasuresNoise):
        return problem
    raise UserMistakeError(
        f"got probe_sums on {type(problem).__name__}, which has no `gradient_noise`; expected a "
        "problem that measures the noise of its gradient samples; drop the observable"
    )


@dataclass(kw_only=True)
class TickProbe:
    """Adds up `ProbeSums` over the probe ticks of one block.

    Attributes:
        marks: the probe ticks, increasing; the state is looked at before and after each.
        problem: where h_i and the data noise are evaluated: that of the spec without any mutant, so
            that a planted bug does not predict itself.
        groups: number of nodes of each group.
        total: sums over the ticks passed, shape [R, k].
        pending: tick and sums of a step that has begun.
    """

    marks: frozenset[int]
    problem: Problem
    groups: tuple[int, ...]
    total: Array | None = None
    pending: tuple[int, ProbeSums] | None = field(default=None)

    @property
    def boundaries(self) -> set[int]:
        """Steps at which `look` must be called."""
        return set(self.marks) | {tick + 1 for tick in self.marks}

    def finish(self, state: State) -> None:
        """Complete the tick that ends here."""
        if self.pending is None or state.step != self.pending[0] + 1:
            return
        before = self.pending[1]
        mean, consensus = _spread(_offsets(state, self.problem))
        before.mean_after[:, 0], before.consensus_after[:, 0] = mean, consensus
        sums = before.flat()
        self.total = sums if self.total is None else self.total + sums
        self.pending = None

    def begin(self, state: State) -> None:
        """Look at the state before the step that starts here, if it is a probe tick."""
        if state.step in self.marks:
            self.pending = (state.step, sums_before(state, self.problem, self.groups))

    def value(self, replicas: int) -> Array:
        """The sums so far, shape [R, k]."""
        size = 3 + 4 * len(self.groups) + 3 * len(self.groups) ** 2
        return np.zeros((replicas, size)) if self.total is None else self.total


def sums_before(state: State, problem: Problem, groups: Sequence[int]) -> ProbeSums:
    """What one tick adds, the two entries after the step left at 0; each [R, ...]."""
    x = _offsets(state, problem)
    h, noise = _local_facts(state, problem)
    X, H = _by_group(x, groups), _by_group(h, groups)
    zero = np.zeros((len(x), 1))
    return ProbeSums(
        count=zero + 1.0,
        mean_after=zero,
        consensus_after=zero.copy(),
        squares=_by_group((x * x).sum(-1), groups),
        products=_by_group((x * h).sum(-1), groups),
        powers=_by_group((h * h).sum(-1), groups),
        noise=_by_group(noise, groups),
        positions=X @ X.swapaxes(1, 2),
        drifts=X @ H.swapaxes(1, 2),
        forces=H @ H.swapaxes(1, 2),
    )


def _offsets(state: State, problem: Problem) -> Array:
    """Iterates minus x* in double precision, shape [R, n, d]."""
    x = _numpy(state.x)
    return x - problem.optimum if len(problem.optimum) else x


def _spread(x: Array) -> tuple[Array, Array]:
    """|mean|² and Γ, each [R]."""
    mean = x.mean(axis=1)
    centred = x - mean[:, None]
    return (mean**2).sum(-1), (centred**2).sum(-1).mean(-1)


def _local_facts(state: State, problem: Problem) -> tuple[Array, Array]:
    """∇f_i(x_i) [R, n, d] and tr Cov of one sample's gradient there [R, n]."""
    import torch

    replicas, nodes, d = state.x.shape
    x = state.x.reshape(-1, d)
    node = torch.arange(nodes, device=x.device).repeat(replicas)
    zero = torch.zeros_like(node)
    rows = Rows(keys=torch.stack([zero, zero], 1), replica=zero, node=node, step=zero)
    exact = problem.gradients(x, node, problem.sample(rows, "full", 1))[:, 0]
    noise = noise_meter(problem).gradient_noise(x, node)
    return _numpy(exact).reshape(replicas, nodes, d), _numpy(noise).reshape(replicas, nodes)


def _by_group(values: Array, groups: Sequence[int]) -> Array:
    """Sums over the nodes of each group: [R, n, ...] -> [R, G, ...]."""
    starts = np.cumsum([0, *groups[:-1]])
    return np.asarray(np.add.reduceat(values, starts, axis=1))


def _numpy(values: Tensor) -> Array:
    return np.asarray(values.detach().double().cpu().numpy())
