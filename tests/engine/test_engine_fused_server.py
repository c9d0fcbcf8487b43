"""Fused schedules of servers against the torch executor, and whatever the threads."""

import numpy as np
import pytest
import torch
from engine_cells import ESTIMATORS, PROBLEMS
from engine_reference import Watcher

from hzbench.core.spec import Spec
from hzbench.engine.fused.server import execute_server as fused
from hzbench.engine.fused.server import trace_of
from hzbench.engine.fused.support import oracle_obstacle
from hzbench.engine.server_executor import execute_server
from hzbench.harness.build import build, build_server_plan

METHODS = (
    "asgd",
    {"name": "ringmaster", "delay_threshold": 3, "stops": True},
    {"name": "malenia", "batch": 9},
    "ia2sgd",
    "ringleader",
)


def spec_of(problem, estimator, method, replicas=5):
    table = {k: v for k, v in PROBLEMS[problem].items() if k != "initial_spread"}
    nodes = [{"count": 2, **ESTIMATORS[estimator]}, {"count": 1, "work": 0.7}]
    return Spec.parse(
        {
            "problem": table,
            "nodes": nodes,
            "clock": {"name": "fixed", "seconds": [1.0, 2.5, 4.0]},
            "method": method,
            "run": {"steps": 25, "replicas": replicas, "seed": 5},
        }
    )


def watched(spec, run, boundaries=None):
    parts = build(spec)
    assert oracle_obstacle(parts.problem, parts.population) is None
    plan = build_server_plan(parts, range(spec.run.replicas))
    recorder = Watcher(range(spec.run.steps + 1) if boundaries is None else boundaries)
    start = torch.as_tensor(parts.problem.initial[0])
    with torch.no_grad():
        run(plan, start, parts.problem, parts.population, recorder)
    return recorder


@pytest.mark.parametrize("method", METHODS, ids=str)
def test_every_schedule(method):
    assert_same(spec_of("quadratic", "minibatch", method))


@pytest.mark.parametrize("estimator", ESTIMATORS)
@pytest.mark.parametrize("problem", PROBLEMS)
def test_every_oracle(problem, estimator):
    assert_same(spec_of(problem, estimator, "ringleader"))


def assert_same(spec):
    ours, theirs = watched(spec, fused), watched(spec, execute_server)
    for step in range(spec.run.steps + 1):
        x, y = ours.states[step]["x"], theirs.states[step]["x"]
        np.testing.assert_allclose(x, y, rtol=1e-12, atol=1e-13)
        for name, count in theirs.counters[step].items():
            assert torch.equal(count, ours.counters[step][name]), name


def test_threads_and_segments_change_no_bit(monkeypatch):
    spec = spec_of("logistic", "minibatch", "ringleader", replicas=7)
    alone = watched(spec, fused).states[25]["x"]
    monkeypatch.setenv("NUMBA_NUM_THREADS", "3")
    assert torch.equal(alone, watched(spec, fused, [0, 11, 25]).states[25]["x"])


def test_slots_are_reused_after_the_last_update_that_needs_them():
    plan = build_server_plan(build(spec_of("quadratic", "minibatch", "asgd")), range(1))
    trace, slots = trace_of(plan)
    assert slots <= 3 + 1
    for v in range(25):  # what lives at once lies apart
        alive = [
            place
            for place, sample in enumerate(trace.sample)
            if plan.schedule.versions[sample] <= v <= _last(plan.schedule, sample)
        ]
        assert len({int(trace.slot[place]) for place in alive}) == len(alive)


def _last(schedule, sample):
    return max(k for k in range(schedule.updates) if sample in schedule.samples[schedule.used(k)])
