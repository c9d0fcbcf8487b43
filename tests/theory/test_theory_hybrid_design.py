"""When zeroth-order nodes help: against minimisation, the exact recursion and plain arithmetic."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import minimize
from theory_settings import FIRST, setting, zeroth

from hzbench.core.registry import find
from hzbench.core.setting import NetworkFacts
from hzbench.core.structure import Quadratic
from hzbench.theory import hybrid_design as design
from hzbench.theory.dynamics import build_model, observables

D, A = 4, 1.2
UNIFORM = NetworkFacts(weights="uniform")


def problem(n, linear=None, noise=0.5):
    return Quadratic(
        hessians=np.array([A * np.eye(D)] * n),
        linear=np.zeros((n, D)) if linear is None else linear,
        noise=np.array([noise * np.eye(D)] * n),
    )


def run(laws, steps, T, linear=None, start=0.0, **changes):
    n = len(laws)
    return setting(
        problem(n, linear),
        laws,
        **{
            "step_sizes": np.broadcast_to(steps, n).astype(float),
            "initial": np.full((n, D), start),
            "network": UNIFORM,
            "steps": T,
            "record": (0, T // 3, T),
            **changes,
        },
    )


def recursion(given):
    """The dense second-moment recursion."""
    return observables(given, build_model(given))[0]["objective_gap"]


LAW = zeroth(samples=1)  # sphere, d = 4: τ = 3, s_0 = 4 s_1
FIRSTS, NOISE = 3, 2.0


def hybrid(n0):
    return (FIRST,) * FIRSTS + (LAW,) * n0


def numbers(n0):
    return np.array([NOISE] * FIRSTS + [4 * NOISE] * n0), np.array([0.0] * FIRSTS + [3.0] * n0)


@pytest.mark.parametrize("eta", [0.05, 0.4, 0.9])
def test_the_crossover_at_finite_steps_is_where_the_recursions_cross(eta):
    # n_0* = 3(4 − 2) + ηa·3/(2 − ηa): 6.09, 6.95, 9.5
    threshold = design.crossover_count(FIRSTS, NOISE, 4 * NOISE, edge=eta * A, growth=3.0)
    alone = recursion(run((FIRST,) * FIRSTS, eta, 600))[-1]
    for n0 in (int(threshold), int(threshold) + 1):
        gap = recursion(run(hybrid(n0), eta, 600))[-1]
        assert (gap < alone) == (n0 > threshold)
        steps = np.full(FIRSTS + n0, eta)
        assert design.exact_floor(A, steps, *numbers(n0)) == pytest.approx(gap, rel=1e-9)


def test_steps_for_one_floor_cost_rounds_by_the_crossover_and_always_calls():
    for n0 in (4, 8):
        ratio = design.budget(FIRSTS, n0, NOISE, 4 * NOISE)
        eta = 1e-3
        matched = eta / ratio.rounds  # same floor: η ∝ 1/(Σs/n²), small steps
        alone = design.exact_floor(A, np.full(FIRSTS, eta), *(x[:FIRSTS] for x in numbers(0)))
        both = design.exact_floor(A, np.full(FIRSTS + n0, matched), *numbers(n0))
        assert both == pytest.approx(alone, rel=5e-3)
        # rounds ∝ 1/η and calls ∝ n/η
        assert ratio.calls == pytest.approx(ratio.rounds * (FIRSTS + n0) / FIRSTS)
        assert (ratio.rounds < 1) == (n0 > 6)
        assert ratio.calls > 1


@pytest.mark.parametrize("n0", [1, 5, 20])
def test_inverse_variance_steps_have_no_crossover(n0):
    noise, growth = numbers(n0)
    steps = design.inverse_variance_steps(1e-3, noise)
    assert steps.mean() == pytest.approx(1e-3)
    alone = design.exact_floor(A, np.full(FIRSTS, 1e-3), noise[:FIRSTS], growth[:FIRSTS])
    ratio = design.exact_floor(A, steps, noise, growth) / alone
    expected = (FIRSTS / NOISE) / (FIRSTS / NOISE + n0 / (4 * NOISE))
    assert ratio == pytest.approx(expected, rel=5e-3)
    uniform = design.exact_floor(A, np.full(FIRSTS + n0, 1e-3), noise, growth)
    gain = uniform / design.exact_floor(A, steps, noise, growth)
    assert gain == pytest.approx(noise.mean() * (1 / noise).mean(), rel=5e-3)


@pytest.mark.parametrize("mean_step", [0.1, 0.7])
def test_optimal_steps_are_the_minimum(mean_step):
    noise, growth = np.array([2.0, 1.0, 5.0, 8.0]), np.array([0.0, 1.0, 3.0, 2.0])
    best = design.optimal_steps(A, mean_step, noise, growth)
    assert best.mean() == pytest.approx(mean_step)

    def floor(free):
        steps = np.append(free, 4 * mean_step - free.sum())
        F = (1 - mean_step * A) ** 2 + A**2 * steps**2 @ growth / 16
        return 1e3 * A / 2 * (steps**2 @ noise) / 16 / (1 - F)

    options = {"xatol": 1e-9, "fatol": 1e-13, "maxiter": 4000, "maxfev": 4000}
    found = minimize(floor, np.full(3, mean_step), method="Nelder-Mead", options=options)
    assert best[:3] == pytest.approx(found.x, rel=1e-5)
    assert 1e3 * design.exact_floor(A, best, noise, growth) == pytest.approx(found.fun, rel=1e-10)
    with pytest.raises(ValueError, match="stable"):
        design.optimal_steps(A, 2 / A, noise, growth)
    with pytest.raises(ValueError, match="noise-free"):
        design.optimal_steps(A, 0.1, np.zeros(4), growth)


def test_weighting_moves_the_optimum_unless_kinds_are_balanced():
    rng = np.random.default_rng(3)
    linear = rng.normal(size=(5, D))
    linear -= linear.mean(0)
    steps = np.array([0.2, 0.2, 0.1, 0.1, 0.1])
    given = run((FIRST,) * 5, steps, 400, linear)
    measured = observables(given, build_model(given))[0]["mean_iterate"][-1]
    assert design.weighting_bias(A, steps, linear) == pytest.approx(measured, abs=1e-12)
    linear[:2] -= linear[:2].mean(0)
    linear[2:] -= linear[2:].mean(0)
    assert np.abs(design.weighting_bias(A, steps, linear)).max() < 1e-15


def test_noise_free_zeroth_order_nodes_contract_best_at_their_number():
    for n in (2, 9):
        edge, factor = design.noise_free_optimum(n, 3.0)

        def contraction(x, n=n):
            law = replace(LAW, batch_size="full")
            gap = recursion(run((law,) * n, x / A, 3, start=1.0, record=(0, 3)))
            return (gap[-1] / gap[0]) ** (1 / 3)

        assert contraction(edge) == pytest.approx(factor, rel=1e-9)
        assert contraction(edge * 1.05) > factor
        assert contraction(edge * 0.95) > factor


def test_unequal_functions_are_noise_for_pairs():
    rng = np.random.default_rng(4)
    linear = rng.normal(size=(6, D))
    linear -= linear.mean(0)
    zeta = float((linear**2).sum(1).mean())
    noise = np.array([NOISE] * 3 + [4 * NOISE] * 3)
    noise[3:] += 3.0 * (linear[3:] ** 2).sum(1)
    words = {"protocol": "pair", "network": NetworkFacts()}
    # O(η): halving the step must halve the deviation
    off = []
    for eta in (1.6e-2, 8e-3):
        gap = recursion(run(hybrid(3), eta, int(20 / eta), linear, **words))[-1]
        off.append(gap / design.pair_floor(eta, noise, zeta) - 1)
    assert abs(off[1]) < 0.04
    assert off[1] == pytest.approx(off[0] / 2, rel=0.1)


def test_growth_is_exact_on_both_sides_of_the_limit():
    law = zeroth(samples=1, directions="gaussian")  # τ = d + 1 = 5, Στ/n² = 1.25
    limit = 2 / (1 + 1.25) / A
    for factor, bounded in ((0.98, True), (1.02, False)):
        given = run((law,) * 4, limit * factor, 90, start=1.0)
        prediction = find("theorem", "all_reduce_growth").target(given)
        assert prediction.applies
        assert prediction.values["objective_gap"] == pytest.approx(recursion(given), rel=1e-10)
        later = replace(given, steps=3000, record=(3000,))
        growth = recursion(later)[-1] / recursion(given)[-1]
        assert (growth < 1.5) == bounded


def test_the_order_is_that_of_the_two_recursions():
    target = find("theorem", "all_reduce_order").target
    for n0, eta in ((2, 0.3), (20, 0.3), (7, 0.9), (3, 0.02)):
        alone = run((FIRST,) * FIRSTS, eta, 60, start=1.0)
        given = run(hybrid(n0), eta, 60, start=1.0, reference=alone)
        prediction = target(given)
        mine, theirs = recursion(given)[-1], recursion(alone)[-1]
        assert prediction.applies == (abs(mine - theirs) > 0.05 * theirs)
        if prediction.applies:
            expected = [1.0 if mine > theirs else -1.0]
            assert prediction.values["objective_gap_difference"].tolist() == expected
    assert not target(run(hybrid(2), 0.3, 60)).applies
    assert not target(replace(given, reference=replace(alone, momentum=0.5))).applies


def test_the_order_of_pairs_counts_heterogeneity():
    target = find("theorem", "pair_floor_order").target
    words = {"protocol": "pair", "network": NetworkFacts()}

    def case(n0, zeta):
        rng = np.random.default_rng(n0)
        made = []
        for laws in ((FIRST,) * FIRSTS, hybrid(n0)):
            linear = rng.normal(size=(len(laws), D))
            linear -= linear.mean(0)
            linear *= zeta / np.sqrt((linear**2).sum(1).mean())
            made.append(run(laws, 1.6e-2, 1500, linear, **words))
        return replace(made[1], reference=made[0])

    signs = []
    for n0, zeta in ((4, 0.0), (9, 0.0)):
        given = case(n0, zeta)
        prediction = target(given)
        assert prediction.applies, [a for a in prediction.assumptions if not a.holds]
        difference = recursion(given)[-1] - recursion(given.reference)[-1]
        signs.append(prediction.values["objective_gap_difference"][0])
        assert signs[-1] * difference > 0
    assert signs == [1.0, -1.0]


def test_no_order_where_a_population_diverges():
    """F > 1: the mean grows, but few replicas carry it, and most of them end lower."""
    target = find("theorem", "all_reduce_order").target
    alone = run((FIRST,) * FIRSTS, 1.5, 30, start=1.0)
    seen = set()
    for n0 in (1, 3, 20, 60):
        given = run(hybrid(n0), 1.5, 30, start=1.0, reference=alone)
        n = FIRSTS + n0
        factor = (1 - 1.5 * A) ** 2 + (1.5 * A) ** 2 * 3 * n0 / n**2
        stable = [a for a in target(given).assumptions if a.text.startswith("both populations are")]
        assert stable[0].holds == (factor < 1), n0
        seen.add(stable[0].holds)
    assert seen == {True, False}
