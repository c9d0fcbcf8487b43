"""Gossip and rounds against one object a node and vectorised numpy: `make bench`."""

import numpy as np
import pytest
from bench_baselines import (
    Drawn,
    Fresh,
    naive_pairs,
    naive_quadratic_pairs,
    naive_ring,
    numpy_ring,
)
from bench_tools import Run, seconds, tell

from hzbench.engine.fused import executor

pytestmark = pytest.mark.benchmark
LOGISTIC = {"name": "logistic", "planted": {"rows": 2000, "dimension": 20}, "initial": 1.0}
QUADRATIC = {"name": "quadratic", "dimension": 20, "heterogeneity": 0.5}


@pytest.fixture(autouse=True)
def one_thread(monkeypatch):
    monkeypatch.setenv("NUMBA_NUM_THREADS", "1")


@pytest.mark.parametrize("replicas", [16, 64])
def test_rounds_on_a_ring_of_64(benchmark, replicas):
    ring = {"graph": "ring", "gossip": "matrix"}
    run = Run(LOGISTIC, [{"count": 64}], ring, "dsgd", 100, replicas)
    drawn, fresh = Drawn(run), Fresh(run)
    np.testing.assert_allclose(run(), numpy_ring(run, drawn), rtol=1e-11, atol=1e-12)
    few = Run(LOGISTIC, [{"count": 64}], ring, "dsgd", 10, 1)
    np.testing.assert_allclose(few()[0], naive_ring(few, drawn, 0, 10), rtol=1e-11, atol=1e-12)
    kernel, numpy, torch = seconds(run, lambda: numpy_ring(run, fresh), run.torch)
    naive = seconds(lambda: naive_ring(run, fresh, 0, 20))[0] * 5 * replicas
    benchmark.pedantic(run, rounds=3)
    row = f"DSGD ring, logistic, b=1, d=20, n=64, R={replicas}: naive / fused"
    tell(
        benchmark,
        row,
        naive / kernel,
        100,
        300,
        numpy_over_fused=numpy / kernel,
        torch_over_fused=torch / kernel,
        nanoseconds_a_gradient=1e9 * kernel / (100 * 64 * replicas),
    )


@pytest.mark.parametrize(("law", "goals"), [("rademacher", (100, 220)), ("gaussian", (60, 120))])
def test_hybrid_pairs(benchmark, law, goals):
    half = [
        {"count": 32},
        {"count": 32, "estimator": {"name": "zeroth_order", "directions": law}},
    ]
    network = {"graph": "ring", "gossip": "pair"}
    run = Run(LOGISTIC, half, network, steps=2000, replicas=64)
    np.testing.assert_allclose(run(), run.torch(), rtol=1e-10, atol=1e-11)
    few = Run(LOGISTIC, half, network, steps=200, replicas=1)
    fresh = Fresh(few, law)
    found = naive_pairs(few, Drawn(few), 0, 200)
    if law == "rademacher":
        np.testing.assert_allclose(few()[0], found, rtol=1e-8, atol=1e-9)
    kernel, torch = seconds(run, run.torch, repeats=3)
    naive = seconds(lambda: naive_pairs(few, fresh, 0, 200))[0] * 10 * 64
    benchmark.pedantic(run, rounds=3)
    row = f"hybrid pairs, logistic, half ZO ({law}), R=n=64: naive / fused"
    more = {"naive_over_torch_rounds": naive / torch, "interactions_a_second": 128_000 / kernel}
    tell(benchmark, row, naive / kernel, *goals, **more)


@pytest.mark.parametrize("nodes", [64, 1024])
def test_pairs_on_a_quadratic(benchmark, nodes):
    network = {"graph": "ring", "gossip": "pair"}
    exact = [{"count": nodes, "batch_size": "full"}]
    run = Run(QUADRATIC, exact, network, steps=20_000, replicas=16)
    np.testing.assert_allclose(run()[3], naive_quadratic_pairs(run, 3, 20_000), rtol=1e-12)
    kernel = seconds(run)[0]
    loop = seconds(lambda: naive_quadratic_pairs(run, 0, 2000))[0] * 10 * 16
    benchmark.pedantic(run, rounds=3)
    row = f"pairs, quadratic, d=20, n={nodes}: Python loop / fused"
    tell(benchmark, row, loop / kernel, 100, 250, interactions_a_second=320_000 / kernel)


def test_overhead_of_one_small_replica(benchmark):
    network = {"graph": "ring", "gossip": "matrix"}
    nodes = [{"count": 16, "batch_size": "full"}]
    run = Run(QUADRATIC, nodes, network, "dsgd", 20_000, 1)
    np.testing.assert_allclose(run(), run.torch(), rtol=1e-12, atol=1e-12)
    kernel = seconds(run)[0]
    benchmark.pedantic(run, rounds=3)
    tell(
        benchmark,
        "launch overhead, R=1, n=16, d=20, a full step",
        1e6 * kernel / 20_000,
        10,
        2,
        "µs",
    )


def test_two_cores_over_one(benchmark, monkeypatch):
    import os
    import time

    if (os.cpu_count() or 1) < 2:
        pytest.skip("one core")
    half = [{"count": 32}, {"count": 32, "estimator": "zeroth_order"}]
    run = Run(LOGISTIC, half, {"graph": "ring", "gossip": "pair"}, steps=5000, replicas=64)
    times = {1: [], 2: []}
    results = {}
    for _ in range(7):
        for count, each in times.items():
            monkeypatch.setattr(executor, "threads", lambda count=count: count)
            begun = time.perf_counter()
            results[count] = run()
            each.append(time.perf_counter() - begun)
    assert (results[1] == results[2]).all()
    benchmark.pedantic(run, rounds=3)
    tell(benchmark, "two cores over one, hybrid pairs", min(times[1]) / min(times[2]), 1.5, 1.7)
