"""The cells that the fused engine must cover: problems × estimators × protocols, at tiny sizes."""

import itertools

import torch
from engine_reference import Watcher

from hzbench.core.spec import Spec
from hzbench.engine.fused.executor import execute as fused
from hzbench.engine.torch_executor import execute
from hzbench.harness.build import build, build_plan

ROWS = {"planted": {"rows": 40, "dimension": 5, "label_noise": 0.2}, "initial": 1.0}
PROBLEMS = {
    "quadratic": {
        "name": "quadratic",
        "dimension": 5,
        "rotation": True,
        "heterogeneity": 1.0,
        "noise": 0.4,
        "initial_spread": 1.0,
    },
    "ridge": {"name": "ridge", **ROWS},
    "logistic": {"name": "logistic", **ROWS},
}
LAWS = ("gaussian", "sphere", "rademacher", "coordinate")
ESTIMATORS = {
    "gradient": {"batch_size": "full"},
    "minibatch": {"batch_size": 3},
    **{law: {"estimator": {"name": "zeroth_order", "directions": law}} for law in LAWS},
}
PROTOCOLS = ("pair", "matching", "matrix")
CELLS = list(itertools.product(PROBLEMS, ESTIMATORS, PROTOCOLS))


def cell_spec(problem, estimator, protocol, method=(), network=(), run=(), **group):
    """One cell: five nodes of one kind, three replicas, twelve steps."""
    name = "dsgd" if protocol == "matrix" else "hdo"
    table = PROBLEMS[problem] if isinstance(problem, str) else problem
    nodes = ESTIMATORS[estimator] if isinstance(estimator, str) else estimator
    return Spec.parse(
        {
            "problem": table,
            "nodes": [{"count": 5, **nodes, **group}],
            "network": {"gossip": protocol, **dict(network)},
            "method": {"name": name, "step_size": 0.1, **dict(method)},
            "run": {"steps": 12, "replicas": 3, "seed": 5, **dict(run)},
        }
    )


def executed(spec, run, boundaries=None, replicas=None):
    """What a recorder saw of one executor: arrays and counters at every step."""
    parts = build(spec)
    plan = build_plan(parts, range(spec.run.replicas) if replicas is None else replicas)
    recorder = Watcher(range(spec.run.steps + 1) if boundaries is None else boundaries)
    start = torch.as_tensor(parts.problem.initial)
    run(plan, start, parts.problem, parts.population, parts.method, recorder)
    return recorder


def assert_both_engines_agree(spec):
    """Iterates, buffers and counters of both engines, after every step."""
    expected, found = executed(spec, execute), executed(spec, fused)
    for step, arrays in expected.states.items():
        assert arrays.keys() == found.states[step].keys()
        for name, values in arrays.items():
            torch.testing.assert_close(found.states[step][name], values, rtol=1e-12, atol=1e-12)
        for name, counts in expected.counters[step].items():
            assert torch.equal(found.counters[step][name], counts), name
    return expected
