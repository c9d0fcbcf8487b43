"""Constants of the laws, and moments of estimates, against complete enumeration."""

from dataclasses import replace

import numpy as np
import pytest
from theory_enumeration import (
    direction_points,
    estimates,
    logistic_samples,
    quadratic_samples,
    row_samples,
)
from theory_settings import FIRST, quadratic, setting, spd, zeroth

from hzbench.core.structure import GeneralizedLinear, GradientLaw
from hzbench.theory.directions import curvature_moment, direction_moments
from hzbench.theory.estimator_moments import estimator_moments, node_moments

EVERY_LAW = ("gaussian", "sphere", "rademacher", "coordinate")
EXACT = {"rtol": 1e-11, "atol": 1e-12}


@pytest.mark.parametrize("law", EVERY_LAW)
@pytest.mark.parametrize("d", [2, 3])
def test_constants_of_a_law(law, d):
    points = direction_points(law, d)
    w = np.array([w for w, _ in points])
    u = np.array([u for _, u in points])
    e = np.array([0.6, -0.8, 0.0])[:d]
    got = direction_moments(law, d)
    size = (u**2).sum(1)
    np.testing.assert_allclose(w @ size, d, **EXACT)
    np.testing.assert_allclose(w @ size**2, got.fourth, **EXACT)
    np.testing.assert_allclose(w @ size**3, got.sixth, **EXACT)
    np.testing.assert_allclose(w @ (size * (u @ e) ** 2), got.omega, **EXACT)
    fourth = np.einsum("s,si,sj,sk,sl->ijkl", w, u, u, u, u)
    I = np.eye(d)
    pairings = np.einsum("ij,kl->ijkl", I, I) + np.einsum("ik,jl->ijkl", I, I)
    pairings = pairings + np.einsum("il,jk->ijkl", I, I)
    single = np.zeros((d,) * 4)
    single[(np.arange(d),) * 4] = 1.0
    np.testing.assert_allclose(fourth, got.kappa * pairings + got.gamma * single, **EXACT)


@pytest.mark.parametrize("law", EVERY_LAW)
@pytest.mark.parametrize("d", [2, 3])
def test_curvature_moment(law, d):
    A = spd(np.random.default_rng(d), d) - 0.9 * np.eye(d)
    direct = sum(w * np.outer(u, u) * (u @ A @ u) ** 2 for w, u in direction_points(law, d))
    np.testing.assert_allclose(curvature_moment(law, A), direct, **EXACT)
    stack = curvature_moment(law, np.array([A, 2 * A]))
    np.testing.assert_allclose(stack[1], 4 * direct, **EXACT)


@pytest.mark.parametrize("d", [1, 5])
def test_rademacher_and_coordinate_curvature_in_other_dimensions(d):
    A = spd(np.random.default_rng(d), d)
    for law in ("rademacher", "coordinate"):
        direct = sum(w * np.outer(u, u) * (u @ A @ u) ** 2 for w, u in direction_points(law, d))
        np.testing.assert_allclose(curvature_moment(law, A), direct, **EXACT)


def moments(law, samples, x, s=0.0):
    """Mean and covariance of one estimate by enumeration."""
    listed = [(w, G(x[None])[0]) for w, G in estimates(law, samples, len(x), s)]
    w = np.array([w for w, _ in listed])
    g = np.array([g for _, g in listed])
    assert abs(w.sum() - 1) < 1e-12
    mean = w @ g
    return mean, np.einsum("s,si,sj->ij", w, g - mean, g - mean)


def compare(given, lists, s=0.0):
    """Nodes' moments and the theorem's observables against enumeration."""
    points = given.problem.initial
    found = [
        moments(law, samples, x, s)
        for law, samples, x in zip(given.laws, lists, points, strict=True)
    ]
    means, covariances = (np.array(part) for part in zip(*found, strict=True))
    got_mean, got_covariance = node_moments(given, points)
    np.testing.assert_allclose(got_mean, means, **EXACT)
    np.testing.assert_allclose(got_covariance, covariances, **EXACT)
    prediction = estimator_moments(given)
    assert prediction.applies
    n = given.nodes
    total, mean = covariances.sum(0) / n**2, means.mean(0)
    power = np.mean([m @ m + np.trace(c) for m, c in zip(means, covariances, strict=True)])
    assert prediction.steps == given.record[1:]
    for row in range(len(prediction.steps)):
        values = {name: value[row] for name, value in prediction.values.items()}
        np.testing.assert_allclose(values["estimate"], mean, **EXACT)
        np.testing.assert_allclose(
            values["estimate_square"], mean @ mean + np.trace(total), **EXACT
        )
        np.testing.assert_allclose(values["estimate_power"], power, **EXACT)
        spread = prediction.spread["estimate"][row]
        np.testing.assert_allclose(spread, np.sqrt(np.diag(total)), **EXACT)


@pytest.mark.parametrize("law", EVERY_LAW)
@pytest.mark.parametrize("difference", ["central", "forward", "directional_derivative"])
@pytest.mark.parametrize("data", ["shared", "fresh"])
@pytest.mark.parametrize("samples", [1, 2])
def test_quadratics(law, difference, data, samples):
    rng = np.random.default_rng(1)
    s = 0.3 if samples == 1 or law in {"rademacher", "coordinate"} else 0.0
    structure, root = quadratic(rng, 2, 2, evaluation_noise=s)
    first = zeroth(directions=law, difference=difference, data=data, samples=samples)
    given = setting(structure, (first, FIRST), moves=False)
    lists = [
        quadratic_samples(A, b, z)
        for A, b, z in zip(structure.hessians, structure.linear, root, strict=True)
    ]
    compare(given, lists, s)


@pytest.mark.parametrize("difference", ["central", "forward"])
@pytest.mark.parametrize("data", ["shared", "fresh"])
def test_three_directions_share_one_base_evaluation_or_none(difference, data):
    structure, root = quadratic(np.random.default_rng(2), 1, 1, evaluation_noise=0.5)
    law = zeroth(directions="coordinate", difference=difference, data=data, samples=3)
    lists = [quadratic_samples(structure.hessians[0], structure.linear[0], root[0])]
    compare(setting(structure, (law,), moves=False), lists, 0.5)


@pytest.mark.parametrize("law", EVERY_LAW)
def test_dimension_three_with_a_batch(law):
    structure, root = quadratic(np.random.default_rng(3), 1, 3)
    changed = zeroth(directions=law, difference="forward", batch_size=2)
    lists = [quadratic_samples(structure.hessians[0], structure.linear[0], root[0])]
    compare(setting(structure, (changed,), moves=False), lists)


def rows(loss, regularization=0.3):
    rng = np.random.default_rng(4)
    members = (np.array([0, 1, 2]), np.array([2, 3]))
    targets = rng.normal(size=4) if loss == "squared" else np.array([1.0, -1.0, -1.0, 1.0])
    structure = GeneralizedLinear(
        features=rng.normal(size=(4, 2)),
        targets=targets,
        members=members,
        loss=loss,
        regularization=regularization,
    )
    make = row_samples if loss == "squared" else logistic_samples
    lists = [make(structure.features[m], targets[m], regularization) for m in members]
    return structure, lists


@pytest.mark.parametrize("law", EVERY_LAW)
@pytest.mark.parametrize("difference", ["central", "forward", "directional_derivative"])
@pytest.mark.parametrize(("data", "samples"), [("shared", 1), ("shared", 2), ("fresh", 2)])
@pytest.mark.parametrize("batch", [1, 2, "full"])
def test_least_squares_rows(law, difference, data, samples, batch):
    if samples == 2 and batch == 2 and (data == "fresh" and law in {"gaussian", "sphere"}):
        batch = 1
    structure, lists = rows("squared")
    words = {"directions": law, "difference": difference, "data": data, "samples": samples}
    laws = (zeroth(batch_size=batch, **words), replace(FIRST, batch_size=batch))
    compare(setting(structure, laws, moves=False), lists)


@pytest.mark.parametrize("batch", [1, 2, "full"])
def test_logistic_rows(batch):
    structure, lists = rows("logistic")
    law = zeroth(difference="directional_derivative", batch_size=batch, samples=2)
    compare(setting(structure, (law, GradientLaw(batch_size=batch)), moves=False), lists)


def test_logistic_gradients_do_not_overflow():
    structure, _ = rows("logistic")
    large = replace(structure, features=1e4 * structure.features)
    assert estimator_moments(setting(large, (FIRST, FIRST), moves=False)).applies


def failing(prediction):
    assert not prediction.values
    return [a.text for a in prediction.assumptions if not a.holds]


def test_where_the_theorem_does_not_apply():
    structure, _ = quadratic(np.random.default_rng(5), 3, 2)
    laws = (FIRST, zeroth(), FIRST)
    base = setting(structure, laws, moves=False)
    assert estimator_moments(base).applies
    cases = {
        "the iterates stay at the start": {"moves": True},
        "every node draws an estimate at every step": {"protocol": "pair"},
        "every node declares the law of its estimator": {"laws": (FIRST, None, FIRST)},
        "every smoothing radius is positive": {"laws": (FIRST, zeroth(smoothing=0.0), FIRST)},
        "a step after the start is recorded": {"record": (0,)},
    }
    for text, change in cases.items():
        assert failing(estimator_moments(replace(base, **change))) == [text]
    odd = replace(base, protocol="matching")
    assert failing(estimator_moments(odd)) == ["every node draws an estimate at every step"]
    assert estimator_moments(replace(odd, idle_steps=True)).applies
    logistic, _ = rows("logistic")
    got = failing(estimator_moments(setting(logistic, (FIRST, zeroth()), moves=False)))
    assert got == ["the moments of every estimate have a closed form"]
    got = failing(estimator_moments(setting(None, (FIRST, zeroth()), moves=False)))
    assert got == ["the structure of every f_i is declared"]
