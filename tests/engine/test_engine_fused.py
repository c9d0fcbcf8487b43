"""The fused kernels against the torch executor and the sequential reference, cell by cell."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from engine_cells import (
    CELLS,
    ESTIMATORS,
    LAWS,
    PROBLEMS,
    PROTOCOLS,
    assert_both_engines_agree,
    cell_spec,
    executed,
)
from engine_plain import PlainOracle
from engine_reference import reference, spec_of

from hzbench.core.compiled import ready
from hzbench.core.spec import Spec
from hzbench.engine import torch_executor
from hzbench.engine.fused import executor
from hzbench.engine.fused.executor import execute as fused
from hzbench.engine.fused.executor import kernels
from hzbench.engine.fused.support import obstacle
from hzbench.estimators.zeroth_order import ZerothOrder
from hzbench.harness.build import build, build_plan
from hzbench.problems.quadratic_model import QuadraticProblem


def why_not(spec):
    parts = build(spec)
    return obstacle(parts.problem, parts.population, parts.method)


def test_every_promised_cell_is_supported():
    assert len(CELLS) == 3 * (1 + 1 + 4) * 3 == 54
    assert [cell for cell in CELLS if why_not(cell_spec(*cell))] == []


@pytest.mark.parametrize(("problem", "estimator", "protocol"), CELLS)
def test_fused_equals_torch(problem, estimator, protocol):
    assert_both_engines_agree(cell_spec(problem, estimator, protocol))


def assert_both_engines_equal_plain_loops(spec, momentum=0.0):
    plan = build_plan(build(spec), range(3))
    expected = reference(spec, plan, lambda *_: 0.1, momentum=momentum, oracle=PlainOracle)
    assert np.abs(expected[-1] - expected[0]).max() > 0.1
    for run in (torch_executor.execute, fused):
        found = executed(spec, run)
        states = np.stack([found.states[t]["x"].numpy() for t in range(spec.run.steps + 1)])
        assert np.abs(states - expected).max() < 1e-12


@pytest.mark.parametrize(("problem", "estimator", "protocol"), CELLS)
def test_both_engines_equal_plain_loops(problem, estimator, protocol):
    spec = cell_spec(problem, estimator, protocol, {"momentum": 0.4})
    assert_both_engines_equal_plain_loops(spec, momentum=0.4)


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("problem", PROBLEMS)
def test_plain_loops_see_the_sign_of_every_vector(problem, law):
    """A central difference is the same along u and −u; forward ones are not."""
    forward = {"name": "zeroth_order", "difference": "forward", "smoothing": 0.2}
    nodes = {"estimator": {**forward, "directions": law, "samples": 3}}
    assert_both_engines_equal_plain_loops(cell_spec(problem, nodes, "pair"))


@pytest.mark.parametrize("d", [8, 20, 33, 100])
@pytest.mark.parametrize("name", PROBLEMS)
def test_lines_of_any_length(name, d):
    """Whole lanes, parts of them, several columns of lanes: every sum has a rest."""
    table = {**PROBLEMS[name]}
    if name == "quadratic":
        table["dimension"] = d
    else:
        table["planted"] = {"rows": 40, "dimension": d, "label_noise": 0.2}
    forward = {"name": "zeroth_order", "difference": "forward", "smoothing": 1e-2}
    nodes = [
        {"count": 2, "batch_size": "full"},
        {"count": 2, "batch_size": 1},
        {"count": 2, "estimator": {"name": "zeroth_order", "samples": 2, "directions": "sphere"}},
        {"count": 1, "estimator": {**forward, "directions": "rademacher"}, "batch_size": 3},
    ]
    for protocol in PROTOCOLS:
        spec = cell_spec(table, "gradient", protocol, {"step_size": 0.1 / d})
        assert_both_engines_agree(spec)
        assert_both_engines_agree(spec.replace(nodes=nodes))


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_more_addresses_than_are_drawn_ahead(protocol):
    """70 nodes a round or 150 ticks fill the slots more than once; 40 rows a batch do not fit."""
    zeroth = [{"name": "zeroth_order", "directions": law, "samples": 2} for law in LAWS]
    nodes = [{"count": 12, "estimator": each, "batch_size": b + 1} for b, each in enumerate(zeroth)]
    run = {"steps": 150 if protocol == "pair" else 3, "replicas": 2}
    rows = {"planted": {"rows": 300, "dimension": 5, "label_noise": 0.2}}
    for batch in (3, 13, 40):
        spec = cell_spec({**PROBLEMS["logistic"], **rows}, "gradient", protocol, run=run)
        assert_both_engines_agree(spec.replace(nodes=[*nodes, {"count": 22, "batch_size": batch}]))


@pytest.mark.parametrize("d", [5, 20, 130])
@pytest.mark.parametrize("name", ["ridge", "logistic"])
def test_pairs_that_do_not_wait_for_each_other(name, d):
    """Ticks one by one have the bits of those whose nodes step at once, short of 130 numbers."""
    rows = {"planted": {"rows": 60, "dimension": d, "label_noise": 0.2}}
    zeroth = [{"name": "zeroth_order", "directions": law, "smoothing": 0.1} for law in LAWS]
    nodes = [{"count": 4, "estimator": each, "batch_size": 1} for each in zeroth]
    nodes = [*nodes, {"count": 12, "batch_size": 1, "step_size": 0.05}]
    network, run = {"pair_weight": 0.3}, {"steps": 120, "replicas": 2}
    problem, method = {**PROBLEMS[name], **rows}, {"step_size": 0.3 / d}
    spec = cell_spec(problem, "gradient", "pair", method, network, run).replace(nodes=nodes)
    together = executed(spec, fused, (120,)).states[120]["x"]
    assert torch.equal(together, executed(spec, fused, range(121)).states[120]["x"])
    expected = executed(spec, torch_executor.execute, (120,)).states[120]["x"]
    torch.testing.assert_close(together, expected, rtol=1e-12, atol=1e-12)


DIFFERENCES = ("central", "forward", "directional_derivative")


@pytest.mark.parametrize("data", ["shared", "fresh"])
@pytest.mark.parametrize("difference", DIFFERENCES)
@pytest.mark.parametrize("batch", [1, 4, "full"])
@pytest.mark.parametrize("problem", PROBLEMS)
def test_every_difference_of_every_batch(problem, batch, difference, data):
    table = {"name": "zeroth_order", "directions": "rademacher", "samples": 7}
    nodes = {"estimator": table | {"difference": difference, "smoothing": 0.3, "data": data}}
    spec = cell_spec(problem, nodes, "pair", batch_size=batch, run={"steps": 5})
    assert_both_engines_agree(spec)


@pytest.mark.parametrize("data", ["shared", "fresh"])
@pytest.mark.parametrize("difference", DIFFERENCES)
def test_noise_of_every_call(difference, data):
    table = {"name": "zeroth_order", "directions": "gaussian", "samples": 3, "data": data}
    problem = {**PROBLEMS["quadratic"], "evaluation_noise": 0.3}
    nodes = {"estimator": {**table, "difference": difference, "smoothing": 0.2}}
    assert_both_engines_agree(cell_spec(problem, nodes, "matching"))


def hessians(d=5, n=5):
    factors = np.random.default_rng(3).standard_normal((n, d, d))
    return factors @ factors.transpose(0, 2, 1) / d + 0.3 * np.eye(d)


QUADRATICS = {
    "diagonal": {"dimension": 5, "noise": 0.3, "heterogeneity": 0.4, "initial": 2.0},
    "no linear term": {"dimension": 5, "initial": 2.0},
    "hessians of the nodes": {"hessians": hessians(), "noise": 0.2, "initial": 1.0},
    "covariances of the nodes": {
        "dimension": 5,
        "noise_covariance": 0.1 * hessians(),
        "initial": 1.0,
    },
    "one covariance": {"dimension": 5, "noise_covariance": hessians()[0], "initial": 1.0},
}


@pytest.mark.parametrize("estimator", ["minibatch", "sphere", "forward"])
@pytest.mark.parametrize("words", QUADRATICS.values(), ids=QUADRATICS)
def test_every_form_of_a_quadratic(words, estimator):
    forward = {"name": "zeroth_order", "difference": "forward", "smoothing": 0.5}
    nodes = {"estimator": forward} if estimator == "forward" else ESTIMATORS[estimator]
    problem = {"name": "quadratic", **words}
    assert_both_engines_agree(cell_spec(problem, nodes, "pair"))


MIXED = [
    {"count": 2, "batch_size": 2, "step_size": 0.2},
    {"count": 3, "estimator": {"name": "zeroth_order", "samples": 2}, "step_size": 0.03},
    {"count": 1, "batch_size": "full"},
]
NETWORKS = {
    "pair": ({}, {"graph": "star", "pair_weight": 0.3}),
    "matching": (
        {},
        {"graph": "path", "matching_law": "greedy", "pair_weight": 0.2},
        {"graph": "path", "matching_law": "greedy", "idle_steps": True, "silent_rounds": 4},
    ),
    "matrix": (
        {"graph": "ring", "silent_rounds": 3},
        {"graph": "complete"},
        {"graph": "ring", "link_failure": 0.4},
        {"graph": "ring", "exchange_probability": 0.5, "link_failure": 0.2},
        {"graph": "exponential", "weights": "one-peer-exponential"},
    ),
}


@pytest.mark.parametrize("momentum", [0.0, 0.6])
@pytest.mark.parametrize(
    ("protocol", "network"), [(p, network) for p, each in NETWORKS.items() for network in each]
)
def test_mixed_populations_on_every_network(protocol, network, momentum):
    schedule = {"name": "inverse-time", "warmup": 3}
    method = {"momentum": momentum, "schedule": schedule, "step_size": 0.1}
    name = "dsgd" if protocol == "matrix" else "hdo"
    spec = spec_of(MIXED, protocol, {"name": name, **method}, network=network)
    assert why_not(spec) is None
    assert_both_engines_agree(spec)


@pytest.mark.parametrize("order", ["adapt-combine", "combine-adapt", "simultaneous"])
def test_every_order_of_a_round(order):
    method = {"name": "dsgd", "order": order, "momentum": 0.5}
    assert_both_engines_agree(spec_of(MIXED, "matrix", method, network={"graph": "ring"}))


def test_centralized_rounds():
    assert_both_engines_agree(spec_of(MIXED, "matrix", "centralized"))


@pytest.mark.parametrize("order", ["adapt-combine", "combine-adapt", "simultaneous"])
@pytest.mark.parametrize(("count", "d"), [(8, 24), (13, 5), (67, 20), (70, 25), (9, 61), (8, 48)])
@pytest.mark.parametrize("name", ["ridge", "logistic"])
def test_rounds_of_one_row_a_node(name, count, d, order):
    """Whole eights, nodes left over, more than are drawn ahead; short lines and long ones."""
    table = {"name": name, "planted": {"rows": 200, "dimension": d, "label_noise": 0.2}}
    nodes = [{"count": count - 3, "batch_size": 1}, {"count": 3, "step_size": 0.03}]
    spec = cell_spec(table, "gradient", "matrix", {"order": order, "step_size": 0.1 / d})
    assert_both_engines_agree(spec.replace(nodes=nodes))


@pytest.mark.parametrize("graph", ["path", {"name": "random-regular", "degree": 3}])
@pytest.mark.parametrize("d", [24, 48, 61])
def test_lines_of_any_length_of_any_neighbours(d, graph):
    """One, two and three neighbours a node."""
    table = {"name": "logistic", "planted": {"rows": 200, "dimension": d, "label_noise": 0.2}}
    spec = cell_spec(table, "gradient", "matrix", {"step_size": 0.1 / d}, {"graph": graph})
    assert_both_engines_agree(spec.replace(nodes=[{"count": 10, "batch_size": 2}]))


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_any_chunking_and_any_thread_gives_the_same_bits(protocol, monkeypatch):
    spec = cell_spec("logistic", "gaussian", protocol, run={"replicas": 5, "steps": 20})
    monkeypatch.setenv("NUMBA_NUM_THREADS", "1")
    whole = executed(spec, fused, (20,)).states[20]["x"]
    often = executed(spec, fused, range(21)).states[20]["x"]
    single = [executed(spec, fused, (20,), range(r, r + 1)).states[20]["x"] for r in range(5)]
    monkeypatch.setattr(executor, "threads", lambda: 3)
    threaded = executed(spec, fused, (20,)).states[20]["x"]
    for other in (often, torch.cat(single), threaded):
        assert torch.equal(other, whole)


def test_each_kernel_is_compiled_once():
    for protocol in PROTOCOLS:
        executed(cell_spec("ridge", "sphere", protocol), fused)
        assert len(getattr(kernels(), f"run_{protocol}").signatures) == 1
        assert ready(f"run_{protocol}")


def plain(**changes):
    problem = {"name": "quadratic", "dimension": 3}
    return Spec.parse({"problem": problem, "nodes": [{"count": 2}]} | changes)


def estimator(**table):
    return [{"count": 2, "estimator": table}]


CHEBYSHEV = {"method": {"name": "chebyshev"}, "network": {"gossip": "matrix"}}
OTHERS = {
    "Chebyshev": CHEBYSHEV,
    "ResidualFeedback": {"nodes": estimator(name="residual_feedback")},
    "orthonormal": {"nodes": estimator(name="zeroth_order", sampling="orthonormal")},
    "LinearModel": {"problem": {"name": "huber"}},
    "AdditiveProblem": {"problem": {"name": "rosenbrock"}},
    "float64": {"run": {"dtype": "float32"}},
}


@pytest.mark.parametrize(("word", "changes"), OTHERS.items(), ids=OTHERS)
def test_other_components_are_named(word, changes):
    assert why_not(plain()) is None
    assert word in why_not(plain(**changes))


def test_a_component_that_extends_a_known_one_is_not_taken_for_it():
    class Louder(ZerothOrder):
        def draw(self, rows, d):
            return 2 * super().draw(rows, d)

    class Steeper(QuadraticProblem):
        def gradients(self, points, node, sample):
            return 2 * super().gradients(points, node, sample)

    parts = build(cell_spec("quadratic", "sphere", "pair"))
    assert obstacle(parts.problem, parts.population, parts.method) is None
    group = replace(parts.population.groups[0], estimator=Louder())
    other = replace(parts.population, groups=(group,))
    assert "Louder" in obstacle(parts.problem, other, parts.method)
    fields = {name: getattr(parts.problem, name) for name in parts.problem.__dataclass_fields__}
    assert "Steeper" in obstacle(Steeper(**fields), parts.population, parts.method)
