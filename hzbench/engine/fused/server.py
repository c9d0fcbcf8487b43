"""Fused execution of server plans: all updates between two record points in one compiled call."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from hzbench.core.compiled import Kernel, aligned, table
from hzbench.core.objective import DIAGONAL, objective
from hzbench.core.problem import Problem
from hzbench.core.server import ServerPlan
from hzbench.engine.fused.descriptors import CALLS, empty_oracles_and_update, oracles_of
from hzbench.engine.fused.executor import run_segments
from hzbench.engine.fused.rooms import rooms
from hzbench.engine.population import Population
from hzbench.engine.server_executor import last_uses, server_state
from hzbench.engine.torch_executor import Recorder

if TYPE_CHECKING:
    from torch import Tensor


class Trace(NamedTuple):
    """A schedule as the kernel reads it.

    Attributes:
        starts: the estimates at x^v are those from starts[v] to starts[v + 1], [K + 2].
        worker, sample, slot: of every estimate that some update uses.
        offsets: update k uses the entries from offsets[k] to offsets[k + 1], [K + 1].
        used, factors: slot, and scale · W_ks · η, of every entry.
    """

    starts: Any
    worker: Any
    sample: Any
    slot: Any
    offsets: Any
    used: Any
    factors: Any


def execute_server(
    plan: ServerPlan, start: Tensor, problem: Problem, population: Population, recorder: Recorder
) -> None:
    """Run one block of replicas whose oracles have no obstacle; arguments as of the torch one."""
    import torch

    trace, slots = trace_of(plan)
    shape = (plan.replicas, 1, problem.dimension)
    x = aligned(shape, np.empty)
    x[:] = start.cpu().numpy()
    kept = np.empty((plan.replicas, slots, problem.dimension))
    oracles = oracles_of(population, problem)
    cost = {name: oracles.calls[:, k] for k, name in enumerate(CALLS)}
    shared = (problem.compiled(), oracles, table(plan.keys.cpu(), np.int64), trace)  # type: ignore[attr-defined]
    room = rooms(problem.dimension, oracles)

    def segment(first: int, last: int, begin: int, stop: int) -> None:
        kernels().run_server(*shared, x, kept, room(), first, last, begin, stop)

    run_segments(
        segment,
        plan.replicas,
        recorder,
        lambda step: server_state(plan.schedule, step, torch.from_numpy(x), cost),
    )


def server_kernel() -> Kernel:
    """The kernel of servers."""
    return Kernel("server", "run_server", _compile)


def _compile() -> None:
    """Compile it, about 20 s, by a run of no replicas."""
    none, entries, oracles = (
        np.zeros(0, np.int64),
        np.zeros((0, 0, 1)),
        empty_oracles_and_update()[0],
    )
    trace = Trace(none, none, none, none, none, none, np.zeros(0))
    keys, room = np.zeros((0, 2), np.int64), rooms(1, oracles)()
    form = objective(DIAGONAL)
    kernels().run_server(form, oracles, keys, trace, entries, entries, room, 0, 0, 0, 0)


def trace_of(plan: ServerPlan) -> tuple[Trace, int]:
    """What the kernel reads, and the number of slots: one an estimate that is still needed."""
    schedule, last = plan.schedule, last_uses(plan.schedule)
    update = np.repeat(np.arange(schedule.updates), np.diff(schedule.offsets))
    sizes = plan.step_sizes[update, schedule.workers[schedule.samples]]
    needed = np.flatnonzero(last >= 0)
    slot, count = _slots(schedule.versions[needed], last[needed])
    of_sample = np.full(len(last), -1, dtype=np.int64)
    of_sample[needed] = slot
    versions = np.arange(schedule.updates + 2)
    trace = Trace(
        starts=np.searchsorted(schedule.versions[needed], versions).astype(np.int64),
        worker=table(schedule.workers[needed], np.int64),
        sample=needed.astype(np.int64),
        slot=slot,
        offsets=table(schedule.offsets, np.int64),
        used=of_sample[schedule.samples],
        factors=table(schedule.scales[update] * schedule.weights * sizes),
    )
    return trace, count


def _slots(versions: Any, last: Any) -> tuple[Any, int]:
    """A slot for every estimate from its version to its last use, and how many there are."""
    free: list[int] = []
    ending: dict[int, list[int]] = {}
    found, count, version = np.empty(len(versions), dtype=np.int64), 0, 0
    for place, (born, end) in enumerate(zip(versions.tolist(), last.tolist(), strict=True)):
        while version < born:
            free += ending.pop(version, [])
            version += 1
        if free:
            slot = free.pop()
        else:
            slot, count = count, count + 1
        found[place] = slot
        ending.setdefault(end, []).append(slot)
    return found, count


@cache
def kernels() -> Any:
    """The module of the compiled entry."""
    from hzbench.engine.fused import server_kernels as module

    return module
