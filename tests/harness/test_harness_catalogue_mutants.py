"""The rest of the catalogue: keys without effect, momentum, shared noise, frozen vectors."""

import numpy as np
import pytest
import torch

from hzbench.core import registry
from hzbench.core.errors import SpecError
from hzbench.core.result import plain
from hzbench.core.spec import Spec
from hzbench.core.streams import Rows, replica_keys
from hzbench.estimators.zeroth_order import ZerothOrder
from hzbench.harness.build import build_problem
from hzbench.harness.prepare import prepare
from hzbench.harness.simulate import simulate

MUTANTS = registry.entries("mutant")
ZEROTH = {"name": "zeroth_order", "directions": "sphere", "samples": 2, "smoothing": 0.3}
FORWARD = {**ZEROTH, "difference": "forward"}
METHOD = {"name": "hdo", "step_size": 0.1}
SLOWING = {**METHOD, "schedule": {"name": "inverse-time", "offset": 2.0}}
PATH = {"graph": "path", "gossip": "pair", "edge_law": "node-neighbour"}


def spec_of(mutant=None, estimator=ZEROTH, batch=1, **changes):
    nodes = [{"count": 2}, {"count": 2, "estimator": estimator, "batch_size": batch}]
    table = {
        "problem": {"name": "quadratic", "dimension": 4, "noise": 0.3, "initial_spread": 1.0},
        "nodes": nodes,
        "method": METHOD,
        "run": {"steps": 6, "replicas": 8, "record": [6]},
        "checks": [{"theorem": "quadratic_dynamics"}],
        "mutant": mutant,
    }
    return Spec.parse(table | changes)


SETTINGS = {
    "central_over_radius": {},
    "lost_average": {},
    "step_over_nodes": {},
    "averaged_momentum": {"method": {**METHOD, "momentum": 0.5}},
    "dot_per_tensor": {},
    "frozen_directions": {},
    "gossip_weight_45": {},
    "ignored_batch_size": {"batch": 4},
    "ignored_edge_law": {"network": PATH},
    "ignored_schedule": {"method": SLOWING},
    "one_zeroth_as_first": {},
    "shared_data_noise": {},
    "smoothing_halved": {"estimator": FORWARD},
    "step_size_plus_2": {},
    "undamped_momentum": {"method": {**METHOD, "momentum": 0.5}},
}


def iterates(spec):
    return simulate(spec, ("mean_iterate", "consensus_potential"))


def same(a, b, tolerance=0.0):
    one, two = iterates(a), iterates(b)
    return all(
        np.allclose(values, two.columns[name], rtol=tolerance, atol=tolerance)
        for name, values in one.columns.items()
        if name in ("mean_iterate", "consensus_potential")
    )


@pytest.mark.parametrize("name", SETTINGS)
def test_it_changes_the_run_and_theory_does_not_see_it(name):
    right, wrong = spec_of(None, **SETTINGS[name]), spec_of(name, **SETTINGS[name])
    assert not same(right, wrong)
    seen, blind = prepare(right), prepare(wrong)
    assert plain(seen.setting) == plain(blind.setting)
    assert plain(seen.predictions) == plain(blind.predictions)


@pytest.mark.parametrize(
    ("name", "changes", "other"),
    [
        ("ignored_batch_size", {"batch": 4}, {}),
        ("ignored_edge_law", {"network": PATH}, {"network": {"graph": "path", "gossip": "pair"}}),
        ("ignored_schedule", {"method": SLOWING}, {}),
        ("smoothing_halved", {"estimator": FORWARD}, {"estimator": {**FORWARD, "smoothing": 0.15}}),
        ("step_over_nodes", {}, {"method": {**METHOD, "step_size": 0.025}}),
        ("step_size_plus_2", {}, {"method": {**METHOD, "step_size": 0.102}}),
        (
            "undamped_momentum",
            {"method": {**METHOD, "momentum": 0.5}},
            {"method": {"name": "hdo", "step_size": 0.2, "momentum": 0.5}},
        ),
    ],
)
def test_it_is_another_spec(name, changes, other):
    assert same(spec_of(name, **changes), spec_of(None, **other), 1e-12)


def test_one_zeroth_order_node_less():
    nodes = [{"count": 3}, {"count": 1, "estimator": ZEROTH}]
    assert same(spec_of("one_zeroth_as_first"), spec_of(None, nodes=nodes))
    alone = [{"count": 3}, {"count": 1, "estimator": ZEROTH, "step_size": 0.03}]
    first = [{"count": 3}, {"count": 1, "step_size": 0.03}]
    assert same(spec_of("one_zeroth_as_first", nodes=alone), spec_of(None, nodes=first))


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("averaged_momentum", {}),
        ("undamped_momentum", {}),
        ("ignored_schedule", {}),
        ("ignored_batch_size", {}),
        ("ignored_edge_law", {}),
        ("shared_data_noise", {"problem": {"name": "ridge"}}),
        ("one_zeroth_as_first", {"nodes": [{"count": 4}]}),
    ],
)
def test_it_is_refused_where_it_means_nothing(name, changes):
    with pytest.raises(SpecError, match="means nothing"):
        prepare(spec_of(name, **changes))


def rows(nodes=4, steps=3):
    node, step = torch.arange(nodes).repeat(steps), torch.arange(steps).repeat_interleave(nodes)
    keys = replica_keys(0, range(1))[[0] * len(node)]
    return Rows(keys=keys, replica=node * 0, node=node, step=step)


def wrong(name, **parameters):
    right = ZerothOrder(**({"directions": "gaussian", "samples": 2} | parameters))
    return MUTANTS[name].target().estimator(right), right


def test_frozen_vectors_are_those_of_step_0():
    bad, good = (each.draw(rows(), 5).view(3, 4, 2, 5) for each in wrong("frozen_directions"))
    assert (bad == good[:1]).all()
    assert (good[1] != good[0]).all()


def test_data_noise_is_that_of_node_0():
    problem = build_problem(spec_of())
    component = registry.find("estimator", "gradient").target()
    x = torch.zeros(12, 4, dtype=torch.float64)
    good = component.estimate(problem, x, rows(), 1).gradient.view(3, 4, 4)
    listening = MUTANTS["shared_data_noise"].target().estimator(component)
    bad = listening.estimate(problem, x, rows(), 1).gradient.view(3, 4, 4)
    exact = component.estimate(problem, x, rows(), "full").gradient.view(3, 4, 4)
    noise = (good - exact)[:, :1].expand(-1, 4, -1)
    assert torch.allclose(bad - exact, noise, atol=1e-14)
    assert not torch.allclose(good, bad)


@pytest.mark.parametrize("difference", ["central", "directional_derivative"])
def test_products_tensor_by_tensor(difference):
    bad, good = wrong("dot_per_tensor", difference=difference, smoothing=0.1)
    problem = build_problem(spec_of())
    x = torch.linspace(-1, 2, 48, dtype=torch.float64).view(12, 4)
    exact = registry.find("estimator", "gradient").target()
    h = exact.estimate(problem, x, rows(), "full").gradient
    u = good.draw(rows(), 4)
    halves = [u[..., part] * (u[..., part] * h[:, None, part]).sum(-1, keepdim=True)
              for part in (slice(2), slice(2, 4))]  # fmt: skip
    found = bad.estimate(problem, x, rows(), "full").gradient
    assert torch.allclose(found, torch.cat(halves, -1).mean(1), atol=1e-12)


def test_buffers_are_averaged_too():
    changes = {
        "method": {**METHOD, "momentum": 0.5},
        "nodes": [{"count": 2, "batch_size": "full"}],
        "run": {"steps": 2, "replicas": 1, "record": [2]},
        "network": {"graph": "complete", "gossip": "pair"},
        "problem": {
            "name": "quadratic", "hessian": [[1.0]], "initial": [[1.0], [4.0]],
            "linear_terms": [[0.5], [0.0]],
        },
    }  # fmt: skip
    # both nodes step at both ticks; h_i = x − b_i
    x, v, b = np.array([1.0, 4.0]), np.zeros(2), np.array([0.5, 0.0])
    for _ in range(2):
        v = 0.5 * v + 0.5 * (x - b)
        x = np.full(2, (x - 0.1 * v).mean())
        v = np.full(2, v.mean())
    found = simulate(spec_of("averaged_momentum", **changes), ("mean_iterate",))
    optimum = 0.25
    shift = simulate(spec_of(None, **changes), ("mean_iterate",)).at("mean_iterate", 0)[0, 0]
    start = 2.5
    assert shift in (start, start - optimum)
    assert found.at("mean_iterate", 2)[0, 0] - shift == pytest.approx(x.mean() - start, abs=1e-12)


def test_a_central_difference_over_its_radius_is_twice_as_large():
    run = {"steps": 1, "replicas": 8, "record": [1]}
    probe = {"method": "probe", "run": run, "nodes": [{"count": 3, "estimator": ZEROTH}]}
    right, wrong = (
        simulate(spec_of(name, checks=[], **probe), ("estimate",)).at("estimate", 1)
        for name in (None, "central_over_radius")
    )
    np.testing.assert_allclose(wrong, 2 * right, rtol=1e-12)


def test_a_lost_average_leaves_all_nodes_where_they_are():
    still = {**METHOD, "step_size": 0.0}
    trace = iterates(spec_of("lost_average", method=still))
    gamma = trace.columns["consensus_potential"]
    assert (gamma == gamma[:, :1]).all()
    assert gamma.min() > 0


def test_every_group_steps_by_less():
    slow = [{"count": 2, "step_size": 0.2}, {"count": 2, "estimator": ZEROTH}]
    slower = [{"count": 2, "step_size": 0.05}, {"count": 2, "estimator": ZEROTH}]
    other = spec_of(None, nodes=slower, method={**METHOD, "step_size": 0.025})
    assert same(spec_of("step_over_nodes", nodes=slow), other, 1e-12)
