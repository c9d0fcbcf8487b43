"""Networks too large for a matrix, and blocks too large for the memory."""

from pathlib import Path

import networkx as nx
import numpy as np
import pytest
import torch
from engine_cells import assert_both_engines_agree

from hzbench.core import machine
from hzbench.core.errors import SpecError
from hzbench.core.lines import DENSE_NODES, lines_of
from hzbench.core.spec import Spec
from hzbench.harness import simulate as simulation
from hzbench.harness.build import build
from hzbench.harness.prepare import prepare, refuse_sizes
from hzbench.harness.simulate import simulate
from hzbench.topology.weights import Lazy, MaxDegree, Metropolis

N = DENSE_NODES + 4


def large(nodes=N, graph="ring", gossip="matrix", **changes):
    table = {
        "problem": {"name": "quadratic", "dimension": 3, "heterogeneity": 0.5},
        "nodes": [{"count": nodes, "batch_size": "full"}],
        "network": {"graph": graph, "gossip": gossip, **changes.pop("network", {})},
        "method": {"name": "dsgd" if gossip == "matrix" else "hdo", "step_size": 0.2},
        "run": {"steps": 4, "replicas": 2},
    }
    return Spec.parse(table | changes)


@pytest.mark.parametrize("rule", [Metropolis(), MaxDegree(), Lazy()])
def test_lines_hold_the_matrix(rule):
    graph = nx.connected_watts_strogatz_graph(20, 4, 0.5, seed=2)
    edges = np.array(sorted((min(e), max(e)) for e in graph.edges))
    degree = np.bincount(edges.ravel())
    lines = lines_of(edges, rule.edge_weights(degree[edges]), 20)
    expected = rule.build(graph)
    found = lines.tensor(torch.zeros((), dtype=torch.float64)).to_dense().numpy()
    assert np.abs(found - expected).max() < 1e-15
    assert lines.links == np.count_nonzero(expected) - np.count_nonzero(expected.diagonal())


@pytest.mark.parametrize("silent", [0, 2])
def test_a_large_ring_averages_thirds(silent):
    spec = large(network={"silent_rounds": silent})
    recorder = assert_both_engines_agree(spec)
    problem = build(spec).problem
    A, b = problem.hessians, problem.linear
    x = problem.initial
    for t in range(4):
        x = x - 0.2 * (A * x - b)
        if t >= silent:
            x = (np.roll(x, 1, axis=0) + x + np.roll(x, -1, axis=0)) / 3
    assert np.abs(recorder.states[4]["x"].numpy() - x).max() < 1e-13
    assert (recorder.counters[4]["floats_sent"] == (4 - silent) * 2 * N * 3).all()


@pytest.mark.parametrize("gossip", ["pair", "matching"])
def test_pairs_and_matchings_of_a_large_graph(gossip):
    law = {"matching_law": "greedy"} if gossip == "matching" else {}
    assert_both_engines_agree(large(graph="path", gossip=gossip, network=law))


def test_theory_says_that_large_networks_do_not_fit():
    table = large().model_dump(mode="json") | {"checks": [{"theorem": "quadratic_dynamics"}]}
    case = prepare(Spec.parse(table))
    (prediction,) = case.predictions
    failed = [a.detail for a in prediction.assumptions if not a.holds]
    assert failed == [f"n = {N}"]
    assert prepare(large()).checks == ()


REFUSED = {
    "graph 'complete'": {"graph": "complete"},
    "weights 'best-constant'": {"network": {"weights": "best-constant"}},
    "without failing links": {"network": {"link_failure": 0.1}},
    "waiting reads W": {"clock": {"name": "fixed"}},
    "slem": {"run": {"steps": 4, "observables": ["slem"]}},
}


@pytest.mark.parametrize(("word", "changes"), REFUSED.items(), ids=REFUSED)
def test_what_needs_a_matrix_is_refused(word, changes):
    with pytest.raises(SpecError, match=word) as error:
        prepare(large(**changes))
    assert "4096" in str(error.value)


@pytest.mark.parametrize("engine", ["torch", "fused"])
@pytest.mark.parametrize("gossip", ["pair", "matrix"])
def test_a_block_in_parts_gives_the_same_numbers(engine, gossip, monkeypatch):
    names = ("objective_gap", "mean_iterate", "path_gradient_norm")
    spec = large(8, gossip=gossip, run={"steps": 30, "replicas": 11})
    whole = simulate(spec, names, engine=engine)
    monkeypatch.setattr(simulation, "fitting", lambda *_: 4)
    parts = simulate(spec, names, engine=engine)
    for name, values in whole.columns.items():
        np.testing.assert_allclose(parts.columns[name], values, rtol=1e-13, atol=1e-14)
        assert engine == "torch" or name != "mean_iterate" or (parts.columns[name] == values).all()


def served(nodes=6, d=3, replicas=11, noise=0.1):
    return Spec.parse(
        {
            "problem": {"name": "quadratic", "dimension": d, "noise": noise},
            "nodes": [{"count": nodes}],
            "method": {"name": "ringleader", "step_size": 0.1},
            "clock": {"name": "exponential"},
            "run": {"steps": 30, "replicas": replicas},
        }
    )


@pytest.mark.parametrize("engine", ["torch", "fused"])
def test_so_does_one_of_a_server(engine, monkeypatch):
    names = ("objective_gap", "mean_iterate", "elapsed_seconds", "path_gradient_norm")
    whole = simulate(served(), names, engine=engine)
    seen = []
    monkeypatch.setattr(simulation, "fitting", lambda *given: seen.append(given[1:]) or 4)
    parts = simulate(served(), names, engine=engine)
    assert seen == [(engine, "cpu")]
    assert whole.columns["objective_gap"].std(axis=1)[-1] > 0
    for name, values in whole.columns.items():
        np.testing.assert_allclose(parts.columns[name], values, rtol=1e-12, atol=1e-14)


def test_servers_are_cut_by_the_memory_alone(monkeypatch):
    """Their arrays are of one node each, so malloc reuses them however many nodes there are."""
    parts = build(served(nodes=1000, d=100, replicas=256))
    assert simulation.fitting(parts, "torch") == 256
    monkeypatch.setattr(simulation, "share", lambda: 7 * 25 * 8 * 1000 * 100)
    assert simulation.fitting(parts, "torch") == 7


def test_a_fraction_of_the_memory_bounds_the_replicas(monkeypatch):
    parts = build(large(8))
    assert simulation.fitting(parts, "torch") == 256
    monkeypatch.setattr(simulation, "share", lambda: 8 * 25 * 8 * 3 * 10)
    assert simulation.fitting(parts, "torch") == 10
    assert simulation.fitting(parts, "fused") == 10 * 25 // 11
    monkeypatch.setattr(simulation, "share", lambda: 1)
    assert simulation.fitting(parts, "fused") == 1


def test_a_run_beyond_the_memory_is_refused_by_what_its_engine_holds(monkeypatch):
    """25 arrays of 8 × 3 numbers in torch, 11 in kernels; other types, other bytes."""
    spec = large(8)
    case = prepare(spec.replace(checks=[{"theorem": "graph_spectrum"}]))
    one = 8 * 8 * 3

    def refused(arrays, engine):
        monkeypatch.setattr("hzbench.harness.prepare.memory", lambda _: arrays * one)
        try:
            refuse_sizes([case], "cpu", engine)
        except SpecError as error:
            (mistake,) = error.mistakes
            return mistake
        return ""

    assert case.obstacle is None
    assert [refused(arrays, "torch") != "" for arrays in (24, 25)] == [True, False]
    assert [refused(arrays, "fused") != "" for arrays in (10, 11)] == [True, False]
    assert refused(24, "torch").endswith("take fewer nodes or dimensions, or --engine fused")
    assert refused(10, "fused").endswith("of this machine; take fewer nodes or dimensions")


def failing(**run):
    network = {"graph": "complete", "gossip": "matrix", "link_failure": 0.1}
    problem = {"name": "quadratic", "dimension": 3}
    table = {"problem": problem, "nodes": [{"count": 64}], "network": network}
    return Spec.parse(table | {"method": "dsgd", "run": run})


def test_links_that_fail_count_among_what_a_replica_holds(monkeypatch):
    """64·63/2 links of one byte a step, and the iterates; torch also makes W of a round."""
    parts = build(failing(steps=2000, replicas=256))
    links, iterates = 2016 * 2000, 8 * 64 * parts.problem.dimension
    assert simulation.bytes_of_a_replica(parts, "fused") == links + 11 * iterates
    assert simulation.bytes_of_a_replica(parts, "torch") == links + 25 * iterates + 16 * 64**2
    monkeypatch.setattr(simulation, "share", lambda: 10 * (links + 11 * iterates))
    assert simulation.fitting(parts, "fused") == 10


def test_draws_of_one_replica_beyond_the_memory_are_a_mistake_before_the_run(monkeypatch):
    monkeypatch.setattr("hzbench.harness.prepare.memory", lambda: 10**6)
    with pytest.raises(SpecError, match=r"got 1000 steps .* 2016 links; .* take fewer"):
        prepare(failing(steps=1000, replicas=2))


@pytest.mark.parametrize(
    ("line", "file"),
    [
        ("0::/jobs/7", "jobs/7/memory.max"),
        ("0::/jobs/7", "jobs/memory.max"),
        ("3:memory:/jobs/7", "memory/jobs/7/memory.limit_in_bytes"),
        ("0::/gone", "memory.max"),
    ],
)
def test_a_control_group_limits_the_memory(line, file, tmp_path, monkeypatch):
    """Containers and batch systems give a process less than the machine has."""
    known = machine.memory()
    read = Path.read_text
    lines = f"12:cpu:/other\n{line}\n"
    monkeypatch.setattr(machine, "_GROUPS", tmp_path)
    monkeypatch.setattr(
        Path, "read_text", lambda p, **how: lines if p.name == "cgroup" else read(p, **how)
    )
    assert machine.memory() == known
    limit = tmp_path / file
    limit.parent.mkdir(parents=True, exist_ok=True)
    limit.write_text("max\n")
    assert machine.memory() == known
    limit.write_text("123456\n")
    assert machine.memory() == 123456
    monkeypatch.setenv("HZBENCH_WORKERS", "4")
    assert machine.share() == 123456 // 8
