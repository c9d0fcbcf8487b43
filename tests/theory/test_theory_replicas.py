"""Growth of the fourth moment against quadrature, Monte Carlo and the printed polynomial."""

import numpy as np
import pytest
from scipy import stats
from theory_settings import NetworkFacts, ScheduleFacts, setting, zeroth

from hzbench.core.structure import GradientLaw, Quadratic
from hzbench.theory.replicas import (
    gaussian_growth,
    relative_variance,
    replica_plan,
    replicas_for,
    step_growth,
)

FULL = GradientLaw(batch_size="full")
GAUSS = zeroth(directions="gaussian", samples=2)


@pytest.mark.parametrize(("w", "d"), [(0.1, 4), (0.3, 1), (0.02, 30)])
def test_one_direction_by_quadrature(w, d):
    """z = u'e by Gauss-Hermite; |u|² − z² is independent of it, with the moments of χ²."""
    nodes, mass = np.polynomial.hermite_e.hermegauss(40)
    mass = mass / mass.sum()
    first, second = d - 1, (d - 1) * (d + 1)  # E s, E s²
    along, across = (1 - w * nodes**2) ** 2, w**2 * nodes**2
    growth = gaussian_growth(np.array([w]), 0.0, d)
    assert growth.second == pytest.approx(mass @ (along + across * first), rel=1e-12)
    fourth = mass @ (along**2 + 2 * along * across * first + across**2 * second)
    assert growth.fourth == pytest.approx(fourth, rel=1e-12)


def test_many_directions_by_monte_carlo():
    rng, weights, pull, d = np.random.default_rng(2), np.array([0.1, 0.1, 0.05]), 0.15, 3
    u = rng.standard_normal((400_000, 3, d))
    new = (1 - pull) * np.eye(d)[0] - np.einsum("k,rk,rkd->rd", weights, u[:, :, 0], u)
    square = (new**2).sum(1)
    growth = gaussian_growth(weights, pull, d)
    for power, expected in ((1, growth.second), (2, growth.fourth)):
        values = square**power
        assert abs(values.mean() - expected) < 4 * values.std() / np.sqrt(len(values))
        assert values.std() / np.sqrt(len(values)) < 0.01 * expected


def isotropic(n, **changes):
    d = 3
    model = Quadratic(
        hessians=np.repeat(0.8 * np.eye(d)[None], n, 0),
        linear=np.zeros((n, d)),
        noise=np.zeros((n, d, d)),
        evaluation_noise=changes.pop("evaluation_noise", 0.0),
    )
    words = {
        "laws": (FULL,) * (n - 1) + (GAUSS,),
        "step_sizes": np.full(n, 0.5),
        "network": NetworkFacts(matrix=np.full((n, n), 1 / n)),
        "initial": np.ones((n, d)),
        "steps": 6,
        "record": (0, 6),
    }
    words |= changes
    laws = words.pop("laws")
    return setting(model, laws, **words)


def test_a_hybrid_run_has_that_relative_variance():
    """Against 200 000 plain runs of all-reduce with a decaying step size."""
    s = isotropic(2, schedule=ScheduleFacts(name="inverse-time", offset=4.0))
    rng, x = np.random.default_rng(5), np.ones((200_000, 3))
    for t in range(6):
        eta = 0.5 / (1 + t / 4.0)
        u = rng.standard_normal((len(x), 2, 3))
        h = 0.8 * x
        g = np.einsum("rkd,rk->rd", u, np.einsum("rkd,rd->rk", u, h)) / 2
        x = x - eta * (h + g) / 2
    square = (x**2).sum(1)
    measured = square.var() / square.mean() ** 2
    assert relative_variance(s) == pytest.approx(measured, rel=0.05)
    assert relative_variance(isotropic(2)) > relative_variance(s)


def test_the_step_is_shared_among_nodes_and_vectors():
    growth = step_growth(isotropic(4), 1.0)
    same = gaussian_growth(np.full(2, 0.5 * 0.8 / 4 / 2), 3 * 0.5 * 0.8 / 4, 3)
    assert growth == same


def test_replicas_give_the_power_they_promise():
    """Power of a normal test at that R, from the normal law."""
    needed, cv, error, level = replicas_for(0.4, 0.05, 1e-4), 0.4, 0.05, 1e-4
    shift = error / (cv / np.sqrt(needed))
    assert stats.norm.sf(stats.norm.isf(level / 2) - shift) == pytest.approx(0.9, abs=1e-6)


def test_a_plan_names_the_numbers():
    s = isotropic(1, laws=(GAUSS,), step_sizes=np.array([0.9]), steps=200, record=(0, 200))
    needed, sentence = replica_plan(s)
    assert needed > 1e9
    assert "step 200" in sentence
    assert f"{needed:.2g} replicas" in sentence


UNKNOWN = [
    {"laws": (FULL, zeroth(directions="sphere"))},
    {"laws": (FULL, zeroth(directions="gaussian", difference="forward"))},
    {"evaluation_noise": 0.1},
    {"momentum": 0.5},
    {"protocol": "pair", "network": NetworkFacts()},
    {"network": NetworkFacts(matrix=np.eye(2))},
    {"initial": np.arange(6.0).reshape(2, 3)},
]


@pytest.mark.parametrize("changes", UNKNOWN)
def test_elsewhere_nothing_is_said(changes):
    assert replica_plan(isotropic(2, **changes)) == (0.0, "")
