"""Mutants of the exchange: each plants what it names, and is refused where it means nothing."""

import numpy as np
import pytest

from hzbench.core import registry
from hzbench.core.errors import SpecError
from hzbench.core.result import plain
from hzbench.core.spec import Spec
from hzbench.harness.build import build, build_plan
from hzbench.harness.prepare import prepare
from hzbench.harness.run import run
from hzbench.harness.simulate import simulate
from hzbench.topology.fastest_mixing import FastestMixing

RUNS = {
    "ignored_pair_weight": ("hdo", {"graph": "ring", "gossip": "pair", "pair_weight": 0.3}),
    "favoured_edge": ("hdo", {"graph": "ring", "gossip": "matching", "matching_law": "greedy"}),
    "dropped_link_weight": ("dsgd", {"graph": "ring", "gossip": "matrix", "link_failure": 0.3}),
    "one_peer_stuck": (
        "dsgd",
        {"graph": "exponential", "gossip": "matrix", "weights": "one-peer-exponential"},
    ),
    "torus_over_five": (
        "dsgd",
        {"graph": {"name": "torus", "rows": 2, "columns": 3}, "gossip": "matrix"},
    ),
    "one_exchange_fewer": ({"name": "chebyshev", "rounds": 3}, {"gossip": "matrix"}),
}
PLAIN = {"matrix": ("dsgd", {"gossip": "matrix", "graph": "ring"}), "pair": ("hdo", {})}


def spec_of(mutant, method, network, nodes=6):
    return Spec.parse(
        {
            "problem": {"name": "quadratic", "dimension": 3, "initial_spread": 1.0},
            "nodes": [{"count": nodes}],
            "network": network,
            "method": method,
            "run": {"steps": 20, "replicas": 300, "record": [3]},
            "mutant": mutant,
        }
    )


def plans(name, replicas=range(200)):
    right, wrong = (spec_of(mutant, *RUNS[name]) for mutant in (None, name))
    return build_plan(build(right), replicas), build_plan(build(wrong), replicas)


@pytest.mark.parametrize("name", RUNS)
def test_a_mutant_changes_the_run_and_theory_does_not_see_it(name):
    right, wrong = (spec_of(mutant, *RUNS[name]) for mutant in (None, name))
    columns = [
        simulate(s, ("consensus_potential",)).at("consensus_potential", 3) for s in (right, wrong)
    ]
    assert (columns[0] != columns[1]).mean() > 0.5
    assert plain(prepare(wrong).setting) == plain(prepare(right).setting)
    assert registry.entries("theorem")["gossip_contraction"].facts["mutants"].count(name) == 1


@pytest.mark.parametrize("where", PLAIN)
@pytest.mark.parametrize("name", RUNS)
def test_a_mutant_is_refused_where_it_means_nothing(name, where):
    with pytest.raises(SpecError, match="means nothing"):
        build(spec_of(name, *PLAIN[where]))


def test_the_favoured_edge_is_more_likely():
    right, wrong = plans("favoured_edge", range(2000))
    before, after = ((plan.partners[:, :, 0] == 1).mean() for plan in (right, wrong))
    slack = 4.5 * 0.5 / np.sqrt(40000)
    assert abs(after - (1 - (1 - before) ** 2)) < 2 * slack
    assert after > before + 0.1
    partners = wrong.partners
    assert (np.take_along_axis(partners, partners, axis=2) == np.arange(6)).all()


def test_dropped_weight_leaves_rows_that_sum_to_less():
    right, wrong = plans("dropped_link_weight")
    up = right.links[:, 4]
    ends = np.zeros((6, 6))
    for k, (i, j) in enumerate(right.edges.tolist()):
        ends[k, [i, j]] = 1 / 3
    assert np.abs(wrong.mixing(4).sum(2) - (1 - ~up @ ends)).max() < 1e-12
    assert np.abs(right.mixing(4).sum(2) - 1).max() < 1e-12
    off = ~np.eye(6, dtype=bool)
    assert (wrong.mixing(4)[:, off] == right.mixing(4)[:, off]).all()


def test_matrices_of_mutants():
    right, wrong = plans("one_peer_stuck", range(2))
    assert right.matrix.shape == (3, 6, 6)
    assert (wrong.mixing(2) == right.mixing(0)).all()
    _, wrong = plans("torus_over_five", range(2))
    assert wrong.matrix.sum(1) == pytest.approx(np.full(6, 4 / 5))
    assert set(np.unique(wrong.matrix)) == {0.0, 0.2}
    assert plans("ignored_pair_weight", range(2))[1].pair_weight == 0.5


FASTEST = {
    "star-13": (13, "star"),
    "star-20": (20, "star"),
    "complete-9": (9, "complete"),
    "complete-11": (11, "complete"),
    "path-21": (21, "path"),
    "torus-16": (16, {"name": "torus", "rows": 4, "columns": 4}),
    "complete-bipartite-7-5": (12, {"name": "complete-bipartite", "left": 7}),
}


def spectrum_verdict(nodes, graph):
    network = {"graph": graph, "gossip": "matrix", "weights": "fastest-mixing"}
    table = {
        "problem": {"name": "quadratic", "dimension": 1},
        "nodes": [{"count": nodes}],
        "network": network,
        "method": {"name": "dsgd", "step_size": 0.0},
        "run": {"steps": 1, "replicas": 4, "record": [0, 1]},
        "checks": [{"theorem": "graph_spectrum", "observables": ["slem"]}],
    }
    (verdict,) = run(table).verdicts
    return verdict.outcome


@pytest.mark.parametrize("name", FASTEST)
def test_fastest_mixing_is_judged_to_the_last_digit_and_one_percent_is_refuted(name, monkeypatch):
    assert spectrum_verdict(*FASTEST[name]) == "consistent"
    right = FastestMixing.build

    def wrong(self, graph):
        return np.eye(len(graph)) - 0.99 * (np.eye(len(graph)) - right(self, graph))

    monkeypatch.setattr(FastestMixing, "build", wrong)
    assert spectrum_verdict(*FASTEST[name]) == "violated"


def test_two_exchanges_square_w():
    ring = ("dsgd", {"graph": "ring", "gossip": "matrix"})
    right, wrong = (build_plan(build(spec_of(m, *ring)), range(2)) for m in (None, "two_exchanges"))
    np.testing.assert_allclose(wrong.matrix, right.matrix @ right.matrix, rtol=1e-15)


def test_edges_drawn_twice_are_edges_of_a_denser_graph():
    """Drawn over ordered pairs, an edge is missing only if both draws miss: (1 − p)²."""

    def graph(probability, mutant=None):
        network = {"graph": {"name": "erdos-renyi", "probability": probability}, "gossip": "matrix"}
        return build(spec_of(mutant, "dsgd", network, 12)).network.adjacency

    assert np.array_equal(graph(0.4, "edges_drawn_twice"), graph(0.64))
    assert not np.array_equal(graph(0.4), graph(0.64))
