"""Torch executor: runs any plan with any method, estimator and problem, on any torch device.

State is held flat, [R·n, d]; a round gathers the rows that take part, lets the method do its
algebra on them, and scatters the result. The executor owns loops, counting and segments; a method
writes none of these.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from hzbench.core.method import Method, Verb
from hzbench.core.plan import Plan, Round
from hzbench.core.problem import Problem
from hzbench.core.state import State
from hzbench.core.streams import Purpose, Rows, masks
from hzbench.engine.population import Population
from hzbench.engine.rounds import rounds

if TYPE_CHECKING:
    from torch import Tensor

COUNTERS = ("gradient_calls", "function_calls", "derivative_calls", "floats_sent")


@dataclass(frozen=True, kw_only=True)
class Event:
    """One executed round, for those who check every step.

    Attributes:
        round: the rows that took part.
        before, after: iterates of all nodes, [R, n, d].
        gradient: G of every row, [B, d].
        step_size: η of every row, [B, 1].
    """

    round: Round
    before: Tensor
    after: Tensor
    gradient: Tensor
    step_size: Tensor


class Recorder(Protocol):
    """Looks at the state at chosen steps."""

    @property
    def boundaries(self) -> Iterable[int]:
        """Steps at which `record` is called, increasing; the run ends at the last one."""

    @property
    def watch(self) -> Callable[[Event], None] | None:
        """Called after every round when not None (costs a copy of the state a round)."""

    def record(self, state: State) -> None:
        """Look at the state."""


def execute(
    plan: Plan,
    start: Tensor,
    problem: Problem,
    population: Population,
    method: Method,
    recorder: Recorder,
) -> None:
    """Run one block of replicas.

    Arguments:
        plan: the schedule.
        start: starting points of the nodes, [n, d]; its device and dtype are those of the run.
        problem, population, method: what is computed.
        recorder: who looks.
    """
    _Run(plan, start, problem, population, method).go(recorder)


class _Run:
    """The mutable state of one execution."""

    def __init__(
        self,
        plan: Plan,
        start: Tensor,
        problem: Problem,
        population: Population,
        method: Method,
    ) -> None:
        import torch

        self.plan, self.problem, self.population, self.method = plan, problem, population, method
        self.x_shape = (plan.replicas, plan.nodes, problem.dimension)
        x = start.expand(self.x_shape).reshape(-1, problem.dimension).clone()
        self.arrays: dict[str, Tensor] = {"x": x, **method.begin(x)}
        self.memory = x.new_full((len(x), population.memory_size), torch.nan)
        self.counters = {
            name: torch.zeros(plan.replicas, dtype=torch.int64, device=x.device)
            for name in COUNTERS
        }
        self.keys = plan.keys.to(x.device)
        self.step_sizes = torch.as_tensor(plan.step_sizes, device=x.device, dtype=x.dtype)
        fixed = plan.matrix is not None and not plan.varies
        self.fixed = self.mixing(0) if fixed else None
        self.lines = plan.lines.tensor(x) if plan.lines else None

    def go(self, recorder: Recorder) -> None:
        """All segments between boundaries."""
        step = 0
        for boundary in recorder.boundaries:
            for each in rounds(self.plan, step, boundary):
                self.run_round(each, recorder)
            step = boundary
            recorder.record(self.state(step))

    def state(self, step: int) -> State:
        """The current state as a record."""
        sizes = self.x_shape[:2]
        arrays = {name: array.view(*sizes, -1) for name, array in self.arrays.items()}
        return State(step=step, arrays=arrays, counters=self.counters)

    def run_round(self, each: Round, recorder: Recorder) -> None:
        """Gather, advance, scatter."""
        import torch

        rows, partner = self.rows(each)
        index = None if self.everyone(each) else rows.replica * self.plan.nodes + rows.node
        local = {k: a if index is None else a[index] for k, a in self.arrays.items()}
        if self.method.mask_size:
            mask = masks(rows, Purpose.MASK, self.method.mask_size, self.problem.dimension)
            local["mask"] = mask.to(local["x"].dtype)
        step_size = self.step_sizes[rows.step, rows.node][:, None]
        gradients: list[Tensor] = []
        before = self.arrays["x"]
        if recorder.watch and index is not None:
            before = before.clone()  # which is written into
        new = self.method.advance(
            local, self.gradient(rows, gradients), self.mix(rows, partner), step_size
        )
        for name, value in new.items():
            if index is None:
                self.arrays[name] = value
            else:
                self.arrays[name].index_copy_(0, index, value)
        if recorder.watch:
            shown = gradients[-1] if gradients else torch.zeros_like(local["x"])
            recorder.watch(
                Event(
                    round=each,
                    before=before.view(self.x_shape),
                    after=self.arrays["x"].view(self.x_shape),
                    gradient=shown,
                    step_size=step_size,
                )
            )

    def everyone(self, each: Round) -> bool:
        """Whether all rows take part, in the order of the arrays: nothing is gathered then."""
        matching = self.plan.protocol == "matching" and len(each.node) == len(self.arrays["x"])
        return each.partner is None or matching

    def rows(self, each: Round) -> tuple[Rows, Tensor | None]:
        """The addresses of a round on the device, and the partners."""
        import torch

        device = self.keys.device
        replica, node, step = (
            torch.from_numpy(a).to(device) for a in (each.replica, each.node, each.step)
        )
        partner = None if each.partner is None else torch.from_numpy(each.partner).to(device)
        return Rows(keys=self.keys[replica], replica=replica, node=node, step=step), partner

    def gradient(self, rows: Rows, seen: list[Tensor]) -> Verb:
        """The verb `gradient` for these rows; counts oracle calls, keeps what estimators keep."""
        place = rows.replica * self.plan.nodes + rows.node

        def verb(x: Tensor) -> Tensor:
            estimate = self.population.estimate(self.problem, x, rows, self.memory[place])
            if self.memory.shape[1] and estimate.memory is not None:
                self.memory[place] = estimate.memory
            for name, calls in estimate.calls.items():
                self.counters[name].index_add_(0, rows.replica, calls)
            seen.append(estimate.gradient)
            return estimate.gradient

        return verb

    def mix(self, rows: Rows, partner: Tensor | None) -> Verb:
        """The verb `mix` for these rows; counts floats sent."""
        import torch

        w = self.plan.pair_weight

        def average(y: Tensor) -> Tensor:
            assert partner is not None
            others = (partner != torch.arange(len(rows), device=partner.device)).long()
            sent = self.method.floats(y.shape[1]) * others
            self.counters["floats_sent"].index_add_(0, rows.replica, sent)
            theirs = y[partner]
            return theirs.add_(y).div_(2) if w == 0.5 else (1 - w) * y + w * theirs

        if partner is not None:
            return average
        if self.lines is not None:
            return self.multiply_lines(self.lines, int(rows.step[0]))
        matrix, links = self.fixed or self.mixing(int(rows.step[0]))

        def multiply(y: Tensor) -> Tensor:
            self.counters["floats_sent"] += self.method.floats(y.shape[1]) * links
            return torch.matmul(matrix, y.view(*self.x_shape[:2], -1)).view_as(y)

        return multiply

    def multiply_lines(self, lines: Tensor, step: int) -> Verb:
        """The verb `mix` of a large sparse W, replica by replica."""
        import torch

        def multiply(y: Tensor) -> Tensor:
            if step < self.plan.silent or self.plan.lines is None:
                return y
            links = self.plan.lines.links
            self.counters["floats_sent"] += self.method.floats(y.shape[1]) * links
            parts = y.view(*self.x_shape[:2], -1)
            return torch.stack([lines @ part for part in parts]).view_as(y)

        return multiply

    def mixing(self, step: int) -> tuple[Tensor, Tensor]:
        """W of a step, [n, n] or [R, n, n], and the links that carry weight, [] or [R]."""
        import torch

        x = self.arrays["x"]
        matrix = torch.as_tensor(self.plan.mixing(step), device=x.device, dtype=x.dtype)
        own = (matrix.diagonal(dim1=-2, dim2=-1) != 0).sum(-1)
        return matrix, (matrix != 0).sum((-2, -1)) - own
