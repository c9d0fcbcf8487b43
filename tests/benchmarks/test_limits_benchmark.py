"""How near the machine's limits: products, gathers, draws and zeroth-order steps: `make bench`.

The limits take turns with what is measured against them.
"""

import numpy as np
import pytest
import torch
from bench_tools import Run, Stream, alternated, peak, products, roofline, tell

from hzbench.core.inverse_normal import inverse_normal
from hzbench.core.streams import Purpose, Rows, normals, philox, replica_keys, signs

pytestmark = pytest.mark.benchmark
MATRIX = {"graph": "ring", "gossip": "matrix"}


@pytest.mark.parametrize(("d", "goals"), [(20, (0.2, 0.35)), (200, (0.5, 0.7))])
def test_dense_quadratics(benchmark, d, goals):
    problem = {"name": "quadratic", "dimension": d, "rotation": True, "heterogeneity": 0.5}
    run = Run(problem, [{"count": 64, "batch_size": "full"}], MATRIX, "dsgd", 20, 64)
    np.testing.assert_allclose(run(), run.torch(), rtol=1e-11, atol=1e-12)
    stream = Stream()
    kernel, product, triad, *others = alternated(run, run.torch, stream, *products())
    bandwidth, most = stream.bandwidth(triad), peak(*others)
    flops, moved = (20 * 64 * 64 * each for each in (2 * d * d, 16 * d))
    limit = np.maximum(flops / most, moved / bandwidth)
    seconds = {"fused": kernel, "torch": product}
    benchmark.pedantic(run, rounds=1)
    tell(
        benchmark,
        f"dense quadratic, d={d}: fraction of the roofline",
        limit / np.minimum(kernel, product),
        goals,
        "",
        "the faster BLAS product (or the triad, where that is slower)",
        roofline=roofline(flops, moved, seconds, bandwidth, most),
        fused=limit / kernel,
        torch=limit / product,
    )


@pytest.mark.parametrize(("b", "goals"), [(1, (0.4, 0.9)), (16, (0.2, 0.45))])
def test_minibatches_of_rows(benchmark, b, goals):
    """A record point a step, so that iterates come from memory: each line in and out, b rows in.

    Flops a number: 4 of every row (a margin, a sum), 2 each of the ridge and the step, 5 of W.
    """
    table = {"name": "logistic", "planted": {"rows": 20_000, "dimension": 300}}
    nodes = [{"count": 64, "batch_size": b}]
    run = Run(table, nodes, MATRIX, "dsgd", 20, 16)
    np.testing.assert_allclose(run(), run.torch(), rtol=1e-11, atol=1e-12)
    wide = Run(table, nodes, MATRIX, "dsgd", 4, 256)
    every = tuple(range(1, 5))
    np.testing.assert_array_equal(wide(boundaries=every), wide())
    small = Run(
        {**table, "planted": {"rows": 128, "dimension": 300}}, nodes, MATRIX, "dsgd", 20, 16
    )
    stream, gather = Stream(), random_rows(run.parts.problem.shares.features)
    calls = (run, run.torch, lambda: wide(boundaries=every), small, gather, stream)
    kernel, torch_time, moving, cached, taken, triad = alternated(*calls)
    bandwidth, count = stream.bandwidth(triad), 4 * 64 * 256
    line = 8 * 300 / bandwidth
    flops, moved = count * 300 * (4 * b + 9), count * 8 * 300 * (b + 2)
    benchmark.pedantic(run, rounds=3)
    tell(
        benchmark,
        f"minibatch logistic, b={b}, d=300, a step at a time: fraction of the byte roofline",
        moved / bandwidth / moving,
        goals,
        "",
        "the triad, for every iterate in and out and the rows in",
        roofline=roofline(flops, moved, {"fused": moving}, bandwidth),
    )
    tell(
        benchmark,
        f"minibatch logistic, b={b}, d=300, 20 steps at a time, iterates in the caches",
        1e9 * kernel / (20 * 64 * 16 * b),
        unit="ns a row",
        with_a_table_in_the_caches=1e9 * cached / (20 * 64 * 16 * b),
        numpy_take=1e9 * taken / (64 * 64),
        triad=1e9 * line,
        torch_over_fused=torch_time / kernel,
    )


def random_rows(table):
    """Takes 64 times 64 random rows into a buffer: what these cost without any arithmetic."""
    places = np.random.default_rng(0).integers(0, len(table), (64, 64))
    buffer = np.empty((64, table.shape[1]))

    def gather():
        for some in places:
            np.take(table, some, axis=0, out=buffer, mode="clip")

    return gather


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
    cheap, dear = alternated(first, zeroth, repeats=9)
    benchmark.pedantic(zeroth, rounds=3)
    tell(benchmark, f"ZO step / FO step, quadratic, d={d}", dear / cheap, goals)


def plain_words(rows, count):
    """Words of the streams, [B, count], by numpy's operators and one Philox after another."""
    keys, node, step = (each.numpy()[..., None] for each in (rows.keys, rows.node, rows.step))
    counter = np.arange(count // 4), node, step, int(Purpose.DIRECTION)
    return np.stack(philox(counter, (keys[:, 0], keys[:, 1])), -1).reshape(len(rows), count)


def plain_signs(words):
    """A sign a bit, the lowest first."""
    return 2.0 * (words[:, :, None] >> np.arange(32) & 1).reshape(len(words), -1) - 1


STREAMS = {
    "Rademacher": plain_signs,
    "normal": lambda words: inverse_normal(torch.from_numpy(words)).numpy(),
}


@pytest.mark.parametrize(
    ("law", "draw", "goals"), [("Rademacher", signs, (0.5, 0.15)), ("normal", normals, (2, 0.8))]
)
def test_draws(benchmark, law, draw, goals):
    count = 1 << 12
    node = torch.arange(256)
    rows = Rows(keys=replica_keys(0, range(256)), replica=node, node=node, step=node)
    expected = STREAMS[law](plain_words(rows, count if law == "normal" else count // 32))
    units = 8 * np.spacing(np.abs(expected)) if law == "normal" else 0  # either errs by 4
    assert (np.abs(draw(rows, Purpose.DIRECTION, count).numpy() - expected) <= units).all()
    out = torch.empty(256 * count)
    own, other = alternated(lambda: draw(rows, Purpose.DIRECTION, count), out.normal_, repeats=15)
    benchmark.pedantic(draw, (rows, Purpose.DIRECTION, count), rounds=3)
    row = f"counter-based draws over torch.randn f32: {law}"
    tell(benchmark, row, own / other, goals, nanoseconds_a_value=1e9 * own / len(out))
