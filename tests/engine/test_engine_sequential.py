"""The executor equals a sequential reference: protocols, orders, momentum, schedules."""

import math

import numpy as np
import pytest
import torch
from engine_reference import EXACT, HYBRID, NOISY, execute_spec, reference, spec_of

BASE = 0.12


def by_group(spec):
    sizes = [BASE if g.step_size is None else g.step_size for g in spec.group_of_node()]
    return lambda _t, node: sizes[node]


def largest_gap(spec, step_size=None, **how):
    recorder, plan = execute_spec(spec)
    expected = reference(spec, plan, step_size or by_group(spec), **how)
    found = np.stack([recorder.states[t]["x"].numpy() for t in range(spec.run.steps + 1)])
    assert np.abs(expected[-1] - expected[0]).max() > 0.1
    return np.abs(found - expected).max()


POPULATIONS = {"exact": [EXACT], "first": [{**NOISY, "count": 4}], "hybrid": HYBRID}
METHOD = {"name": "hdo", "step_size": BASE}


@pytest.mark.parametrize("nodes", POPULATIONS.values(), ids=POPULATIONS)
@pytest.mark.parametrize("graph", ["complete", "ring", "star"])
def test_pair_runs_equal_the_reference(graph, nodes):
    spec = spec_of(nodes, "pair", METHOD, steps=40, network={"graph": graph})
    assert largest_gap(spec) < 1e-12


@pytest.mark.parametrize("idle_steps", [False, True])
@pytest.mark.parametrize("nodes", [[{**EXACT, "count": 4}], [EXACT], HYBRID, HYBRID[:2]])
def test_matching_runs_equal_the_reference(nodes, idle_steps):
    spec = spec_of(nodes, "matching", METHOD, network={"idle_steps": idle_steps})
    assert largest_gap(spec) < 1e-12


@pytest.mark.parametrize("nodes", POPULATIONS.values(), ids=POPULATIONS)
@pytest.mark.parametrize("order", ["adapt-combine", "combine-adapt", "simultaneous"])
def test_matrix_runs_equal_the_reference(order, nodes):
    method = {"name": "dsgd", "step_size": BASE, "order": order}
    spec = spec_of(nodes, "matrix", method, steps=12, network={"graph": "ring"})
    assert largest_gap(spec, order=order) < 1e-12
    other = "combine-adapt" if order == "simultaneous" else "simultaneous"
    assert largest_gap(spec, order=other) > 1e-3


@pytest.mark.parametrize(
    ("gossip", "method"),
    [("pair", {"name": "hdo"}), ("matching", {"name": "hdo"})]
    + [("matrix", {"name": "dsgd", "order": o}) for o in ("adapt-combine", "combine-adapt")],
)
@pytest.mark.parametrize("nodes", [[EXACT], HYBRID], ids=["exact", "hybrid"])
def test_momentum_stays_local_in_every_protocol(nodes, gossip, method):
    method = {**method, "step_size": BASE, "momentum": 0.7}
    spec = spec_of(nodes, gossip, method)
    order = method.get("order", "adapt-combine")
    assert largest_gap(spec, order=order, momentum=0.7) < 1e-12
    assert largest_gap(spec, order=order) > 1e-3


def cosine(t, steps, warmup):
    if t < warmup:
        return (t + 1) / warmup
    return (1 + math.cos(math.pi * (t - warmup) / (steps - warmup))) / 2


SCHEDULES = {
    "constant": ({"name": "constant"}, lambda _: 1.0),
    "inverse-time": ({"name": "inverse-time", "offset": 4.0}, lambda t: 1 / (1 + t / 4)),
    "cosine": ({"name": "cosine"}, lambda t: cosine(t, 30, 0)),
    "warm-up, constant": ({"warmup": 10}, lambda t: min(1.0, (t + 1) / 10)),
    "warm-up, inverse-time": (
        {"name": "inverse-time", "offset": 4.0, "warmup": 10},
        lambda t: (t + 1) / 10 if t < 10 else 1 / (1 + (t - 10) / 4),
    ),
    "warm-up, cosine": ({"name": "cosine", "warmup": 10}, lambda t: cosine(t, 30, 10)),
}


@pytest.mark.parametrize(("schedule", "shape"), SCHEDULES.values(), ids=SCHEDULES)
@pytest.mark.parametrize("gossip", ["pair", "matching", "matrix"])
def test_schedules_multiply_every_step_size(gossip, schedule, shape):
    name = "dsgd" if gossip == "matrix" else "hdo"
    spec = spec_of(HYBRID, gossip, {"name": name, "step_size": BASE, "schedule": schedule})
    base = by_group(spec)
    assert largest_gap(spec, lambda t, node: shape(t) * base(t, node)) < 1e-12


def test_centralized_and_local_are_the_two_ends():
    for name, W in (("centralized", np.full((6, 6), 1 / 6)), ("local", np.eye(6))):
        spec = spec_of(HYBRID, "matrix", {"name": name, "step_size": BASE})
        recorder, plan = execute_spec(spec)
        assert np.allclose(plan.matrix, W, atol=1e-15)
        expected = reference(spec, plan, by_group(spec))
        assert np.abs(recorder.states[30]["x"].numpy() - expected[-1]).max() < 1e-12


def test_one_node_is_gradient_descent():
    spec = spec_of([{"count": 1, "batch_size": "full"}], method={"name": "dsgd", "step_size": BASE})
    assert execute_spec(spec)[1].matrix.tolist() == [[1.0]]
    assert largest_gap(spec) < 1e-13


def test_a_probe_moves_nothing_and_keeps_the_last_estimates():
    spec = spec_of(HYBRID, method="probe", steps=3)
    recorder, plan = execute_spec(spec)
    start = recorder.states[0]
    assert torch.equal(recorder.states[3]["x"], start["x"])
    step = reference(spec, plan, lambda *_: 1.0)[1] - start["x"].numpy()
    assert np.allclose(recorder.states[1]["estimate"].numpy(), -step, atol=1e-12)
    assert not torch.isclose(recorder.states[2]["estimate"], recorder.states[1]["estimate"]).any()


@pytest.mark.parametrize("gossip", ["pair", "matching", "matrix"])
def test_float32_follows_float64(gossip):
    method = {"name": "dsgd" if gossip == "matrix" else "hdo", "step_size": BASE, "momentum": 0.3}
    wide, _ = execute_spec(spec_of(HYBRID, gossip, method))
    narrow, _ = execute_spec(spec_of(HYBRID, gossip, method, run={"dtype": "float32"}))
    assert narrow.states[30]["x"].dtype == narrow.states[30]["momentum"].dtype == torch.float32
    gap = (narrow.states[30]["x"].double() - wide.states[30]["x"]).abs().max()
    assert 1e-9 < gap < 2e-3  # central differences divide rounding errors by 2ν = 2e-3
