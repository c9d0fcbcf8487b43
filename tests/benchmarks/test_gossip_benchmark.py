"""Gossip and rounds against one object a node and vectorised numpy: `make bench`."""

import os
import time

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
from bench_tools import Run, alternated, tell

from hzbench.engine.fused import executor

pytestmark = pytest.mark.benchmark
LOGISTIC = {"name": "logistic", "planted": {"rows": 2000, "dimension": 20}, "initial": 1.0}
QUADRATIC = {"name": "quadratic", "dimension": 20, "heterogeneity": 0.5}


@pytest.mark.parametrize("replicas", [16, 64])
def test_rounds_on_a_ring_of_64(benchmark, replicas):
    ring = {"graph": "ring", "gossip": "matrix"}
    run = Run(LOGISTIC, [{"count": 64}], ring, "dsgd", 100, replicas)
    drawn, fresh = Drawn(run), Fresh(run)
    np.testing.assert_allclose(run(), numpy_ring(run, drawn), rtol=1e-11, atol=1e-12)
    few = Run(LOGISTIC, [{"count": 64}], ring, "dsgd", 10, 1)
    np.testing.assert_allclose(few()[0], naive_ring(few, drawn, 0, 10), rtol=1e-11, atol=1e-12)
    kernel, numpy, given, torch, naive = alternated(
        run,
        lambda: numpy_ring(run, fresh),
        lambda: numpy_ring(run, drawn),
        run.torch,
        lambda: naive_ring(run, fresh, 0, 100),
        repeats=9,
    )
    benchmark.pedantic(run, rounds=3)
    row = f"DSGD ring, logistic, b=1, d=20, n=64, R={replicas}"
    nanoseconds = 1e9 * kernel / (100 * 64 * replicas)
    ratio = replicas * naive / kernel
    tell(benchmark, f"{row}: naive / fused", ratio, (100, 300), nanoseconds_a_gradient=nanoseconds)
    more = {"with_rows_given": given / kernel, "torch_over_fused": torch / kernel}
    tell(benchmark, f"{row}: numpy / fused", numpy / kernel, (2, 4), **more)


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
    drawn, fresh = Drawn(few, law), Fresh(few, law)
    exact = naive_pairs(few, drawn, 0, 200, np.longdouble)
    np.testing.assert_allclose(few()[0], exact, rtol=0, atol=1e-13)
    kernel, torch, naive = alternated(run, run.torch, lambda: naive_pairs(few, fresh, 0, 200))
    naive *= 10 * 64
    benchmark.pedantic(run, rounds=3)
    row = f"hybrid pairs, logistic, half ZO ({law}), R=n=64"
    rate = 128_000 / kernel
    tell(benchmark, f"{row}: naive / fused", naive / kernel, goals, interactions_a_second=rate)
    tell(benchmark, f"{row}: naive / torch rounds", naive / torch, (10, 20))


@pytest.mark.parametrize("nodes", [64, 1024])
def test_pairs_on_a_quadratic(benchmark, nodes):
    network = {"graph": "ring", "gossip": "pair"}
    exact = [{"count": nodes, "batch_size": "full"}]
    run = Run(QUADRATIC, exact, network, steps=20_000, replicas=16)
    np.testing.assert_allclose(run()[3], naive_quadratic_pairs(run, 3, 20_000), rtol=1e-12)
    kernel, loop = alternated(run, lambda: naive_quadratic_pairs(run, 0, 4000), repeats=9)
    benchmark.pedantic(run, rounds=3)
    row = f"pairs, quadratic, d=20, n={nodes}: Python loop / fused"
    rate = 320_000 / kernel
    tell(benchmark, row, 5 * 16 * loop / kernel, (100, 250), interactions_a_second=rate)


def test_overhead_of_one_small_replica(benchmark):
    network = {"graph": "ring", "gossip": "matrix"}
    nodes = [{"count": 16, "batch_size": "full"}]
    run = Run(QUADRATIC, nodes, network, "dsgd", 20_000, 1)
    np.testing.assert_allclose(run(), run.torch(), rtol=1e-12, atol=1e-12)
    kernel = alternated(run, repeats=9)[0]
    benchmark.pedantic(run, rounds=3)
    row = "launch overhead, R=1, n=16, d=20, a full step"
    tell(benchmark, row, 1e6 * kernel / 20_000, (10, 2), "µs")


def test_two_cores_over_one(benchmark, monkeypatch):
    if (os.cpu_count() or 1) < 2:
        pytest.skip("one core")
    half = [{"count": 32}, {"count": 32, "estimator": "zeroth_order"}]
    run = Run(LOGISTIC, half, {"graph": "ring", "gossip": "pair"}, steps=5000, replicas=64)
    results = {}

    def by(count):
        def call():
            monkeypatch.setattr(executor, "threads", lambda: count)
            results[count] = run()

        return call

    one, two = alternated(by(1), by(2), repeats=7, clock=time.perf_counter)
    assert (results[1] == results[2]).all()
    benchmark.pedantic(run, rounds=3)
    row = "two cores over one, hybrid pairs, wall clock at its best"
    tell(benchmark, row, one.min() / two.min(), (1.5, 1.7))
