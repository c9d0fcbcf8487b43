"""How near the machine's limits: products, gathers, draws, streams and zeroth-order steps."""

import tracemalloc

import numpy as np
import pytest
import torch
from bench_tools import Run, bandwidth, peak, seconds, tell

from hzbench.core.streams import Purpose, Rows, normals, replica_keys, signs

pytestmark = pytest.mark.benchmark
MATRIX = {"graph": "ring", "gossip": "matrix"}


@pytest.fixture(autouse=True)
def one_thread(monkeypatch):
    monkeypatch.setenv("NUMBA_NUM_THREADS", "1")


@pytest.mark.parametrize(("d", "goals"), [(20, (0.2, 0.35)), (200, (0.5, 0.7))])
def test_dense_quadratics(benchmark, d, goals):
    problem = {"name": "quadratic", "dimension": d, "rotation": True, "heterogeneity": 0.5}
    run = Run(problem, [{"count": 64, "batch_size": "full"}], MATRIX, "dsgd", 20, 64)
    np.testing.assert_allclose(run(), run.torch(), rtol=1e-11, atol=1e-12)
    kernel, product = seconds(run, run.torch, repeats=3)
    limit = 20 * 64 * 64 * max(2 * d * d / peak(), 16 * d / bandwidth())
    best = min(kernel, product)
    benchmark.pedantic(run, rounds=1)
    row = f"dense quadratic, d={d}: fraction of the roofline"
    tell(benchmark, row, limit / best, *goals, "", fused=limit / kernel, torch=limit / product)


@pytest.mark.parametrize(("b", "goals"), [(1, (0.4, 0.9)), (16, (0.2, 0.45))])
def test_minibatches_of_rows(benchmark, b, goals):
    problem = {"name": "logistic", "planted": {"rows": 20_000, "dimension": 300}}
    run = Run(problem, [{"count": 64, "batch_size": b}], MATRIX, "dsgd", 20, 16)
    np.testing.assert_allclose(run(), run.torch(), rtol=1e-11, atol=1e-12)
    kernel, torch_time = seconds(run, run.torch, repeats=3)
    limit = 20 * 64 * 16 * (b + 4) * 8 * 300 / bandwidth()  # rows, and x in and out of two passes
    benchmark.pedantic(run, rounds=3)
    row = f"minibatch logistic, b={b}, d=300: fraction of the byte roofline"
    tell(benchmark, row, limit / kernel, *goals, "", torch_over_fused=torch_time / kernel)


@pytest.mark.parametrize(("d", "goals"), [(20, (5, 2.5)), (200, (1.8, 1.1)), (2000, (1.8, 1.1))])
def test_zeroth_order_steps(benchmark, d, goals):
    problem = {"name": "quadratic", "dimension": d, "rotation": True, "heterogeneity": 0.5}
    steps, replicas = (50, 8) if d < 1000 else (2, 2)
    nodes = {"count": 16, "batch_size": "full"}
    estimator = {"name": "zeroth_order", "directions": "rademacher"}
    first = Run(problem, [nodes], MATRIX, "dsgd", steps, replicas, 0.01)
    zeroth = Run(
        problem, [{**nodes, "estimator": estimator}], MATRIX, "dsgd", steps, replicas, 1e-4
    )
    np.testing.assert_allclose(zeroth(), zeroth.torch(), rtol=1e-10, atol=1e-11)
    cheap, dear = seconds(first, zeroth)
    benchmark.pedantic(zeroth, rounds=3)
    tell(benchmark, f"ZO step / FO step, quadratic, d={d}", dear / cheap, *goals)


@pytest.mark.parametrize(
    ("law", "draw", "goals"), [("Rademacher", signs, (0.5, 0.15)), ("normal", normals, (2, 0.8))]
)
def test_draws(benchmark, law, draw, goals):
    count = 1 << 12
    node = torch.arange(256)
    rows = Rows(keys=replica_keys(0, range(256)), replica=node, node=node, step=node)
    values = draw(rows, Purpose.DIRECTION, count)
    assert abs(float(values.mean())) < 5e-3
    assert abs(float(values.square().mean()) - 1) < 1e-2
    out = torch.empty(256 * count)
    own, other = seconds(lambda: draw(rows, Purpose.DIRECTION, count), out.normal_)
    benchmark.pedantic(draw, (rows, Purpose.DIRECTION, count), rounds=3)
    row = f"counter-based draws over torch.randn f32: {law}"
    tell(benchmark, row, own / other, *goals, nanoseconds_a_value=1e9 * own / len(out))


def test_a_large_ring(benchmark):
    """Growth from 1e3 to 1e5 nodes, and the fraction of the stream that two passes need."""
    problem = {"name": "quadratic", "dimension": 100, "heterogeneity": 0.5}
    times = {}
    for n in (1000, 10_000, 100_000):
        exact = [{"count": n, "batch_size": "full"}]
        run = Run(problem, exact, MATRIX, "dsgd", 10, 1)
        times[n] = seconds(lambda run=run: run(boundaries=(10,)), repeats=3)[0] - _fixed(run)
    b = run.parts.problem.linear
    x = run.parts.problem.initial
    for _ in range(10):
        y = x - 0.05 * (run.parts.problem.hessians * x - b)
        x = (np.roll(y, 1, 0) + y + np.roll(y, -1, 0)) / 3
    np.testing.assert_allclose(run()[0], x, rtol=1e-11, atol=1e-13)
    benchmark.pedantic(run, rounds=1)
    ideal = 10 * 7 * 8 * 1e5 * 100 / bandwidth()  # x, b in, y out and back, x out
    benchmark.extra_info["growth"] = {str(n): float(time) for n, time in times.items()}
    growth = np.log(times[100_000] / times[1000]) / np.log(100)
    row = "DSGD ring, n=1e5, d=100: fraction of the stream"
    tell(benchmark, row, ideal / times[100_000], 0.3, 0.7, "", growth_exponent=growth)


def test_arrays_held_by_a_large_ring(benchmark):
    """Peak of all numpy arrays, the problem's among them, over one array of iterates."""
    n, d = 100_000, 100
    problem = {"name": "quadratic", "dimension": d, "heterogeneity": 0.5}
    Run(
        problem, [{"count": 5000, "batch_size": "full"}], MATRIX, "dsgd", 2, 1
    )()  # loads the kernel
    tracemalloc.start()
    try:
        run = Run(problem, [{"count": n, "batch_size": "full"}], MATRIX, "dsgd", 2, 1)
        tracemalloc.reset_peak()
        benchmark.pedantic(run, rounds=1)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    arrays = peak / (8 * n * d)
    assert arrays >= 3  # linear terms, iterates before and after the exchange
    tell(benchmark, "DSGD ring, n=1e5, d=100: state arrays held", arrays, 6, 3.1, "arrays")


def _fixed(run):
    """What a run costs before its first step."""
    return seconds(lambda: run(boundaries=(0,)), repeats=3)[0]


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
    from hzbench.core.plan import BLOCK
    from hzbench.harness.recorder import BlockRecorder

    problem, of_mean, steps = METRICS[kind]
    run = Run(problem, [{"count": 16}], {"graph": "ring", "gossip": "pair"}, "hdo", steps, BLOCK)
    names = ("objective_gap", "consensus_potential", "gradient_norm", "node_distance")
    parts = run.parts

    def recorded():
        recorder = BlockRecorder(names, run.spec.record_steps, (), parts.problem, {})
        with torch.no_grad():
            from hzbench.engine.fused.executor import execute as fused

            fused(run.plan, run.start, parts.problem, parts.population, parts.method, recorder)
        return recorder.columns

    found = recorded()
    for place, step in enumerate(run.spec.record_steps):
        expected = measured(run(boundaries=(step,)), parts.problem, of_mean)
        assert found.keys() == expected.keys()
        for name, values in expected.items():
            np.testing.assert_allclose(found[name][place], values, rtol=1e-9, atol=1e-12)
    plain, full = seconds(run, recorded)
    benchmark.pedantic(recorded, rounds=3)
    row = f"metrics in the run, {kind}, {len(run.spec.record_steps)} record points: added"
    tell(benchmark, row, 100 * (full / plain - 1), 10, 5, "%", observables=len(names))
