"""Ways to the gradients of many networks: one batch, torch.func.vmap, a loop: `make bench`.

The batch is what hzbench does; vmap and the loop take modules of torch.nn written for one model.
That all three give the same numbers is asserted. A network for which vmap is faster should take it.
"""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from bench_tools import alternated, tell
from torch import nn
from torch.func import functional_call, grad, vmap
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import cross_entropy

from hzbench.problems.convolutional import Convolutional
from hzbench.problems.transformer import Transformer

pytestmark = pytest.mark.benchmark

VOCABULARY, LENGTH = 4, 24
WAYS = ("batch", "vmap", "loop")


class Encoder(nn.Module):
    """PyTorch's encoder between an embedding and a head, with the mean over the tokens."""

    def __init__(self, width, heads, layers, hidden):
        super().__init__()
        self.embedding = nn.Embedding(VOCABULARY, width)
        self.position = nn.Embedding(LENGTH, width)
        make = nn.TransformerEncoderLayer
        self.layers = nn.ModuleList(
            make(width, heads, hidden, dropout=0.0, batch_first=True) for _ in range(layers)
        )
        self.head = nn.Linear(width, 2)

    def forward(self, tokens):
        x = self.embedding(tokens) + self.position.weight
        for layer in self.layers:
            x = layer(x)
        return self.head(x.mean(1))


def convolutional(side, channels, hidden):
    """A network of figure 1 or 7, and its module."""
    network = Convolutional(
        shape=(1, side, side), classes=10, channels=channels, hidden=hidden, activation="relu"
    )
    parts, entering = [], 1
    for width in channels:
        parts += [nn.Conv2d(entering, width, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
        entering = width
    parts.append(nn.Flatten())
    widths = network.widths
    for i, o in pairwise(widths):
        parts += [nn.Linear(i, o), nn.ReLU()]
    return network, nn.Sequential(*parts[:-1])


def transformer(width, heads, layers, hidden):
    """The network of figure 4 (or a wider one), and its module."""
    network = Transformer(
        shape=(LENGTH,),
        classes=2,
        vocabulary=VOCABULARY,
        width=width,
        heads=heads,
        layers=layers,
        feedforward=hidden,
    )
    return network, Encoder(width, heads, layers, hidden)


NETWORKS = {
    "cnn 8x8, 2 channels, 16": lambda: convolutional(8, (2, 2), (16,)),
    "cnn 28x28, 2 channels, 128": lambda: convolutional(28, (2, 2), (128,)),
    "cnn 28x28, 8-8-8, 128-128": lambda: convolutional(28, (8, 8, 8), (128, 128)),
    "transformer 4, 2 heads, 2 layers": lambda: transformer(4, 2, 2, 16),
    "transformer 16, 4 heads, 2 layers": lambda: transformer(16, 4, 2, 64),
}


def given(network, count, batch, dtype):
    """Parameters of all models, inputs and targets."""
    random = np.random.default_rng(0)
    flat = torch.from_numpy(np.stack([network.start(random) for _ in range(count)])).to(dtype)
    if isinstance(network, Transformer):
        inputs = torch.from_numpy(random.integers(1, VOCABULARY, (count, batch, LENGTH)))
    else:
        inputs = torch.from_numpy(random.standard_normal((count, batch, *network.shape))).to(dtype)
    targets = torch.from_numpy(random.integers(0, network.classes, (count, batch)))
    return flat, inputs, targets


def ways(network, module, count, batch, dtype):
    """The three ways as functions without arguments, each giving [count, d]."""
    flat, inputs, targets = given(network, count, batch, dtype)
    shapes = {name: value.shape for name, value in module.to(dtype).named_parameters()}
    sizes = [math.prod(shape) for shape in shapes.values()]
    weights = torch.full((1, 1), 1.0 / batch, dtype=dtype)

    def loss(x, a, y):
        pieces = zip(shapes.items(), x.split(sizes), strict=True)
        parts = {name: piece.view(shape) for (name, shape), piece in pieces}
        return cross_entropy(functional_call(module, parts, (a,)), y)

    def one(x, a, y):
        leaf = x.clone().requires_grad_()
        return torch.autograd.grad(loss(leaf, a, y), leaf)[0]

    def mapped():
        with sdpa_kernel(SDPBackend.MATH):  # vmap has no rule for the others and would loop
            return vmap(grad(loss))(flat, inputs, targets)

    return {
        "batch": lambda: network.gradients(flat, inputs, targets, weights),
        "vmap": mapped,
        "loop": lambda: torch.stack([*map(one, flat, inputs, targets)]),
    }


@pytest.mark.parametrize(("count", "batch"), [(64, 1), (64, 8)])
@pytest.mark.parametrize("label", list(NETWORKS))
def test_ways_to_many_gradients(benchmark, label, count, batch):
    network, module = NETWORKS[label]()
    exact = ways(network, module, 3, batch, torch.float64)
    wanted = exact["loop"]()
    for way in WAYS:
        torch.testing.assert_close(exact[way](), wanted, rtol=1e-10, atol=1e-12)
    calls = ways(network, module, count, batch, torch.float32)
    batched, mapped, loop = alternated(*(calls[way] for way in WAYS))
    benchmark.pedantic(calls["batch"], rounds=3)
    tell(
        benchmark,
        f"{label}, d={network.dimension}, M={count}, b={batch}: vmap / batch",
        mapped / batched,
        loop_over_batch=loop / batched,
        microseconds_a_model=1e6 * batched / count,
    )
