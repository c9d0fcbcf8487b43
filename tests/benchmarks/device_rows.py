"""Rows measured on a device, each a function of it and of sizes: what `tell` keeps, and asserts.

Sizes that fill a GPU are in test_device_benchmark.py, tiny ones for the CPU in test_device_rows.py.
"""

import numpy as np
import torch
from bench_device import (
    RING,
    OneByOne,
    Product,
    Replayed,
    Triad,
    assert_close,
    executed,
    mean_by_recursion,
    seconds_a_step,
)
from bench_tools import RING_FLOPS, Run, alternated, clock_of, roofline

from hzbench.core.streams import Purpose, Rows, normals, replica_keys, signs, words

QUADRATIC = {"name": "quadratic", "dimension": 20, "heterogeneity": 0.5}
LOGISTIC = {"name": "logistic", "planted": {"rows": 2000, "dimension": 20}, "initial": 1.0}
ROUNDING = {"float64": 1e-10, "float32": 1e-5}
"""Of the largest entry: thousands of roundings in float64, dozens in float32."""


def ring(device, nodes, dimension, steps, triad):
    """DSGD, one replica: the fraction of the triad that one pass a step needs."""
    exact = {"count": nodes, "batch_size": "full"}
    problem = QUADRATIC | {"dimension": dimension}
    few = [exact | {"count": min(nodes, 500)}], RING, "dsgd", 30, 1, 0.05
    small = QUADRATIC | {"dimension": min(dimension, 50)}
    stream = Triad(device, triad)
    for dtype, size in (("float64", 8), ("float32", 4)):
        assert_close(Run(small, *few, device, dtype).torch(), Run(small, *few)(), ROUNDING[dtype])
        run = Run(problem, [exact], RING, "dsgd", steps, 1, 0.05, device, dtype)
        x, execution = executed(run, steps)
        mean = x[0].mean(0, dtype=torch.float64).cpu()
        assert_close(mean, mean_by_recursion(run), ROUNDING[dtype])
        del x
        each, (moved,) = seconds_a_step([(run, Replayed)], device, stream)
        numbers, bandwidth = nodes * dimension, stream.bandwidth(moved)
        yield {
            "name": f"DSGD ring, n={nodes:g}, d={dimension}, {dtype}: fraction of the triad",
            "value": 3 * numbers * size / bandwidth / each[0],
            "unit": "",
            "limit": "the device's triad, for one pass a step: x, b in, x out",
            "microseconds_a_step": 1e6 * each[0],
            "terabytes_a_second_of_the_triad": bandwidth / 1e12,
            "by_graphs": execution.by_graphs,
            "roofline": roofline(
                RING_FLOPS * numbers, 3 * numbers * size, {f"torch, {dtype}": each[0]}, bandwidth
            ),
        }


def half(law, count):
    """Half of the nodes by gradients, the others by differences along vectors of that law."""
    zeroth = {"name": "zeroth_order", "directions": law}
    return [{"count": count // 2}, {"count": count - count // 2, "estimator": zeroth}]


def full(count):
    return [{"count": count, "batch_size": "full"}]


INTERACTIONS = {
    "hybrid pairs, logistic, half ZO (rademacher)": (
        LOGISTIC,
        "pair",
        lambda n: half("rademacher", n),
    ),
    "hybrid pairs, logistic, half ZO (gaussian)": (LOGISTIC, "pair", lambda n: half("gaussian", n)),
    "pairs, quadratic": (QUADRATIC, "pair", full),
    "hybrid matchings, logistic, half ZO (rademacher)": (
        LOGISTIC,
        "matching",
        lambda n: half("rademacher", n),
    ),
}


def interactions(device, label, nodes, replicas, steps):
    """Pairs that average, a second: all replicas in one plan, against one core's fused kernels."""
    problem, gossip, groups = INTERACTIONS[label]
    network = {"graph": "complete", "gossip": gossip}
    for count in replicas:
        given = problem, groups(nodes), network, "hdo", steps, count, 0.05
        there, here = Run(*given, device), Run(*given)
        assert_close(there.torch(), here(), 1e-9)  # over many more steps than the tests marked gpu
        rounds, kernel = alternated(
            lambda run=there: executed(run, run.plan.steps), here, clock=clock_of(device)
        )
        met = count * steps * (nodes // 2 if gossip == "matching" else 1)
        yield {
            "name": f"{label}, d=20, n={nodes}, R={count}: fused on one core / device",
            "value": kernel / rounds,
            "unit": "times",
            "million_interactions_a_second": 1e-6 * met / rounds,
            "million_by_fused": 1e-6 * met / kernel,
        }


STEPS = {
    "quadratic": (QUADRATIC, {"batch_size": "full"}),
    "logistic, b=1": (LOGISTIC, {}),
    "logistic, Gaussian differences": (
        LOGISTIC,
        {"estimator": {"name": "zeroth_order", "directions": "gaussian"}},
    ),
}


def launches(device, label, nodes, replicas, steps):
    """A step of DSGD on a ring, by graphs and round by round."""
    problem, group = STEPS[label]
    run = Run(problem, [{"count": nodes, **group}], RING, "dsgd", steps, replicas, 0.05, device)
    here = Run(problem, [{"count": nodes, **group}], RING, "dsgd", steps, replicas, 0.05)
    (x, graphs), (plain, _) = executed(run, steps), executed(run, steps, OneByOne)
    assert_close(plain.cpu(), here(), 1e-9)
    assert_close(x.cpu(), here(), 1e-9)
    (whole, one), _ = seconds_a_step([(run, Replayed), (run, OneByOne)], device)
    yield {
        "name": f"launch overhead, {label}, R={replicas}, n={nodes}, d=20: a full step",
        "value": 1e6 * whole,
        "unit": "µs",
        "without_graphs": 1e6 * one,
        "by_graphs": graphs.by_graphs,
    }


def addresses(device, rows):
    row = torch.arange(rows)
    given = {"keys": replica_keys(0, range(256))[row % 256], "replica": row % 256}
    given |= {"node": row % 61, "step": 7 * row}
    return Rows(**{name: each.to(device) for name, each in given.items()})


DRAWS = {"words": words, "Rademacher": signs, "normal": normals}


def draws(device, rows, count):
    """Addressed draws over torch's generator in float32: as many values, each in 8 bytes."""
    there, some = addresses(device, rows), slice(0, 64)
    out = torch.empty(rows * count, device=device)
    names = list(DRAWS)
    for name in names:
        found = DRAWS[name](there, Purpose.DIRECTION, count)[some].cpu().numpy()
        expected = DRAWS[name](addresses("cpu", rows).take(some), Purpose.DIRECTION, count).numpy()
        units = 8 * np.spacing(np.abs(expected)) if name == "normal" else 0  # either errs by 4
        assert (np.abs(found - expected) <= units).all()
    calls = [lambda name=name: DRAWS[name](there, Purpose.DIRECTION, count) for name in names]
    *own, other = alternated(*calls, out.normal_, clock=clock_of(device))
    for name, seconds in zip(names, own, strict=True):
        yield {
            "name": f"addressed draws over torch.randn f32, {rows} addresses × {count}: {name}",
            "value": seconds / other,
            "unit": "times",
            "picoseconds_a_value": 1e12 * seconds / len(out),
            "of_randn": 1e12 * other / len(out),
        }


def dense(device, dimension, nodes, replicas, steps, product, triad):
    """DSGD on a quadratic with one full Hessian: the fraction of what one product a step needs."""
    problem = QUADRATIC | {"dimension": dimension, "rotation": True}
    small = QUADRATIC | {"dimension": min(dimension, 30), "rotation": True}, full(nodes), RING
    few = "dsgd", 30, 2, 0.05
    assert_close(Run(*small, *few, device).torch(), Run(*small, *few)(), 1e-10)
    run = Run(problem, full(nodes), RING, "dsgd", steps, replicas, 0.05, device)
    x, execution = executed(run, steps)
    expected = np.broadcast_to(mean_by_recursion(run), (replicas, dimension))
    assert_close(x.mean(1).cpu(), expected, 1e-10)
    stream, large = Triad(device, triad), Product(device, product)
    each, (moved, multiplied) = seconds_a_step([(run, Replayed)], device, stream, large)
    bandwidth, most = stream.bandwidth(moved), large.peak(multiplied)
    flops, passed = (nodes * replicas * each for each in (2 * dimension**2, 16 * dimension))
    yield {
        "name": f"dense quadratic, d={dimension}, n={nodes}, R={replicas}: fraction of the limit",
        "value": np.maximum(flops / most, passed / bandwidth) / each[0],
        "unit": "",
        "limit": f"the device's float64 product of {product} (or its triad, where that is slower)",
        "teraflops_of_the_product": most / 1e12,
        "microseconds_a_step": 1e6 * each[0],
        "by_graphs": execution.by_graphs,
        "roofline": roofline(flops, passed, {"torch, float64": each[0]}, bandwidth, most),
    }
