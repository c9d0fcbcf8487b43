"""Fused executor: the plans of the torch executor by compiled kernels, on the CPU in float64.

A call of a kernel runs all steps between two record points for some replicas, draws included.
Replicas are shared out over threads that run without the interpreter's lock; whoever computes a
replica, its bits are the same.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from hzbench.core.compiled import Kernel, aligned, table
from hzbench.core.machine import threads
from hzbench.core.method import Method
from hzbench.core.objective import DENSE, DIAGONAL, Objective, objective
from hzbench.core.plan import Plan
from hzbench.core.problem import Problem
from hzbench.core.state import State
from hzbench.engine.fused.descriptors import (
    empty_mixing,
    empty_oracles_and_update,
    mixing_of,
    oracles_of,
    update_of,
)
from hzbench.engine.fused.records import Oracles
from hzbench.engine.fused.rooms import rooms
from hzbench.engine.population import Population
from hzbench.engine.torch_executor import COUNTERS, Recorder

if TYPE_CHECKING:
    from torch import Tensor

Segment = Callable[[int, int, int, int], None]
"""Runs replicas first ... last − 1 through steps start ... stop − 1."""


def execute(
    plan: Plan,
    start: Tensor,
    problem: Problem,
    population: Population,
    method: Method,
    recorder: Recorder,
) -> None:
    """Run one block of replicas that has no `obstacle`; arguments as of the torch executor."""
    import torch

    shape = (plan.replicas, plan.nodes, problem.dimension)
    x = aligned(shape, np.empty)
    x[:] = start.cpu().numpy()
    momentum = np.zeros(shape if method.momentum else (plan.replicas, 0, 0))
    counts = np.zeros((plan.replicas, len(COUNTERS)), dtype=np.int64)
    segment = _segment(plan, problem, population, method, (x, momentum, counts))
    arrays = {"x": torch.from_numpy(x)}
    if method.momentum:
        arrays["momentum"] = torch.from_numpy(momentum)
    counters = {name: torch.from_numpy(counts)[:, k] for k, name in enumerate(COUNTERS)}
    run_segments(
        segment,
        plan.replicas,
        recorder,
        lambda step: State(step=step, arrays=arrays, counters=counters),
    )


def run_segments(
    segment: Segment, replicas: int, recorder: Recorder, state: Callable[[int], State]
) -> None:
    """All segments between the recorder's boundaries, each shared out over the threads."""
    step = 0
    with ThreadPoolExecutor(threads()) as pool:
        for boundary in recorder.boundaries:
            if boundary > step:
                share_out(pool, segment, replicas, step, boundary)
            step = boundary
            recorder.record(state(step))


@cache
def kernels() -> Any:
    """The module of compiled entries."""
    from hzbench.engine.fused import kernels as module

    return module


def kernel_of(protocol: str) -> Kernel:
    """The kernel of a protocol."""
    return Kernel(protocol, f"run_{protocol}", partial(_compile, protocol))


def _compile(protocol: str) -> None:
    """Compile the kernel of a protocol, about 20 s, by a run of no replicas."""
    kernel: Any = getattr(kernels(), f"run_{protocol}")
    own: tuple[Any, ...] = {
        "pair": (np.zeros((0, 0, 2), dtype=np.int64),),
        "matching": (np.zeros((0, 0, 0), dtype=np.int64), 0, False),
        "matrix": (empty_mixing(),),
    }[protocol]
    state = (np.zeros((0, 0, 1)), np.zeros((0, 0, 0)), np.zeros((0, 0), dtype=np.int64))
    oracles, update = empty_oracles_and_update()
    room = rooms(1, oracles)()
    kernel(objective(DIAGONAL), oracles, update, *own, *state, room, 0, 0, 0, 0)


def _segment(
    plan: Plan, problem: Problem, population: Population, method: Method, state: tuple[Any, ...]
) -> Segment:
    """The kernel of the protocol with all that it reads, but for replicas and steps."""
    shared = (
        problem.compiled(),  # type: ignore[attr-defined]
        oracles_of(population, problem),
        update_of(plan, method),
    )
    nodes = plan.nodes if plan.protocol == "matrix" else 0
    product = bool(nodes) and _one_product(*shared[:2])
    room = rooms(problem.dimension, shared[1], nodes, shared=product)
    own: tuple[Any, ...] = (table(plan.pairs, np.int64),) if plan.protocol == "pair" else ()
    if plan.protocol == "matching":
        own = (table(plan.partners, np.int64), plan.silent, plan.idle_steps)
    if plan.protocol == "matrix":
        own = (mixing_of(plan),)
    kernel: Any = getattr(kernels(), f"run_{plan.protocol}")

    def segment(first: int, last: int, start: int, stop: int) -> None:
        kernel(*shared, *own, *state, room(), first, last, start, stop)

    return segment


def _one_product(form: Objective, oracles: Oracles) -> bool:
    """Whether every node's slope starts from A x with one A for all."""
    return len(form.hessians) == 1 and (form.kind == DENSE or not oracles.batch.any())


def share_out(
    pool: ThreadPoolExecutor,
    segment: Segment,
    replicas: int,
    start: int,
    stop: int,
) -> None:
    """Run a segment for all replicas, or eights of them, a range a thread."""
    workers = min(threads(), replicas)
    if workers == 1:
        segment(0, replicas, start, stop)
        return
    cuts = [replicas * k // workers for k in range(workers + 1)]
    tasks = [pool.submit(segment, a, b, start, stop) for a, b in pairwise(cuts)]
    for task in tasks:
        task.result()
