"""What the default record points cost a run: `make bench`."""

import numpy as np
import pytest
import torch
from bench_tools import Run, alternated, tell

from hzbench.core.plan import BLOCK
from hzbench.engine.fused.executor import execute as fused
from hzbench.harness.recorder import BlockRecorder

pytestmark = pytest.mark.benchmark


def of_a_quadratic(x, problem):
    """Gap and squared gradient norm of points [R, d], in plain numpy, and x*."""
    hessian = problem.hessians[0]
    optimum = problem.linear.mean(0) / hessian
    slope = hessian * (x - optimum)
    return 0.5 * (slope * (x - optimum)).sum(1), (slope**2).sum(1), optimum


def of_logistic_rows(x, problem):
    """The same of the logistic loss with a ridge; every node holds as many rows."""
    rows, targets, ridge = problem.shares.features, problem.shares.targets, problem.regularization
    optimum = problem.optimum

    def value(points):
        loss = np.logaddexp(0.0, -targets * (points @ rows.T)).mean(1)
        return loss + 0.5 * ridge * (points**2).sum(1)

    slope = -targets / (1.0 + np.exp(targets * (x @ rows.T))) @ rows / len(rows) + ridge * x
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


METRICS = {
    "quadratic": (
        {"name": "quadratic", "dimension": 20, "heterogeneity": 0.5, "noise": 0.1},
        of_a_quadratic,
        4000,
    ),
    "logistic, 2000 rows": (
        {"name": "logistic", "planted": {"rows": 2000, "dimension": 20}, "initial": 1.0},
        of_logistic_rows,
        20_000,
    ),
}


@pytest.mark.parametrize("kind", METRICS)
def test_metrics_inside_the_run(benchmark, kind):
    """What the default record points cost: a run with them over the same run without.

    f and its gradient read all rows at every record point, a tick two of them: the share falls
    with the number of ticks a row.
    """
    problem, of_mean, steps = METRICS[kind]
    run = Run(problem, [{"count": 16}], {"graph": "ring", "gossip": "pair"}, "hdo", steps, BLOCK)
    names = ("objective_gap", "consensus_potential", "gradient_norm", "node_distance")
    parts = run.parts

    def recorded():
        recorder = BlockRecorder(names, run.spec.record_steps, (), parts.problem, {})
        with torch.no_grad():
            fused(run.plan, run.start, parts.problem, parts.population, parts.method, recorder)
        return recorder.columns

    found = recorded()
    for place, step in enumerate(run.spec.record_steps):
        expected = measured(run(boundaries=(step,)), parts.problem, of_mean)
        assert found.keys() == expected.keys()
        for name, values in expected.items():
            np.testing.assert_allclose(found[name][place], values, rtol=1e-9, atol=1e-12)
    plain, full = alternated(run, recorded)
    benchmark.pedantic(recorded, rounds=3)
    row = f"metrics in the run, {kind}, {len(run.spec.record_steps)} record points: added"
    tell(benchmark, row, 100 * (full / plain - 1), (10, 5), "%", observables=len(names))
