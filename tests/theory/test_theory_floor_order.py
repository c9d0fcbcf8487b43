"""The floor order against complete enumeration of rows and directions, and hand-made cases."""

import copy
import itertools
from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import minimize
from theory_settings import NetworkFacts, ScheduleFacts, setting, zeroth

from hzbench.core.constants import Constants
from hzbench.core.spec import Spec
from hzbench.core.structure import GeneralizedLinear, GradientLaw
from hzbench.harness.prepare import prepare
from hzbench.theory.estimator_bounds import row_bias_bound
from hzbench.theory.floor_order import estimate_noise, floors, noise_floor_order

D = 3


def losses(structure, x):
    """Loss of every row at x, penalty included."""
    margins = structure.features @ x
    y = structure.targets
    data = (margins - y) ** 2 / 2 if structure.loss == "squared" else np.log1p(np.exp(-y * margins))
    return data + structure.regularization / 2 * x @ x


def objective(structure, x):
    """(1/n) Σ f_i(x) by its definition."""
    rows = losses(structure, x)
    return np.mean([rows[members].mean() for members in structure.members])


def model(loss, members, seed=3, rows=14):
    """A random model with given members."""
    rng = np.random.default_rng(seed)
    targets = rng.normal(size=rows) if loss == "squared" else rng.choice([-1.0, 1.0], rows)
    return GeneralizedLinear(
        features=rng.normal(size=(rows, D)),
        targets=targets,
        members=tuple(np.array(m) for m in members),
        loss=loss,
        regularization=0.2,
    )


def optimum(structure):
    """argmin f by a general-purpose optimiser."""
    found = minimize(lambda x: objective(structure, x), np.zeros(D), method="BFGS", tol=1e-12)
    return found.x


def numerical_gradient(structure, row, x):
    """Gradient of one row's loss by central differences."""
    step = 1e-5
    return np.array(
        [
            (losses(structure, x + step * e)[row] - losses(structure, x - step * e)[row])
            / (2 * step)
            for e in np.eye(D)
        ]
    )


def comparison(loss, n1, law, batch=1, replicated=True, eta=0.05):
    """A hybrid of n1 gradients and 6 nodes of that law, with its reference."""
    rows = np.arange(14)
    n = n1 + 6
    split = [rows] * n if replicated else np.array_split(rows, n)
    mine = model(loss, split)
    alone = model(loss, [rows] * n1 if replicated else np.array_split(rows, n1))
    first = GradientLaw(batch_size=batch)
    common = {
        "protocol": "matrix",
        "record": (0, 600),
        "steps": 600,
        "constants": Constants(smoothness=1.0, strong_convexity=0.2),
    }
    reference = setting(
        alone, (first,) * n1, optimum=optimum(alone), step_sizes=np.full(n1, eta), **common
    )
    return setting(
        mine,
        (first,) * n1 + (law,) * 6,
        optimum=optimum(mine),
        step_sizes=np.full(n, eta),
        reference=reference,
        **common,
    )


@pytest.mark.parametrize("loss", ["squared", "logistic"])
@pytest.mark.parametrize("data", ["shared", "fresh"])
def test_noise_is_that_of_all_rows_and_signs(loss, data):
    law = zeroth(directions="rademacher", samples=2, data=data, difference="directional_derivative")
    chosen = comparison(loss, 2, law, replicated=False)
    node = 4
    structure, x = chosen.problem.structure, chosen.problem.optimum
    rows = structure.members[node]
    gradients = {row: numerical_gradient(structure, row, x) for row in rows}
    signs = [np.array(s) for s in itertools.product([-1.0, 1.0], repeat=D)]
    pairs = [(r, r) for r in rows] if data == "shared" else list(itertools.product(rows, rows))
    estimates = np.array(
        [
            (u * (u @ gradients[a]) + v * (v @ gradients[b])) / 2
            for a, b in pairs
            for u in signs
            for v in signs
        ]
    )
    expected = estimates.var(axis=0).sum()
    points = np.tile(x, (chosen.nodes, 1))
    assert estimate_noise(chosen, points)[node] == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("loss", ["squared", "logistic"])
def test_gradient_noise_is_the_variance_over_rows(loss):
    chosen = comparison(loss, 2, zeroth(directions="rademacher"), batch=4, replicated=False)
    structure, x = chosen.problem.structure, chosen.problem.optimum
    rows = [numerical_gradient(structure, row, x) for row in structure.members[1]]
    noise = estimate_noise(chosen, np.tile(x, (chosen.nodes, 1)))
    assert noise[1] == pytest.approx(np.var(rows, axis=0).sum() / 4, rel=1e-6)


@pytest.mark.parametrize(("directions", "omega"), [("rademacher", D), ("gaussian", D + 2)])
@pytest.mark.parametrize("m", [1, 3])
def test_equal_data_give_the_printed_threshold(directions, omega, m):
    chosen = comparison("logistic", 3, zeroth(directions=directions, samples=m))
    x = chosen.problem.optimum
    assert abs(chosen.problem.structure.features.shape[0]) == 14
    gradient = np.mean([numerical_gradient(chosen.problem.structure, r, x) for r in range(14)], 0)
    assert np.abs(gradient).max() < 1e-5
    assert floors(chosen).threshold == pytest.approx(3 * ((omega - 1) / m - 1), rel=1e-6)


@pytest.mark.parametrize(("m", "sign"), [(20, -1.0), (1, 1.0)])
def test_sign_on_both_sides(m, sign):  # n0* = 4 (4/m − 1) against n0 = 6
    law = zeroth(directions="gaussian", samples=m, smoothing=0.02)
    prediction = noise_floor_order(comparison("logistic", 4, law))
    assert prediction.applies, [a for a in prediction.assumptions if not a.holds]
    assert prediction.values["objective_gap_difference"].tolist() == [sign]


def test_offset_is_the_gap_of_the_reference_optimum():
    chosen = comparison("logistic", 2, zeroth(directions="rademacher"), replicated=False)
    mine, other = chosen.problem, chosen.reference.problem
    gap = objective(mine.structure, other.optimum) - objective(mine.structure, mine.optimum)
    assert gap > 1e-3
    assert floors(chosen).offset == pytest.approx(gap / (0.05 / 4), rel=1e-6)


def failing(chosen):
    """Texts of the assumptions that fail."""
    prediction = noise_floor_order(chosen)
    assert not prediction.values
    return " | ".join(a.text for a in prediction.assumptions if not a.holds)


def test_assumptions_that_fail():
    law = zeroth(directions="rademacher", samples=20)
    assert "forward" in failing(comparison("logistic", 4, zeroth(difference="forward")))
    assert "step size is small" in failing(comparison("logistic", 4, law, eta=1.5))
    near = zeroth(directions="rademacher", samples=1)  # n0* = 3 (2 − 1) = 3 against n0 = 6
    close = comparison("logistic", 6, near)  # n0* = 6 = n0: the floors are equal
    assert "floors differ" in failing(close)
    apart = comparison("logistic", 2, law, replicated=False)
    assert "the same f" in failing(apart)
    good = comparison("logistic", 4, zeroth(directions="gaussian", samples=20, smoothing=0.02))
    assert noise_floor_order(good).applies
    constants = Constants(smoothness=1.0)
    flat = replace(good, problem=replace(good.problem, constants=constants))
    assert "strongly convex" in failing(flat)


@pytest.mark.parametrize(
    "change",
    [
        {"momentum": 0.5},
        {"steps": 700},
        {"order": "simultaneous"},
        {"schedule": ScheduleFacts(name="cosine")},
        {"network": NetworkFacts(weights="lazy")},
        {"network": NetworkFacts(graph="ring")},
        {"protocol": "matching"},
        {"step_sizes": np.full(4, 0.04)},
    ],
)
def test_a_reference_that_runs_otherwise_is_none(change):
    good = comparison("logistic", 4, zeroth(directions="gaussian", samples=20, smoothing=0.02))
    assert "run alike" in failing(replace(good, reference=replace(good.reference, **change)))


def test_numbers_that_blur_the_floors():
    law = zeroth(directions="gaussian", samples=2, smoothing=0.3)
    chosen = comparison("logistic", 4, law)
    numbers, unit = floors(chosen), 0.05 / 4
    structure, x = chosen.problem.structure, chosen.problem.optimum
    starts = [
        np.mean([objective(each.problem.structure, x0) for x0 in each.problem.initial])
        - objective(structure, x)
        for each in (chosen, chosen.reference)
    ]
    assert numbers.start == pytest.approx(max(starts) * (1 - 0.05 * 0.2) ** 1200 / unit, rel=1e-9)
    bias = 6 / 10 * row_bias_bound(structure, 5, law)
    assert numbers.bias == pytest.approx(bias**2 / 0.4 / unit)
    assert numbers.hybrid < numbers.reference  # so its own excess may reverse the order
    edge = 0.05 * (1 + 6 * (4 / 2) / 10**2)  # τ = (ω − 1)/m = 4/2
    assert numbers.excess == pytest.approx(numbers.hybrid * (2 / (2 - edge) - 1))


def test_the_bias_costs_at_most_its_bound():
    """Gradient descent on f smoothed by Gaussian nodes ends no higher than B²/(2μ)."""
    law = zeroth(directions="gaussian", samples=2, smoothing=2.0)
    chosen = comparison("logistic", 4, law)
    structure = chosen.problem.structure
    a, y = structure.features, structure.targets
    t, weight = np.polynomial.hermite_e.hermegauss(40)
    lengths = np.linalg.norm(a, axis=1)

    def pull(x, nu):
        margins = (y * (a @ x))[:, None] + nu * lengths[:, None] * t
        slope = -y * ((1 / (1 + np.exp(margins))) @ weight) / weight.sum()
        return (a * slope[:, None]).mean(0) + 0.2 * x

    x = chosen.problem.optimum
    for _ in range(1000):
        x = x - 0.2 * (0.4 * pull(x, 0.0) + 0.6 * pull(x, 2.0))
    cost = objective(structure, x) - objective(structure, chosen.problem.optimum)
    bound = floors(chosen).bias * 0.05 / 4
    assert 1e-3 < cost < bound


CANCER = {
    "problem": {
        "name": "logistic",
        "data": "breast_cancer",
        "partition": "iid",
        "regularization": 0.5,
    },
    "nodes": [
        {"count": 4, "estimator": "gradient"},
        {
            "count": 16,
            "estimator": {
                "name": "zeroth_order",
                "directions": "sphere",
                "samples": 16,
                "smoothing": 0.01,
            },
        },
    ],
    "versus": {"label": "alone", "nodes": [{"count": 4, "estimator": "gradient"}]},
    "network": {"graph": "complete", "gossip": "matrix"},
    "method": {"name": "dsgd", "step_size": 0.05, "order": "adapt-combine"},
    "run": {"steps": 200, "record": [200], "replicas": 1600},
    "checks": [{"theorem": "noise_floor_order"}],
}


def cancer(**changes):
    """The theorem's answer on breast_cancer, dotted keys changed."""
    spec = copy.deepcopy(CANCER)
    for key, value in changes.items():
        table, name = key.split("__")
        spec[table][name] = value
    return prepare(Spec.parse(spec)).predictions[0]


def unmet(prediction):
    """Texts of what fails."""
    return " | ".join(a.text for a in prediction.assumptions if not a.holds)


def test_real_data_within_the_theorem():
    for graph in ("complete", "ring"):
        prediction = cancer(network__graph=graph)
        assert prediction.applies, unmet(prediction)
        assert prediction.values["objective_gap_difference"].tolist() == [-1.0]


def test_wide_smoothing_does_not_apply():
    """Measured +0.875 where the floors alone predict that the hybrid wins."""
    nodes = copy.deepcopy(CANCER["nodes"])
    nodes[1]["estimator"] |= {"samples": 8, "smoothing": 30.0}
    wide = copy.deepcopy(CANCER) | {"nodes": nodes}
    for regularization in (0.01, 0.5):
        wide["problem"]["regularization"] = regularization
        prediction = prepare(Spec.parse(wide)).predictions[0]
        assert "the smoothing bias is small" in unmet(prediction)
        assert "B²/(2μ) =" in " ".join(a.detail for a in prediction.assumptions)
        assert not prediction.values


def test_one_step_does_not_apply():
    prediction = cancer(run__steps=1, run__record=[1])
    assert unmet(prediction) == "the start is forgotten"


def test_sorted_rows_apply_only_where_they_hardly_move_the_mean():
    """With W = J/n before or after the step no f_i moves the mean: there the formula holds."""
    fewer = copy.deepcopy(CANCER["nodes"])
    fewer[1]["estimator"]["samples"] = 8
    ring = cancer(problem__partition="sorted", network__graph="ring")
    assert ring.applies, unmet(ring)
    closer = copy.deepcopy(CANCER) | {"nodes": fewer}
    closer["problem"]["partition"], closer["network"]["graph"] = "sorted", "ring"
    prediction = prepare(Spec.parse(closer)).predictions[0]
    assert "unequal f_i hardly move the mean" in unmet(prediction)
    closer["network"]["graph"] = "complete"
    assert "unequal" not in unmet(prepare(Spec.parse(closer)).predictions[0])
