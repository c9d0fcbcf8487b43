"""Exact means on separable functions against quadrature of the actual estimates."""

from itertools import product

import numpy as np
import pytest
from test_theory_estimators import EVERY_LAW, failing
from theory_settings import FIRST, quadratic, setting, zeroth

from hzbench.core.constants import Constants
from hzbench.core.structure import CoordinateLaw, OnePointLaw, Separable
from hzbench.theory.estimator_bounds import estimator_bounds, objective
from hzbench.theory.gradients import sample_gradients
from hzbench.theory.separable_means import mean_estimate, separable_means

TERMS = {"exponential": np.exp, "cosine": np.cos, "quartic": lambda z: z**4 / 4}


def separable(term, n, d, seed=0, **changes):
    rng = np.random.default_rng(seed)
    words = {
        "term": term,
        "coefficients": rng.uniform(0.3, 1.5, (n, d)),
        "rates": rng.uniform(0.5, 1.2, d) * np.resize([1, -1], d),
        "linear": rng.normal(size=(n, d)),
        "noise": rng.uniform(0, 1, (n, d)),
    }
    return Separable(**(words | changes))


def value(structure, node, y):
    """f_i(y) written out, y [..., d]."""
    terms = structure.coefficients[node] * TERMS[structure.term](structure.rates * y)
    return (terms - structure.linear[node] * y).sum(-1)


def quadrature(law, d):
    """Weights [S] and vectors [S, d], fine enough for analytic functions."""
    if law == "rademacher":
        u = np.array(list(product((-1.0, 1.0), repeat=d)))
        return np.full(len(u), 1 / len(u)), u
    if law == "coordinate":
        u = np.sqrt(d) * np.concatenate([np.eye(d), -np.eye(d)])
        return np.full(2 * d, 0.5 / d), u
    if law == "gaussian":
        nodes, weights = np.polynomial.hermite_e.hermegauss(30)
        weights = weights / weights.sum()
        u = np.array(list(product(nodes, repeat=d)))
        return np.prod(list(product(weights, repeat=d)), axis=1), u
    angles = 2 * np.pi * np.arange(64) / 64
    circle = np.stack([np.cos(angles), np.sin(angles)], -1)
    if d == 2:
        return np.full(64, 1 / 64), np.sqrt(2) * circle
    heights, weights = np.polynomial.legendre.leggauss(40)
    flat = np.sqrt(1 - heights**2)[:, None, None] * circle
    u = np.concatenate([flat, np.broadcast_to(heights[:, None, None], (40, 64, 1))], -1)
    return np.repeat(weights / 128, 64), np.sqrt(3) * u.reshape(-1, 3)


def expected(structure, node, x, law, nu, difference):
    """E u D(u) by quadrature of actual function values."""
    w, u = quadrature(law, len(x))
    ahead, behind = value(structure, node, x + nu * u), value(structure, node, x - nu * u)
    slopes = {
        "central": (ahead - behind) / (2 * nu),
        "forward": (ahead - value(structure, node, x)) / nu,
        "one_point": ahead / nu,
    }
    return (w * slopes[difference]) @ u


@pytest.mark.parametrize("term", TERMS)
@pytest.mark.parametrize("law", EVERY_LAW)
@pytest.mark.parametrize("d", [2, 3])
@pytest.mark.parametrize("difference", ["central", "forward", "one_point"])
def test_means_are_integrals_of_the_estimate(term, law, d, difference):
    structure, nu = separable(term, 1, d), 0.8
    x = np.random.default_rng(d).normal(size=d)
    if difference == "one_point":
        declared = OnePointLaw(
            directions=law, samples=3, smoothing=nu, batch_size=1, baseline="residual"
        )
    else:
        declared = zeroth(directions=law, difference=difference, smoothing=nu, samples=2)
    got = mean_estimate(structure, 0, declared, x)
    np.testing.assert_allclose(got, expected(structure, 0, x, law, nu, difference), rtol=1e-9)


@pytest.mark.parametrize("term", TERMS)
@pytest.mark.parametrize("nu", [1e-6, 0.8])
def test_coordinate_differences_and_exact_slopes(term, nu):
    structure, d = separable(term, 1, 3), 3
    x = np.array([0.4, -1.3, 2.0])
    here = value(structure, 0, x)
    ahead = np.array([value(structure, 0, x + nu * e) for e in np.eye(d)])
    behind = np.array([value(structure, 0, x - nu * e) for e in np.eye(d)])
    loose = {"rtol": 1e-10 if nu > 0.1 else 1e-8}
    for difference, slope in (
        ("central", (ahead - behind) / (2 * nu)),
        ("forward", (ahead - here) / nu),
    ):
        law = CoordinateLaw(difference=difference, smoothing=nu, batch_size=1)
        np.testing.assert_allclose(mean_estimate(structure, 0, law, x), slope, **loose)
    step = 1e-5
    ends = [[value(structure, 0, x + s * e) for e in np.eye(d)] for s in (step, -step)]
    slope = (np.array(ends[0]) - np.array(ends[1])) / (2 * step)
    for law in (FIRST, zeroth(difference="directional_derivative")):
        np.testing.assert_allclose(mean_estimate(structure, 0, law, x), slope, rtol=1e-8)


def test_bias_square_is_the_mean_over_pairs():
    structure = separable("cosine", 3, 2, seed=4)
    laws = (zeroth(smoothing=0.9), FIRST, zeroth(directions="gaussian", smoothing=1.3))
    given = setting(structure, laws, moves=False, dimension=2)
    prediction = separable_means(given)
    assert prediction.applies
    x = given.problem.initial
    means = [
        expected(structure, 0, x[0], "sphere", 0.9, "central"),
        sample_gradients(structure, x)[0][1],
        expected(structure, 2, x[2], "gaussian", 1.3, "central"),
    ]
    np.testing.assert_allclose(prediction.values["estimate"], [np.mean(means, 0)] * 2, rtol=1e-10)
    b = np.array(means) - sample_gradients(structure, x)[0]
    pairs = [b[i] @ b[j] for i in range(3) for j in range(3) if i != j]
    np.testing.assert_allclose(
        prediction.values["estimate_bias_square"], [np.mean(pairs)] * 2, rtol=1e-9
    )
    alone = separable_means(setting(separable("cosine", 1, 2), laws[:1], moves=False, dimension=2))
    assert set(alone.values) == {"estimate"}


@pytest.mark.parametrize("term", TERMS)
def test_gradients_and_noise_of_the_structure(term):
    structure = separable(term, 2, 2, seed=1)
    x = np.random.default_rng(5).normal(size=(2, 2))
    h, S = sample_gradients(structure, x)
    for node, step in product(range(2), (1e-5,)):
        ends = [value(structure, node, x[node] + s * np.eye(2)) for s in (step, -step)]
        np.testing.assert_allclose(h[node], (ends[0] - ends[1]) / (2 * step), rtol=1e-8)
    np.testing.assert_array_equal(S, [np.diag(row) for row in structure.noise])


@pytest.mark.parametrize("term", TERMS)
def test_the_objective_that_bounds_read(term):
    structure, x = separable(term, 3, 2, seed=2), np.array([0.4, -1.1])
    given = setting(structure, (FIRST,) * 3, dimension=2)
    expected_ = np.mean([value(structure, node, x) for node in range(3)])
    assert objective(given, x) == pytest.approx(expected_, rel=1e-12)


def test_bounds_of_an_estimate_know_the_noise_of_calls():
    """d s²/(2ν²m) on top of the same without."""
    constants = Constants(smoothness=2.0, noise=(0.0,))
    law = zeroth(smoothing=0.5, samples=4)
    quiet, loud = (
        estimator_bounds(
            setting(
                separable("cosine", 1, 2, evaluation_noise=s),
                (law,),
                dimension=2,
                constants=constants,
            )
        )
        for s in (0.0, 0.3)
    )
    assert loud.noise - quiet.noise == pytest.approx(2 * 0.09 / (2 * 0.25 * 4))


def test_means_beyond_the_largest_float_are_refused():
    law = zeroth(directions="gaussian", smoothing=60.0)
    prediction = separable_means(
        setting(separable("exponential", 2, 2), (law,) * 2, dimension=2, moves=False)
    )
    assert failing(prediction) == ["the means, and their squares, are finite numbers"]
    assert not prediction.values


def test_where_the_theorem_does_not_apply():
    structure, _ = quadratic(np.random.default_rng(5), 2, 2)
    got = failing(separable_means(setting(structure, (FIRST, zeroth()), moves=False)))
    finite = "the means, and their squares, are finite numbers"  # not checked then
    assert got == ["every f_i is separable: exponentials, cosines or quartics", finite]
    got = failing(
        separable_means(setting(separable("cosine", 2, 2), (FIRST, None), dimension=2, moves=True))
    )
    assert got == [
        "the iterates stay at the start",
        "every node declares the law of its estimator",
        finite,
    ]
