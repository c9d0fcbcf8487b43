"""The floor order against complete enumeration of rows and directions, and hand-made cases."""

import itertools

import numpy as np
import pytest
from scipy.optimize import minimize
from theory_settings import setting, zeroth

from hzbench.core.constants import Constants
from hzbench.core.structure import GeneralizedLinear, GradientLaw
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
        "record": (0, 10),
        "steps": 10,
        "constants": Constants(smoothness=1.0),
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
    assert estimate_noise(chosen)[node] == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("loss", ["squared", "logistic"])
def test_gradient_noise_is_the_variance_over_rows(loss):
    chosen = comparison(loss, 2, zeroth(directions="rademacher"), batch=4, replicated=False)
    structure, x = chosen.problem.structure, chosen.problem.optimum
    rows = [numerical_gradient(structure, row, x) for row in structure.members[1]]
    assert estimate_noise(chosen)[1] == pytest.approx(np.var(rows, axis=0).sum() / 4, rel=1e-6)


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
    law = zeroth(directions="gaussian", samples=m)
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
