"""Settings for the tests of the theorems, with defaults."""

import numpy as np

from hzbench.core.constants import Constants
from hzbench.core.setting import NetworkFacts, ProblemFacts, ScheduleFacts, Setting
from hzbench.core.structure import DifferenceLaw, GeneralizedLinear, GradientLaw, Quadratic
from hzbench.theory import dynamics
from hzbench.theory.quadratic_dynamics import quadratic_dynamics

FIRST = GradientLaw(batch_size=1)


def zeroth(**changes):
    """A sphere law with central differences, changed as told."""
    words = {
        "directions": "sphere",
        "difference": "central",
        "samples": 1,
        "smoothing": 0.4,
        "batch_size": 1,
        "data": "shared",
    }
    return DifferenceLaw(**(words | changes))


def spd(rng, d, low=0.5, high=2.0):
    """A random symmetric matrix with spectrum between low and high."""
    q, _ = np.linalg.qr(rng.normal(size=(d, d)))
    return (q * rng.uniform(low, high, d)) @ q.T


def quadratic(rng, n, d, *, common=False, diagonal=False, noise=0.3, evaluation_noise=0.0):
    """Random quadratics; rank-one noise per node so that two points enumerate it."""
    make = (lambda: np.diag(rng.uniform(0.5, 2.0, d))) if diagonal else (lambda: spd(rng, d))
    A = np.repeat(make()[None], n, 0) if common else np.array([make() for _ in range(n)])
    root = noise * rng.normal(size=(n, d, 1))
    return Quadratic(
        hessians=A,
        linear=rng.normal(size=(n, d)),
        noise=root @ root.swapaxes(1, 2),
        evaluation_noise=evaluation_noise,
    ), root


def assert_rotated_form_agrees(given, monkeypatch):
    """The moments in rotated coordinates equal those of full blocks."""
    full = quadratic_dynamics(given)
    monkeypatch.setattr(dynamics, "COMFORTABLE_WORK", 0.0)
    rotated = quadratic_dynamics(given)
    assert full.spread
    assert not rotated.spread
    for name, value in full.values.items():
        np.testing.assert_allclose(rotated.values[name], value, rtol=1e-10, atol=1e-12)


def setting(structure, laws, **changes):
    """A Setting around a structure; keyword arguments override the defaults."""
    n = len(laws)
    if isinstance(structure, Quadratic):
        d = structure.linear.shape[1]
    elif isinstance(structure, GeneralizedLinear):
        d = structure.features.shape[1]
    else:
        d = changes.pop("dimension", 2)
    rng = np.random.default_rng(n * 100 + d)
    facts = ProblemFacts(
        dimension=d,
        constants=changes.pop("constants", Constants()),
        structure=structure,
        optimum=changes.pop("optimum", np.empty(0)),
        initial=changes.pop("initial", rng.normal(size=(n, d))),
    )
    words = {
        "nodes": n,
        "problem": facts,
        "laws": tuple(laws),
        "kinds": tuple("first" if isinstance(law, GradientLaw) else "zeroth" for law in laws),
        "step_sizes": np.linspace(0.15, 0.3, n),
        "protocol": "matrix",
        "steps": 2,
    }
    words |= changes
    words.setdefault("record", tuple(range(words["steps"] + 1)))
    return Setting(**words)


__all__ = ["NetworkFacts", "ScheduleFacts"]
