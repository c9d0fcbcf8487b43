"""Gradients of many small networks in one batch, against a call of autograd a model: `make bench`.

That both give the same numbers is asserted beside it.
"""

import numpy as np
import pytest
import torch
from bench_tools import alternated, tell
from torch.nn.functional import cross_entropy, linear

from hzbench.problems.perceptron import Perceptron

pytestmark = pytest.mark.benchmark

GOALS = {(16, 16, 4): (20, 55), (784, 32, 10): (1.5, 5)}


def models(widths, count, batch, dtype):
    """Parameters of all models, inputs, targets and the weights of a mean."""
    random = np.random.default_rng(0)
    network = Perceptron(
        shape=widths[:1], classes=widths[-1], hidden=widths[1:-1], activation="relu"
    )
    flat = torch.from_numpy(np.stack([network.start(random) for _ in range(count)])).to(dtype)
    inputs = torch.from_numpy(random.standard_normal((count, batch, widths[0]))).to(dtype)
    targets = torch.from_numpy(random.integers(0, widths[-1], (count, batch)))
    return network, flat, inputs, targets, torch.full((1, 1), 1.0 / batch, dtype=dtype)


def one_at_a_time(network, flat, inputs, targets):
    """The loop: a graph and a call of autograd a model."""
    shapes = [weight.shape for weight in network.weights.values()]
    out = torch.empty_like(flat)
    for model, (x, a, y) in enumerate(zip(flat, inputs, targets, strict=True)):
        leaf = x.clone().requires_grad_()
        pieces = torch.split(leaf, list(network.tensors))
        parts = [piece.view(shape) for piece, shape in zip(pieces, shapes, strict=True)]
        hidden = linear(a, parts[0], parts[1]).relu()
        loss = cross_entropy(linear(hidden, parts[2], parts[3]), y)
        out[model] = torch.autograd.grad(loss, leaf)[0]
    return out


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("batch", [1, 8])
@pytest.mark.parametrize("count", [64, 256])
@pytest.mark.parametrize("widths", list(GOALS))
def test_batched_gradients(benchmark, widths, count, batch, dtype):
    network, *given = models(widths, count, batch, dtype)
    flat, inputs, targets, weights = given
    expected = one_at_a_time(network, flat, inputs, targets)
    found = network.gradients(flat, inputs, targets, weights)
    scale = 1e-12 if dtype == torch.float64 else 1e-4
    torch.testing.assert_close(found, expected, rtol=scale, atol=scale / 10)

    def batched():
        with torch.no_grad():
            network.gradients(flat, inputs, targets, weights)

    many, loop = alternated(batched, lambda: one_at_a_time(network, flat, inputs, targets))
    benchmark.pedantic(batched, rounds=5)
    kind = str(dtype).removeprefix("torch.")
    row = f"MLP gradients, {'-'.join(map(str, widths))}, M={count}, b={batch}, {kind}: loop / batch"
    tell(benchmark, row, loop / many, GOALS[widths], microseconds_a_model=1e6 * many / count)
