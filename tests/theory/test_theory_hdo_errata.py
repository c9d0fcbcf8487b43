"""The apparent slips: the counterexample by quadrature, fixed points by hand."""

from dataclasses import replace
from math import sqrt
from pathlib import Path

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.optimize import brentq
from test_theory_hdo_lemmas import CONSTANTS, EXACT, A, base
from theory_settings import setting, zeroth

from hzbench.core.constants import Constants
from hzbench.core.structure import GeneralizedLinear, Quadratic
from hzbench.harness.prepare import prepare
from hzbench.harness.suite import load
from hzbench.theory.hdo_errata import (
    hdo_fixed_point,
    hdo_fixed_point_as_printed,
    hdo_mean_recursion_as_printed,
)
from hzbench.theory.hdo_lemmas import hdo_mean_recursion

NU = 2.0


def f(x):
    return 0.1 * x**2 + np.logaddexp(0.0, x)


def slope(x):
    return 0.2 * x + 1 / (1 + np.exp(-x))


def gaussian(value):
    """E value(u), u ~ N(0, 1)."""
    density = lambda u: np.exp(-u * u / 2) / sqrt(2 * np.pi)  # noqa: E731
    return quad(lambda u: value(u) * density(u), -12, 12, epsabs=1e-13, limit=400)[0]


OPTIMUM = brentq(slope, -5, 5, xtol=1e-15)
SMOOTHED = brentq(lambda x: gaussian(lambda u: slope(x + NU * u)), -5, 5, xtol=1e-14)


def counterexample(eta):
    structure = GeneralizedLinear(
        features=np.array([[1.0]]),
        targets=np.array([-1.0]),
        members=(np.array([0]), np.array([0])),
        loss="logistic",
        regularization=0.2,
    )
    constants = Constants(
        smoothness=0.45,
        strong_convexity=0.2,
        noise=(0.0, 0.0),
        heterogeneity=0.0,
        minimum=float(f(OPTIMUM)),
    )
    law = zeroth(directions="gaussian", smoothing=NU, batch_size="full")
    return setting(
        structure,
        (law, law),
        constants=constants,
        initial=np.full((2, 1), SMOOTHED),
        optimum=np.array([OPTIMUM]),
        step_sizes=np.full(2, eta),
        protocol="pair",
        steps=1,
    )


def left_side(eta):
    """E|mean+ − x*|² with G = u [f(x+νu) − f(x−νu)]/(2ν), two independent estimates."""
    G = lambda u: u * (f(SMOOTHED + NU * u) - f(SMOOTHED - NU * u)) / (2 * NU)  # noqa: E731
    first, second = gaussian(G), gaussian(lambda u: G(u) ** 2)
    offset = SMOOTHED - OPTIMUM
    step = eta / 2
    drift = -2 * step * offset * 2 * first
    return offset**2 + drift + step**2 * (2 * second + 2 * first**2)


def test_the_start_minimises_the_smoothed_function():
    """By Stein's lemma E G is the smoothed slope, so that it vanishes there."""
    assert pytest.approx(-1.454338874028068, rel=1e-12) == SMOOTHED
    suite = load("hdo-errata")
    assert suite.specs[0].problem["initial"] == [[-1.454338874028068]] * 2
    assert abs(left_side(1e-7) - (SMOOTHED - OPTIMUM) ** 2) < 1e-13


def test_the_printed_right_side_falls_and_the_left_side_does_not():
    eta, offset = 1e-7, SMOOTHED - OPTIMUM
    printed = hdo_mean_recursion_as_printed(counterexample(eta)).values["mean_distance"][0]
    by_hand = -0.1 * offset**2 - 2 * (f(SMOOTHED) - f(OPTIMUM))
    assert (printed - offset**2) / eta == pytest.approx(by_hand, rel=1e-3)
    assert by_hand == pytest.approx(-0.0361, rel=1e-3)
    assert left_side(eta) > printed + 0.03 * eta


@pytest.mark.parametrize("eta", [1e-7, 1e-4, 1e-2, 0.1])
def test_the_repaired_right_side_is_above(eta):
    offset, gap = SMOOTHED - OPTIMUM, f(SMOOTHED) - f(OPTIMUM)
    repaired = hdo_mean_recursion(counterexample(eta)).values["mean_distance"][0]
    M = 10 * slope(SMOOTHED) ** 2 + (NU * 0.45) ** 2 * 7**3 / 2
    right = (1 - 0.05 * eta) * offset**2 - 2 * eta * gap + 20 * eta * 3.6**2 + eta**2 * M
    assert repaired == pytest.approx(right, rel=1e-9)
    assert left_side(eta) < repaired


def test_the_printed_form_with_every_term():
    given = base(steps=1)
    start = given.problem.initial
    offset = start.mean(0) - given.problem.optimum
    gap = 0.5 * offset @ A @ offset
    repaired = hdo_mean_recursion(given).values["mean_distance"][0]
    printed = hdo_mean_recursion_as_printed(replace(given, step_sizes=np.full(3, 0.05)))
    assert printed.applies
    same = hdo_mean_recursion(replace(given, step_sizes=np.full(3, 0.05)))
    bias = 0.005 * 5**1.5 / 3
    eta, dist = 0.05, offset @ offset
    change = -eta * 0.5 / 6 * dist - 8 * eta / 1.5 * bias**2 + 4 * eta**2 / 3 * bias * sqrt(dist)
    difference = printed.values["mean_distance"][0] - same.values["mean_distance"][0]
    assert difference == pytest.approx(change, rel=1e-9)
    assert gap > 0
    assert repaired > 0
    assert hdo_mean_recursion_as_printed(base(step_sizes=np.full(3, 0.0625))).applies
    large = hdo_mean_recursion_as_printed(base(step_sizes=np.full(3, 0.0626)))
    assert [a.text for a in large.assumptions if not a.holds] == ["η is small"]


B = np.array([[2.0, 0.5], [2.0, 0.5], [2.0, 0.5], [0.0, 1.5]])
STRUCTURE = Quadratic(hessians=np.array([A] * 4), linear=B, noise=np.array([0.04 * np.eye(2)] * 4))
LAWS = (EXACT, EXACT, EXACT, zeroth())


def at(point, structure=STRUCTURE, laws=LAWS, **changes):
    n = len(laws)
    words = {
        "initial": np.tile(point, (n, 1)),
        "protocol": "pair",
        "step_sizes": np.full(n, 0.1),
        "constants": CONSTANTS,
    }
    return setting(structure, laws, **(words | changes))


def test_fixed_points():
    by_node = at([1.5, 1.5])
    np.testing.assert_allclose(hdo_fixed_point(by_node).values["mean_iterate"], [[1.5, 1.5]] * 2)
    by_type = at([1.0, 2.0])
    found = hdo_fixed_point_as_printed(by_type).values["mean_iterate"]
    np.testing.assert_allclose(found, [[1.0, 2.0]] * 2)
    drift = A @ np.array([1.0, 2.0]) - B.mean(0)
    assert np.abs(drift).min() > 0.2  # E mean moves: by −(2η/n) times this
    assert np.abs(A @ np.array([1.5, 1.5]) - B.mean(0)).max() < 1e-15


def test_fixed_point_assumptions():
    away = hdo_fixed_point(at([1.5, 1.6]))
    assert [a.text for a in away.assumptions if not a.holds] == [
        "the mean starts at the minimiser of (1/n) Σ f_i"
    ]
    one_type = hdo_fixed_point_as_printed(at([1.5, 1.5], laws=(EXACT,) * 4))
    assert [a.text for a in one_type.assumptions if not a.holds] == [
        "the mean starts at the minimiser of F_0 + F_1"
    ]
    bent = np.array([A, A, A, 2 * A])
    found = hdo_fixed_point(at([1.5, 1.5], structure=replace(STRUCTURE, hessians=bent)))
    assert "all nodes share one Hessian" in [a.text for a in found.assumptions if not a.holds]
    found = hdo_fixed_point(at([1.5, 1.5], protocol="matrix"))
    assert [a.text for a in found.assumptions if not a.holds] == ["one pair acts at each tick"]


def test_the_documented_increments_are_those_of_quadrature():
    """E|mean+ − x*|² − |mean − x*|² = η² E|(G_1 + G_2)/2|² where E G = 0."""
    x, eta = SMOOTHED, 1e-7
    estimates = {
        "4.886": lambda u: u * (f(x + NU * u) - f(x - NU * u)) / (2 * NU),
        "7.997": lambda u: u * (f(x + NU * u) - f(x)) / NU,
    }
    text = (Path(__file__).parents[2] / "docs" / "errata.md").read_text(encoding="utf-8")
    for (printed, estimate), (power, unit) in zip(
        estimates.items(), (("⁻¹⁰", 1e-10), ("⁻⁸", 1e-8)), strict=True
    ):
        assert gaussian(estimate) == pytest.approx(0.0, abs=1e-12)
        increment = eta * gaussian(lambda u, g=estimate: g(u) ** 2) / 2
        assert f"{increment / unit:.3f}" == printed
        assert f"{printed}·10{power} η" in text
    (reason,) = [c.reason for c in load("hdo-errata").specs[0].checks if c.reason]
    assert "4.886e-10 η" in reason


def test_the_documented_demonstrations_are_what_theory_predicts():
    runs = {spec.name: spec for spec in load("hdo-errata").specs}

    def predicted(name, observable, theorem="quadratic_dynamics"):
        found = {p.theorem: p for p in prepare(runs[name]).predictions}
        return found[theorem].values[observable]

    for name, gap in (("bias-of-one-in-four", 0.0625), ("bias-of-two-in-four", 0.25)):
        mean = predicted(name, "mean_iterate")[-1]
        assert 0.5 * mean @ mean == pytest.approx(gap, rel=1e-6)
    for name, kept in (("exchange-alone", 6 / 7), ("exchange-in-matchings", 3 / 7)):
        before, after = predicted(name, "consensus_potential")
        assert after / before == pytest.approx(kept, rel=1e-4)
    (granted,) = predicted("exchange-alone", "consensus_potential", "hdo_consensus_step")
    assert granted / before == pytest.approx(15 / 16, rel=1e-4)
