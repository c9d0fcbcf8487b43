"""How time and memory grow with nodes and replicas: `make bench`."""

import tracemalloc

import numpy as np
import pytest
from bench_tools import RING_FLOPS, Run, Stream, alternated, exponent, roofline, tell

from hzbench.core.spec import Spec
from hzbench.harness.simulate import simulate

pytestmark = pytest.mark.benchmark
RING = {"graph": "ring", "gossip": "matrix"}


def steps_alone(run):
    """Median seconds of a run's steps: what it costs before the first one is taken off."""
    last = run.spec.run.steps
    whole, before = alternated(
        lambda: run(boundaries=(last,)), lambda: run(boundaries=(0,)), repeats=3
    )
    return float(np.median(whole - before))


def tell_growth(benchmark, name, what, of, sizes, seconds, goals=None, **besides):
    """Keep the exponent with which seconds of a step or a run grow with a size."""
    growth = (of, zip(sizes, seconds, strict=True))
    found = exponent(sizes, seconds)
    tell(
        benchmark,
        f"{name}: growth exponent of a {what}",
        found,
        goals,
        "",
        growth=growth,
        **besides,
    )


def test_a_large_ring(benchmark):
    """Growth from 1e3 to 1e5 nodes, and the fraction of the stream that one pass a step needs."""
    problem = {"name": "quadratic", "dimension": 100, "heterogeneity": 0.5}
    sizes, seconds = (1000, 10_000, 100_000), []
    for n in sizes:
        run = Run(problem, [{"count": n, "batch_size": "full"}], RING, "dsgd", 10, 1)
        seconds.append(steps_alone(run))
    b = run.parts.problem.linear
    x = run.parts.problem.initial
    for _ in range(10):
        y = x - 0.05 * (run.parts.problem.hessians * x - b)
        x = (np.roll(y, 1, 0) + y + np.roll(y, -1, 0)) / 3
    np.testing.assert_allclose(run()[0], x, rtol=1e-11, atol=1e-13)
    stream = Stream()
    whole, before, triad = alternated(run, lambda: run(boundaries=(0,)), stream)
    bandwidth, numbers = stream.bandwidth(triad), 10 * 1e5 * 100
    line = 8 * numbers / bandwidth
    benchmark.pedantic(run, rounds=1)
    tell(
        benchmark,
        "DSGD ring, n=1e5, d=100: fraction of the stream",
        3 * line / (whole - before),
        (0.3, 0.7),
        "",
        "the triad, for one pass a step: x, b in, x out",
        of_two_passes=7 * line / (whole - before),
        roofline=roofline(RING_FLOPS * numbers, 24 * numbers, {"fused": whole - before}, bandwidth),
    )
    row = "DSGD ring, d=100, n=1e3 to 1e5"
    tell_growth(benchmark, row, "step", "nodes", sizes, seconds, (1.2, 1.1))


def test_wide_iterates_on_a_regular_graph(benchmark):
    """Growth from 100 to 1e4 nodes of degree 4, d = 1000; the mean follows its own recursion."""
    problem = {"name": "quadratic", "dimension": 1000, "heterogeneity": 0.5}
    graph = {"graph": {"name": "random-regular", "degree": 4}, "gossip": "matrix"}
    sizes, seconds = (100, 1000, 10_000), []
    for n in sizes:
        run = Run(problem, [{"count": n, "batch_size": "full"}], graph, "dsgd", 5, 1)
        seconds.append(steps_alone(run))
        hessian, b = run.parts.problem.hessians[0], run.parts.problem.linear
        x, mean = run.parts.problem.initial, run.parts.problem.initial.mean(0)
        for _ in range(5):
            mean = mean - 0.05 * (hessian * mean - b.mean(0))
            if n <= 1000:
                x = run.plan.matrix @ (x - 0.05 * (hessian * x - b))
        found = run()[0]
        np.testing.assert_allclose(found.mean(0), mean, rtol=1e-11, atol=1e-13)
        if n <= 1000:
            np.testing.assert_allclose(found, x, rtol=1e-11, atol=1e-13)
    benchmark.pedantic(run, rounds=1)
    row = "DSGD, random regular graph, d=1000, n=1e2 to 1e4"
    large = exponent(sizes[1:], seconds[1:])
    tell_growth(benchmark, row, "step", "nodes", sizes, seconds, from_1000_on=large)


def test_many_replicas(benchmark):
    """Growth from 1e3 to 1e5 replicas of a small instance, drawn, run and measured in blocks."""
    zeroth = {"name": "zeroth_order", "directions": "rademacher"}
    spec = {
        "problem": {"name": "quadratic", "dimension": 4, "heterogeneity": 0.5, "noise": 0.2},
        "nodes": [{"count": 2}, {"count": 6, "estimator": zeroth}],
        "network": {"gossip": "pair"},
        "method": {"name": "hdo", "step_size": 0.05},
    }
    runs = {"steps": 50, "record": [0, 50], "seed": 1}

    def of(replicas, engine="fused"):
        whole = Spec.parse({**spec, "run": runs | {"replicas": replicas}})
        return simulate(whole, ("objective_gap",), engine=engine).columns["objective_gap"]

    few, many = of(1000), of(100_000)
    np.testing.assert_allclose(few, of(1000, "torch"), rtol=1e-10, atol=1e-13)
    np.testing.assert_array_equal(few, many[:, :1000])
    sizes = (1000, 10_000, 100_000)
    calls = [lambda replicas=replicas: of(replicas) for replicas in sizes]
    seconds = np.median(alternated(*calls, repeats=3), axis=1)
    benchmark.pedantic(of, (10_000,), rounds=1)
    row, each = "hybrid pairs, n=8, d=4, R=1e3 to 1e5", 1e9 * seconds[-1] / (50 * sizes[-1])
    tell_growth(benchmark, row, "run", "replicas", sizes, seconds, nanoseconds_an_interaction=each)


def test_arrays_held_by_a_large_ring(benchmark):
    """Peak of all numpy arrays, the problem's among them, over one array of iterates."""
    n, d = 100_000, 100
    problem = {"name": "quadratic", "dimension": d, "heterogeneity": 0.5}
    Run(problem, [{"count": 5000, "batch_size": "full"}], RING, "dsgd", 2, 1)()  # loads the kernel
    tracemalloc.start()
    try:
        run = Run(problem, [{"count": n, "batch_size": "full"}], RING, "dsgd", 2, 1)
        tracemalloc.reset_peak()
        benchmark.pedantic(run, rounds=1)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    arrays = peak / (8 * n * d)
    assert arrays >= 2  # linear terms and iterates
    tell(benchmark, "DSGD ring, n=1e5, d=100: state arrays held", arrays, (6, 3.1), "arrays")
