"""Least squares with real minibatches: the recursion against complete enumeration."""

import time
from dataclasses import replace

import numpy as np
import pytest
from theory_enumeration import Ensemble, estimates, exchanges, measure, row_samples
from theory_settings import FIRST, setting, zeroth

from hzbench.core.setting import NetworkFacts
from hzbench.core.structure import GeneralizedLinear
from hzbench.theory.least_squares_dynamics import least_squares_dynamics

PATH = ((0, 1), (1, 2))
W = np.array([[0.6, 0.4, 0.0], [0.4, 0.3, 0.3], [0.0, 0.3, 0.7]])


def problem(loss="squared"):
    rng = np.random.default_rng(3)
    return GeneralizedLinear(
        features=rng.normal(size=(6, 2)),
        targets=rng.normal(size=6) + 1.0,
        members=(np.array([0, 1, 5]), np.array([2, 3]), np.array([1, 4])),
        loss=loss,
        regularization=0.4,
    )


def check(given, exchange):
    structure = given.problem.structure
    prediction = least_squares_dynamics(given)
    assert prediction.applies, [a for a in prediction.assumptions if not a.holds]
    outcomes, A, b = [], [], []
    for law, m in zip(given.laws, structure.members, strict=True):
        a, y = structure.features[m], structure.targets[m]
        A.append(a.T @ a / len(m) + structure.regularization * np.eye(2))
        b.append(a.T @ y / len(m))
        samples = row_samples(a, y, structure.regularization)
        outcomes.append(list(estimates(law, samples, 2)))
    state = Ensemble(given.problem.initial)
    for row in range(given.steps + 1):
        if row:
            state.step(exchange, outcomes, given.step_sizes, given.momentum, given.order)
        exact = measure(state, np.array(A), np.array(b))
        spread = exact.pop("spread")
        for name, value in exact.items():
            np.testing.assert_allclose(
                prediction.values[name][row], value, rtol=1e-10, atol=1e-12, err_msg=f"{name} {row}"
            )
        got = prediction.spread["mean_iterate"][row]
        np.testing.assert_allclose(got, spread, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("order", ["adapt-combine", "combine-adapt", "simultaneous"])
@pytest.mark.parametrize("protocol", ["pair", "matching", "matrix"])
@pytest.mark.parametrize("momentum", [0.0, 0.5])
def test_two_steps(protocol, order, momentum):
    laws = (
        FIRST,
        zeroth(directions="coordinate"),
        replace(FIRST, batch_size=2 if protocol == "pair" else "full"),
    )
    network = NetworkFacts(graph="path") if protocol == "pair" else NetworkFacts()
    if protocol == "matrix":
        network = NetworkFacts(matrix=W)
    given = setting(
        problem(), laws, protocol=protocol, order=order, momentum=momentum, network=network
    )
    check(given, exchanges(protocol, 3, edges=PATH, probabilities=(0.5, 0.5), matrix=W))


@pytest.mark.parametrize("law", ["gaussian", "sphere", "rademacher", "coordinate"])
@pytest.mark.parametrize("difference", ["central", "forward", "directional_derivative"])
@pytest.mark.parametrize(("data", "samples"), [("shared", 1), ("shared", 2), ("fresh", 2)])
def test_every_law_one_step(law, difference, data, samples):
    words = {"directions": law, "difference": difference, "data": data, "samples": samples}
    laws = (
        replace(FIRST, batch_size="full"),
        zeroth(batch_size=2 if samples == 1 else 1, **words),
        zeroth(batch_size="full", **words) if samples == 1 else replace(FIRST, batch_size=2),
    )
    given = setting(problem(), laws, network=NetworkFacts(matrix=W), steps=1)
    check(given, exchanges("matrix", 3, matrix=W))


def test_a_hundred_steps_on_many_rows_are_fast():
    rng = np.random.default_rng(1)
    structure = GeneralizedLinear(
        features=rng.normal(size=(442, 10)),
        targets=rng.normal(size=442),
        members=tuple(np.array_split(np.arange(442), 8)),
        loss="squared",
        regularization=0.1,
    )
    laws = (replace(FIRST, batch_size=4),) * 3 + (zeroth(batch_size=4, difference="forward"),) * 5
    given = setting(structure, laws, protocol="pair", steps=100, record=(0, 50, 100))
    begin = time.perf_counter()
    assert least_squares_dynamics(given).applies
    assert time.perf_counter() - begin < 2.0


def test_where_the_theorem_does_not_apply():
    laws = (FIRST, FIRST, zeroth())
    good = setting(problem(), laws)
    assert least_squares_dynamics(good).applies
    flat = replace(problem(), features=np.outer(np.ones(6), [1.0, 2.0]), regularization=0.0)
    empty = replace(problem(), members=(np.array([0]), np.array([], dtype=int), np.array([1])))
    for structure in (problem("logistic"), None, flat, empty):
        prediction = least_squares_dynamics(setting(structure, laws))
        assert not prediction.applies
        assert not prediction.values
