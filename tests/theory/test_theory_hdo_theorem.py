"""Theorem 1 of the HDO paper: constants by another hand, and the chain against worst sequences."""

from dataclasses import replace
from math import sqrt

import numpy as np
import pytest
from test_theory_hdo_lemmas import CONSTANTS, OPTIMUM, START, STRUCTURE, A, base

from hzbench.core.setting import ScheduleFacts
from hzbench.theory.hdo_constants import HdoConstants
from hzbench.theory.hdo_theorem import (
    chain,
    convex_bound,
    convex_limits,
    hdo_convex_bound,
    hdo_nonconvex_bound,
    nonconvex_bound,
    nonconvex_limits,
    total_weight,
)

C = HdoConstants(
    nodes=5,
    smoothness=3.0,
    convexity=0.7,
    consensus=31.0,
    gradient=17.0,
    variance=0.6,
    smoothing=0.04,
    bias=0.11,
)
SMALL = "the step size is below every limit of the theorem"


def test_formulas_with_every_number_different():
    eta = 0.03
    radius, slope = 0.04 / 0.0009, (0.11 / 0.03) ** 2
    K = (3.6 / 25, (16 * 9 * 0.6 + slope) / 5, 6 * radius / 25, 144 * radius / 5)
    assert chain(C, eta) == pytest.approx(K, rel=1e-12)
    V = 0.64
    inside = 5 * 1.7 / (eta * 70) + 8 * 5 * 9 * 0.9 / 70 + 8 * 3 * eta * 31 * 9 * 0.9 / 70
    inside += 2 * 0.0121 + 32 * 9 * eta**2 * V + 4 * 3 * eta * V / 5
    found = nonconvex_bound(C, eta, 70, gap=1.7, potential=0.9)
    assert found == pytest.approx(2 * inside, rel=1e-12)
    W = sum((1 - 0.0021) ** -t for t in range(1, 71))
    assert total_weight(0.0021, 70) == pytest.approx(W, rel=1e-12)
    right = 5 * 2.3 / (2 * eta * W) + 512 / 15 * 3 * eta**2 * V + 4 / 0.7 * 0.0121
    right += 4 * eta / 5 * V + 3 * 128 * 5 / 15 * 0.9 / W
    right += 4 * eta * 31 * 9 / 5 * 64 * 5 / 15 * 0.9 / W
    found = convex_bound(C, eta, 70, distance=2.3, potential=0.9)
    assert found == pytest.approx(right, rel=1e-12)


def test_step_limits():
    limits = (1 / (12 * sqrt(31)), 5 / (48 * 17), 1 / (3 * sqrt(128 * 17)))
    assert nonconvex_limits(C) == pytest.approx(limits, rel=1e-12)
    q = 6 * 17
    limits = (1 / 2.8, sqrt(15 / (512 * 31)) / 3, sqrt(15 / (1024 * 3 * q)), 5 / (8 * q))
    assert convex_limits(C) == pytest.approx(limits, rel=1e-12)


@pytest.mark.parametrize("steps", [1, 40, 3000])
@pytest.mark.parametrize("part", [1.0, 0.3])
@pytest.mark.parametrize("start", [0.0, 0.5])
def test_no_sequence_that_obeys_the_lemmas_breaks_the_nonconvex_bound(steps, part, start):
    """Lemma 2, the bound on M and the descent with equality, gradients that use the gap up."""
    n, L, eta = C.nodes, C.smoothness, part * min(nonconvex_limits(C))
    rng = np.random.default_rng(1)
    for scale in rng.exponential(0.05, 20):
        gap, G, total, descent = 1.0, start, 0.0, 1.0
        for _ in range(steps):
            S = scale * rng.exponential()
            M = C.consensus * L**2 * G + C.gradient * S + C.noise
            descent += (
                -eta / n * S + 2 * eta / n * (L**2 * G + C.bias**2) + 2 * L * eta**2 / n**2 * M
            )
            if descent < 0:  # f cannot fall below f*: stop using gradients
                break
            G, total = (1 - 1 / (2 * n)) * G + 4 / n * eta**2 * M, total + S
        assert total / steps <= nonconvex_bound(C, eta, steps, gap=gap, potential=start)


@pytest.mark.parametrize("steps", [1, 40, 3000])
@pytest.mark.parametrize("part", [1.0, 0.3])
@pytest.mark.parametrize("start", [0.0, 0.5])
def test_no_sequence_that_obeys_the_lemmas_breaks_the_convex_bound(steps, part, start):
    n, L, mu, eta = C.nodes, C.smoothness, C.convexity, part * min(convex_limits(C))
    a, q = eta * mu / (2 * n), 2 * L * C.gradient
    rng = np.random.default_rng(2)
    for share in rng.random(20):
        dist, G, weighted, W = 2.0, start, 0.0, 0.0
        for t in range(steps):
            f = share * (L if rng.random() < 0.5 else mu) / 2 * dist
            M = C.consensus * L**2 * G + q * f + C.noise
            after = (1 - a) * dist - 4 * eta / n * f + 2 * eta / n * L * G
            after += 8 * eta / (n * mu) * C.bias**2 + 4 * eta**2 / n**2 * M
            if after < 0:
                break
            weight = (1 - a) ** -(t + 1)
            weighted, W = weighted + weight * f, W + weight
            G, dist = (1 - 1 / (2 * n)) * G + 4 / n * eta**2 * M, after
        else:
            right = convex_bound(C, eta, steps, distance=2.0, potential=start)
            assert weighted / W + mu / 4 * dist <= right


def small(**changes):
    return base(**({"step_sizes": np.full(3, 1e-3), "steps": 300} | changes))


def test_a_setting_gives_the_formula():
    own = ((STRUCTURE.linear - STRUCTURE.linear.mean(0)) ** 2).sum(1)
    V = own[0] + own[1] + 12 * own[2] + 1e-4 * 512 / 6
    offset, bias = START.mean(0) - OPTIMUM, 0.005 * 5**1.5 / 3
    G = ((START - START.mean(0)) ** 2).sum(1).mean()
    eta, T, n = 1e-3, 300, 3
    inside = n * 0.5 * offset @ A @ offset / (eta * T) + 2 * bias**2
    inside += 32 * eta**2 * V + 4 * eta * V / n + (24 + 8 * eta * 36) * G / T
    found = hdo_nonconvex_bound(small())
    assert found.steps == (300,)
    np.testing.assert_allclose(found.values["path_gradient_norm"], [2 * inside], rtol=1e-12)
    W = sum((1 - eta / 12) ** -t for t in range(1, T + 1))
    right = n * offset @ offset / (2 * eta * W) + (512 / 15 * eta**2 + 4 * eta / n) * V
    right += 8 * bias**2 + 25.6 * (1 + 24 * eta) * G / W
    found = hdo_convex_bound(small())
    np.testing.assert_allclose(found.values["path_weighted_gap"], [right], rtol=1e-12)
    np.testing.assert_allclose(found.values["mean_distance"], [8 * right], rtol=1e-12)


@pytest.mark.parametrize("theorem", [hdo_nonconvex_bound, hdo_convex_bound])
def test_each_assumption_fails_alone(theorem):
    for text, changes in {
        "the step size is constant in time": {"schedule": ScheduleFacts(name="cosine")},
        "the last step is recorded": {"record": (0, 10)},
        "every f_i is L-smooth": {"constants": replace(CONSTANTS, smoothness=np.inf)},
        "heterogeneity is bounded everywhere": {
            "constants": replace(CONSTANTS, heterogeneity_holds="at the optimum")
        },
    }.items():
        found = theorem(small(**changes))
        assert not found.values
        assert [a.text for a in found.assumptions if not a.holds] == [text, SMALL]
    large = theorem(small(step_sizes=np.full(3, 0.1)))
    assert [a.text for a in large.assumptions if not a.holds] == [SMALL]
    assert "K_1 = " in large.assumptions[-1].detail


def test_curvature_assumptions():
    stronger = replace(CONSTANTS, strong_convexity=0.6)
    found = hdo_convex_bound(small(constants=stronger))
    assert [a.text for a in found.assumptions if not a.holds] == [
        "every f_i is as strongly convex as f (its l makes the weights)",
        SMALL,
    ]
    found = hdo_convex_bound(small(optimum=np.empty(0)))
    assert [a.text for a in found.assumptions if not a.holds] == ["x* is known", SMALL]
