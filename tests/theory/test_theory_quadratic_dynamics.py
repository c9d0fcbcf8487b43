"""The recursion against complete enumeration: every exchange, direction, sample and noise sign."""

from dataclasses import replace

import numpy as np
import pytest
from theory_enumeration import Ensemble, estimates, exchanges, measure, quadratic_samples
from theory_settings import FIRST, assert_rotated_form_agrees, quadratic, setting, zeroth

from hzbench.core.setting import NetworkFacts, ScheduleFacts
from hzbench.theory.quadratic_dynamics import quadratic_dynamics

COORDINATE = zeroth(directions="coordinate")
RADEMACHER = zeroth(directions="rademacher", difference="forward")
RING4 = ((0, 1), (1, 2), (2, 3), (0, 3))


def check(given, root, exchange, scales=(1.0, 1.0, 1.0)):
    prediction = quadratic_dynamics(given)
    assert prediction.applies, [a for a in prediction.assumptions if not a.holds]
    structure = given.problem.structure
    d = given.problem.dimension
    outcomes = []
    for i, law in enumerate(given.laws):
        samples = quadratic_samples(structure.hessians[i], structure.linear[i], root[i])
        outcomes.append(list(estimates(law, samples, d, structure.evaluation_noise)))
    state = Ensemble(given.problem.initial)
    for row in range(given.steps + 1):
        if row:
            state.step(
                exchange,
                outcomes,
                scales[row - 1] * given.step_sizes,
                given.momentum,
                given.order,
            )
        exact = measure(state, structure.hessians, structure.linear)
        spread = exact.pop("spread")
        for name, value in exact.items():
            np.testing.assert_allclose(
                prediction.values[name][row], value, rtol=1e-11, atol=1e-13, err_msg=f"{name} {row}"
            )
        if prediction.spread:
            got = prediction.spread["mean_iterate"][row]
            np.testing.assert_allclose(got, spread, rtol=1e-6, atol=1e-7)


ORDERS = ("adapt-combine", "combine-adapt", "simultaneous")
LAWS = (FIRST, COORDINATE, RADEMACHER)
W2 = np.array([[0.8, 0.2], [0.3, 0.7]])
W3 = np.array([[0.5, 0.3, 0.2], [0.1, 0.7, 0.2], [0.4, 0.0, 0.6]])


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("momentum", [0.0, 0.6])
@pytest.mark.parametrize("diagonal", [True, False])
@pytest.mark.parametrize("protocol", ["pair", "matching", "matrix"])
def test_two_steps_of_a_mixed_population(protocol, order, momentum, diagonal):
    rng = np.random.default_rng(1)
    structure, root = quadratic(rng, 3, 2, diagonal=diagonal)
    network = NetworkFacts(matrix=W3) if protocol == "matrix" else NetworkFacts(graph="complete")
    schedule = ScheduleFacts(name="inverse-time", offset=3.0)
    given = setting(
        structure,
        LAWS,
        protocol=protocol,
        order=order,
        momentum=momentum,
        network=network,
        schedule=schedule,
    )
    edges = ((0, 1), (0, 2), (1, 2))
    exchange = exchanges(protocol, 3, edges=edges, probabilities=(1 / 3,) * 3, matrix=W3)
    check(given, root, exchange, scales=(1.0, 0.75))


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("momentum", [0.0, 0.6])
@pytest.mark.parametrize("diagonal", [True, False])
@pytest.mark.parametrize("n", [2, 4])
def test_even_matchings(n, order, momentum, diagonal):
    rng = np.random.default_rng(2)
    structure, root = quadratic(rng, n, 2, diagonal=diagonal)
    laws = (COORDINATE, FIRST, FIRST, FIRST)[:n]
    given = setting(structure, laws, protocol="matching", order=order, momentum=momentum)
    check(given, root, exchanges("matching", n))


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("n", [6, 5])
@pytest.mark.parametrize("idle_steps", [True, False])
def test_larger_matchings(n, order, idle_steps):
    rng = np.random.default_rng(3)
    structure, _ = quadratic(rng, n, 2, noise=0.0)
    laws = (zeroth(directions="coordinate"), *(FIRST,) * (n - 1))
    full = tuple(replace(law, batch_size="full") for law in laws)
    given = setting(structure, full, protocol="matching", order=order, idle_steps=idle_steps)
    root = np.zeros((n, 2, 1))
    check(given, root, exchanges("matching", n, idle_steps=idle_steps))


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("idle_steps", [True, False])
def test_odd_matchings_with_noise(order, idle_steps):
    rng = np.random.default_rng(4)
    structure, root = quadratic(rng, 3, 2)
    given = setting(
        structure,
        (FIRST, COORDINATE, FIRST),
        protocol="matching",
        order=order,
        idle_steps=idle_steps,
        momentum=0.3,
        steps=3,
    )
    check(given, root, exchanges("matching", 3, idle_steps=idle_steps))


@pytest.mark.parametrize("law", ["gaussian", "sphere", "rademacher", "coordinate"])
@pytest.mark.parametrize("difference", ["central", "forward", "directional_derivative"])
@pytest.mark.parametrize("data", ["shared", "fresh"])
@pytest.mark.parametrize("samples", [1, 2])
@pytest.mark.parametrize("diagonal", [True, False])
def test_every_law_one_step(law, difference, data, samples, diagonal):
    rng = np.random.default_rng(5)
    structure, root = quadratic(rng, 2, 2, diagonal=diagonal, evaluation_noise=0.2)
    if samples == 2 and law == "gaussian":
        structure = replace(structure, evaluation_noise=0.0)
    laws = (zeroth(directions=law, difference=difference, data=data, samples=samples), FIRST)
    given = setting(structure, laws, network=NetworkFacts(matrix=W2), steps=1)
    check(given, root, exchanges("matrix", 2, matrix=W2))


@pytest.mark.parametrize("edge_law", ["uniform", "node-neighbour", "explicit"])
@pytest.mark.parametrize("order", ORDERS)
def test_pairs_on_other_graphs(edge_law, order):
    rng = np.random.default_rng(6)
    structure, root = quadratic(rng, 4, 2)
    edges = ((0, 1), (1, 2), (2, 3), (1, 3))
    degrees = np.array([1, 3, 2, 2])
    chances = {
        "uniform": (0.25,) * 4,
        "node-neighbour": tuple((1 / degrees[i] + 1 / degrees[j]) / 4 for i, j in edges),
        "explicit": (0.4, 0.1, 0.3, 0.2),
    }[edge_law]
    network = NetworkFacts(
        graph="explicit",
        edges=edges,
        edge_law=edge_law,
        edge_probabilities=chances if edge_law == "explicit" else (),
    )
    laws = (FIRST, COORDINATE, FIRST, FIRST)
    given = setting(structure, laws, protocol="pair", order=order, network=network)
    check(given, root, exchanges("pair", 4, edges=edges, probabilities=chances))


@pytest.mark.parametrize("batch", [1, 2, "full"])
def test_batches_divide_the_data_noise(batch):
    rng = np.random.default_rng(7)
    structure, root = quadratic(rng, 3, 2)
    laws = (replace(FIRST, batch_size=batch), zeroth(directions="coordinate", batch_size=batch))
    given = setting(
        replace(
            structure,
            hessians=structure.hessians[:2],
            linear=structure.linear[:2],
            noise=structure.noise[:2],
        ),
        laws,
        protocol="pair",
    )
    check(given, root, exchanges("pair", 2, edges=((0, 1),), probabilities=(1.0,)))


@pytest.mark.parametrize("name", ["constant", "inverse-time", "cosine"])
def test_schedules(name):
    rng = np.random.default_rng(8)
    structure, root = quadratic(rng, 2, 2)
    schedule = ScheduleFacts(name=name, offset=4.0, warmup=2)
    given = setting(
        structure,
        (COORDINATE, FIRST),
        network=NetworkFacts(matrix=W2),
        schedule=schedule,
        steps=4,
        record=(0, 1, 2, 3, 4),
    )
    scales = {
        "constant": (0.5, 1.0, 1.0, 1.0),
        "inverse-time": (0.5, 1.0, 1.0, 0.8),
        "cosine": (0.5, 1.0, 1.0, 0.5),
    }[name]
    check(given, root, exchanges("matrix", 2, matrix=W2), scales)


@pytest.mark.parametrize("protocol", ["pair", "matching", "matrix"])
@pytest.mark.parametrize("momentum", [0.0, 0.5])
def test_rotated_form_agrees_with_full_blocks(protocol, momentum, monkeypatch):
    rng = np.random.default_rng(9)
    structure, _ = quadratic(rng, 5, 3, common=True, evaluation_noise=0.1)
    laws = (FIRST, zeroth(), zeroth(difference="forward", directions="gaussian"), FIRST, zeroth())
    given = setting(structure, laws, protocol=protocol, momentum=momentum, steps=7)
    assert_rotated_form_agrees(given, monkeypatch)


def test_rows_of_an_explicit_matrix_must_sum_to_one():
    rng = np.random.default_rng(11)
    structure, _ = quadratic(rng, 2, 2)
    given = setting(structure, (FIRST, FIRST), network=NetworkFacts(matrix=0.9 * W2))
    failed = [a for a in quadratic_dynamics(given).assumptions if not a.holds]
    assert [a.detail for a in failed] == ["largest deviation of a row sum = 0.1"]


def test_too_large_a_state_is_inapplicable_with_its_size():
    rng = np.random.default_rng(10)
    structure, _ = quadratic(rng, 5, 90)
    prediction = quadratic_dynamics(setting(structure, (FIRST,) * 5))
    assert not prediction.applies
    assert any("state of size 450" in a.detail for a in prediction.assumptions if not a.holds)
