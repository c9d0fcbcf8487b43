"""What the default record points cost a run: `make bench`."""

import time

import numpy as np
import pytest
import torch
from bench_tools import Run, tell

from hzbench.core.plan import BLOCK
from hzbench.engine.fused.executor import execute as fused
from hzbench.engine.fused.mean_loss import evaluator
from hzbench.harness.recorder import BlockRecorder

pytestmark = pytest.mark.benchmark


def of_a_quadratic(x, problem):
    """Gap and squared gradient norm of points [R, d], in plain numpy, and x*."""
    hessian = problem.hessians[0]
    optimum = problem.linear.mean(0) / hessian
    slope = hessian * (x - optimum)
    return 0.5 * (slope * (x - optimum)).sum(1), (slope**2).sum(1), optimum


def weights(problem):
    """Of every row in f: 1/(n |M_i|) of its node i."""
    found = np.zeros(len(problem.shares.targets))
    for held in problem.shares.members:
        found[held] += 1.0 / (len(held) * len(problem.shares.members))
    return found


def of_logistic_rows(x, problem):
    """The same of the logistic loss with a ridge."""
    rows, targets, ridge = problem.shares.features, problem.shares.targets, problem.regularization
    optimum, w = problem.optimum, weights(problem)

    def value(points):
        loss = np.logaddexp(0.0, -targets * (points @ rows.T)) @ w
        return loss + 0.5 * ridge * (points**2).sum(1)

    slope = (-targets * w / (1.0 + np.exp(targets * (x @ rows.T)))) @ rows + ridge * x
    return value(x) - value(optimum[None]), (slope**2).sum(1), optimum


def of_squared_rows(x, problem):
    """The same of the squared loss."""
    rows, targets, ridge = problem.shares.features, problem.shares.targets, problem.regularization
    optimum, w = problem.optimum, weights(problem)

    def value(points):
        return 0.5 * (points @ rows.T - targets) ** 2 @ w + 0.5 * ridge * (points**2).sum(1)

    slope = ((x @ rows.T - targets) * w) @ rows + ridge * x
    return value(x) - value(optimum[None]), (slope**2).sum(1), optimum


def measured(x, problem, of_mean):
    """Of iterates [R, n, d], in plain numpy: what a run records, [R] each."""
    mean = x.mean(1)
    gap, norm, optimum = of_mean(mean, problem)
    return {
        "objective_gap": gap,
        "consensus_potential": ((x - mean[:, None]) ** 2).sum(2).mean(1),
        "gradient_norm": norm,
        "node_distance": ((x - optimum) ** 2).sum(2).mean(1),
    }


QUADRATIC = {"name": "quadratic", "dimension": 20, "heterogeneity": 0.5, "noise": 0.1}
ROWS = {"planted": {"rows": 2000, "dimension": 20}, "initial": 1.0}
PAIR = {"graph": "ring", "gossip": "pair"}
RING = {"graph": "ring", "gossip": "matrix"}
NAMES = ("objective_gap", "consensus_potential", "gradient_norm", "node_distance")
METRICS = {
    "quadratic": (QUADRATIC, of_a_quadratic, PAIR, 16, 4000),
    "ridge, 2000 rows": ({"name": "ridge"} | ROWS, of_squared_rows, PAIR, 16, 20_000),
    "logistic, 2000 rows": ({"name": "logistic"} | ROWS, of_logistic_rows, PAIR, 16, 20_000),
    "logistic, 2000 rows, ring": ({"name": "logistic"} | ROWS, of_logistic_rows, RING, 64, 1000),
}


class Timed(BlockRecorder):
    """Adds up the seconds of the processor that recording takes."""

    seconds = 0.0

    def record(self, state):
        begun = time.process_time()
        super().record(state)
        self.seconds += time.process_time() - begun


@pytest.mark.parametrize("kind", METRICS)
def test_metrics_inside_the_run(benchmark, kind):
    """What the default record points cost: their share of a run, clocked within it.

    f and its gradient read all rows at every record point, a tick two of them and a round one a
    node: the share falls as 1/T.
    """
    problem, of_mean, network, nodes, steps = METRICS[kind]
    method = "dsgd" if network is RING else "hdo"
    run = Run(problem, [{"count": nodes}], network, method, steps, BLOCK)
    parts, record = run.parts, run.spec.record_steps

    def recorded():
        evaluate = evaluator(parts.problem)
        recorder = Timed(NAMES, record, (), parts.problem, {}, evaluate=evaluate)
        with torch.no_grad():
            fused(run.plan, run.start, parts.problem, parts.population, parts.method, recorder)
        return recorder

    found = recorded().columns
    for place, step in enumerate(record):
        expected = measured(run(boundaries=(step,)), parts.problem, of_mean)
        assert found.keys() == expected.keys()
        for name, values in expected.items():
            np.testing.assert_allclose(found[name][place], values, rtol=1e-9, atol=1e-12)
    shares = []
    for _ in range(5):
        begun = time.process_time()
        inside = recorded().seconds
        shares.append(100 * inside / (time.process_time() - begun - inside))
    benchmark.pedantic(recorded, rounds=1)
    row = f"metrics in the run, {kind}, T = {steps}, {len(record)} record points: added"
    tell(benchmark, row, shares, (10, 5), "%", observables=len(NAMES))
