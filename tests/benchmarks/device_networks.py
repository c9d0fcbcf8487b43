"""A population of ResNet-18 in one batch, against one plain model of torch.nn times the nodes."""

from dataclasses import replace

import numpy as np
import torch
from bench_device import RING, Replayed, assert_close, executed, seconds_a_step
from bench_tools import Run
from plain_networks import PlainResNet
from torch.nn.functional import cross_entropy
from torch.nn.utils import vector_to_parameters

from hzbench.core.machine import on_cuda, peak_device_memory
from hzbench.core.streams import Rows, replica_keys
from hzbench.problems.examples import Examples
from hzbench.problems.residual import Residual
from hzbench.problems.shares import Shares

ETA, NU, CLASSES = 0.01, 1e-3, 10
STEM = "imagenet"
ESTIMATORS = {
    "FO": "gradient",
    "ZO": {"name": "zeroth_order", "directions": "gaussian", "smoothing": NU},
}


class Population(Run):
    """DSGD on a ring; random images stand for data, which nothing here reads for its meaning."""

    def __init__(self, device, kind, sizes, nodes, batch, steps=2, dtype="float32"):
        small = {"name": "resnet18", "data": "digits", "channels": 1}
        group = {"count": nodes, "batch_size": batch, "estimator": ESTIMATORS[kind]}
        super().__init__(small, [group], RING, "dsgd", steps, 1, ETA, device, dtype)
        channels, side, rows = sizes
        self.network = Residual(
            shape=(3, side, side), classes=CLASSES, channels=channels, stem=STEM
        )
        examples, nothing = images(side, rows), np.zeros((rows, 0))
        start = self.network.start(np.random.default_rng(1))
        problem = replace(
            self.parts.problem,
            architecture=self.network,
            examples=examples,
            shares=Shares(
                features=nothing,
                targets=examples.targets.astype(float),
                members=tuple(np.array_split(np.arange(rows), nodes)),
            ),
            initial=np.tile(start, (nodes, 1)),
        )
        self.parts = replace(self.parts, problem=problem)
        self.start = torch.as_tensor(problem.initial, device=device).to(getattr(torch, dtype))


def images(side, rows):
    random = np.random.default_rng(0)
    inputs = random.standard_normal((rows, 3, side, side), dtype=np.float32)
    return Examples(
        inputs=inputs,
        targets=random.integers(0, CLASSES, rows),
        validation_inputs=inputs[:1],
        validation_targets=np.zeros(1, np.int64),
        shape=(3, side, side),
        classes=CLASSES,
    )


class One:
    """One model as most people write it: a module, its own data on the device, one step a call."""

    def __init__(self, device, sizes, batch, dtype=torch.float32):
        channels, side, rows = sizes
        examples = images(side, rows)
        self.inputs = torch.as_tensor(examples.inputs, device=device).to(dtype)
        self.targets = torch.as_tensor(examples.targets, device=device)
        self.module = PlainResNet(channels, STEM, entering=3).to(device=device, dtype=dtype)
        self.optimizer = torch.optim.SGD(self.module.parameters(), lr=ETA)
        sizes = [each.numel() for each in self.module.parameters()]
        self.flat = torch.empty(sum(sizes), device=device, dtype=dtype)
        self.batch = batch

    def at(self, x):
        """Let the parameters be views of a vector."""
        self.flat.copy_(x)
        vector_to_parameters(self.flat, self.module.parameters())
        return self

    def loss(self, index):
        return cross_entropy(self.module(self.inputs[index]), self.targets[index])

    def index(self):
        return torch.randint(len(self.targets), (self.batch,), device=self.targets.device)

    def first_order(self):
        self.optimizer.zero_grad()
        self.loss(self.index()).backward()
        self.optimizer.step()

    @torch.no_grad()
    def zeroth_order(self):
        index, u = self.index(), torch.randn_like(self.flat)
        self.flat.add_(u, alpha=NU)
        above = self.loss(index)
        self.flat.add_(u, alpha=-2 * NU)
        slope = (above - self.loss(index)) / (2 * NU)
        self.flat.add_(u, alpha=NU).sub_(ETA * slope * u)


def resnet(device, kind, sizes, nodes, batch, steps):
    """A step of all nodes at once, and what it holds of the device."""
    check(device, sizes)
    one = One(device, sizes, batch)
    one.at(torch.as_tensor(Population(device, kind, sizes, 3, batch).start[0]))
    step = {"FO": one.first_order, "ZO": one.zeroth_order}[kind]
    for count in nodes:
        run = Population(device, kind, sizes, count, batch, steps)
        if on_cuda(device):
            torch.cuda.reset_peak_memory_stats(device)
        _, execution = executed(run, steps)
        held = peak_device_memory(device)
        each, (single,) = seconds_a_step([(run, Replayed)], device, step)
        yield {
            "name": f"ResNet-18, {kind}, b={batch}, n={count}: one plain model's step × n / a step",
            "value": count * single / each[0],
            "unit": "times",
            "milliseconds_a_step": 1e3 * each[0],
            "of_one_model": 1e3 * single,
            "gibibytes_held": held / 2**30,
            "by_graphs": execution.by_graphs,
        }


def check(device, sizes):
    """Losses and gradients of two models in float64, against the plain module."""
    problem = Population(device, "FO", sizes, 3, 2, dtype="float64").parts.problem
    random = torch.Generator().manual_seed(3)
    x = torch.as_tensor(problem.initial[:2])
    x = (x + 0.02 * torch.randn(x.shape, generator=random, dtype=x.dtype)).to(device)
    two = torch.arange(2)
    at = {"replica": 0 * two, "node": two, "step": 0 * two, "keys": replica_keys(0, range(2))}
    rows = Rows(**{name: each.to(device) for name, each in at.items()})
    sample = problem.sample(rows, 2, 1)
    values = problem.values(x[:, None, None], rows.node, sample)[:, 0, 0]
    slopes = problem.gradients(x, rows.node, sample)[:, 0]
    one = One(device, sizes, 2, torch.float64)
    for b in range(2):
        loss = one.at(x[b]).loss(sample.index[b, 0])
        parts = torch.autograd.grad(loss, list(one.module.parameters()))
        slope = torch.cat([part.flatten() for part in parts])
        assert_close(values[b].cpu(), loss.detach().cpu().numpy(), 1e-10)
        assert_close(slopes[b].cpu(), slope.cpu().numpy(), 1e-8)
