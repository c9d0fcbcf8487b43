"""A plain sequential reference: one replica, one tick and one row at a time."""

import numpy as np
import torch

from hzbench.core.spec import Spec
from hzbench.core.streams import Rows, replica_keys
from hzbench.engine.torch_executor import execute
from hzbench.harness.build import build, build_plan

EXACT = {"count": 5, "batch_size": "full", "step_size": 0.21}
NOISY = {"count": 2, "batch_size": 3}
ZEROTH = {
    "count": 3,
    "estimator": {"name": "zeroth_order", "directions": "gaussian", "samples": 2},
    "step_size": 0.05,
}
HYBRID = [NOISY, ZEROTH, {**NOISY, "count": 1, "step_size": 0.3}]
PROBLEM = {
    "name": "quadratic",
    "dimension": 4,
    "rotation": True,
    "heterogeneity": 1.0,
    "noise": 0.4,
    "initial_spread": 1.0,
}


def spec_of(nodes, gossip=None, method="hdo", steps=30, **changes):
    """A small spec; `network`, `problem`, `run` and `method` may be tables."""
    run = {"steps": steps, "replicas": 3, "seed": 3, **changes.pop("run", {})}
    network = {"gossip": gossip} if gossip else {}
    network |= changes.pop("network", {})
    problem = {**PROBLEM, **changes.pop("problem", {})}
    return Spec.parse(
        {"problem": problem, "nodes": nodes, "network": network, "method": method, "run": run}
        | changes
    )


class Watcher:
    """A recorder that keeps every state and, if asked, every event."""

    def __init__(self, boundaries, watch=None):
        self.boundaries, self.watch = tuple(boundaries), watch
        self.states, self.counters = {}, {}

    def record(self, state):
        self.states[state.step] = {k: v.clone() for k, v in state.arrays.items()}
        self.counters[state.step] = {k: v.clone() for k, v in state.counters.items()}


def execute_spec(spec, boundaries=None, replicas=None, watch=None):
    """Run the product on the replicas given."""
    parts = build(spec)
    replicas = range(spec.run.replicas) if replicas is None else replicas
    plan = build_plan(parts, replicas)
    recorder = Watcher(range(spec.run.steps + 1) if boundaries is None else boundaries, watch)
    start = torch.as_tensor(parts.problem.initial).to(getattr(torch, spec.run.dtype))
    execute(plan, start, parts.problem, parts.population, parts.method, recorder)
    return recorder, plan


def reference(spec, plan, step_size, order="adapt-combine", momentum=0.0, oracle=None):
    """Iterates [T + 1, R, n, d], computed sequentially; step_size(t, node) is given by hand.

    `oracle` makes what estimates, `Oracle` unless given.
    """
    parts = build(spec)
    found = []
    for replica in range(plan.replicas):
        estimate = (oracle or Oracle)(spec, parts.problem, replica)
        x, v = parts.problem.initial.copy(), np.zeros_like(parts.problem.initial)
        path = [x.copy()]
        for t in range(plan.steps):

            def move(k, at, base, t=t, v=v, estimate=estimate):
                v[k] = momentum * v[k] + (1 - momentum) * estimate(k, t, at)
                return base - step_size(t, k) * v[k]

            x = STEPS[plan.protocol](plan, replica, t, x, move, order)
            path.append(x.copy())
        found.append(np.stack(path))
    return np.stack(found, axis=1)


class Oracle:
    """One row at a time: the closed form for exact nodes, else the estimator's own draws."""

    def __init__(self, spec, problem, replica):
        self.problem, self.replica = problem, replica
        self.keys = replica_keys(spec.run.seed, range(replica, replica + 1))
        self.groups = spec.group_of_node()
        self.estimators = [spec.component("estimator", group.estimator) for group in self.groups]

    def __call__(self, node, step, x):
        group = self.groups[node]
        if group.batch_size == "full" and group.estimator["name"] == "gradient":
            return self.problem.structure.hessians[node] @ x - self.problem.structure.linear[node]
        rows = Rows(
            keys=self.keys,
            replica=torch.tensor([self.replica]),
            node=torch.tensor([node]),
            step=torch.tensor([step]),
        )
        at = torch.from_numpy(x.copy())[None]
        found = self.estimators[node].estimate(self.problem, at, rows, group.batch_size)
        return found.gradient[0].numpy()


def _pair(plan, replica, t, x, move, order):
    del order
    i, j = plan.pairs[replica, t]
    x[i] = x[j] = (move(i, x[i], x[i]) + move(j, x[j], x[j])) / 2
    return x


def _matching(plan, replica, t, x, move, order):
    del order
    partner = plan.partners[replica, t]
    takes_part = [plan.idle_steps or partner[k] != k for k in range(plan.nodes)]
    y = [move(k, x[k], x[k]) if takes_part[k] else x[k] for k in range(plan.nodes)]
    return np.array([(y[k] + y[partner[k]]) / 2 for k in range(plan.nodes)])


def _matrix(plan, replica, t, x, move, order):
    del replica, t
    n, W = plan.nodes, plan.matrix
    if order == "adapt-combine":
        return W @ np.array([move(k, x[k], x[k]) for k in range(n)])
    z = W @ x
    at = z if order == "combine-adapt" else x
    return np.array([move(k, at[k], z[k]) for k in range(n)])


STEPS = {"pair": _pair, "matching": _matching, "matrix": _matrix}
