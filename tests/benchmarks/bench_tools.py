"""What every benchmark shares: alternated timing, the machine's limits, how a row is told."""

import math
import os
import platform
import time

import numpy as np
import torch

from hzbench.core.machine import on_cuda, settle
from hzbench.core.spec import Spec
from hzbench.engine.fused.executor import execute as fused
from hzbench.engine.torch_executor import execute
from hzbench.harness.build import build, build_plan
from hzbench.reports.benchmarks import benchmark_row

settle()  # as every run does


TURN = 0.02
"""Seconds of a turn at least: a shorter call is repeated, since the first meets others' caches."""

RING_FLOPS = 9
"""Of a number and step of DSGD on a diagonal quadratic: H x - b and the step 2 each, W 5."""


def alternated(*calls, repeats=5, clock=time.process_time):
    """Seconds of the processor of every call, [calls, repeats].

    Candidates take turns, so that load hits them alike; ratios are taken turn by turn.
    """
    for call in calls:
        call()
    counts = [math.ceil(TURN / max(_seconds(call, 1, clock), 1e-6)) for call in calls]
    turns = range(repeats)
    found = [[_seconds(*each, clock) for each in zip(calls, counts, strict=True)] for _ in turns]
    return np.array(found).T


def clock_of(device):
    """Seconds: of the processor, or on a GPU on the wall with all work done that was asked for."""
    return _on_the_wall if on_cuda(device) else time.process_time


def _on_the_wall():
    torch.cuda.synchronize()
    return time.perf_counter()


def _seconds(call, count, clock):
    """Seconds of one of `count` calls in a row."""
    begun = clock()
    for _ in range(count):
        call()
    return (clock() - begun) / count


class Stream:
    """A triad a = b + 2c in two passes, on arrays beyond the caches; takes its turn as a call."""

    def __init__(self):
        self.a, self.b, self.c = (np.ones(1 << 23) for _ in range(3))

    def __call__(self):
        np.multiply(self.c, 2.0, out=self.a)
        np.add(self.a, self.b, out=self.a)

    def bandwidth(self, times):
        """Bytes a second: c in, a out with the line read before it is written; a, b in, a out."""
        return 6 * self.a.nbytes / times


class Product:
    """A large matrix product in float64 on one thread by torch's or numpy's BLAS."""

    def __init__(self, by):
        self.a, self.b = (torch.rand(768, 768, dtype=torch.float64) for _ in range(2))
        self.out = torch.empty_like(self.a)
        if by == "numpy":
            self.a, self.b, self.out = (each.numpy() for each in (self.a, self.b, self.out))
        self.multiply = torch.mm if by == "torch" else np.matmul

    def __call__(self):
        self.multiply(self.a, self.b, out=self.out)


def products():
    """Both products: the faster is the peak."""
    return Product("torch"), Product("numpy")


def peak(*times):
    """Flops a second of the faster product, turn by turn."""
    return 2 * 768**3 / np.minimum(*times)


class Recorder:
    """Keeps the last state alone."""

    watch = None

    def __init__(self, *boundaries):
        self.boundaries = boundaries

    def record(self, state):
        self.x, self.counters = state.x, state.counters


class Run:
    """A spec's components and the plan of its replicas, to be executed again and again."""

    def __init__(
        self,
        problem,
        nodes,
        network,
        method="hdo",
        steps=100,
        replicas=16,
        eta=0.05,
        device="cpu",
        dtype="float64",
    ):
        named = isinstance(method, str)
        self.spec = Spec.parse(
            {
                "problem": problem,
                "nodes": nodes,
                "network": network,
                "method": {"step_size": eta} | ({"name": method} if named else method),
                "run": {"steps": steps, "replicas": replicas, "seed": 1, "dtype": dtype},
            }
        )
        self.parts = build(self.spec, device)
        self.plan = build_plan(self.parts, range(replicas))
        self.start = torch.as_tensor(self.parts.problem.initial, device=device)
        self.start = self.start.to(getattr(torch, dtype))

    def __call__(self, engine=fused, boundaries=None):
        parts = self.parts
        recorder = Recorder(*(boundaries or (self.spec.run.steps,)))
        with torch.no_grad():
            engine(self.plan, self.start, parts.problem, parts.population, parts.method, recorder)
        return recorder.x.cpu().numpy()

    def torch(self):
        return self(execute)


def roofline(flops, moved, seconds, bandwidth, peak=None):
    """Where a row lies under the roof of its machine; medians over the turns.

    Arguments:
        flops, moved: what is counted: operations, and bytes to and from memory.
        seconds: of all of it, by what computed it.
        bandwidth, peak: limits measured by turns with it, bytes and flops a second; None: no peak.
    """
    limits = {"bandwidth": bandwidth} | ({} if peak is None else {"peak": peak})
    return {
        "flops": float(flops),
        "bytes": float(moved),
        "seconds": {by: float(np.median(each)) for by, each in seconds.items()},
        **{name: float(np.median(each)) for name, each in limits.items()},
    }


def tell(
    benchmark,
    name,
    value,
    goals=None,
    unit="times",
    limit="",
    growth=None,
    roofline=None,
    device="cpu",
    **besides,
):
    """Keep a row for the page of benchmarks, and print it.

    Arguments:
        benchmark: the fixture.
        name: what is measured, with its baseline.
        value: a number, or one a turn, of which the median counts and the quartiles are kept.
        goals: good and very good, or one goal; less is better if they fall or `unit` is seconds.
        unit: of value and goals; "" for a fraction.
        limit: what it is a fraction of.
        growth: name of a size, and seconds by size.
        roofline: what the function of that name gives.
        device: where it ran.
        besides: more numbers, or one a turn.
    """
    low, middle, high = np.percentile(value, (25, 50, 75)).tolist()
    good, very_good = goals if isinstance(goals, tuple) else (goals, goals)
    told = {
        "row": name,
        "value": middle,
        "low": low,
        "high": high,
        "good": good,
        "very_good": very_good,
        "less": unit == "s" or (good is not None and very_good < good),
        "unit": unit,
        "limit": limit,
        "besides": {key: float(np.median(number)) for key, number in besides.items()},
        "machine": machine_of(device),
        "load": os.getloadavg()[0],
    }
    if growth is not None:
        told["growth"] = {"of": growth[0], "seconds": {str(n): float(s) for n, s in growth[1]}}
    if roofline is not None:
        told["roofline"] = roofline
    benchmark.extra_info.setdefault("rows", []).append(told)
    print(f"\n{benchmark_row(told)}")


def machine_of(device):
    """The processor and its cores, and the GPU."""
    host = f"{platform.machine()}, {os.cpu_count()} cores"
    return f"{host}, {torch.cuda.get_device_name(device)}" if on_cuda(device) else host


def exponent(sizes, seconds):
    """The slope of seconds against size on logarithmic scales, between the ends."""
    return np.log(seconds[-1] / seconds[0]) / np.log(sizes[-1] / sizes[0])
