"""Arrivals a second at a server, d = 50 and 32 workers on one core: `make bench` (goal: a million).

The fused engine against the torch executor in the same run; that both give the same numbers is
asserted beside it.
"""

import numpy as np
import pytest
import torch
from bench_tools import alternated, tell

from hzbench.core.spec import Spec
from hzbench.engine.fused.server import execute_server as fused
from hzbench.engine.server_executor import execute_server
from hzbench.harness.build import build, build_server_plan

pytestmark = pytest.mark.benchmark

UPDATES, REPLICAS = 500, 256


class Last:
    """A recorder that keeps the last point."""

    watch = None
    boundaries = (0, UPDATES)

    def record(self, state):
        self.x = state.x.clone()


@pytest.mark.parametrize("noise", [0.0, 0.5])
@pytest.mark.parametrize("method", ["asgd", "ringleader", "ia2sgd"])
def test_arrivals_a_second(benchmark, method, noise):
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

    np.testing.assert_allclose(run(fused), run(execute_server), rtol=1e-11, atol=1e-13)
    kernel, baseline = alternated(lambda: run(fused), lambda: run(execute_server), repeats=3)
    benchmark.pedantic(run, args=(fused,), rounds=3)
    arrivals = REPLICAS * int(plan.schedule.counts[-1])
    noisy = "one noisy sample" if noise else "exact gradients"
    row = f"server, {method}, {noisy}, d=50, 32 workers: arrivals"
    rate, ratio = arrivals / kernel / 1e6, baseline / kernel
    tell(benchmark, row, rate, 1.0, "million a second", torch_over_fused=ratio)
