"""Torch executor: runs any plan with any method, estimator and problem, on any torch device.

State is held flat in the order of the nodes, [n·R, d], so that all replicas share one product with
W and a group's rows lie side by side; a round gathers the rows that take part, lets the method do
its algebra on them, and scatters the result. The executor owns loops, counting and segments; a
method writes none of these. Nothing within a segment asks the device for a number: addresses go
there for many rounds at once, and what else a round must know is read from the plan.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

import numpy as np

from hzbench.core.method import Method, Verb
from hzbench.core.plan import Plan, Round
from hzbench.core.problem import Problem
from hzbench.core.state import State
from hzbench.core.streams import Purpose, Rows, masks
from hzbench.engine.mixing import Mixing, multiply
from hzbench.engine.population import Population
from hzbench.engine.rounds import rounds

if TYPE_CHECKING:
    from torch import Tensor

_WINDOW = 1 << 18  # rows whose addresses go to the device at once
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
        shape = (plan.nodes, plan.replicas, problem.dimension)
        x = start[:, None].expand(shape).reshape(-1, problem.dimension).clone()
        self.arrays: dict[str, Tensor] = {"x": x, **method.begin(x)}
        self.memory = x.new_full((len(x), population.memory_size), torch.nan)
        self.counters = {
            name: torch.zeros(plan.replicas, dtype=torch.int64, device=x.device)
            for name in COUNTERS
        }
        self.keys = plan.keys.to(x.device)
        self.step_sizes = torch.as_tensor(plan.step_sizes, device=x.device, dtype=x.dtype)
        self.mixing = Mixing(plan, x)
        self.all: Rows | None = None

    def go(self, recorder: Recorder) -> None:
        """All segments between boundaries."""
        step = 0
        for boundary in recorder.boundaries:
            for window in _windows(rounds(self.plan, step, boundary)):
                for each, addresses in zip(window, self.addresses(window), strict=True):
                    self.run_round(each, *addresses, recorder)
            step = boundary
            recorder.record(self.state(step))

    def state(self, step: int) -> State:
        """The current state as a record."""
        arrays = {name: self.by_replica(array) for name, array in self.arrays.items()}
        return State(step=step, arrays=arrays, counters=self.counters)

    def by_replica(self, array: Tensor) -> Tensor:
        """A view [R, n, k] of an array [n·R, k]."""
        return array.view(self.plan.nodes, self.plan.replicas, -1).transpose(0, 1)

    def addresses(self, window: list[Round]) -> Iterator[tuple[Rows, Tensor | None]]:
        """The addresses of some rounds on the device, and the partners: one copy for all."""
        import torch

        if window[0].partner is None:
            for each in window:
                yield self.all_rows(each), None
            return
        columns = zip(*((e.replica, e.node, e.step, e.partner) for e in window), strict=True)
        table = np.stack([np.concatenate(column) for column in columns])
        sizes = [len(each.node) for each in window]
        for part in torch.split(torch.from_numpy(table).to(self.keys.device), sizes, dim=1):
            replica, node, step, partner = part
            rows = Rows(keys=self.keys[replica], replica=replica, node=node, step=step)
            yield rows, partner

    def all_rows(self, each: Round) -> Rows:
        """The addresses of a round of all nodes, which differ from another's by the step alone."""
        import torch

        if self.all is None:
            device = self.keys.device
            replica, node = (torch.from_numpy(a).to(device) for a in (each.replica, each.node))
            keys = self.keys[replica]
            self.all = Rows(keys=keys, replica=replica, node=node, step=node)
        return replace(self.all, step=torch.full_like(self.all.node, int(each.step[0])))

    def run_round(
        self, each: Round, rows: Rows, partner: Tensor | None, recorder: Recorder
    ) -> None:
        """Gather, advance, scatter."""
        index = None if self.everyone(each) else self.place(rows)
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
            local, self.gradient(each, rows, gradients), self.mix(each, rows, partner), step_size
        )
        for name, value in new.items():
            if index is None:
                self.arrays[name] = value
            else:
                self.arrays[name].index_copy_(0, index, value)
        if recorder.watch:
            self.show(recorder.watch, each, before, gradients, step_size)

    def everyone(self, each: Round) -> bool:
        """Whether all rows take part, in the order of the arrays: nothing is gathered then."""
        matching = self.plan.protocol == "matching" and len(each.node) == len(self.arrays["x"])
        return each.partner is None or matching

    def place(self, rows: Rows) -> Tensor:
        """Where the rows lie in the arrays, [B]."""
        return rows.node * self.plan.replicas + rows.replica

    def show(
        self,
        watch: Callable[[Event], None],
        each: Round,
        before: Tensor,
        gradients: list[Tensor],
        step_size: Tensor,
    ) -> None:
        """Let the recorder look at a round."""
        import torch

        shown = gradients[-1] if gradients else torch.zeros_like(before)[: len(step_size)]
        watch(
            Event(
                round=each,
                before=self.by_replica(before),
                after=self.by_replica(self.arrays["x"]),
                gradient=shown,
                step_size=step_size,
            )
        )

    def gradient(self, each: Round, rows: Rows, seen: list[Tensor]) -> Verb:
        """The verb `gradient` for these rows; counts oracle calls, keeps what estimators keep."""
        shares = self.population.shares(each.node)
        keeps = self.memory.shape[1] > 0
        place = self.place(rows) if keeps else slice(len(rows))

        def verb(x: Tensor) -> Tensor:
            memory = self.memory[place]
            estimate = self.population.estimate(self.problem, x, rows, memory, shares)
            if keeps and estimate.memory is not None:
                self.memory[place] = estimate.memory
            for name, calls in estimate.calls.items():
                self.counters[name].index_add_(0, rows.replica, calls)
            seen.append(estimate.gradient)
            return estimate.gradient

        return verb

    def mix(self, each: Round, rows: Rows, partner: Tensor | None) -> Verb:
        """The verb `mix` for these rows; counts floats sent."""
        import torch

        if partner is None:
            matrix, links = self.mixing.of_step(int(each.step[0]))

            def average(y: Tensor) -> Tensor:
                self.counters["floats_sent"] += self.method.floats(y.shape[1]) * links
                return multiply(matrix, y, self.plan.nodes)

            return average
        others = (partner != torch.arange(len(rows), device=partner.device)).long()
        w = self.plan.pair_weight

        def exchange(y: Tensor) -> Tensor:
            sent = self.method.floats(y.shape[1]) * others
            self.counters["floats_sent"].index_add_(0, rows.replica, sent)
            theirs = y[partner]
            return theirs.add_(y).div_(2) if w == 0.5 else (1 - w) * y + w * theirs

        return exchange


def _windows(every: Iterable[Round]) -> Iterator[list[Round]]:
    """Rounds in order, as many at once as hold about `_WINDOW` rows."""
    window: list[Round] = []
    rows = 0
    for each in every:
        window.append(each)
        rows += len(each.node)
        if rows >= _WINDOW:
            yield window
            window, rows = [], 0
    if window:
        yield window
