"""Spec: every mistake in one message, each with what was got, what is expected, what to do."""

import math

import numpy as np
import pytest

from hzbench.core.errors import SpecError
from hzbench.core.spec import Spec

PROBLEM = {"name": "quadratic", "dimension": 2}
BASE = {"problem": PROBLEM, "nodes": [{"count": 4}]}


def mistakes(table):
    with pytest.raises(SpecError) as caught:
        Spec.parse(table)
    assert str(caught.value).count("\n") >= len(caught.value.mistakes)
    return caught.value.mistakes


def only(**changes):
    found = mistakes(BASE | changes)
    assert len(found) == 1, found
    return found[0]


def zeroth(**parameters):
    return [{"count": 4, "estimator": {"name": "zeroth_order", **parameters}}]


UNKNOWN = [
    ({"problem": "quadratc"}, "problem: got problem 'quadratc'", "'quadratic'"),
    ({"nodes": [{"count": 1, "estimator": "gradiant"}]}, "nodes.0.estimator", "'gradient'"),
    ({"network": {"graph": "rings"}}, "network.graph: got graph 'rings'", "'ring'"),
    ({"network": {"graph": {"name": "toruss"}}}, "network.graph", "'torus'"),
    ({"network": {"weights": "metropolitan"}}, "network.weights", "'metropolis'"),
    ({"method": "dsgdd"}, "method: got method 'dsgdd'", "'dsgd'"),
    ({"checks": [{"theorem": "quadratic_dynamic"}]}, "checks.0.theorem", "'quadratic_dynamics'"),
    (
        {"checks": [{"theorem": "step_invariants", "mutants": ["lazy_weight"]}]},
        "checks.0.mutants",
        "'lazy_weights'",
    ),
    ({"mutant": "self_pair"}, "mutant: got mutant 'self_pair'", "'self_pairs'"),
    (
        {"versus": {"nodes": [{"count": 4, "estimator": "zeroth-order"}]}},
        "versus.nodes.0.estimator",
        "'zeroth_order'",
    ),
]


@pytest.mark.parametrize(("changes", "place", "near"), UNKNOWN)
def test_unknown_names_come_with_near_ones(changes, place, near):
    found = only(**changes)
    assert found.startswith(place)
    assert f"did you mean {near}" in found


def test_a_name_near_nothing_lists_them_all():
    found = only(method="xyzzy")
    assert "take one of asgd, centralized, chebyshev, choco_sgd, delayed_sgd, dsgd" in found


UNKNOWN_KEYS = [
    ({"extra": 1}, "extra"),
    ({"problem": PROBLEM | {"nois": 1}}, "problem.nois"),
    ({"nodes": [{"count": 4, "stepsize": 1}]}, "nodes.0.stepsize"),
    ({"nodes": zeroth(smooth=1)}, "nodes.0.estimator.smooth"),
    ({"network": {"topology": "ring"}}, "network.topology"),
    ({"network": {"graph": {"name": "ring", "n": 4}}}, "network.graph.n"),
    ({"method": {"name": "hdo", "eta": 1}}, "method.eta"),
    ({"method": {"name": "hdo", "schedule": {"kind": "cosine"}}}, "method.schedule.kind"),
    ({"run": {"rounds": 3}}, "run.rounds"),
    ({"checks": [{"theorem": "step_invariants", "alpha": 1}]}, "checks.0.alpha"),
    ({"versus": {"nodes": [{"count": 4}], "seed": 1}}, "versus.seed"),
]


@pytest.mark.parametrize(("changes", "place"), UNKNOWN_KEYS, ids=[p for _, p in UNKNOWN_KEYS])
def test_unknown_keys(changes, place):
    found = only(**changes)
    assert found.startswith(f"{place}: got an unknown key")


NAN, INF = math.nan, math.inf
WRONG = [
    ({"nodes": [{"count": 0}]}, "nodes.0.count"),
    ({"nodes": [{"count": -1}]}, "nodes.0.count"),
    ({"nodes": [{"count": 2.5}]}, "nodes.0.count"),
    ({"nodes": [{"count": "4"}]}, "nodes.0.count"),
    ({"nodes": [{"count": True}]}, "nodes.0.count"),
    ({"nodes": [{}]}, "nodes.0.count"),
    ({"nodes": []}, "nodes"),
    ({"nodes": {"count": 4}}, "nodes"),
    ({"nodes": "four"}, "nodes"),
    ({"nodes": [4]}, "nodes.0"),
    ({"nodes": [{"count": 4, "step_size": -0.1}]}, "nodes.0.step_size"),
    ({"nodes": [{"count": 4, "step_size": NAN}]}, "nodes.0.step_size"),
    ({"nodes": [{"count": 4, "step_size": INF}]}, "nodes.0.step_size"),
    ({"nodes": zeroth(samples=0)}, "nodes.0.estimator.samples"),
    ({"nodes": zeroth(samples=2.0)}, "nodes.0.estimator.samples"),
    ({"nodes": zeroth(smoothing=0)}, "nodes.0.estimator.smoothing"),
    ({"nodes": zeroth(smoothing=1e-300)}, "nodes.0.estimator.smoothing"),
    ({"nodes": zeroth(smoothing=INF)}, "nodes.0.estimator.smoothing"),
    ({"nodes": zeroth(smoothing=NAN)}, "nodes.0.estimator.smoothing"),
    ({"nodes": zeroth(directions="cube")}, "nodes.0.estimator.directions"),
    ({"nodes": zeroth(difference=1)}, "nodes.0.estimator.difference"),
    ({"problem": PROBLEM | {"dimension": -2}}, "problem.dimension"),
    ({"problem": PROBLEM | {"dimension": "2"}}, "problem.dimension"),
    ({"problem": PROBLEM | {"smoothness": NAN}}, "problem.smoothness"),
    ({"problem": 5}, "problem"),
    ({"network": "ring"}, "network"),
    ({"network": {"gossip": "broadcast"}}, "network.gossip"),
    ({"network": {"idle_steps": "yes"}}, "network.idle_steps"),
    ({"network": {"idle_steps": 1}}, "network.idle_steps"),
    ({"network": {"edges": [[0, 1, 2]]}}, "network.edges.0"),
    ({"network": {"edges": [[0, 0.5]]}}, "network.edges.0.1"),
    ({"network": {"edges": 5}}, "network.edges"),
    ({"network": {"edge_law": "random"}}, "network.edge_law"),
    ({"network": {"gossip": "matrix", "matrix": [[1.0, 0.0], [0.0]]}}, "network"),
    ({"network": {"gossip": "matrix", "matrix": [[NAN]]}}, "network.matrix.0.0"),
    ({"network": {"graph": {"name": "torus", "rows": "two"}}}, "network.graph.rows"),
    ({"network": {"graph": ["ring"]}}, "network.graph"),
    ({"method": {"name": "hdo", "step_size": INF}}, "method.step_size"),
    ({"method": {"name": "hdo", "step_size": NAN}}, "method.step_size"),
    ({"method": {"name": "hdo", "step_size": "0.1"}}, "method.step_size"),
    ({"method": {"name": "hdo", "momentum": 1.0}}, "method.momentum"),
    ({"method": {"name": "hdo", "momentum": -0.1}}, "method.momentum"),
    ({"method": {"name": "hdo", "schedule": {"offset": 0}}}, "method.schedule.offset"),
    ({"method": {"name": "hdo", "schedule": {"warmup": -1}}}, "method.schedule.warmup"),
    ({"method": {"step_size": 0.1}}, "method: got no `name`"),
    ({"run": {"steps": 0}}, "run.steps"),
    ({"run": {"steps": 2**31}}, "run.steps"),
    ({"run": {"steps": "10"}}, "run.steps"),
    ({"run": {"steps": True}}, "run.steps"),
    ({"run": {"replicas": -4}}, "run.replicas"),
    ({"run": {"seed": -1}}, "run.seed"),
    ({"run": {"record": 0}}, "run.record"),
    ({"run": {"record": -3}}, "run.record"),
    ({"run": {"dtype": "float16"}}, "run.dtype"),
    ({"run": 5}, "run"),
    ({"name": 5}, "name"),
    ({"mutant": 5}, "mutant"),
    ({"mutant": []}, "mutant"),
    ({"checks": 5}, "checks"),
    ({"checks": [5]}, "checks.0"),
    ({"checks": [{}]}, "checks.0.theorem"),
    ({"checks": [{"theorem": "step_invariants", "tolerance": 0}]}, "checks.0.tolerance"),
    ({"checks": [{"theorem": "step_invariants", "tolerance": INF}]}, "checks.0.tolerance"),
    ({"checks": [{"theorem": "step_invariants", "mutants": 5}]}, "checks.0.mutants"),
    ({"checks": [{"theorem": "step_invariants", "mutants": "abc"}]}, "checks.0.mutants"),
    ({"checks": [{"theorem": "step_invariants", "expect": "fine"}]}, "checks.0.expect"),
    ({"versus": {"nodes": []}}, "versus.nodes"),
    ({"versus": 5}, "versus"),
]


@pytest.mark.parametrize(
    ("changes", "place"), WRONG, ids=[f"{p}-{i}" for i, (_, p) in enumerate(WRONG)]
)
def test_wrong_values_and_types(changes, place):
    found = mistakes(BASE | changes)
    assert any(each.startswith(place) for each in found), found
    assert all("got " in each for each in found), found


@pytest.mark.parametrize("value", ["violated", "inapplicable", "inconclusive"])
def test_an_unusual_expectation_needs_its_reason(value):
    check = {"theorem": "step_invariants", "expect": value}
    assert "without a reason" in only(checks=[check])
    spec = Spec.parse(BASE | {"checks": [check | {"reason": "momentum"}]})
    assert spec.checks[0].expect == value


@pytest.mark.parametrize(
    ("network", "words"),
    [
        ({"graph": "ring", "edges": [[0, 1]]}, "edges would win"),
        (
            {"gossip": "matrix", "weights": "lazy", "matrix": [[1.0]]},
            "matrix would win",
        ),
        ({"edges": [[0, 1]], "edge_probabilities": [1.0]}, "which ignores them"),
    ],
)
def test_keys_without_effect_are_mistakes(network, words):
    assert words in only(network=network)


def test_missing_tables():
    found = mistakes({"title": "nothing else"})
    assert any(each.startswith("problem: got nothing") for each in found)
    assert any(each.startswith("nodes: got") for each in found)


def test_all_mistakes_in_one_message():
    found = mistakes(
        {
            "problem": "quadratc",
            "nodes": [{"count": 0}, {"count": 1, "estimator": "gradiant"}],
            "network": {"graph": "rings", "weights": {"name": "lazyy"}},
            "method": {"name": "hdo", "step_size": -1},
            "run": {"steps": 0, "replicas": 0},
            "checks": [{"theorem": "none"}],
            "mutant": "none",
            "extra": 1,
        }
    )
    places = ["problem", "nodes.0.count", "nodes.1.estimator", "network.graph", "network.weights"]
    places += [
        "method.step_size",
        "run.steps",
        "run.replicas",
        "checks.0.theorem",
        "mutant",
        "extra",
    ]
    assert len(found) == len(places)
    for place in places:
        assert sum(each.startswith(f"{place}:") for each in found) == 1, place


def test_numpy_numbers_and_arrays_are_numbers():
    spec = Spec.parse(
        {
            "problem": {"name": "quadratic", "hessian": np.eye(2), "noise": np.float64(0.5)},
            "nodes": [{"count": np.int64(4)}],
            "network": {"edges": np.array([[0, 1], [1, 2], [2, 3]])},
        }
    )
    assert spec.node_count == 4
    assert spec.problem["hessian"] == [[1, 0], [0, 1]]
    assert spec.network.graph == {"name": "explicit"}


EXPLICIT = [
    {"hessian": [[2, 0.5], [0.5, 1]]},
    {"hessians": [[[2, 0.5], [0.5, 1]]] * 4, "noise_covariance": [[1, 0], [0, 2]]},
    {"spectrum": [0.5, 2], "rotation": [[0, 1], [-1, 0]], "noise": [0.1, 0.2]},
    {"linear_terms": [[1, 2]] * 4, "initial": [1, 2], "dimension": 2},
    {"dimension": 2, "initial": [[1, 2]] * 4, "noise_covariance": [[[1, 0], [0, 2]]] * 4},
    {"dimension": 2, "initial": 3, "rotation": True},
]


@pytest.mark.parametrize("numbers", EXPLICIT, ids=map(str, range(len(EXPLICIT))))
def test_instances_can_be_given_as_numbers(numbers):
    spec = Spec.parse(BASE | {"problem": {"name": "quadratic", **numbers}})
    component = spec.component("problem", spec.problem)
    for key, value in numbers.items():
        assert (np.asarray(getattr(component, key)) == np.asarray(value)).all()


def test_record_points_end_at_the_last_step_and_hold_what_checks_ask():
    spec = Spec.parse(BASE | {"run": {"steps": 1000, "record": 6}})
    assert spec.record_steps[0] == 0
    assert spec.record_steps[-1] == 1000
    assert 6 <= len(spec.record_steps) <= 7
    check = {"theorem": "step_invariants", "steps": [7, 333]}
    asked = Spec.parse(BASE | {"run": {"steps": 1000, "record": 6}, "checks": [check]})
    assert set(asked.record_steps) == {7, 333, *spec.record_steps}
    assert Spec.parse(BASE | {"run": {"record": [50, 3, 3]}}).record_steps == (0, 3, 50)


def test_gossip_defaults_to_what_the_method_knows():
    found = {m: Spec.parse(BASE | {"method": m}).network.gossip for m in ("hdo", "dsgd", "local")}
    assert found == {"hdo": "pair", "dsgd": "matrix", "local": "matrix"}


def test_a_spec_is_frozen_and_replace_validates():
    spec = Spec.parse(BASE)
    with pytest.raises(Exception, match="frozen"):
        spec.name = "other"
    assert spec.replace(name="other").name == "other"
    assert spec.replace() == spec
    with pytest.raises(SpecError):
        spec.replace(run={"steps": -1})


def test_nodes_are_laid_out_in_the_order_of_groups():
    groups = [{"count": 2, "batch_size": 3}, *zeroth(), {"count": 1, "batch_size": "full"}]
    spec = Spec.parse(BASE | {"nodes": groups})
    assert spec.kinds() == ("first",) * 2 + ("zeroth",) * 4 + ("first",)
    assert spec.batch_sizes() == (3, 3, 1, 1, 1, 1, "full")
