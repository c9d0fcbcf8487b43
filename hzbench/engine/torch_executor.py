"""Torch executor: runs any plan with any method, estimator and problem, on any torch device.

State is held flat in the order of the nodes, [n·R, d], so that all replicas share one product with
W and a group's rows lie side by side; a round gathers the rows that take part, lets the method do
its algebra on them, and scatters the result. The executor owns loops, counting and segments; a
method writes none of these. Nothing within a segment asks the device for a number; on CUDA, rounds
of all nodes are replayed (`engine/graphs.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from hzbench.core.method import Local, Method, Verb
from hzbench.core.plan import Plan, Round
from hzbench.core.problem import Problem
from hzbench.core.state import State
from hzbench.core.streams import Purpose, masks
from hzbench.engine.batches import Batch, Batches
from hzbench.engine.graphs import Replay
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
    Execution(plan, start, problem, population, method).go(recorder)


class Execution:
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
        self.step_sizes = _table(_shared(plan.step_sizes), x)
        self.mixing = Mixing(plan, x)
        self.batches = Batches(plan, population, x.device)

    def go(self, recorder: Recorder) -> None:
        """All segments between boundaries."""
        step = 0
        replay = self.replay() if self.repeats and recorder.watch is None else None
        for boundary in recorder.boundaries:
            if replay is not None:
                replay.run(step, boundary)
            else:
                self.segment(step, boundary, recorder.watch)
            step = boundary
            recorder.record(self.state(step))

    def segment(self, start: int, stop: int, watch: Callable[[Event], None] | None) -> None:
        """Steps start ... stop − 1, round by round."""
        for window in _windows(rounds(self.plan, start, stop)):
            for each, batch in zip(window, self.batches.of_window(window), strict=True):
                self.run_round(each, batch, watch)

    @property
    def repeats(self) -> bool:
        """Whether rounds can be captured: on CUDA, of all nodes, with a W the device can make."""
        return self.arrays["x"].is_cuda and self.batches.together and not self.mixing.told

    def replay(self) -> Replay:
        """Rounds by CUDA graphs, of a state that stays where it is from now on."""
        return Replay(self.round_in_place, self.mixing.phase, self.hold())

    def hold(self) -> Tensor:
        """Give every array a place of its own for `round_in_place`; the step, int64 []."""
        import torch

        self.arrays = {name: array.clone() for name, array in self.arrays.items()}
        self.now = torch.zeros((), dtype=torch.int64, device=self.arrays["x"].device)
        return self.now

    def round_in_place(self, step: int) -> None:
        """The round of all nodes at step `now`, which moves on; `step` says its phase alone."""
        new = self.advance(self.batches.of_all(self.now), step, [])
        held = {array.untyped_storage().data_ptr() for array in self.arrays.values()}
        moved = {k: new[k] for k in new if new[k] is not self.arrays[k]}
        for name, value in moved.items():
            if value.untyped_storage().data_ptr() in held:  # an old array under another name
                moved[name] = value.clone()
        for name, value in moved.items():
            self.arrays[name].copy_(value)
        self.now.add_(1)

    def state(self, step: int) -> State:
        """The current state as a record."""
        arrays = {name: self.by_replica(array) for name, array in self.arrays.items()}
        return State(step=step, arrays=arrays, counters=self.counters)

    def by_replica(self, array: Tensor) -> Tensor:
        """A view [R, n, k] of an array [n·R, k]."""
        return array.view(self.plan.nodes, self.plan.replicas, -1).transpose(0, 1)

    def run_round(self, each: Round, batch: Batch, watch: Callable[[Event], None] | None) -> None:
        """Advance, scatter; let who watches look."""
        before, place = self.arrays["x"], batch.place
        if watch and place is not None:
            before = before.clone()  # which is written into
        gradients: list[Tensor] = []
        new = self.advance(batch, int(each.step[0]), gradients)
        for name, value in new.items():
            if place is None:
                self.arrays[name] = value
            else:
                self.arrays[name].index_copy_(0, place, value)
        if watch:
            self.show(watch, each, before, gradients, self.step_size(batch))

    def advance(self, batch: Batch, step: int, gradients: list[Tensor]) -> Local:
        """The new arrays of the rows that take part; `step` says which W, the batch all else."""
        place = batch.place
        local = {
            k: a if place is None else a.index_select(0, place) for k, a in self.arrays.items()
        }
        if self.method.mask_size:
            mask = masks(batch.rows, Purpose.MASK, self.method.mask_size, self.problem.dimension)
            local["mask"] = mask.to(local["x"].dtype)
        verbs = self.gradient(batch, gradients), self.mix(batch, step)
        return self.method.advance(local, *verbs, self.step_size(batch))

    def step_size(self, batch: Batch) -> Tensor:
        """η of every row, [B, 1]."""
        if self.step_sizes.numel() == 1:
            return self.step_sizes.expand(len(batch.rows), 1)
        return self.step_sizes[batch.rows.step, batch.rows.node][:, None]

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

    def gradient(self, batch: Batch, seen: list[Tensor]) -> Verb:
        """The verb `gradient` for these rows; counts oracle calls, keeps what estimators keep."""
        rows, place = batch.rows, slice(None) if batch.place is None else batch.place
        keeps = self.memory.shape[1] > 0

        def verb(x: Tensor) -> Tensor:
            memory = self.memory[place if keeps else slice(len(rows))]
            estimate = self.population.estimate(self.problem, x, rows, memory, batch.shares)
            if keeps and estimate.memory is not None:
                self.memory[place] = estimate.memory
            for name, calls in estimate.calls.items():
                self.counters[name].index_add_(0, rows.replica, calls)
            seen.append(estimate.gradient)
            return estimate.gradient

        return verb

    def mix(self, batch: Batch, step: int) -> Verb:
        """The verb `mix` for these rows; counts floats sent."""
        import torch

        rows, partner = batch.rows, batch.partner
        if partner is None:
            matrix, links = self.mixing.of_step(step, rows.step[0])

            def average(y: Tensor) -> Tensor:
                self.counters["floats_sent"] += self.method.floats(y.shape[1]) * links
                return multiply(matrix, y, self.plan.nodes)

            return average
        w, others = self.plan.pair_weight, torch.ones_like(partner)
        if self.plan.protocol == "matching":
            others = (partner != torch.arange(len(rows), device=partner.device)).long()

        def exchange(y: Tensor) -> Tensor:
            sent = self.method.floats(y.shape[1]) * others
            self.counters["floats_sent"].index_add_(0, rows.replica, sent)
            theirs = y.index_select(0, partner)
            return theirs.add_(y).mul_(0.5) if w == 0.5 else (1 - w) * y + w * theirs

        return exchange


def _shared(step_sizes: NDArray[np.float64]) -> NDArray[np.float64]:
    """The step sizes [T, n], or the one of all steps and nodes, [1, 1]."""
    first = step_sizes[:1]
    one = step_sizes.strides[0] == 0 and first.size > 0 and first.min() == first.max()
    return first[:, :1] if one else step_sizes


def _table(values: NDArray[np.float64], like: Tensor) -> Tensor:
    """Lines [T, n] where `like` lies; where all are one line in memory, it alone goes there."""
    import torch

    once = values[:1] if values.strides[0] == 0 else values
    return torch.as_tensor(once, device=like.device, dtype=like.dtype).expand(values.shape)


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
