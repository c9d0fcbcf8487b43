"""Mutants of the queries: what each changes, what it leaves alone, and the printed A4 and A9."""

import numpy as np
import pytest
import torch

from hzbench.core.result import plain
from hzbench.core.spec import Spec
from hzbench.core.streams import Rows
from hzbench.harness.prepare import prepare
from hzbench.harness.simulate import simulate
from hzbench.mutants.queries import of_the_node_before

QUADRATIC = {"name": "quadratic", "dimension": 3, "noise": 0.3, "initial": 2.0}
COORDINATE = {
    "name": "zeroth_order",
    "directions": "coordinate",
    "difference": "forward",
    "smoothing": 0.8,
    "samples": 2,
}
ORTHONORMAL = {"name": "zeroth_order", "sampling": "orthonormal", "samples": 2}
WHERE = {  # mutant -> an estimator that it changes, one that it leaves alone
    "unsigned_coordinate": (COORDINATE, ORTHONORMAL),
    "independent_directions": (ORTHONORMAL, COORDINATE),
    "smoothing_doubled": ({"name": "coordinate_difference", "difference": "forward"}, "gradient"),
    "reused_direction": ("residual_feedback", "one_point"),
}
RESIDUAL = {"name": "residual_feedback", "samples": 8, "smoothing": 0.2}
MOVING = ("frozen_directions", "neighbours_memory")


def spec_of(mutant, estimator, replicas=64, problem=QUADRATIC, **group):
    return Spec.parse(
        {
            "problem": problem,
            "nodes": [{"count": 2, "estimator": estimator, **group}],
            "method": "probe",
            "run": {"steps": 1, "replicas": replicas, "record": [1]},
            "mutant": mutant,
        }
    )


def estimates(*arguments, **changes):
    return simulate(spec_of(*arguments, **changes), ("estimate",)).at("estimate", 1)


@pytest.mark.parametrize("mutant", WHERE)
def test_a_mutant_changes_its_estimator_and_no_other(mutant):
    changed, spared = WHERE[mutant]
    assert not np.allclose(estimates(mutant, changed), estimates(None, changed), rtol=1e-6)
    assert np.array_equal(estimates(mutant, spared), estimates(None, spared))


@pytest.mark.parametrize("mutant", WHERE)
def test_theory_does_not_see_a_mutant(mutant):
    wrong, right = (prepare(spec_of(name, WHERE[mutant][0])) for name in (mutant, None))
    assert plain(wrong.setting) == plain(right.setting)
    assert plain(wrong.predictions) == plain(right.predictions)


def test_a_doubled_radius_is_another_spec():
    given, doubled = ({"name": "one_point", "smoothing": nu} for nu in (0.2, 0.4))
    assert np.array_equal(estimates("smoothing_doubled", given), estimates(None, doubled))


def test_independent_directions_are_another_spec():
    plainly = {"name": "zeroth_order", "samples": 2}
    assert np.array_equal(
        estimates("independent_directions", ORTHONORMAL), estimates(None, plainly)
    )


def near(sample, expected):
    """Within 4.5 standard errors, coordinate by coordinate."""
    error = sample.std(axis=0) / len(sample) ** 0.5
    return (np.abs(sample.mean(axis=0) - expected) < 4.5 * error).all()


def test_an_unsigned_coordinate_has_the_bias_of_a4():
    spec = spec_of(None, COORDINATE)
    facts = prepare(spec).setting.problem
    A, x = facts.structure.hessians[0], facts.initial[0]
    shift = 0.8 / 2 * np.sqrt(3) * np.diag(A)
    found = estimates("unsigned_coordinate", COORDINATE, 3000, batch_size="full")
    assert near(found, A @ x + shift)
    assert not near(found, A @ x)
    assert near(estimates(None, COORDINATE, 3000, batch_size="full"), A @ x)


def test_a_reused_direction_cancels_at_rest():
    exact = estimates("reused_direction", "residual_feedback", batch_size="full")
    assert np.abs(exact).max() < 1e-12


def test_different_samples_have_the_variance_of_a9():
    """tr Cov = (d+1)|h|² + d x'Σx/(2ν²) + tr Σ + ½ d tr Σ, Gaussian and central."""
    nu, d = 0.4, 3
    estimator = {"name": "zeroth_order", "directions": "gaussian", "smoothing": nu}
    facts = prepare(spec_of(None, estimator)).setting.problem
    h, x = facts.structure.hessians[0] @ facts.initial[0], facts.initial[0]
    trace = 3 * 0.09
    expected = (d + 1) * (h @ h) + d * 0.09 * (x @ x) / (2 * nu**2) + trace + d * trace / 2
    one = [{"count": 1, "estimator": estimator}]
    spec = spec_of("fresh_sample", estimator, 6000).replace(nodes=one)
    g = simulate(spec, ("estimate",)).at("estimate", 1)
    assert near(((g - h) ** 2).sum(1, keepdims=True), expected)


@pytest.mark.parametrize("mutant", MOVING)
def test_mutants_of_memory_start_with_the_second_estimate(mutant):
    def power(mutant, steps):
        return simulate(residual(mutant, steps), ("estimate_power",)).at("estimate_power", steps)

    assert np.array_equal(power(mutant, 1), power(None, 1))
    assert not np.isclose(power(mutant, 2), power(None, 2)).any()


@pytest.mark.parametrize("nodes", [(0, 1, 2), (1, 4)])
def test_a_neighbours_memory_is_of_the_same_replica_in_any_order_of_rows(nodes):
    replica, node = (each.flatten() for each in np.meshgrid(range(5), nodes))
    shuffled = np.random.default_rng(0).permutation(len(node))
    for order in (slice(None), shuffled):
        here, there = torch.as_tensor(replica[order]), torch.as_tensor(node[order])
        rows = Rows(keys=here.new_zeros(len(here), 2), replica=here, node=there, step=here)
        found = of_the_node_before(torch.stack([here, there], 1), rows)
        before = {one: nodes[place - 1] for place, one in enumerate(nodes)}
        assert np.array_equal(found[:, 0], here)
        assert found[:, 1].tolist() == [before[each] for each in there.tolist()]


def test_a_stale_memory_shows_from_the_third_estimate_on_and_costs_variance_where_f_moves():
    def distance(mutant, steps, replicas=400):
        moving = {"method": {"name": "dsgd", "step_size": 0.05}, "network": {"gossip": "matrix"}}
        run = {"steps": steps, "replicas": replicas, "record": [steps]}
        spec = residual(mutant, steps).replace(run=run, **moving)
        return simulate(spec, ("node_distance",)).at("node_distance", steps)

    assert np.array_equal(distance("stale_memory", 2), distance(None, 2))
    assert not np.isclose(distance("stale_memory", 3), distance(None, 3)).any()
    assert distance("stale_memory", 60).mean() > 1.5 * distance(None, 60).mean()


def residual(mutant, steps):
    return Spec.parse(
        {
            "problem": QUADRATIC | {"initial_spread": 1.0},
            "nodes": [{"count": 3, "estimator": RESIDUAL}],
            "method": "probe",
            "run": {"steps": steps, "replicas": 20, "record": [steps]},
            "mutant": mutant,
        }
    )
