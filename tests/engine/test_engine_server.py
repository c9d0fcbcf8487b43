"""The server executor against a plain loop: one replica, one job at a time."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from hzbench.core.spec import Spec
from hzbench.core.streams import Rows, replica_keys
from hzbench.engine.server_executor import execute_server
from hzbench.harness.build import build, build_server_plan
from hzbench.harness.prepare import prepare
from hzbench.harness.run import execute_case
from hzbench.harness.simulate import simulate

ZEROTH = {"name": "zeroth_order", "directions": "sphere", "samples": 2}
NODES = [
    {"count": 2, "batch_size": 2},
    {"count": 2, "estimator": ZEROTH, "step_size": 0.05, "work": 0.4},
]
METHODS = [
    {"name": "asgd", "adaptive": "ratio"},
    {"name": "ringmaster", "delay_threshold": 3},
    {"name": "ringmaster", "delay_threshold": 3, "stops": True},
    {"name": "rennala", "batch": 5},
    {"name": "malenia", "batch": 9},
    {"name": "minibatch_sgd"},
    {"name": "ia2sgd"},
    {"name": "ringleader"},
]


def spec_of(method, **changes):
    problem = {"name": "quadratic", "dimension": 3, "heterogeneity": 1.0, "noise": 0.3}
    run = {"steps": 17, "replicas": 3, "seed": 2, "record": list(range(18))}
    table = {
        "problem": problem,
        "nodes": NODES,
        "clock": {"name": "fixed", "seconds": [1.0, 2.3, 0.9, 4.0]},
        "method": {"step_size": 0.1, "schedule": {"name": "inverse-time", "offset": 9.0}} | method,
        "run": run,
    }
    return Spec.parse(table | changes)


def reference(spec):
    """The iterates [R, K + 1, d], replica by replica and sample by sample."""
    parts = build(spec)
    plan = build_server_plan(parts, range(spec.run.replicas))
    table = plan.schedule
    found = []
    for replica in range(spec.run.replicas):
        key = replica_keys(spec.run.seed, range(replica, replica + 1))
        path = [np.asarray(parts.problem.initial[0])]

        def estimate(sample, path=path, key=key):
            address = [torch.tensor([v]) for v in (0, table.workers[sample], sample)]
            rows = Rows(keys=key, replica=address[0], node=address[1], step=address[2])
            point = torch.as_tensor(path[table.versions[sample]])[None]
            shares = parts.population.shares(rows.node.numpy())
            found = parts.population.estimate(parts.problem, point, rows, torch.empty(1, 0), shares)
            return found.gradient[0]

        for k in range(table.updates):
            total = np.zeros_like(path[0])
            for index in range(table.offsets[k], table.offsets[k + 1]):
                sample = table.samples[index]
                eta = plan.step_sizes[k, table.workers[sample]]
                weight = table.scales[k] * table.weights[index] * eta
                total += weight * estimate(sample).numpy()
            path.append(path[-1] - total)
        found.append(path)
    return np.array(found)


@pytest.mark.parametrize("method", METHODS, ids=lambda m: "-".join(map(str, m.values())))
def test_every_method_follows_its_schedule(method):
    spec = spec_of(method)
    trace = simulate(spec, ("mean_iterate", "seconds"))
    expected = reference(spec).swapaxes(0, 1)
    np.testing.assert_allclose(trace.columns["mean_iterate"], expected, rtol=1e-12, atol=1e-14)
    assert (np.diff(trace.columns["seconds"], axis=0) >= 0).all()


def test_calls_are_those_of_what_has_arrived():
    spec = spec_of({"name": "ringmaster", "delay_threshold": 2})
    names = ("arrivals", "gradient_calls", "function_calls", "derivative_calls", "floats_sent")
    columns = simulate(spec, names).columns
    arrivals = columns["arrivals"][:, 0]
    assert (columns["gradient_calls"][:, 0] == 2 * arrivals[:, :2].sum(1)).all()
    values = columns["function_calls"][:, 0] + columns["derivative_calls"][:, 0]
    assert (values > 0).any()
    per_estimate = values[-1] / arrivals[-1, 2:].sum()
    assert (values == per_estimate * arrivals[:, 2:].sum(1)).all()
    assert (columns["floats_sent"][:, 0] == 3 * arrivals.sum(1)).all()


def test_replicas_do_not_depend_on_each_other():
    spec = spec_of({"name": "ringleader"})
    few = simulate(spec, ("objective_gap",)).columns["objective_gap"]
    more = simulate(spec.sized(7), ("objective_gap",)).columns["objective_gap"]
    np.testing.assert_array_equal(few, more[:, :3])


def test_a_run_is_stored_and_judged(tmp_path):
    spec = spec_of({"name": "asgd"}, problem={"name": "logistic"})
    result = execute_case(prepare(spec), 1e-4)
    assert result.trace.columns["gradient_norm"].shape == (18, 3)
    assert result.trace.diverged == 0


@pytest.mark.parametrize("method", [{"name": "asgd"}, {"name": "ringleader"}], ids=str)
def test_factors_are_step_sizes_of_their_replicas(method):
    spec = spec_of(method)
    parts = build(spec)
    plan = build_server_plan(parts, range(3))
    many = replace(plan, keys=plan.keys.repeat(2, 1), factors=torch.tensor([1.0] * 3 + [0.5] * 3))
    recorder = Looks(spec.record_steps)
    start = torch.as_tensor(parts.problem.initial[0])
    execute_server(many, start, parts.problem, parts.population, recorder)
    halved = [{**group, "step_size": group.get("step_size", 0.1) / 2} for group in NODES]
    for own, part in ((spec, slice(0, 3)), (spec_of(method, nodes=halved), slice(3, 6))):
        expected = simulate(own, ("mean_iterate",)).columns["mean_iterate"]
        found = np.array([points[part] for points in recorder.points])
        np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-14)


class Looks:
    """A recorder that keeps the points."""

    watch = None

    def __init__(self, boundaries):
        self.boundaries, self.points = boundaries, []

    def record(self, state):
        self.points.append(state.x[:, 0].numpy().copy())
