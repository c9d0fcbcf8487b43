"""Full coordinate differences in moving runs, against every sample and every sign of call noise."""

from itertools import product

import numpy as np
import pytest
from theory_enumeration import Ensemble, exchanges, measure, quadratic_samples, row_samples
from theory_settings import FIRST, assert_rotated_form_agrees, quadratic, setting

from hzbench.core.setting import NetworkFacts, UpdateFacts
from hzbench.core.structure import CoordinateLaw, GeneralizedLinear, OnePointLaw
from hzbench.theory import dynamics
from hzbench.theory.least_squares_dynamics import least_squares_dynamics
from hzbench.theory.quadratic_dynamics import quadratic_dynamics
from hzbench.theory.stability import step_size_limit

W2 = np.array([[0.8, 0.2], [0.2, 0.8]])
DIFFERENCES = ("central", "forward")


def law(difference, batch_size=1, smoothing=0.7):
    return CoordinateLaw(difference=difference, smoothing=smoothing, batch_size=batch_size)


def outcomes(law, samples, d, s):
    """(weight, x [S, d] -> G [S, d]) from function values, for every sample and every noise."""
    calls = 0 if s == 0 else 2 * d if law.difference == "central" else d + 1
    for drawn in product(samples, repeat=law.batch_size):
        for signs in product((-s, s), repeat=calls):
            weight = np.prod([w for w, _, _ in drawn]) * 0.5**calls
            yield weight, lambda x, D=drawn, N=signs or (0.0,) * 2 * d: differences(law, D, N, x)


def differences(law, drawn, noise, x):
    d, nu = x.shape[1], law.smoothing

    def value(at):
        return np.mean([v(at) for _, v, _ in drawn], axis=0)

    columns = []
    for k, e in enumerate(nu * np.eye(d)):
        high = value(x + e) + noise[k]
        if law.difference == "central":
            columns.append((high - value(x - e) - noise[d + k]) / (2 * nu))
        else:
            columns.append((high - value(x) - noise[d]) / nu)
    return np.stack(columns, axis=1)


def first(samples):
    return [(w, g) for w, _, g in samples]


def compare(prediction, given, lists, exchange, A, b):
    assert prediction.applies, [a for a in prediction.assumptions if not a.holds]
    state = Ensemble(given.problem.initial)
    for t in range(given.steps):
        state.step(exchange, lists, given.step_sizes, given.momentum, given.order)
        found = measure(state, A, b)
        for name, row in prediction.values.items():
            np.testing.assert_allclose(row[t + 1], found[name], rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("difference", DIFFERENCES)
@pytest.mark.parametrize("diagonal", [True, False])
@pytest.mark.parametrize("protocol", ["pair", "matrix"])
def test_quadratics_follow_every_outcome(protocol, diagonal, difference):
    structure, root = quadratic(
        np.random.default_rng(3), 2, 2, diagonal=diagonal, evaluation_noise=0.4
    )
    given = setting(
        structure,
        (law(difference), FIRST),
        protocol=protocol,
        momentum=0.3,
        network=NetworkFacts(matrix=W2) if protocol == "matrix" else NetworkFacts(),
    )
    A, b = structure.hessians, structure.linear
    samples = [quadratic_samples(*each) for each in zip(A, b, root, strict=True)]
    lists = [list(outcomes(law(difference), samples[0], 2, 0.4)), first(samples[1])]
    exchange = exchanges(protocol, 2, edges=((0, 1),), probabilities=(1.0,), matrix=W2)
    compare(quadratic_dynamics(given), given, lists, exchange, A, b)


@pytest.mark.parametrize("difference", DIFFERENCES)
@pytest.mark.parametrize("batch", [1, 2])
def test_rows_follow_every_outcome(batch, difference):
    rng = np.random.default_rng(5)
    structure = GeneralizedLinear(
        features=rng.normal(size=(5, 2)),
        targets=rng.normal(size=5),
        members=(np.array([0, 1, 2]), np.array([3, 4])),
        loss="squared",
        regularization=0.2,
    )
    laws = (law(difference, batch), FIRST)
    given = setting(structure, laws, network=NetworkFacts(matrix=W2))
    rows = [
        row_samples(structure.features[m], structure.targets[m], 0.2) for m in structure.members
    ]
    lists = [list(outcomes(laws[0], rows[0], 2, 0.0)), first(rows[1])]
    A, b = dynamics.quadratic_parts(given)
    prediction = least_squares_dynamics(given)
    compare(prediction, given, lists, exchanges("matrix", 2, matrix=W2), A, b)


@pytest.mark.parametrize("difference", DIFFERENCES)
def test_rotated_coordinates_agree_with_full_blocks(difference, monkeypatch):
    structure, _ = quadratic(np.random.default_rng(9), 4, 3, common=True, evaluation_noise=0.1)
    given = setting(structure, (FIRST, law(difference), FIRST, law(difference)), steps=5)
    assert_rotated_form_agrees(given, monkeypatch)


def test_coordinate_differences_are_as_stable_as_gradients_under_every_update():
    structure, _ = quadratic(np.random.default_rng(2), 3, 2)
    for rule in ("plain", "tracking"):
        update = UpdateFacts(rule=rule)
        limits = [
            step_size_limit(setting(structure, (each,) * 3, update=update))[0]
            for each in (FIRST, law("forward"))
        ]
        assert limits[0] == pytest.approx(limits[1], rel=1e-6)


@pytest.mark.parametrize("baseline", ["none", "residual"])
def test_values_in_the_estimate_do_not_close(baseline):
    structure, _ = quadratic(np.random.default_rng(2), 2, 2)
    point = OnePointLaw(
        directions="sphere", samples=1, smoothing=0.5, batch_size=1, baseline=baseline
    )
    failed = [
        a for a in quadratic_dynamics(setting(structure, (FIRST, point))).assumptions if not a.holds
    ]
    assert len(failed) == 1
    assert "fourth moments of x" in failed[0].detail
