"""Curves of a contest: |∇f|² over simulated seconds, many base step sizes on one schedule.

The schedule does not depend on the step size, so one execution serves a whole grid: the replicas
of every step size share their draws. A run stops as soon as it has told what it was asked.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hzbench.core.mutant import Mutant
from hzbench.core.problem import Problem
from hzbench.core.server import Schedule, ServerMethod, ServerPlan
from hzbench.core.spec import Spec
from hzbench.core.state import State
from hzbench.core.streams import replica_keys
from hzbench.engine.server_executor import execute_server
from hzbench.harness.build import build_population, build_problem
from hzbench.harness.contest_exact import exact_curves
from hzbench.harness.contest_question import Curves, Question
from hzbench.harness.server import schedule_until
from hzbench.harness.setting import base_step_sizes, method_of

if TYPE_CHECKING:
    from torch import Tensor

Array = NDArray[np.float64]


def curves(spec: Spec, step_sizes: Sequence[float], replicas: int, question: Question) -> Curves:
    """Run a server method with several base step sizes at once.

    Arguments:
        spec: base step size 1; its steps and record points are not read.
        step_sizes: G base step sizes.
        replicas: R of each.
        question: what to find out.
    """
    problem = contest_problem(spec)
    exact = exact_curves(spec, problem, step_sizes, question)
    return exact or _measure(spec, problem, step_sizes, replicas, question)


def _measure(
    spec: Spec,
    problem: Problem,
    step_sizes: Sequence[float],
    replicas: int,
    question: Question,
) -> Curves:
    import torch

    torch.set_num_threads(1)
    method = method_of(spec)
    assert isinstance(method, ServerMethod)
    schedule = schedule_until(spec, method, float(question.times[-1]))
    dtype, count = torch.float64, len(step_sizes)
    plan = ServerPlan(
        nodes=spec.node_count,
        keys=replica_keys(spec.run.seed, range(replicas)).repeat(count, 1),
        schedule=schedule,
        step_sizes=np.broadcast_to(base_step_sizes(spec), (schedule.updates, spec.node_count)),
        factors=torch.tensor(step_sizes, dtype=dtype).repeat_interleave(replicas),
    )
    recorder = _Recorder(problem, schedule, question, count)
    start = torch.as_tensor(problem.initial[0]).to(dtype)
    with torch.no_grad():
        execute_server(plan, start, problem, build_population(spec, Mutant()), recorder)
    values = np.array(recorder.values)
    if not question.separate:
        values = cautious(values)
    return Curves(seconds=recorder.seconds, values=values)


def cautious(values: Array) -> Array:
    """The mean over replicas and a standard error on top of it: [P, G, R] -> [P, G, 1].

    Tuning by the mean alone would choose the step size whose noise happened to be low.
    """
    replicas = values.shape[2]
    with np.errstate(all="ignore"):
        error = values.std(axis=2, ddof=1) / replicas**0.5 if replicas > 1 else 0.0
        found: Array = (values.mean(axis=2) + error)[:, :, None]
    return found


def contest_problem(spec: Spec) -> Problem:
    """The problem of a spec."""
    kept = spec.model_dump(mode="json", include={"problem", "nodes"})
    return _problem(json.dumps({**kept, "method": "asgd"}))


@lru_cache(maxsize=2)
def _problem(words: str) -> Problem:
    """The problem of all that it depends on; building some takes seconds."""
    return build_problem(Spec.parse(json.loads(words)))


class _Recorder:
    """Looks at the last update before every record time, until the question is answered."""

    watch = None

    def __init__(
        self, problem: Problem, schedule: Schedule, question: Question, count: int
    ) -> None:
        self.problem, self.question, self.count = problem, question, count
        self.times = question.times
        done = np.searchsorted(schedule.times, self.times * (1 + 1e-12), side="right")
        self.done = done.tolist()
        self.values: list[Array] = []
        self.over = False

    @property
    def seconds(self) -> Array:
        """Record times so far."""
        found: Array = self.times[: len(self.values)]
        return found

    @property
    def boundaries(self) -> Iterator[int]:
        """Numbers of updates to stop at, until there is nothing more to ask."""
        for step in sorted(set(self.done)):
            if self.over:
                return
            yield step

    def record(self, state: State) -> None:
        """|∇f|² of all replicas, for every record time before the next update."""
        value = self.measure(state.x[:, 0]).reshape(self.count, -1)
        self.values += [value] * self.done.count(state.step)
        values = np.array(self.values)
        with np.errstate(all="ignore"):
            seen = values.mean(axis=2) if self.question.separate else cautious(values)[:, :, 0]
            self.over = self.question.answered(self.seconds, seen)

    def measure(self, x: Tensor) -> Array:
        """|∇f|² at the points x [B, d]."""
        gradient = self.problem.objective_gradient(x)
        value: Array = gradient.square().sum(-1).double().numpy()
        return value
