"""Dependent vectors, one-point, residual and coordinate estimates against complete enumeration."""

from itertools import product

import numpy as np
import pytest
from test_theory_estimators import EVERY_LAW, EXACT, compare, failing, rows
from theory_enumeration import direction_points, quadratic_samples
from theory_settings import FIRST, quadratic, setting, zeroth

from hzbench.core.structure import CoordinateLaw, OnePointLaw
from hzbench.theory.estimator_moments import estimator_moments, node_moments
from hzbench.theory.martingale import lemma2_martingale
from hzbench.theory.oracles import averaging
from hzbench.theory.quadratic_dynamics import quadratic_dynamics

SAMPLINGS = {"orthonormal": "sphere", "without_replacement": "coordinate"}


def samples_of(structure, root):
    return [
        quadratic_samples(A, b, z)
        for A, b, z in zip(structure.hessians, structure.linear, root, strict=True)
    ]


@pytest.mark.parametrize("sampling", SAMPLINGS)
@pytest.mark.parametrize("difference", ["central", "forward", "directional_derivative"])
@pytest.mark.parametrize("data", ["shared", "fresh"])
@pytest.mark.parametrize(("d", "samples"), [(2, 1), (2, 2), (3, 2), (3, 3)])
def test_orthogonal_directions(sampling, difference, data, d, samples):
    law = zeroth(
        directions=SAMPLINGS[sampling],
        sampling=sampling,
        difference=difference,
        data=data,
        samples=samples,
    )
    s = 0.3 if d == 2 else 0.0
    structure, root = quadratic(np.random.default_rng(d), 1, d, evaluation_noise=s)
    compare(setting(structure, (law,), moves=False), samples_of(structure, root), s)


@pytest.mark.parametrize("batch", [1, "full"])
@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_orthogonal_directions_on_rows(sampling, batch):
    structure, lists = rows("squared")
    law = zeroth(
        directions=SAMPLINGS[sampling],
        sampling=sampling,
        samples=2,
        difference="forward",
        batch_size=batch,
    )
    compare(setting(structure, (law, FIRST), moves=False), lists)


def test_the_printed_second_moments_of_orthogonal_directions():
    """A10: E gg' = (d/m)² (a hh' + b|h|² I); Cov_ii and Cov_ij without replacement."""
    d, m = 5, 3
    h = np.array([1.0, -2.0, 0.5, 0.0, 3.0])
    structure, _ = quadratic(np.random.default_rng(0), 1, d, noise=0.0)
    x = np.linalg.solve(structure.hessians[0], h + structure.linear[0])[None]
    laws = {
        sampling: zeroth(directions=directions, sampling=sampling, samples=m)
        for sampling, directions in SAMPLINGS.items()
    }
    found = {
        sampling: node_moments(setting(structure, (law,), moves=False), x)[1][0]
        for sampling, law in laws.items()
    }
    b = m * (d - m) / (d * (d - 1) * (d + 2))
    a = m * (m + 2) / (d * (d + 2)) - b
    second = (d / m) ** 2 * (a * np.outer(h, h) + b * (h @ h) * np.eye(d))
    np.testing.assert_allclose(found["orthonormal"], second - np.outer(h, h), atol=1e-12)
    off = -np.outer(h, h) * (d - m) / (m * (d - 1))
    np.fill_diagonal(off, (d / m - 1) * h**2)
    np.testing.assert_allclose(found["without_replacement"], off, atol=1e-9)
    for law in laws.values():
        assert averaging(law, m) == 0.0
        assert averaging(law, 1) == 0.0


def single(law, samples, x, s):
    """(weight, g) of one vector, from function values: one data sample a query, signs for noise."""
    points = direction_points(law.directions, len(x))
    residual = law.baseline == "residual"
    before = np.array(law.previous) if law.previous else x
    noise = product((-s, s), repeat=2 if residual else 1) if s else [(0.0, 0.0)]
    noise = list(noise)
    for (w, u), signs in product(points, noise):
        value = samples[0][1]((x + law.smoothing * u)[None])[0] + signs[0]
        if not residual:
            yield w / len(noise), value * u / law.smoothing
            continue
        for w2, v in points:
            last = samples[1][1]((before + law.smoothing * v)[None])[0] + signs[1]
            yield w * w2 / len(noise), (value - last) * u / law.smoothing


def listed(law, samples, x, s):
    """Mean and covariance over data and all m vectors."""
    pairs = (
        product(samples, repeat=2) if law.baseline == "residual" else ((one,) for one in samples)
    )
    weights, means, seconds = [], [], []
    for data in pairs:
        each = list(single(law, data, x, s))
        for drawn in product(each, repeat=law.samples):
            weights.append(np.prod([w for w, _ in drawn]) * np.prod([one[0] for one in data]))
            means.append(np.mean([g for _, g in drawn], axis=0))
    w, g = np.array(weights), np.array(means)
    assert abs(w.sum() - 1) < 1e-12
    mean = w @ g
    seconds = np.einsum("s,si,sj->ij", w, g - mean, g - mean)
    return mean, seconds


@pytest.mark.parametrize(
    ("law", "samples", "d"),
    [(law, 1, 2) for law in EVERY_LAW]
    + [("rademacher", 2, 2), ("coordinate", 2, 2), ("sphere", 1, 3), ("rademacher", 3, 1)],
)
@pytest.mark.parametrize("baseline", ["none", "residual", "elsewhere"])
def test_one_point_and_residual(law, samples, d, baseline):
    residual = baseline != "none"
    s = 0.4 if samples == 1 and (d == 2 or not residual) else 0.0
    if samples > 1 and residual and law == "rademacher" and d == 2:
        s = 0.0
    structure, root = quadratic(np.random.default_rng(7), 1, d, evaluation_noise=s)
    declared = OnePointLaw(
        directions=law,
        samples=samples,
        smoothing=0.7,
        batch_size=1,
        baseline="residual" if residual else "none",
        previous=tuple(np.linspace(-0.4, 1.1, d)) if baseline == "elsewhere" else (),
    )
    record = (1,) if baseline == "elsewhere" else (1, 2)
    given = setting(structure, (declared,), moves=False, record=record)
    x = given.problem.initial[0]
    mean, covariance = listed(declared, samples_of(structure, root)[0], x, s)
    got_mean, got_covariance = node_moments(given, given.problem.initial)
    np.testing.assert_allclose(got_mean[0], mean, rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(got_covariance[0], covariance, rtol=1e-10, atol=1e-10)
    prediction = estimator_moments(given)
    np.testing.assert_allclose(
        prediction.values["estimate_power"], mean @ mean + np.trace(covariance), rtol=1e-10
    )
    later = estimator_moments(setting(structure, (declared,), moves=False, record=(1, 2)))
    assert later.applies == (baseline != "elsewhere")  # the second estimate remembers x itself


def test_residual_feedback_at_rest_as_printed():
    """2(d+1)|h|² + ν²(d+2) tr A² (A6), Gaussian, x = x', exact f."""
    d, nu = 4, 0.6
    structure, _ = quadratic(np.random.default_rng(3), 1, d, noise=0.0)
    law = OnePointLaw(
        directions="gaussian", samples=1, smoothing=nu, batch_size=1, baseline="residual"
    )
    given = setting(structure, (law,), moves=False)
    h, covariance = (part[0] for part in node_moments(given, given.problem.initial))
    expected = 2 * (d + 1) * (h @ h) + nu**2 * (d + 2) * (structure.hessians[0] ** 2).sum()
    assert h @ h + np.trace(covariance) == pytest.approx(expected, rel=1e-11)


def coordinate_outcomes(law, samples, x, s):
    """(weight, G) over data and the signs of every call's noise."""
    d, nu, eye = len(x), law.smoothing, np.eye(len(x))
    central = law.difference == "central"
    calls = (2 * d if central else d + 1) if s else 0
    for weight, value, _ in samples:
        ahead = np.array([value((x + nu * e)[None])[0] for e in eye])
        behind = np.array([value((x - (nu * e if central else 0 * e))[None])[0] for e in eye])
        for signs in product((-s, s), repeat=calls):
            noise = np.array(signs) if calls else np.zeros(2 * d)
            low = noise[d:] if central or not calls else noise[d]
            g = (ahead + noise[:d] - behind - low) / (2 * nu if central else nu)
            yield weight / 2**calls, g


@pytest.mark.parametrize("s", [0.0, 0.3])
@pytest.mark.parametrize("difference", ["central", "forward"])
@pytest.mark.parametrize("kind", ["quadratic", "squared", "logistic"])
def test_coordinate_differences(kind, difference, s):
    law = CoordinateLaw(difference=difference, smoothing=0.5, batch_size=1)
    if kind == "quadratic":
        structure, root = quadratic(np.random.default_rng(1), 2, 2, evaluation_noise=s)
        lists = samples_of(structure, root)
    else:
        structure, lists = rows(kind)
        s = 0.0
    given = setting(structure, (law, FIRST), moves=False)
    outcomes = list(coordinate_outcomes(law, lists[0], given.problem.initial[0], s))
    w = np.array([w for w, _ in outcomes])
    g = np.array([g for _, g in outcomes])
    mean, covariance = node_moments(given, given.problem.initial)
    np.testing.assert_allclose(mean[0], w @ g, **EXACT)
    centred = g - w @ g
    np.testing.assert_allclose(
        covariance[0], np.einsum("s,si,sj->ij", w, centred, centred), **EXACT
    )
    assert estimator_moments(given).applies


def test_an_unsigned_coordinate_is_biased_as_printed():
    """A4: E G = h + (ν/2) sqrt(d) diag(A), by listing u = +sqrt(d) e_i; the signed law is not."""
    d, nu = 3, 0.8
    structure, _ = quadratic(np.random.default_rng(2), 1, d)
    A, b = structure.hessians[0], structure.linear[0]
    x = np.array([0.3, -1.0, 2.0])
    f = lambda y: 0.5 * y @ A @ y - b @ y  # noqa: E731
    each = [np.sqrt(d) * e for e in np.eye(d)]
    mean = np.mean([u * (f(x + nu * u) - f(x)) / nu for u in each], axis=0)
    np.testing.assert_allclose(mean, A @ x - b + nu / 2 * np.sqrt(d) * np.diag(A), rtol=1e-12)
    given = setting(
        structure, (zeroth(directions="coordinate", difference="forward"),), moves=False
    )
    np.testing.assert_allclose(node_moments(given, x[None])[0][0], A @ x - b, rtol=1e-12)


def test_where_nothing_is_known():
    one = OnePointLaw(
        directions="gaussian", samples=1, smoothing=0.3, batch_size=1, baseline="none"
    )
    structure, _ = rows("squared")
    got = failing(estimator_moments(setting(structure, (one, FIRST), moves=False)))
    assert got == ["the moments of every estimate have a closed form"]
    structure, _ = quadratic(np.random.default_rng(5), 2, 2)
    text = "second moments of the estimates need no higher moments of x"
    assert failing(quadratic_dynamics(setting(structure, (one, FIRST)))) == [text]
    text = "every estimator is a gradient or a difference along random vectors"
    for law in (one, CoordinateLaw(difference="central", smoothing=0.1, batch_size=1)):
        assert text in failing(lemma2_martingale(setting(structure, (law, FIRST))))
