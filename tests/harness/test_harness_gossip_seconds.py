"""Simulated seconds of gossip against cases worked by hand."""

import networkx as nx
import numpy as np
import pytest

from hzbench.core.errors import SpecError
from hzbench.core.spec import Spec
from hzbench.harness.build import build, build_plan
from hzbench.harness.run import prepare
from hzbench.harness.simulate import simulate

SECONDS = [1.0, 2.0, 4.0, 1.5]


def spec_of(gossip, steps=6, clock=None, replicas=3, **network):
    return Spec.parse(
        {
            "problem": {"name": "quadratic", "dimension": 2},
            "nodes": [{"count": 4}],
            "network": {"gossip": gossip, **network},
            "clock": clock or {"name": "fixed", "seconds": SECONDS},
            "method": "dsgd" if gossip == "matrix" else "hdo",
            "run": {"steps": steps, "replicas": replicas, "record": list(range(steps + 1))},
        }
    )


def seconds(spec):
    return simulate(spec, ("seconds",)).columns["seconds"]


def test_all_wait_for_the_slowest_on_a_complete_graph():
    np.testing.assert_allclose(seconds(spec_of("matrix"))[:, 0], 4 * np.arange(7))


def test_on_a_path_only_neighbours_wait():
    found = seconds(spec_of("matrix", graph="path"))[:, 0]
    took, ready, done = np.array(SECONDS), np.zeros(4), [0.0]
    graph = nx.path_graph(4)
    for _ in range(6):
        ready = np.array([max(ready[j] + took[j] for j in [i, *graph[i]]) for i in range(4)])
        done.append(ready.max())
    np.testing.assert_allclose(found, done)


@pytest.mark.parametrize("rounds", [1, 2, 3])
def test_every_exchange_of_a_step_waits_for_neighbours(rounds):
    clock = {"name": "fixed", "seconds": SECONDS, "upload": 0.5}
    spec = spec_of("matrix", graph="path", clock=clock)
    spec = spec.replace(method={"name": "chebyshev", "rounds": rounds, "rate": 0.8})
    found = seconds(spec)[:, 0]
    took, ready, done = np.array(SECONDS) + 0.5, np.zeros(4), [0.0]
    near = [[i, *nx.path_graph(4)[i]] for i in range(4)]
    for _ in range(6):
        ready = np.array([max(ready[j] + took[j] for j in near[i]) for i in range(4)])
        for _ in range(rounds - 1):
            ready = np.array([max(ready[j] + 0.5 for j in near[i]) for i in range(4)])
        done.append(ready.max())
    np.testing.assert_allclose(found, done)


def test_pairs_wait_for_each_other_alone():
    spec = spec_of("pair", steps=9)
    pairs = build_plan(build(spec), range(3)).pairs
    found = seconds(spec)
    for replica in range(3):
        ready, done = [0.0] * 4, 0.0
        for step, (i, j) in enumerate(pairs[replica]):
            ready[i] = ready[j] = max(ready[i] + SECONDS[i], ready[j] + SECONDS[j])
            done = max(done, ready[i])
            assert found[step + 1, replica] == pytest.approx(done)


@pytest.mark.parametrize("idle_steps", [False, True])
def test_matchings(idle_steps):
    ring = {"graph": "ring", "matching_law": "greedy", "idle_steps": idle_steps}
    spec = spec_of("matching", steps=9, silent_rounds=2, **ring)
    partners = build_plan(build(spec), range(3)).partners
    found = seconds(spec)
    for replica in range(3):
        ready, done = np.zeros(4), 0.0
        for step in range(9):
            after = ready.copy()
            for i in range(4):
                j = i if step < 2 else partners[replica, step, i]
                if j != i or idle_steps or step < 2:
                    after[i] = max(ready[i] + SECONDS[i], ready[j] + SECONDS[j])
            ready = after
            done = max(done, ready.max())
            assert found[step + 1, replica] == pytest.approx(done)


def test_drawn_times_slow_a_barrier_down():
    clock = {"name": "exponential", "unit": 1.0}
    found = seconds(spec_of("matrix", steps=400, clock=clock))[-1, 0] / 400
    mean = sum(1 / k for k in range(1, 5))  # of the largest of four exponential times
    deviation = np.sqrt(sum(1 / k**2 for k in range(1, 5)) / 400)
    assert abs(found - mean) < 4 * deviation


def test_a_drawn_clock_needs_one_schedule_for_all():
    with pytest.raises(SpecError, match="got 'exponential' with exchanges that every replica"):
        prepare(spec_of("pair", clock={"name": "exponential"}))


def test_work_without_a_clock_is_a_mistake():
    table = spec_of("pair").model_dump(mode="json", exclude_none=True)
    del table["clock"]
    table["nodes"] = [{"count": 4, "work": 2.0}]
    with pytest.raises(SpecError, match="got `work` without a clock"):
        prepare(Spec.parse(table))
