"""What every benchmark shares: alternated timing, the machine's limits, how a row is told."""

import os
import platform
import time
from functools import cache

import numpy as np
import torch

from hzbench.core.machine import keep_freed_memory
from hzbench.core.spec import Spec
from hzbench.engine.fused.executor import execute as fused
from hzbench.engine.torch_executor import execute
from hzbench.harness.build import build, build_plan

torch.set_num_threads(1)
keep_freed_memory()  # as every run does


def seconds(*calls, repeats=5):
    """Median CPU time of each call; candidates take turns, so that load hits them alike."""
    for call in calls:
        call()
    found = [[] for _ in calls]
    for _ in range(repeats):
        for call, times in zip(calls, found, strict=True):
            begun = time.process_time()
            call()
            times.append(time.process_time() - begun)
    return [float(np.median(times)) for times in found]


@cache
def bandwidth():
    """Bytes a second of a triad a = b + 2c on arrays beyond the caches (write-allocate counted)."""
    a, b, c = (np.ones(1 << 24) for _ in range(3))

    def triad():
        np.multiply(c, 2.0, out=a)
        np.add(a, b, out=a)

    return 7 * 8 * len(a) / seconds(triad)[0]


@cache
def peak():
    """Flops a second of a large matrix product in float64 on one thread."""
    a, b = (torch.rand(1024, 1024, dtype=torch.float64) for _ in range(2))
    out = torch.empty_like(a)
    return 2 * 1024**3 / seconds(lambda: torch.mm(a, b, out=out))[0]


class Recorder:
    """Keeps the last state alone."""

    watch = None

    def __init__(self, *boundaries):
        self.boundaries = boundaries

    def record(self, state):
        self.x, self.counters = state.x, state.counters


class Run:
    """A spec's components and the plan of its replicas, to be executed again and again."""

    def __init__(self, problem, nodes, network, method="hdo", steps=100, replicas=16, eta=0.05):
        named = isinstance(method, str)
        self.spec = Spec.parse(
            {
                "problem": problem,
                "nodes": nodes,
                "network": network,
                "method": {"step_size": eta} | ({"name": method} if named else method),
                "run": {"steps": steps, "replicas": replicas, "seed": 1},
            }
        )
        self.parts = build(self.spec)
        self.plan = build_plan(self.parts, range(replicas))
        self.start = torch.as_tensor(self.parts.problem.initial)

    def __call__(self, engine=fused, boundaries=None):
        parts = self.parts
        recorder = Recorder(*(boundaries or (self.spec.run.steps,)))
        with torch.no_grad():
            engine(self.plan, self.start, parts.problem, parts.population, parts.method, recorder)
        return recorder.x.numpy()

    def torch(self):
        return self(execute)


def tell(benchmark, row, value, good, very_good, unit="times", **more):
    """Keep a row of the table in extra_info and print it; larger is better unless good > very."""
    benchmark.extra_info |= {
        "row": row,
        "value": float(value),
        "good": good,
        "very_good": very_good,
        "unit": unit,
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "load": os.getloadavg()[0],
        **{key: float(number) for key, number in more.items()},
    }
    sign = 1 if very_good >= good else -1
    reached = [
        name
        for name, goal in (("good", good), ("very good", very_good))
        if sign * value >= sign * goal
    ]
    word = reached[-1] if reached else "short"
    rest = "".join(f", {key.replace('_', ' ')} {number:.3g}" for key, number in more.items())
    print(f"\n{row}: {value:.3g} {unit} (good {good:g}, very good {very_good:g}): {word}{rest}")
