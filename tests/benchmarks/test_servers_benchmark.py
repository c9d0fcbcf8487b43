"""Arrivals a second at a server, d = 50 and 32 workers on one core: `make bench` (goal: a million).

The fused engine against the torch executor in the same run; that both give the same numbers is
asserted beside it. Rate and ratio are kept in extra_info.
"""

import time

import numpy as np
import pytest
import torch

from hzbench.core.spec import Spec
from hzbench.engine.fused.server import execute_server as fused
from hzbench.engine.server_executor import execute_server
from hzbench.harness.build import build, build_server_plan

pytestmark = pytest.mark.benchmark

UPDATES, REPLICAS = 1000, 256


class Last:
    """A recorder that keeps the last point."""

    watch = None
    boundaries = (0, UPDATES)

    def record(self, state):
        self.x = state.x.clone()


@pytest.mark.parametrize("noise", [0.0, 0.5])
@pytest.mark.parametrize("method", ["asgd", "ringleader", "ia2sgd"])
def test_arrivals_a_second(benchmark, monkeypatch, method, noise):
    monkeypatch.setenv("NUMBA_NUM_THREADS", "1")
    torch.set_num_threads(1)
    problem = {"name": "quadratic", "dimension": 50, "noise": noise, "spectrum": "tridiagonal"}
    spec = Spec.parse(
        {
            "problem": problem,
            "nodes": [{"count": 32, "batch_size": 1 if noise else "full"}],
            "clock": {"name": "fixed", "pace": "sqrt"},
            "method": {"name": method, "step_size": 0.01},
            "run": {"steps": UPDATES, "replicas": REPLICAS},
        }
    )
    parts = build(spec)
    plan = build_server_plan(parts, range(REPLICAS))
    start = torch.as_tensor(parts.problem.initial[0])

    def run(engine):
        recorder = Last()
        with torch.no_grad():
            engine(plan, start, parts.problem, parts.population, recorder)
        return recorder.x

    ours = run(fused)
    began = time.perf_counter()
    theirs = run(execute_server)
    baseline = time.perf_counter() - began
    np.testing.assert_allclose(ours, theirs, rtol=1e-11, atol=1e-13)
    benchmark.pedantic(run, args=(fused,), rounds=3)
    seconds = benchmark.stats.stats.median
    arrivals = REPLICAS * int(plan.schedule.counts[-1])
    benchmark.extra_info["arrivals_a_second"] = arrivals / seconds
    benchmark.extra_info["ratio"] = baseline / seconds
    print(f"{method}: {arrivals / seconds:.3g} a second, {baseline / seconds:.2g}x torch")
