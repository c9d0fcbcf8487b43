"""What rows measured on a device share: its limits, and executions whose set-up does not count."""

import numpy as np
import torch
from bench_tools import Recorder, alternated, clock_of

from hzbench.engine.torch_executor import Execution

RING = {"graph": "ring", "gossip": "matrix"}
TINY = 1e-12  # seconds: a difference of two times below it is noise


class Triad:
    """a = b + 2c on arrays beyond the caches, in one pass that reads two and writes one."""

    def __init__(self, device, size):
        self.a, self.b, self.c = (
            torch.ones(size, dtype=torch.float64, device=device) for _ in range(3)
        )

    def __call__(self):
        torch.add(self.b, self.c, alpha=2.0, out=self.a)

    def bandwidth(self, seconds):
        """Bytes a second."""
        return 3 * 8 * len(self.a) / seconds


class Product:
    """A large matrix product in float64."""

    def __init__(self, device, size):
        self.a, self.b = (
            torch.rand(size, size, dtype=torch.float64, device=device) for _ in range(2)
        )
        self.out = torch.empty_like(self.a)

    def __call__(self):
        torch.mm(self.a, self.b, out=self.out)

    def peak(self, seconds):
        """Flops a second."""
        return 2 * len(self.a) ** 3 / seconds


class Replayed(Execution):
    """The product's execution, which also says whether a round was captured."""

    replayed = None

    def replay(self):
        self.replayed = super().replay()
        return self.replayed

    @property
    def by_graphs(self):
        return float(self.replayed is not None and bool(self.replayed.graphs))


class OneByOne(Replayed):
    """The same without graphs."""

    repeats = False


def executed(run, steps, kind=Replayed):
    """The iterates [R, n, d] after some steps, where they were computed, and the execution."""
    execution = kind(run.plan, run.start, run.parts.problem, run.parts.population, run.parts.method)
    recorder = Recorder(steps)
    with torch.no_grad():
        execution.go(recorder)
    return recorder.x, execution


def seconds_a_step(cases, device, *others, few=5, repeats=5):
    """Seconds a step of every (run, kind), and seconds of the other calls: [cases], [others].

    Few steps, graphs captured, are taken off all of them: what a run costs once does not count.
    """
    calls = [
        lambda run=run, kind=kind, steps=steps: executed(run, steps, kind)
        for run, kind in cases
        for steps in (few, run.plan.steps)
    ]
    times = alternated(*calls, *others, repeats=repeats, clock=clock_of(device))
    before, whole = times[: len(calls) : 2], times[1 : len(calls) : 2]
    counts = np.array([run.plan.steps - few for run, _ in cases])[:, None]
    return np.maximum(whole - before, TINY) / counts, times[len(calls) :]


def mean_by_recursion(run):
    """The mean iterate [d] of a noise-free run on quadratics of one Hessian, by its recursion."""
    problem, eta = run.parts.problem, run.plan.step_sizes[0, 0]
    hessian, b, mean = problem.hessians[0], problem.linear.mean(0), problem.initial.mean(0)
    for _ in range(run.plan.steps):
        slope = (hessian @ mean if hessian.ndim == 2 else hessian * mean) - b
        mean = mean - eta * slope
    return mean


def assert_close(found, expected, scale):
    """To `scale` of the largest entry."""
    assert np.isfinite(expected).all()
    assert np.abs(np.asarray(found) - expected).max() <= scale * np.abs(expected).max()
