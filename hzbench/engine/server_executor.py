"""Server executor: runs a server plan for all replicas of a block, on any torch device.

The estimates at x^v are computed together, as soon as x^v exists; each stays in a slot until the
last update that uses it. Estimates that no update uses are counted, never computed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hzbench.core.estimator import Estimate
from hzbench.core.problem import Problem
from hzbench.core.server import Schedule, ServerPlan
from hzbench.core.state import State
from hzbench.core.streams import Rows
from hzbench.engine.population import Population
from hzbench.engine.torch_executor import COUNTERS, Recorder

if TYPE_CHECKING:
    from torch import Tensor


def execute_server(
    plan: ServerPlan, start: Tensor, problem: Problem, population: Population, recorder: Recorder
) -> None:
    """Run one block of replicas.

    Arguments:
        plan: the schedule.
        start: the server's first point, [d]; its device and dtype are those of the run.
        problem, population: what the workers compute.
        recorder: who looks; its steps are updates of the server.
    """
    run = _Run(plan, start, problem, population)
    run.compute(0)
    step = 0
    for boundary in recorder.boundaries:
        while step < boundary:
            run.update(step)
            step += 1
            run.compute(step)
        recorder.record(run.state(step))


def last_uses(schedule: Schedule) -> NDArray[np.int64]:
    """The last update that uses each sample, −1 if none, [S]."""
    last = np.full(len(schedule.workers), -1, dtype=np.int64)
    update = np.repeat(np.arange(schedule.updates), np.diff(schedule.offsets))
    last[schedule.samples] = update  # updates ascend: the last one stays
    return last


class _Run:
    """The mutable state of one execution."""

    def __init__(
        self, plan: ServerPlan, start: Tensor, problem: Problem, population: Population
    ) -> None:
        import torch

        self.plan, self.problem, self.population = plan, problem, population
        self.schedule = plan.schedule
        self.x = start.expand(plan.replicas, -1).clone()
        self.keys = plan.keys.to(start.device)
        self.last = last_uses(self.schedule)
        self.slots: dict[int, Tensor] = {}  # sample -> estimates of all replicas, [R, d]
        self.replica = torch.arange(plan.replicas, device=start.device)
        bounds = np.searchsorted(self.schedule.versions, np.arange(self.schedule.updates + 2))
        self.bounds = bounds.tolist()
        self.expiring: dict[int, list[int]] = {}
        self.cost = self.costs()

    def costs(self) -> dict[str, NDArray[np.int64]]:
        """Oracle calls of one estimate of every worker, by kind, [n]."""
        import torch

        worker = torch.arange(self.plan.nodes, device=self.x.device)
        keys = self.keys[:1].expand(self.plan.nodes, 2)
        rows = Rows(keys=keys, replica=0 * worker, node=worker, step=0 * worker)
        found = self.estimate(
            self.x[:1].expand(self.plan.nodes, -1), rows, np.arange(self.plan.nodes)
        )
        return {name: calls.cpu().numpy() for name, calls in found.calls.items()}

    def estimate(self, x: Tensor, rows: Rows, workers: NDArray[np.int64]) -> Estimate:
        """What the rows' workers [B], ascending, estimate; none of them remembers anything."""
        memory = x.new_empty(len(x), self.population.memory_size)
        shares = self.population.shares(workers)
        return self.population.estimate(self.problem, x, rows, memory, shares)

    def compute(self, version: int) -> None:
        """The estimates at x^version that some update uses, all at once."""
        first, last = self.bounds[version], self.bounds[version + 1]
        samples = [s for s in range(first, last) if self.last[s] >= 0]
        if not samples:
            return
        samples.sort(key=self.schedule.workers.__getitem__)
        workers = self.schedule.workers[samples]
        rows = self.rows(samples, workers)
        each = np.repeat(workers, len(self.x))
        found = self.estimate(self.x.repeat(len(samples), 1), rows, each)
        parts = found.gradient.view(len(samples), *self.x.shape)
        for sample, part in zip(samples, parts, strict=True):
            self.slots[sample] = part
            self.expiring.setdefault(int(self.last[sample]), []).append(sample)

    def rows(self, samples: list[int], workers: NDArray[np.int64]) -> Rows:
        """Addresses: replica, worker, and the sample in place of the step; replicas run fastest."""
        import torch

        count, device = len(samples), self.x.device
        return Rows(
            keys=self.keys.repeat(count, 1),
            replica=self.replica.repeat(count),
            node=torch.as_tensor(workers, device=device).repeat_interleave(len(self.x)),
            step=torch.as_tensor(samples, device=device).repeat_interleave(len(self.x)),
        )

    def update(self, k: int) -> None:
        """x^{k+1} = x^k − Σ_s (scale W_ks η) g_s, then forget what is used up."""
        import torch

        schedule = self.schedule
        used = schedule.used(k)
        samples = schedule.samples[used]
        sizes = self.plan.step_sizes[k, schedule.workers[samples]]
        factors = schedule.scales[k] * schedule.weights[used] * sizes
        step = self.x.clone() if self.plan.factors is None else torch.zeros_like(self.x)
        for sample, factor in zip(samples.tolist(), factors.tolist(), strict=True):
            step.sub_(self.slots[sample], alpha=factor)
        many = self.plan.factors
        self.x = step if many is None else self.x + many.to(self.x)[:, None] * step
        for sample in self.expiring.pop(k, []):
            del self.slots[sample]

    def state(self, step: int) -> State:
        """The current state as a record."""
        return server_state(self.schedule, step, self.x[:, None], self.cost)


def server_state(
    schedule: Schedule, step: int, x: Tensor, cost: Mapping[str, NDArray[np.int64]]
) -> State:
    """The state after some updates: x [R, 1, d], and what all that has arrived by then did cost.

    Arguments:
        cost: oracle calls of one estimate of every worker, by kind, [n].
    """
    import torch

    arrived = schedule.received[: schedule.counts[step - 1] if step else 0]
    workers = schedule.workers[arrived]
    calls = dict.fromkeys(COUNTERS, 0)
    calls |= {name: int(each[workers].sum()) for name, each in cost.items()}
    calls["floats_sent"] = len(arrived) * x.shape[-1]
    counters = {name: torch.full((len(x),), n, device=x.device) for name, n in calls.items()}
    return State(step=step, arrays={"x": x}, counters=counters)
