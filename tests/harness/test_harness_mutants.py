"""Mutants: each plants the bug it names, theory never sees it, other runs stay as they are."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from hzbench.core import registry
from hzbench.core.errors import SpecError
from hzbench.core.result import plain
from hzbench.core.spec import Spec
from hzbench.core.streams import Rows, replica_keys
from hzbench.estimators.zeroth_order import ZerothOrder
from hzbench.harness.build import build, build_plan
from hzbench.harness.prepare import prepare
from hzbench.harness.simulate import simulate

MUTANTS = registry.entries("mutant")
PROBLEM = {"name": "quadratic", "dimension": 3, "noise": 0.3, "initial_spread": 1.0}
ZEROTH = {"name": "zeroth_order", "directions": "rademacher", "samples": 2}
FIRST_ONLY = [{"count": 2}, {"count": 2, "step_size": 0.05}]
HYBRID = [{"count": 2}, {"count": 2, "estimator": ZEROTH, "step_size": 0.05}]
MATRIX = {"method": "dsgd", "network": {"graph": "ring"}}
ESTIMATOR = (
    "forward_for_central",
    "fresh_sample",
    "gaussian_for_sphere",
    "missing_sqrt_d",
    "one_sample_fewer",
    "shared_directions",
    "uniform_tangents",
)
OTHERS = (
    "combine_then_adapt",
    "gossip_weight_48",
    "ignored_step_size",
    "lazy_weights",
    "noise_plus_5",
    "one_endpoint",
    "self_pairs",
    "step_size_plus_5",
)
HERE = ESTIMATOR + OTHERS


def spec_of(mutant, nodes=HYBRID, **changes):
    table = {
        "problem": PROBLEM,
        "nodes": nodes,
        "run": {"steps": 10, "replicas": 8, "record": [5]},
        "mutant": mutant,
    }
    return Spec.parse(table | (MATRIX if mutant == "lazy_weights" else {}) | changes)


def same(a, b):
    found = [simulate(spec, ("objective_gap", "consensus_potential")).columns for spec in (a, b)]
    return all(np.array_equal(values, found[1][name]) for name, values in found[0].items())


def clean(spec):
    return spec.model_copy(update={"mutant": None})


def test_every_mutant_is_tested_here():
    """Here, or in another test file, which then names it."""
    texts = [
        path.read_text(encoding="utf-8") for path in Path(__file__).parents[1].rglob("test_*.py")
    ]
    assert not [name for name in MUTANTS if not any(f'"{name}"' in text for text in texts)]
    assert len(MUTANTS) >= 10


@pytest.mark.parametrize("name", HERE)
def test_a_mutant_changes_the_run(name):
    spec = spec_of(name)
    assert not same(spec, clean(spec))


@pytest.mark.parametrize("name", HERE)
def test_theory_does_not_see_a_mutant(name):
    spec = spec_of(name)
    wrong, right = prepare(spec), prepare(clean(spec))
    assert plain(wrong.setting) == plain(right.setting)
    assert plain(wrong.predictions) == plain(right.predictions)
    assert wrong.observables == right.observables


@pytest.mark.parametrize("name", ESTIMATOR)
def test_a_mutant_of_estimators_leaves_first_order_runs_alone(name):
    spec = spec_of(name, FIRST_ONLY)
    assert same(spec, clean(spec))


def test_mutants_that_mean_nothing_elsewhere_are_refused():
    matching = {"network": {"gossip": "matching"}}
    for name, changes in (
        ("one_endpoint", matching),
        ("one_endpoint", MATRIX),
        ("self_pairs", matching),
        ("lazy_weights", {"method": "hdo", "network": {"gossip": "pair"}}),
    ):
        with pytest.raises(SpecError, match="means nothing"):
            prepare(spec_of(name, **changes))


def with_estimator(**changes):
    return [HYBRID[0], {**HYBRID[1], "estimator": ZEROTH | changes}]


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("forward_for_central", {"nodes": with_estimator(difference="forward")}),
        ("gaussian_for_sphere", {"nodes": with_estimator(directions="gaussian")}),
        ("one_sample_fewer", {"nodes": with_estimator(samples=1)}),
        ("ignored_step_size", {"nodes": [{"count": 2}, {"count": 2, "estimator": ZEROTH}]}),
        (
            "batch_plus_one",
            {"nodes": [HYBRID[0] | {"batch_size": 2}, HYBRID[1] | {"batch_size": 2}]},
        ),
        (
            "noise_plus_5",
            {
                "problem": {
                    "name": "quadratic",
                    "dimension": 3,
                    "noise": 0.315,
                    "initial_spread": 1.0,
                }
            },
        ),
    ],
)
def test_some_mutants_are_another_spec(name, changes):
    assert same(spec_of(name), spec_of(None, **changes))


def test_longer_steps_are_five_per_cent_longer():
    nodes = [{"count": 2}, {"count": 2, "estimator": ZEROTH, "step_size": 0.0525}]
    method = {"name": "hdo", "step_size": 0.105}
    right = spec_of(None, nodes, method=method)
    found = [simulate(s, ("mean_iterate",)) for s in (spec_of("step_size_plus_5"), right)]
    np.testing.assert_allclose(*(trace.at("mean_iterate", 5) for trace in found), rtol=1e-12)


def rows():
    node = torch.arange(4).repeat(3)
    step = torch.arange(3).repeat_interleave(4)
    return Rows(keys=replica_keys(0, range(1))[[0] * 12], replica=node * 0, node=node, step=step)


def drawn(name, **parameters):
    estimator = ZerothOrder(**({"directions": "sphere", "samples": 2} | parameters))
    wrong = MUTANTS[name].target().estimator(estimator)
    return wrong.draw(rows(), 5), estimator.draw(rows(), 5)


def test_directions_of_mutants():
    wrong, right = drawn("missing_sqrt_d")
    assert torch.allclose(wrong, right / math.sqrt(5))
    wrong, right = drawn("shared_directions")
    by_step = wrong.reshape(3, 4, 2, 5)
    assert (by_step == by_step[:, :1]).all()
    assert torch.equal(by_step[:, 0], right.reshape(3, 4, 2, 5)[:, 0])
    assert (by_step[0] != by_step[1]).all()
    wrong, _ = drawn("uniform_tangents", samples=2000)
    assert 0 < wrong.min() < 0.01
    assert 0.99 < wrong.max() < 1
    assert abs(float(wrong.mean()) - 0.5) < 0.01


def test_one_endpoint_is_a_silent_higher_end():
    nodes = [{"count": 4, "batch_size": "full"}]
    spec = spec_of("one_endpoint", nodes, run={"steps": 1, "replicas": 50})
    parts = build(clean(spec))
    moved = simulate(spec, ("mean_iterate",)).at("mean_iterate", 1)
    first = build_plan(parts, range(50)).pairs[:, 0].min(1)
    start, curvature = parts.problem.initial, parts.problem.structure.hessians[0].diagonal()
    step = 0.1 * curvature * start[first]
    np.testing.assert_allclose(moved, start.mean(0) - step / 4, atol=1e-12)


def test_self_pairs_meet_themselves_once_in_n():
    spec = spec_of("self_pairs", run={"steps": 200, "replicas": 64})
    plan = build_plan(build(spec), range(64))
    pairs = plan.pairs.reshape(-1, 2)
    assert (
        abs(float((pairs[:, 0] == pairs[:, 1]).mean()) - 1 / 4) < 4 * (3 / 16 / len(pairs)) ** 0.5
    )
    counts = np.bincount(pairs[:, 0] * 4 + pairs[:, 1], minlength=16)
    assert (np.abs(counts / len(pairs) - 1 / 16) < 4.5 * (1 / 16 / len(pairs)) ** 0.5).all()
    assert (build_plan(build(clean(spec)), range(64)).pairs[:, :, 0] != plan.pairs[:, :, 0]).any()


def test_lazy_weights_are_half_the_identity():
    spec = spec_of("lazy_weights")
    right = build_plan(build(clean(spec)), range(2)).matrix
    wrong = build_plan(build(spec), range(2)).matrix
    assert (wrong == (np.eye(4) + right) / 2).all()


def test_a_fresh_sample_makes_the_variance_grow_as_the_smoothing_shrinks():
    def spread(mutant, smoothing):
        nodes = [{"count": 1, "estimator": {**ZEROTH, "smoothing": smoothing}}]
        run = {"steps": 1, "replicas": 2000, "record": [1]}
        spec = spec_of(mutant, nodes, method="probe", run=run, network={})
        return simulate(spec, ("estimate",)).at("estimate", 1).var()

    assert spread("fresh_sample", 0.01) > 50 * spread("fresh_sample", 0.1)
    assert spread(None, 0.01) == pytest.approx(spread(None, 0.1), rel=1e-6)
