"""On a device nothing within a segment waits for the host: shown on "meta", which has no numbers.

A tensor there knows its shape alone, so whatever reads a value (a branch, an index by truth values,
a copy back) raises, wherever it is. What was drawn on the host would show as a copy to the device.
"""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from engine_cells import CELLS, PROBLEMS, cell_spec
from engine_reference import HYBRID, spec_of
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from hzbench.engine.torch_executor import execute
from hzbench.estimators.first_order import Gradient
from hzbench.harness.build import build, build_plan
from hzbench.harness.simulate import simulate

FULL = [c for c in CELLS if c[0] != "quadratic" and c[1] == "gradient"]
"""Full batches of data that differ by node: how many rows each node has is not known."""
SOME = [
    c
    for c in CELLS
    if c[2] == "pair" or c[:2] in {("logistic", "minibatch"), ("quadratic", "sphere")} or c in FULL
]


class Traffic(TorchDispatchMode):
    """Counts copies to the device, and names operations on arrays of more than one device."""

    def __init__(self):
        super().__init__()
        self.copies, self.mixed = 0, []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        given = [a for a in tree_leaves((args, kwargs)) if isinstance(a, torch.Tensor)]
        found = func(*args, **(kwargs or {}))
        devices = {a.device.type for a in given if a.dim()}
        if isinstance(found, torch.Tensor) and devices == {"cpu"} and found.is_meta:
            self.copies += 1
        elif len(devices) > 1:
            self.mixed.append(str(func))
        return found


class Recorder:
    """Notes how many copies were made up to every boundary."""

    watch = None

    def __init__(self, boundaries, traffic):
        self.boundaries, self.traffic, self.copies = boundaries, traffic, []

    def record(self, state):
        assert state.x.is_meta
        self.copies.append(self.traffic.copies)


def copies(spec, boundaries=(1, 4), parts=None):
    """Copies to the device in each segment after the first, which fetches what stays there."""
    parts = build(spec, "meta") if parts is None else parts
    plan = build_plan(parts, range(spec.run.replicas))
    start = torch.as_tensor(parts.problem.initial, device="meta")
    with Traffic() as traffic, torch.no_grad():
        recorder = Recorder(boundaries, traffic)
        execute(plan, start, parts.problem, parts.population, parts.method, recorder)
    assert traffic.mixed == []
    return [after - before for before, after in pairwise(recorder.copies)]


def few_steps(*cell):
    return cell_spec(*cell, run={"steps": 4, "replicas": 2})


@pytest.mark.parametrize(("problem", "estimator", "protocol"), SOME)
def test_a_segment_takes_at_most_one_copy_and_no_answer(problem, estimator, protocol):
    spec = few_steps(problem, estimator, protocol)
    assert copies(spec) == [0 if protocol == "matrix" else 1]


@pytest.mark.parametrize("gossip", ["pair", "matching", "matrix"])
def test_nor_do_hybrid_populations_with_momentum(gossip):
    name = "dsgd" if gossip == "matrix" else "hdo"
    spec = spec_of(HYBRID, gossip, {"name": name, "momentum": 0.3}, steps=6)
    assert copies(spec, (1, 3, 6)) == ([1, 1] if gossip == "pair" else [0, 0])


@pytest.mark.parametrize(
    "network", [{"link_failure": 0.4}, {"exchange_probability": 0.5}, {"silent_rounds": 2}]
)
def test_links_and_coins_go_there_once(network):
    spec = spec_of(HYBRID, "matrix", "dsgd", steps=6, network={"graph": "ring", **network})
    assert copies(spec, (3, 4, 6)) == [0, 0]


@pytest.mark.parametrize("problem", ["quadratic", "ridge", "logistic"])
def test_nor_do_matrices_of_the_nodes_and_estimators_that_remember(problem):
    residual = {"name": "residual_feedback", "samples": 2, "previous": (1.0, 0.0, 0.0, 0.0, 2.0)}
    own = np.eye(5) + np.ones((5, 5)) * np.arange(5)[:, None, None]
    table = {"name": "quadratic", "hessians": own} if problem == "quadratic" else PROBLEMS[problem]
    for nodes in ({"batch_size": "full"}, {"batch_size": 2, "estimator": residual}):
        spec = cell_spec(table, nodes, "pair", run={"steps": 4, "replicas": 2})
        assert copies(spec) == [1]


ANSWERS = {
    "a branch": lambda x: x if bool((x > 0).all()) else -x,
    "a number": lambda x: x * float(x[0, 0]),
    "a list of indices": lambda x: x[(x > 0).nonzero()[:1, 0]].expand_as(x),
    "a copy back": lambda x: x.cpu().to(x.device),
}


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
def test_who_asks_is_found(answer):
    class Asking(Gradient):
        def estimate(self, problem, x, rows, batch_size):
            return super().estimate(problem, answer(x), rows, batch_size)

    spec = few_steps("quadratic", "gradient", "matrix")
    parts = build(spec, "meta")
    group = replace(parts.population.groups[0], estimator=Asking())
    other = replace(parts, population=replace(parts.population, groups=(group,)))
    with pytest.raises((RuntimeError, NotImplementedError), match="meta"):
        copies(spec, parts=other)


def test_what_is_made_on_the_host_is_counted():
    class Host(Gradient):
        def estimate(self, problem, x, rows, batch_size):
            ones = torch.ones(x.shape, dtype=x.dtype).to(x.device)
            return super().estimate(problem, x * ones, rows, batch_size)

    spec = few_steps("quadratic", "gradient", "matrix")
    parts = build(spec, "meta")
    group = replace(parts.population.groups[0], estimator=Host())
    assert copies(
        spec, parts=replace(parts, population=replace(parts.population, groups=(group,)))
    ) == [3]


def test_a_run_keeps_the_digits_of_float32():
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    simulate(few_steps("quadratic", "gradient", "matrix"), ("objective_gap",))
    assert not torch.backends.cuda.matmul.allow_tf32
    assert not torch.backends.cudnn.allow_tf32
