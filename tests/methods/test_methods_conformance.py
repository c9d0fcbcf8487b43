"""What every registered method owes: fixed points, conservation, gradient descent, its words."""

import numpy as np
import pytest

from hzbench.core import registry
from hzbench.core.spec import Spec
from hzbench.harness.build import build, build_plan, step_sizes
from hzbench.harness.observables import Snapshot, mean_iterate
from hzbench.harness.setting import setting_of
from hzbench.harness.simulate import simulate

METHODS = {
    name: entry
    for name, entry in registry.entries("method").items()
    if entry.target.protocols != ("server",)
}
CASES = [(name, protocol) for name, e in METHODS.items() for protocol in e.target.protocols]
MOVING = [case for case in CASES if METHODS[case[0]].target.moves]
ZEROTH = {"name": "zeroth_order", "directions": "rademacher"}


def spec_of(name, protocol, problem=(), nodes=None, **method):
    network = {"gossip": protocol, "graph": "ring" if protocol != "matching" else "complete"}
    return Spec.parse(
        {
            "problem": {"name": "quadratic", "dimension": 3} | dict(problem),
            "nodes": nodes or [{"count": 4, "batch_size": "full"}],
            "network": network,
            "method": {"name": name, "step_size": 0.2} | method,
            "run": {"steps": 12, "replicas": 4, "record": list(range(13))},
        }
    )


def trace_of(spec):
    return simulate(spec, ("mean_iterate", "consensus_potential", "node_distance"))


@pytest.mark.parametrize("momentum", [0.0, 0.6])
@pytest.mark.parametrize(("name", "protocol"), CASES)
def test_the_optimum_is_a_fixed_point(name, protocol, momentum):
    nodes = [{"count": 2, "batch_size": "full"}, {"count": 2, "estimator": ZEROTH}]
    spec = spec_of(name, protocol, {"initial": 0.0}, nodes, momentum=momentum)
    assert (trace_of(spec).columns["node_distance"] == 0).all()


@pytest.mark.parametrize(("name", "protocol"), CASES)
def test_without_steps_the_mean_stays_and_disagreement_never_grows(name, protocol):
    always = {"probability": 1.0} if name == "scaffnew" else {}
    spec = spec_of(name, protocol, {"initial_spread": 2.0}, step_size=0.0, **always)
    columns = trace_of(spec).columns
    start = columns["mean_iterate"][:1]
    np.testing.assert_allclose(
        columns["mean_iterate"], np.broadcast_to(start, (13, 4, 3)), atol=1e-12
    )
    disagreement = columns["consensus_potential"]
    if name not in ("second_order", "choco_sgd", "extra", "exact_diffusion"):  # they overshoot
        assert (np.diff(disagreement, axis=0) <= 1e-12).all()
    if name in ("local", "probe"):
        assert (disagreement == disagreement[0]).all()
    else:
        assert (disagreement[-1] < 0.5 * disagreement[0]).all()
    if name == "centralized":
        assert disagreement[1:].max() < 1e-12


@pytest.mark.parametrize("momentum", [0.0, 0.6])
@pytest.mark.parametrize(("name", "protocol"), [case for case in MOVING if case[1] != "pair"])
def test_equal_nodes_do_gradient_descent(name, protocol, momentum):
    full = {"kept": 3} if name == "rand_k_sgd" else {}
    delay = 1 if name == "delayed_sgd" else 0
    spec = spec_of(name, protocol, momentum=momentum, **full)
    problem = build(spec).problem
    curvature = problem.structure.hessians[0].diagonal()
    path, v = [problem.initial[0].copy()], np.zeros(3)
    found = trace_of(spec).columns["mean_iterate"]
    for t in range(12):
        v = momentum * v + (1 - momentum) * curvature * path[max(t - delay, 0)]
        path.append(path[-1] - 0.2 * v)
        np.testing.assert_allclose(found[t + 1], np.broadcast_to(path[-1], (4, 3)), atol=1e-13)


@pytest.mark.parametrize(("name", "protocol"), MOVING)
def test_every_node_takes_its_own_step_size(name, protocol):
    nodes = [
        {"count": 2, "batch_size": "full", "step_size": 0.0},
        {"count": 2, "batch_size": "full"},
    ]
    spec = spec_of(name, protocol, {"initial_spread": 1.0}, nodes)
    assert step_sizes(spec)[0].tolist() == [0, 0, 0.2, 0.2]
    both = trace_of(spec_of(name, protocol, {"initial_spread": 1.0}))
    half = trace_of(spec)
    assert (both.columns["mean_iterate"][1:] != half.columns["mean_iterate"][1:]).any()


@pytest.mark.parametrize(("name", "protocol"), CASES)
def test_words_and_numbers_of_the_network_agree(name, protocol):
    spec = spec_of(name, protocol)
    parts = build(spec)
    plan, facts = build_plan(parts, range(2)), setting_of(spec, parts.problem)
    assert plan.protocol == facts.protocol == protocol
    assert facts.moves == METHODS[name].target.moves
    if facts.network.matrix is not None:
        assert (plan.matrix == facts.network.matrix).all()


def test_schedule_values_by_hand():
    def shape(**schedule):
        spec = spec_of("hdo", "pair", schedule=schedule)
        return (step_sizes(spec)[:, 0] / 0.2).round(12).tolist()

    assert shape(name="constant") == [1.0] * 12
    assert shape(name="inverse-time", offset=2.0)[:5] == [
        1,
        0.666666666667,
        0.5,
        0.4,
        0.333333333333,
    ]
    assert shape(warmup=4)[:5] == [0.25, 0.5, 0.75, 1.0, 1.0]
    delayed = shape(name="inverse-time", offset=2.0, warmup=2)
    assert delayed[:4] == [0.5, 1.0, 1.0, 0.666666666667]
    cosine = shape(name="cosine", warmup=4)
    assert cosine[:5] == [0.25, 0.5, 0.75, 1.0, 1.0]
    assert cosine[8] == 0.5
    assert cosine[11] == round((1 + np.cos(np.pi * 7 / 8)) / 2, 12)


def test_the_mean_of_a_state_is_over_nodes():
    import torch

    from hzbench.core.state import State

    x = torch.arange(12.0).reshape(2, 3, 2)
    state = State(step=0, arrays={"x": x}, counters={})
    assert mean_iterate(Snapshot(state=state, problem=None)).tolist() == [[2.0, 3.0], [8.0, 9.0]]
