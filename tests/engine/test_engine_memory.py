"""Residual feedback in moving runs against a plain sequential loop; nodes that idle remember."""

import numpy as np
import pytest
import torch
from engine_reference import STEPS, execute_spec, spec_of

from hzbench.core.streams import Purpose, Rows, normals, replica_keys

NU, M, D, SD, CALL = 0.4, 3, 4, 0.4, 0.2
RESIDUAL = {"name": "residual_feedback", "samples": M, "smoothing": NU}
EXACT = {"count": 2, "batch_size": "full"}
SIZES = {  # method, step size
    "pair": {"name": "hdo", "step_size": 0.05},
    "matching": {"name": "hdo", "step_size": 0.05},
    "matrix": {"name": "dsgd", "step_size": 0.05},
}


def given(gossip, previous=(), **changes):
    nodes = [EXACT, {"count": 3, "estimator": RESIDUAL | {"previous": previous}}]
    problem = {"noise": SD, "evaluation_noise": CALL}
    return spec_of(nodes, gossip, SIZES[gossip], steps=12, problem=problem, **changes)


class Node:
    """One zeroth-order node as the paper describes it, with the product's draws."""

    def __init__(self, structure, seed, replica, node, previous):
        self.A, self.b = structure.hessians[node], structure.linear[node]
        self.keys, self.place = replica_keys(seed, range(replica, replica + 1)), (replica, node)
        self.previous, self.last, self.calls = previous, None, 0

    def draws(self, step, queries):
        replica, node, step = (torch.tensor([k]) for k in (*self.place, step))
        rows = Rows(keys=self.keys, replica=replica, node=node, step=step)

        def normal(purpose, *shape):
            return normals(rows, purpose, int(np.prod(shape))).numpy().reshape(shape)

        u = normal(Purpose.DIRECTION, queries, M, D)
        zeta = SD * normal(Purpose.DATA, queries, D)
        return u, zeta, CALL * normal(Purpose.EVALUATION, queries, M)

    def query(self, at, u, zeta, noise):
        self.calls += M
        points = [at + NU * each for each in u]
        values = [0.5 * p @ self.A @ p - self.b @ p + zeta @ p for p in points]
        return np.array(values) + noise

    def gradient(self, step, x):
        u, zeta, noise = self.draws(step, 2 if self.last is None else 1)
        if self.last is None:
            at = x if self.previous == () else np.array(self.previous)
            self.last = self.query(at, u[1], zeta[1], noise[1])
        now = self.query(x, u[0], zeta[0], noise[0])
        change, self.last = now - self.last, now
        return sum(c * each for c, each in zip(change, u[0], strict=True)) / (NU * M)


def loop(spec, plan, structure, start, previous):
    """Iterates at the end [R, n, d] and function calls [R]."""
    found, calls = [], []
    for replica in range(plan.replicas):
        oracles = {i: Node(structure, 3, replica, i, previous) for i in (2, 3, 4)}
        x = start.copy()
        for t in range(plan.steps):

            def move(k, at, base, t=t, oracles=oracles):
                exact = structure.hessians[k] @ at - structure.linear[k]
                return base - 0.05 * (oracles[k].gradient(t, at) if k in oracles else exact)

            x = STEPS[plan.protocol](plan, replica, t, x, move, "adapt-combine")
        found.append(x)
        calls.append(sum(oracle.calls for oracle in oracles.values()))
    return np.array(found), calls


@pytest.mark.parametrize("previous", [(), (1.0, -0.5, 0.3, 2.0)])
@pytest.mark.parametrize("gossip", SIZES)
def test_every_node_subtracts_its_own_previous_query(gossip, previous):
    from hzbench.harness.build import build

    spec = given(gossip, previous)
    problem = build(spec).problem
    recorder, plan = execute_spec(spec)
    x, calls = loop(spec, plan, problem.structure, problem.initial, previous)
    np.testing.assert_allclose(recorder.states[12]["x"].numpy(), x, atol=1e-12)
    assert recorder.counters[12]["function_calls"].tolist() == calls
    assert np.abs(x - problem.initial).max() > 0.1


@pytest.mark.parametrize("gossip", SIZES)
def test_memory_does_not_depend_on_segments_or_on_which_replicas_run(gossip):
    spec = given(gossip)
    whole, _ = execute_spec(spec)
    for change in ({"boundaries": (12,)}, {"boundaries": (12,), "replicas": range(1, 3)}):
        part, _ = execute_spec(spec, **change)
        kept = change.get("replicas", range(3))
        x = whole.states[12]["x"][kept.start :]
        torch.testing.assert_close(part.states[12]["x"], x, rtol=0, atol=1e-13)


def test_a_node_that_sits_out_keeps_its_memory():
    """Star: a leaf is in few pairs, and its baseline is the query of its last tick."""
    spec = given("pair", network={"graph": "star"})
    recorder, plan = execute_spec(spec)
    ticks = np.zeros((3, 5), int)
    for replica in range(3):
        np.add.at(ticks[replica], plan.pairs[replica].ravel(), 1)
    assert ticks[:, 2:].min() < 3
    expected = M * (ticks + (ticks > 0))[:, 2:].sum(1)
    assert recorder.counters[12]["function_calls"].tolist() == expected.tolist()
