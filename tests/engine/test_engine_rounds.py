"""Rounds: a valid schedule, nobody else touched, no dependence on segments or chunks, costs."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from engine_reference import EXACT, HYBRID, execute_spec, spec_of

from hzbench.core.plan import BLOCK, Plan, blocks
from hzbench.core.state import State
from hzbench.core.streams import replica_keys
from hzbench.engine.rounds import depths, rounds
from hzbench.harness.build import build
from hzbench.harness.observables import Snapshot, gradient_norm
from hzbench.harness.recorder import probe_steps
from hzbench.harness.simulate import simulate

RADEMACHER = [
    {
        "count": 4,
        "batch_size": "full",
        "estimator": {"name": "zeroth_order", "directions": "rademacher", "samples": 3},
    }
]
DIAGONAL = {"rotation": False}


def pair_plan(nodes, replicas=4, steps=50, seed=0):
    source = np.random.default_rng(seed)
    pairs = source.permuted(np.tile(np.arange(nodes), (replicas, steps, 1)), axis=2)[:, :, :2]
    return Plan(
        protocol="pair",
        nodes=nodes,
        keys=replica_keys(0, range(replicas)),
        step_sizes=np.ones((steps, nodes)),
        pairs=np.ascontiguousarray(pairs),
    )


@pytest.mark.parametrize("nodes", [2, 3, 8, 40])
def test_depth_is_the_length_of_the_longest_chain_of_conflicts(nodes):
    plan = pair_plan(nodes)
    found = depths(plan.pairs, nodes)
    for replica in range(plan.replicas):
        ticks = [set(pair) for pair in plan.pairs[replica].tolist()]
        for t, ends in enumerate(ticks):
            before = [found[replica, s] for s in range(t) if ends & ticks[s]]
            assert found[replica, t] == (max(before) + 1 if before else 0)


@pytest.mark.parametrize("nodes", [2, 5, 16])
def test_pair_rounds_hold_every_tick_once_and_never_a_node_twice(nodes):
    plan = pair_plan(nodes)
    seen = []
    for each in rounds(plan, 10, 40):
        acting = list(zip(each.replica.tolist(), each.node.tolist(), strict=True))
        assert len(set(acting)) == len(acting)
        assert each.node.tolist() == sorted(each.node.tolist())
        own = np.arange(len(acting))
        assert (each.partner[each.partner] == own).all()
        for row in own[own < each.partner]:
            replica, step, other = each.replica[row], each.step[row], each.partner[row]
            assert (each.replica[other], each.step[other]) == (replica, step)
            assert {each.node[row], each.node[other]} == set(plan.pairs[replica, step].tolist())
            seen.append((replica, step))
    assert sorted(seen) == [(r, t) for r in range(4) for t in range(10, 40)]


def test_no_steps_make_no_rounds():
    assert not list(rounds(pair_plan(4), 7, 7))


@pytest.mark.parametrize(("gossip", "method"), [("pair", "hdo"), ("matching", "hdo")])
@pytest.mark.parametrize("momentum", [0.0, 0.5])
def test_those_who_take_no_part_keep_their_bits(gossip, method, momentum):
    idle = []

    def watch(event):
        away = torch.ones(event.before.shape[:2], dtype=torch.bool)
        away[event.round.replica, event.round.node] = False
        assert torch.equal(event.before[away], event.after[away])
        assert not (event.before[~away] == event.after[~away]).all(dim=-1).any()
        idle.append(int(away.sum()))

    nodes = [EXACT]  # five nodes: one idles in every matching
    spec = spec_of(nodes, gossip, {"name": method, "momentum": momentum})
    execute_spec(spec, boundaries=(spec.run.steps,), watch=watch)
    assert sum(idle) > 0


def test_an_idle_node_keeps_its_momentum():
    spec = spec_of([EXACT], "matching", {"name": "hdo", "momentum": 0.5}, steps=8)
    recorder, plan = execute_spec(spec)
    for t in range(8):
        same = recorder.states[t]["momentum"] == recorder.states[t + 1]["momentum"]
        idle = torch.from_numpy(plan.partners[:, t] == np.arange(5))
        assert torch.equal(same.all(-1), idle)


@pytest.mark.parametrize("gossip", ["pair", "matching", "matrix"])
def test_segments_change_no_bit(gossip):
    method = {"name": "dsgd" if gossip == "matrix" else "hdo", "momentum": 0.2}
    spec = spec_of(HYBRID, gossip, method)
    whole, _ = execute_spec(spec, boundaries=(30,))
    pieces, _ = execute_spec(spec, boundaries=(0, 1, 7, 8, 29, 30))
    for name, array in whole.states[30].items():
        assert torch.equal(array, pieces.states[30][name])
    for name, count in whole.counters[30].items():
        assert torch.equal(count, pieces.counters[30][name])


@pytest.mark.parametrize("gossip", ["pair", "matching", "matrix"])
@pytest.mark.parametrize("nodes", [[EXACT], RADEMACHER], ids=["exact", "rademacher"])
def test_any_chunking_of_replicas_gives_the_same_bits(nodes, gossip):
    method = "dsgd" if gossip == "matrix" else "hdo"
    spec = spec_of(nodes, gossip, method, problem={**DIAGONAL, "noise": 0.0})
    whole, plan = execute_spec(spec, boundaries=(30,), replicas=range(20))
    parts = [execute_spec(spec, (30,), part) for part in (range(3), range(3, 19), range(19, 20))]
    joined = torch.cat([recorder.states[30]["x"] for recorder, _ in parts])
    assert torch.equal(joined, whole.states[30]["x"])
    field = {"pair": "pairs", "matching": "partners"}.get(gossip)
    if field:
        assert (np.concatenate([getattr(p, field) for _, p in parts]) == getattr(plan, field)).all()


def test_blocks_cover_the_replicas_in_order():
    assert [(b.start, b.stop) for b in blocks(600)] == [(0, 256), (256, 512), (512, 600)]
    assert all(a.stop == b.start for a, b in pairwise(blocks(5000)))
    assert BLOCK == 256  # part of every result: changing it changes path averages


NAMES = ("objective_gap", "mean_iterate", "path_gradient_norm", "mass_residual")


def test_fewer_replicas_are_a_prefix_of_more():
    long = {"steps": 130, "record": [5, 100, 130]}
    few = spec_of(HYBRID, run={**long, "replicas": 300})
    many = spec_of(HYBRID, run={**long, "replicas": 512})
    a, b = simulate(few, NAMES), simulate(many, NAMES)
    assert a.replicas == 300
    for name, values in a.columns.items():
        if name != "mass_residual":  # a rounding error itself
            np.testing.assert_allclose(values, b.columns[name][:, :300], rtol=1e-12, atol=1e-12)


def test_the_same_spec_gives_the_same_bits_and_another_seed_does_not():
    spec = spec_of(HYBRID, run={"replicas": 20})
    a, b = simulate(spec, NAMES), simulate(spec, NAMES)
    assert all((values == b.columns[name]).all() for name, values in a.columns.items())
    other = simulate(spec_of(HYBRID, run={"replicas": 20, "seed": 4}), NAMES)
    assert not (a.columns["objective_gap"][1:] == other.columns["objective_gap"][1:]).any()


COSTS = [
    ("pair", "hdo", {}, 2 * 4),
    ("matching", "hdo", {}, 6 * 4),
    ("matrix", "dsgd", {"graph": "ring"}, 6 * 2 * 4),
    ("matrix", "dsgd", {"graph": "star"}, 2 * 5 * 4),
    ("matrix", "centralized", {}, 6 * 5 * 4),
    ("matrix", "local", {}, 0),
]


@pytest.mark.parametrize(("gossip", "method", "network", "floats"), COSTS)
def test_floats_sent_and_calls_are_counted(gossip, method, network, floats):
    recorder, plan = execute_spec(spec_of(HYBRID, gossip, method, network=network))
    found = {name: count.tolist() for name, count in recorder.counters[30].items()}
    assert found["floats_sent"] == [30 * floats] * 3
    acts = np.full((3, 6), 30)
    if gossip == "pair":
        acts = np.array([np.bincount(p.ravel(), minlength=6) for p in plan.pairs])
    first = acts[:, [0, 1, 5]].sum(1)  # HYBRID: 2 first, 3 zeroth, 1 first; batches of 3
    assert found["gradient_calls"] == (3 * first).tolist()
    assert found["function_calls"] == (4 * (acts.sum(1) - first)).tolist()
    assert found["derivative_calls"] == [0] * 3


def test_odd_matchings_send_and_call_for_those_who_take_part():
    for idle_steps, acting in ((False, 4), (True, 5)):
        network = {"idle_steps": idle_steps}
        recorder, _ = execute_spec(
            spec_of([{**EXACT, "batch_size": 2}], "matching", network=network)
        )
        assert recorder.counters[30]["floats_sent"].tolist() == [30 * 4 * 4] * 3
        assert recorder.counters[30]["gradient_calls"].tolist() == [30 * acting * 2] * 3


def test_a_path_average_over_few_steps_is_the_plain_mean():
    spec = spec_of(HYBRID, steps=20, run={"record": [7, 20]})
    trace = simulate(spec, ("path_gradient_norm", "gradient_norm"))
    every = simulate(spec_of(HYBRID, steps=20, run={"record": list(range(21))}), ("gradient_norm",))
    norms = every.columns["gradient_norm"]
    for step in (7, 20):
        found = trace.at("path_gradient_norm", step)
        np.testing.assert_allclose(found, norms[:step].mean(0), rtol=1e-12)


def test_a_step_in_two_strata_counts_twice_in_a_path_average():
    nodes = [{"count": 2, "batch_size": "full"}]
    steps = 140
    looks = probe_steps(steps, 3, 0)  # 128 strata: some steps lie in two
    assert len(set(looks)) < len(looks) == 128
    run = {"steps": steps, "record": [steps]}
    found = simulate(spec_of(nodes, run=run), ("path_gradient_norm",))
    every = spec_of(nodes, run={"steps": steps, "record": list(range(steps + 1))})
    norms = simulate(every, ("gradient_norm",)).columns["gradient_norm"]
    expected = np.mean([norms[t] for t in looks], axis=0)
    np.testing.assert_allclose(found.at("path_gradient_norm", steps), expected, rtol=1e-12)


def test_a_long_path_average_is_unbiased():
    run = {"steps": 300, "replicas": 256 * 24, "record": [300]}
    nodes = [{"count": 2, "batch_size": "full"}]
    spec = spec_of(nodes, run=run, problem={"rotation": False, "noise": 0.0})
    found = simulate(spec, ("path_gradient_norm",)).columns["path_gradient_norm"][-1]
    one = spec_of(nodes, run={**run, "replicas": 1}, problem={"rotation": False, "noise": 0.0})
    recorder, _ = execute_spec(one.replace(run={**run, "record": 12, "replicas": 1}))
    problem = build(one).problem
    states = [State(step=t, arrays=recorder.states[t], counters={}) for t in range(300)]
    expected = np.mean(
        [float(gradient_norm(Snapshot(state=state, problem=problem))[0]) for state in states]
    )
    blocks_of = found.reshape(24, 256)
    assert np.ptp(blocks_of, axis=1).max() < 1e-12  # deterministic run: blocks differ by steps only
    means = blocks_of[:, 0]
    assert means.std() > 0
    assert abs(means.mean() - expected) < 4 * means.std(ddof=1) / 24**0.5
