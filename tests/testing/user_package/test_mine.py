"""A user's own repository: two estimators, a step, a problem; one of each pair is wrong."""

import numpy as np

from hzbench.methods.hdo import HybridDecentralizedOptimization
from hzbench.problems.quadratic import QuadraticComponent
from hzbench.testing import checked

OPTIONS = {"samples": 4, "nodes": 2, "tolerance": 0.15, "run": {"replicas": 1600}}


def sphere(f, x, rng):
    """Central differences along four vectors of length sqrt(d)."""
    total = np.zeros(len(x))
    for _ in range(4):
        u = rng.normal(size=len(x))
        u *= np.sqrt(len(x)) / np.linalg.norm(u)
        total += (f(x + 1e-3 * u) - f(x - 1e-3 * u)) / 2e-3 * u
    return total / 4


def forgetful(f, x, rng):
    """The same without the factor sqrt(d)."""
    return sphere(f, x, rng) / len(x)


def test_right_estimator(hz):
    hz.check(sphere, against="zeroth_order", **OPTIONS)


def test_wrong_estimator(hz):
    hz.check(forgetful, against="zeroth_order", **OPTIONS)


@checked(against="hdo", step_size=0.1)
def test_right_component():
    return HybridDecentralizedOptimization(step_size=0.1)


@checked(against="dsgd", step_size=0.1, network={"graph": "ring"})
def test_wrong_step():
    return lambda gradient, x, step: x - 1.05 * step * gradient(x)


def test_problem(hz):
    hz.check(QuadraticComponent(dimension=3, rotation=True))


@checked(against="zeroth_order", directions="sphere", **OPTIONS)
def test_wrong_with_a_fixture(tmp_path):
    assert tmp_path.exists()
    return forgetful


def test_too_few(hz):
    hz.check(sphere, against="zeroth_order", **{**OPTIONS, "run": {"replicas": 20}})


def wide(f, x, rng):
    """Central differences along one sphere vector, at twice the radius declared below."""
    u = rng.normal(size=len(x))
    u *= np.sqrt(len(x)) / np.linalg.norm(u)
    return (f(x + 1.2 * u) - f(x - 1.2 * u)) / 2.4 * u


STEEP = {"name": "separable", "term": "exponential", "dimension": 3, "initial": [0.3, 0.9, 0.6]}
BENT = {"smoothing": 0.6, "nodes": 2, "tolerance": 0.25, "run": {"replicas": 1600}}


def test_wrong_radius_on_a_quadratic(hz):
    hz.check(wide, against="zeroth_order", **BENT)


def test_wrong_radius_where_bias_exists(hz):
    hz.check(wide, against="zeroth_order", problem=STEEP, **BENT)


def test_typo(hz):
    hz.check(sphere, against="zeroth_ordr")


def test_without_checks():
    assert OPTIONS
