"""Worst cases: closed forms, instances below them, PEPit where it is there."""

from dataclasses import replace
from math import sqrt

import numpy as np
import pytest
from theory_settings import setting, zeroth

from hzbench.core.constants import Constants
from hzbench.core.errors import UserMistakeError
from hzbench.core.setting import NetworkFacts, ScheduleFacts
from hzbench.core.structure import GradientLaw, Quadratic
from hzbench.theory import worst_case as module
from hzbench.theory.bound_checks import BoundInputs
from hzbench.theory.convex_bounds import pl_bound
from hzbench.theory.estimator_bounds import EstimatorBounds
from hzbench.theory.weights import mixing_matrix
from hzbench.theory.worst_case import (
    TOLERANCE,
    WorstCase,
    cached_values,
    lookup,
    recompute,
    worst_case,
    written,
)
from hzbench.theory.worst_case_bounds import (
    worst_case_decentralized_descent,
    worst_case_gradient_descent,
    worst_case_noisy_descent,
)

VALUES = cached_values()
EXACT = GradientLaw(batch_size="full")


def of(program):
    return [case for case in VALUES if case.program == program]


def names(prediction):
    return [a.text for a in prediction.assumptions if not a.holds]


@pytest.mark.parametrize("case", of("gradient-descent"))
def test_gradient_descent_has_a_closed_form(case):
    """Taylor, Hendrickx and Glineur 2018, conjecture 3.1 (Drori and Teboulle 2014 for μ = 0)."""
    kappa, h, T = case.condition, case.step, case.steps
    slow = kappa / (kappa - 1 + (1 - kappa * h) ** (-2 * T)) if kappa else 1 / (1 + 2 * T * h)
    expected = 0.5 * max(slow, (1 - h) ** (2 * T))
    assert VALUES[case] == pytest.approx(expected, rel=TOLERANCE)


@pytest.mark.parametrize("case", of("noisy-descent"))
def test_noisy_descent_lies_between_an_instance_and_the_triangle_inequality(case):
    """Errors always push away from 0 on f = a x²/2; distances grow by at most ηε."""
    mu, e, T, h = case.condition, case.disturbance, case.steps, case.step
    instances = []
    for a in np.linspace(max(mu, 1e-3), 1.0, 50):
        x = 1.0
        for _ in range(T):
            x = abs(1 - h * a) * x + h * e
        instances.append(0.5 * a * x**2)
    best = max(instances)
    assert VALUES[case] > best * (1 - TOLERANCE)
    reach = 1.0
    for _ in range(T):
        reach = max(1 - h * mu, h - 1) * reach + h * e
    assert VALUES[case] < 0.5 * reach**2 * (1 + TOLERANCE)
    exact = WorstCase(program="gradient-descent", step=h, steps=T, condition=mu)
    if exact in VALUES:
        assert VALUES[case] > VALUES[exact]


def decentralized_gap(case, hessians, linear):
    """F(x̄_T) − f* of X+ = W(X − ηG(X)) on f_i = Σ_k a_ik x_k²/2 − b_ik x_k from a unit offset."""
    n, d = linear.shape
    W = mixing_matrix(NetworkFacts(graph=case.graph, weights=case.weights), n)
    optimum = linear.mean(0) / hessians.mean(0)
    X = np.tile(optimum + np.ones(d) / sqrt(d), (n, 1))
    for _ in range(case.steps):
        X = W @ (X - case.step * (hessians * X - linear))
    return 0.5 * (hessians.mean(0) * (X.mean(0) - optimum) ** 2).sum()


@pytest.mark.parametrize("case", of("decentralized-descent"))
def test_decentralized_instances_stay_below_and_bound_e2_above(case):
    rng = np.random.default_rng(case.nodes + case.steps)
    worst = 0.0
    for _ in range(200):
        a = rng.uniform(0.1, 1, (case.nodes, 1)) if rng.random() < 0.5 else 0.1
        a = np.broadcast_to(a, (case.nodes, 1))
        g = rng.normal(size=(case.nodes, 1))
        g -= g.mean(0)
        g *= case.disturbance / sqrt((g**2).mean())
        worst = max(worst, decentralized_gap(case, a, a * 0.3 - g))
    assert 0 < worst < VALUES[case] * (1 + TOLERANCE)
    W = mixing_matrix(NetworkFacts(graph=case.graph, weights=case.weights), case.nodes)
    slem = np.linalg.norm(W - 1 / case.nodes, 2)
    inputs = BoundInputs(
        eta=case.step,
        nodes=case.nodes,
        steps=case.steps,
        smoothness=1.0,
        heterogeneity=case.disturbance**2,
        gap=0.5,
        potential=0.0,
        contraction=1 - slem**2,
        oracle=EstimatorBounds(bias=0.0, bias_square=0.0, noise=0.0, growth=0.0),
    )
    assert VALUES[case] < pl_bound(inputs, 0.1, np.array([case.steps]))[0]


def test_full_averaging_is_gradient_descent_whatever_the_heterogeneity():
    for case in of("decentralized-descent"):
        if case.graph == "complete" or case.steps == 1:
            base = WorstCase(
                program="gradient-descent", step=case.step, steps=case.steps, condition=0.1
            )
            kappa, h, T = 0.1, case.step, case.steps
            expected = 0.5 * kappa / (kappa - 1 + (1 - kappa * h) ** (-2 * T))
            assert VALUES[case] == pytest.approx(expected, rel=TOLERANCE)
            assert base not in VALUES or VALUES[base] == pytest.approx(expected, rel=TOLERANCE)


def test_larger_classes_have_larger_worst_cases():
    case = WorstCase(program="noisy-descent", step=1.0, steps=5, condition=0.25, disturbance=0.05)
    cover = replace(case, condition=0.1, disturbance=0.1)
    assert lookup(case) == VALUES[cover]
    assert VALUES[replace(cover, disturbance=0.01)] < VALUES[cover]
    assert lookup(replace(case, condition=0.5)) == VALUES[replace(cover, condition=0.4)]
    assert lookup(replace(case, disturbance=0.2)) is None
    assert lookup(replace(case, step=1.01)) is None
    assert lookup(replace(case, steps=4)) is None


def test_pepit_agrees_with_the_cache():
    pytest.importorskip("PEPit")
    cases = [of("gradient-descent")[1], of("noisy-descent")[7], of("decentralized-descent")[1]]
    for known, solved in recompute(cases).values():
        assert solved == pytest.approx(known, rel=TOLERANCE)
    fresh = WorstCase(program="gradient-descent", step=0.8, steps=3, condition=0.0)
    assert worst_case(fresh) == pytest.approx(0.5 / (1 + 2 * 3 * 0.8), rel=TOLERANCE)


@pytest.mark.slow
def test_pepit_agrees_with_the_whole_cache():
    pytest.importorskip("PEPit")
    for case, (known, solved) in recompute().items():
        assert solved == pytest.approx(known, rel=TOLERANCE), case


def test_without_pepit_one_is_told_how_to_install_it(monkeypatch):
    monkeypatch.setattr(module, "find_spec", lambda _: None)
    module.solve.cache_clear()  # what other tests solved does not count
    missing = WorstCase(program="gradient-descent", step=0.77, steps=3, condition=0.0)
    with pytest.raises(UserMistakeError, match=r'pip install "hzbench\[pep\]"'):
        worst_case(missing)
    with pytest.raises(UserMistakeError, match=r'pip install "hzbench\[pep\]"'):
        recompute([of("gradient-descent")[0]])
    given = descent(step_sizes=np.full(2, 0.77))
    found = worst_case_gradient_descent(given)
    assert names(found) == ["the worst case is cached or can be solved for"]
    assert "hzbench[pep]" in found.assumptions[-1].detail
    assert worst_case(of("gradient-descent")[0]) > 0


def test_equal_constants_are_solved_over_a_slightly_larger_class():
    """μ = L: descent is x+ = (1 − η)x, and the bound lies just above its value."""
    pytest.importorskip("PEPit")
    case = WorstCase(program="gradient-descent", step=0.3, steps=2, condition=1.0)
    exact = 0.5 * (1 - 0.3) ** 4
    assert exact * (1 - TOLERANCE) <= worst_case(case) <= 1.02 * exact


def test_large_programs_are_refused():
    large = WorstCase(program="gradient-descent", step=0.77, steps=300, condition=0.0)
    with pytest.raises(UserMistakeError, match="expected n at most 8 and nT at most 24"):
        worst_case(large)


def test_the_file_is_what_written_makes():
    text = module.files("hzbench.theory").joinpath("worst_case.json").read_text(encoding="utf-8")
    assert text == written(VALUES)


A = np.diag([2.0, 0.2])
START = np.array([3.0, 1.0])


def descent(**changes):
    structure = Quadratic(
        hessians=np.array([A, A]), linear=np.zeros((2, 2)), noise=np.zeros((2, 2, 2))
    )
    words = {
        "constants": Constants(
            smoothness=2.0, strong_convexity=0.2, noise=(0.0, 0.0), heterogeneity=0.0, minimum=0.0
        ),
        "initial": np.tile(START, (2, 1)),
        "optimum": np.zeros(2),
        "step_sizes": np.full(2, 0.5),
        "steps": 5,
        "network": NetworkFacts(weights="uniform"),
    }
    laws = changes.pop("laws", (EXACT, EXACT))
    return setting(structure, laws, **(words | changes))


def test_a_run_is_scaled_to_its_class():
    found = worst_case_gradient_descent(descent())
    v = VALUES[WorstCase(program="gradient-descent", step=1.0, steps=5, condition=0.1)]
    expected = (1 + TOLERANCE) * v * 2 * 10
    np.testing.assert_allclose(found.values["objective_gap"], [expected], rtol=1e-12)
    x = START * (1 - 0.5 * A.diagonal()) ** 5
    assert 0.5 * x @ A @ x < expected
    spread = replace(descent().problem.constants, heterogeneity=(0.5 * 2 * sqrt(10)) ** 2)
    network = NetworkFacts(graph="complete", weights="metropolis")
    quarter = descent(network=network, constants=spread, steps=3, step_sizes=np.full(2, 0.25))
    four = replace(
        quarter,
        nodes=4,
        laws=(EXACT,) * 4,
        step_sizes=np.full(4, 0.25),
        problem=replace(
            quarter.problem,
            constants=replace(spread, noise=(0.0,) * 4),
            initial=np.tile(START, (4, 1)),
        ),
    )
    found = worst_case_decentralized_descent(four)
    case = WorstCase(
        program="decentralized-descent",
        step=0.5,
        steps=3,
        condition=0.1,
        disturbance=0.5,
        nodes=4,
        graph="complete",
        weights="metropolis",
    )
    expected = (1 + TOLERANCE) * VALUES[case] * 20
    np.testing.assert_allclose(found.values["objective_gap"], [expected], rtol=1e-12)


def test_differences_in_one_dimension(monkeypatch):
    structure = Quadratic(
        hessians=np.full((2, 1, 1), 1.0), linear=np.zeros((2, 1)), noise=np.zeros((2, 1, 1))
    )
    laws = (zeroth(directions="rademacher", smoothing=0.2), zeroth(smoothing=0.6))
    words = {
        "constants": Constants(smoothness=1.0, noise=(0.0, 0.0), heterogeneity=0.0, minimum=0.0),
        "initial": np.full((2, 1), 2.0),
        "optimum": np.zeros(1),
        "step_sizes": np.full(2, 1.0),
        "steps": 5,
        "network": NetworkFacts(weights="uniform"),
    }
    found = worst_case_noisy_descent(setting(structure, laws, **words))
    v = VALUES[
        WorstCase(program="noisy-descent", step=1.0, steps=5, condition=0.4, disturbance=0.1)
    ]  # ε/(L|x_0 − x*|) = 0.4/2/2, just covered
    np.testing.assert_allclose(found.values["objective_gap"], [(1 + TOLERANCE) * v * 4])
    monkeypatch.setattr(module, "find_spec", lambda _: None)
    beyond = (laws[0], zeroth(smoothing=0.604))  # ε is 0.5 % more than the cached class has
    assert names(worst_case_noisy_descent(setting(structure, beyond, **words))) == [LAST]
    gaussian = (zeroth(directions="gaussian"), laws[1])
    text = "every estimate is a difference along ±1 without noise (d = 1)"
    assert names(worst_case_noisy_descent(setting(structure, gaussian, **words)))[0] == text
    noisy = replace(structure, evaluation_noise=0.1)
    assert names(worst_case_noisy_descent(setting(noisy, laws, **words)))[0] == (
        "function values carry no noise but that of their data sample"
    )


LAST = "the worst case is cached or can be solved for"
FAILURES = {
    "the iterates move by local steps and exchanges alone, in every round": {"moves": False},
    "adapt, then combine": {"order": "simultaneous"},
    "momentum = 0": {"momentum": 0.5},
    "the step size is constant in time": {"schedule": ScheduleFacts(name="cosine")},
    "all nodes have one positive step size": {"step_sizes": np.array([0.5, 0.4])},
    "all nodes start at one point": {"initial": np.array([[3.0, 1.0], [3.0, 1.1]])},
    "x* is known and is not the start": {"optimum": np.empty(0)},
    "the last step is recorded": {"record": (0, 1)},
    "all nodes average fully after every step": {"network": NetworkFacts(matrix=np.eye(2))},
    "every estimate is the exact gradient": {"laws": (EXACT, zeroth())},
}


@pytest.mark.parametrize("text", FAILURES)
def test_each_assumption_fails_alone(text):
    assert names(worst_case_gradient_descent(descent(**FAILURES[text]))) == [text, LAST]


def test_decentralized_assumptions():
    network = NetworkFacts(graph="ring", graph_parameters={"k": 1})
    assert names(worst_case_decentralized_descent(descent(network=network)))[0] == (
        "W comes from a graph family without parameters"
    )
    assert "W is fixed" in names(worst_case_decentralized_descent(descent(protocol="pair")))
    unknown = replace(descent().problem.constants, heterogeneity=np.nan)
    assert "ζ is known" in names(worst_case_decentralized_descent(descent(constants=unknown)))
