"""Simulated seconds of gossip against cases worked by hand."""

from math import log

import networkx as nx
import numpy as np
import pytest
import torch

from hzbench.core import registry
from hzbench.core.errors import SpecError
from hzbench.core.server import ServerMethod
from hzbench.core.spec import Spec
from hzbench.core.streams import Purpose, Rows, uniforms
from hzbench.harness.build import build, build_plan
from hzbench.harness.prepare import prepare
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


@pytest.mark.parametrize(("order", "links"), [("adapt-combine", 2), ("simultaneous", 1)])
def test_a_tracker_is_there_before_the_step_along_it_is_sent(order, links):
    clock = {"name": "fixed", "seconds": SECONDS, "upload": 3.0, "download": 7.0}
    spec = spec_of("matrix", clock=clock)
    spec = spec.replace(method={"name": "gradient_tracking", "order": order})
    assert seconds(spec)[:, 0].tolist() == [(4 + 10 * links) * k for k in range(7)]


class _Exchange(torch.autograd.Function):
    @staticmethod
    def forward(ctx, y):
        del ctx
        return y.clone()

    @staticmethod
    def backward(ctx, slope):
        del ctx
        return slope


def depth_of(node, known):
    """Most exchanges on a way through what a number was computed from."""
    if node is None:
        return 0
    if node not in known:
        own = type(node).__name__ == "_ExchangeBackward"
        known[node] = own + max((depth_of(n, known) for n, _ in node.next_functions), default=0)
    return known[node]


@pytest.mark.parametrize("name", sorted(registry.entries("method")))
def test_exchanges_that_wait_for_each_other_are_counted(name):
    """By the graph of what a step computes, of all methods without a server."""
    kind = registry.find("method", name).target
    if issubclass(kind, ServerMethod):
        return
    orders = ["adapt-combine", "simultaneous"] if name == "gradient_tracking" else [None]
    for words in [{"order": order} if order else {} for order in orders]:
        method = kind(**words)
        x = torch.ones(4, 3, dtype=torch.float64, requires_grad=True)
        local = {"x": x, "mask": torch.ones_like(x)}
        local |= {key: each + 0 * x[:, :1] for key, each in method.begin(x).items()}
        new = method.advance(local, lambda y: 2 * y, _Exchange.apply, torch.full((4, 1), 0.1))
        known = {}
        depths = [depth_of(each.grad_fn, known) for each in new.values()]
        assert max(depths) == (0 if name in ("local", "probe") else method.exchanges)


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


def test_links_are_taken_where_something_is_exchanged():
    """τ = 1, links of 10: K local steps, no exchange at all, and a silent start."""
    clock = {"name": "fixed", "upload": 7.0, "download": 3.0}
    spec = spec_of("matrix", steps=8, clock=clock)
    local = spec.replace(method={"name": "local_sgd", "local_steps": 4})
    assert seconds(local)[:, 0].tolist() == [0, 1, 2, 3, 14, 15, 16, 17, 28]
    assert seconds(spec.replace(method="local"))[:, 0].tolist() == list(range(9))
    silent = spec_of("matrix", steps=4, clock=clock, silent_rounds=2)
    assert seconds(silent)[:, 0].tolist() == [0, 1, 2, 13, 24]
    idle = spec_of("matching", steps=4, clock=clock, silent_rounds=3)
    assert seconds(idle)[:, 0].tolist() == [0, 1, 2, 3, 14]


def test_a_coin_decides_on_the_links():
    clock = {"name": "fixed", "upload": 10.0}
    spec = spec_of("matrix", steps=30, clock=clock, exchange_probability=0.3)
    exchanges = build_plan(build(spec), range(3)).exchanges
    expected = np.cumsum(1 + 10 * exchanges, axis=1).T
    assert 3 < exchanges.sum() < 60
    np.testing.assert_array_equal(seconds(spec)[1:], expected)


def test_a_failed_link_is_not_waited_for():
    clock = {"name": "fixed", "seconds": SECONDS, "upload": 0.5}
    spec = spec_of("matrix", graph="path", clock=clock, link_failure=0.5)
    plan, found = build_plan(build(spec), range(3)), seconds(spec)
    for replica in range(3):
        ready, done = np.zeros(4), 0.0
        for step in range(6):
            up = plan.edges[plan.links[replica, step]].tolist()
            own, after = ready + SECONDS, []
            for i in range(4):
                near = [j for e in up if i in e for j in e]
                after.append(max(own[j] for j in near) + 0.5 if near else own[i])
            ready = np.array(after)
            done = max(done, ready.max())
            assert found[step + 1, replica] == pytest.approx(done)


def test_drawn_times_have_addresses():
    """Pairs of exponential nodes: one draw a replica, node and tick."""
    spec = spec_of("pair", steps=9, clock={"name": "exponential", "seconds": SECONDS})
    plan, found = build_plan(build(spec), range(3)), seconds(spec)
    for replica in range(3):
        ready, done = [0.0] * 4, 0.0
        for step, ends in enumerate(plan.pairs[replica].tolist()):
            rows = Rows(
                keys=plan.keys[[replica, replica]],
                replica=torch.tensor([replica, replica]),
                node=torch.tensor(ends),
                step=torch.tensor([step, step]),
            )
            u = uniforms(rows, Purpose.CLOCK, 1)[:, 0].tolist()
            own = [ready[i] - SECONDS[i] * log(1 - x) for i, x in zip(ends, u, strict=True)]
            ready[ends[0]] = ready[ends[1]] = max(own)
            done = max(done, *ready)
            assert found[step + 1, replica] == pytest.approx(done)


def test_pairs_of_growing_workers():
    clock = {"name": "power", "seconds": SECONDS, "exponents": [1.0, 2.0, 3.0, 0.5]}
    spec = spec_of("pair", steps=9, clock=clock)
    pairs, found = build_plan(build(spec), range(3)).pairs, seconds(spec)
    for replica in range(3):
        ready, done = [0.0] * 4, 0.0
        for step, ends in enumerate(pairs[replica].tolist()):
            own = []
            for i in ends:
                p = clock["exponents"][i]
                own.append((ready[i] ** p + SECONDS[i]) ** (1 / p))
            ready[ends[0]] = ready[ends[1]] = max(own)
            done = max(done, *ready)
            assert found[step + 1, replica] == pytest.approx(done)


@pytest.mark.parametrize("gossip", ["pair", "matching", "matrix"])
def test_no_outage_is_jumped_by_rounding(gossip):
    """Half of every .2 s is an outage; jobs of .1 s end as one begins, links of .2 s later."""
    rates = [[1.0, 0.0]] * 2
    clock = {"name": "intervals", "rates": rates, "interval": 0.1, "unit": 0.1, "upload": 0.2}
    spec = spec_of(gossip, steps=300, clock=clock).replace(nodes=[{"count": 2}])
    np.testing.assert_allclose(seconds(spec)[:, 0], 0.1 * np.array([0, *range(3, 1200, 4)]))


def test_work_without_a_clock_is_a_mistake():
    table = spec_of("pair").model_dump(mode="json", exclude_none=True)
    del table["clock"]
    table["nodes"] = [{"count": 4, "work": 2.0}]
    with pytest.raises(SpecError, match="got `work` without a clock"):
        prepare(Spec.parse(table))
