"""Curvature within rounding of 0 is 0: no problem takes its last bits for strong convexity."""

from fractions import Fraction

import numpy as np
import pytest
import torch
from problems_cases import EXPLICIT, N, make

from hzbench.core.errors import SpecError
from hzbench.problems.convexity import least_curvature, least_of_rows

SEEDS = range(40)
SIGNS = [1.0, -1.0, -1.0, 1.0, 1.0]
FLAT = {"label_noise": 0.1, "rows": 5, "dimension": 6}


def test_rows_that_do_not_span_give_no_strong_convexity_whatever_the_seed():
    for seed in SEEDS:
        keys = {"planted": FLAT, "regularization": 0.0, "sparsity": 0.3, "instance_seed": seed}
        c = make("smooth_lasso", **keys).constants
        assert c.strong_convexity == 0
        assert np.isnan([c.polyak_lojasiewicz, c.minimum]).all()


def test_constant_pixels_give_none_either():
    c = make("smooth_lasso", data="digits", regularization=0.0).constants
    assert c.strong_convexity == 0
    assert np.isnan(c.minimum)


@pytest.mark.parametrize("factor", [0.15, 0.3, 0.7, 1.1])
def test_a_penalty_that_undoes_another_leaves_none(factor):
    """κ Σ x²/(1 + x²) bends down by κ/2 at most, which λ = κ/2 undoes."""
    rows = {"features": EXPLICIT["features"], "targets": EXPLICIT["signs"]}
    c = make("nonconvex_logistic", **rows, nonconvexity=factor, regularization=factor / 2).constants
    assert c.strong_convexity == 0
    assert np.isnan(c.minimum)


def test_the_smallest_true_curvature_stays():
    c = make("smooth_lasso", planted=FLAT, regularization=1e-9).constants
    assert c.strong_convexity == pytest.approx(1e-9, rel=1e-5)
    assert c.polyak_lojasiewicz == c.strong_convexity
    c = make("logistic", regularization=1e-13, planted={"rows": 9, "dimension": 2}).constants
    assert c.strong_convexity == 1e-13


@pytest.mark.parametrize("seed", range(20))
def test_the_same_rule_refuses_singular_least_squares_and_quadratics(seed):
    random = np.random.default_rng(seed)
    rows = random.standard_normal((N, N + 1))
    keys = {"features": rows, "targets": np.ones(N), "regularization": 0.0, "standardize": False}
    with pytest.raises(SpecError, match="got a least-squares Hessian with the eigenvalue 0;"):
        make("ridge", **keys)
    with pytest.raises(SpecError, match="whose mean has the eigenvalue 0;"):
        make("quadratic", hessian=rows.T @ rows)
    assert least_curvature(rows.T @ rows) == 0
    assert least_curvature(-rows.T @ rows) < -0.1
    assert least_curvature(rows.T @ rows, 1e-6) == pytest.approx(1e-6, rel=1e-6)


@pytest.mark.parametrize("size", [3e4, 1e6, 1e7, 1e9])
@pytest.mark.parametrize("name", ["ridge", "smooth_lasso"])
def test_a_penalty_is_not_lost_beside_large_rows(name, size):
    """Six rows in nine dimensions: μ = λ in exact arithmetic, whatever the size of the rows."""
    random = np.random.default_rng(0)
    rows, y = size * random.standard_normal((6, 9)), random.standard_normal(6)
    keys = {"features": rows, "targets": y, "regularization": 0.2, "standardize": False}
    c = make(name, **keys).constants
    assert c.strong_convexity == c.polyak_lojasiewicz == 0.2
    assert c.minimum == pytest.approx(_least(name, rows, y), rel=1e-3)


def _least(name, rows, y):
    """To leading order in 1/size²: the least-norm interpolant z, so x* = z (1 + O(size⁻²))."""
    gram = rows @ rows.T
    z = rows.T @ np.linalg.solve(gram, y)
    bend = 1.2 if name == "smooth_lasso" else 0.2  # κ/w = 1 beside λ, since x is far below w
    return 0.5 * bend * float(z @ z)


@pytest.mark.parametrize("seed", range(8))
def test_ridge_far_below_the_rounding_of_its_hessian_is_solved(seed):
    """Against rational arithmetic: x* = A'(AA' + Nλ I)⁻¹y."""
    random = np.random.default_rng(seed)
    rows, y = 1e7 * random.standard_normal((3, 5)), random.standard_normal(3)
    keys = {"features": rows, "targets": y, "regularization": 0.1, "standardize": False}
    problem = make("ridge", kinds=("first",) * 2, partition="replicated", **keys)
    x, value = _exact_ridge(rows, y, Fraction(0.1))
    assert problem.optimum == pytest.approx(x, rel=1e-9)
    assert problem.constants.minimum == pytest.approx(value, rel=1e-9)


@pytest.mark.parametrize(("penalty", "known"), [(1e-14, True), (1e-20, False)])
def test_ridge_tells_no_minimum_that_its_gradient_cannot_certify(penalty, known):
    """Two equal columns: μ = λ, and rounding of ∇f alone leaves |∇f|²/(2λ) above 1e-9."""
    random = np.random.default_rng(0)
    rows, y = random.standard_normal((9, 4)), random.standard_normal(9)
    rows[:, 3] = rows[:, 2]
    keys = {"features": rows, "targets": y, "regularization": penalty, "standardize": False}
    problem = make("ridge", kinds=("first",) * 3, **keys)
    c = problem.constants
    assert c.strong_convexity == penalty
    assert bool(problem.optimum.size) is known
    assert np.isfinite([c.minimum, problem.certificate, c.heterogeneity, *c.noise]).all() == known
    assert c.how["minimum"].startswith("linear solve; " if known else "unknown: linear solve ended")
    x = random.standard_normal((2, 4))
    plain = 0.5 * ((rows @ x.T - y[:, None]) ** 2).mean(0) + 0.5 * penalty * (x**2).sum(1)
    slope = ((rows @ x.T - y[:, None]).T @ rows) / 9 + penalty * x
    points = torch.from_numpy(x)
    assert problem.objective(points).numpy() == pytest.approx(plain, rel=1e-12)
    assert problem.objective_gradient(points).numpy() == pytest.approx(slope, rel=1e-10)


def _exact_ridge(rows, y, penalty):
    """Gauss elimination in fractions."""
    a = [[Fraction(v) for v in row] for row in rows.tolist()]
    t, count, d = [Fraction(v) for v in y.tolist()], len(rows), rows.shape[1]
    table = [
        [sum(r[i] * r[j] for r in a) / count + (penalty if i == j else 0) for j in range(d)]
        + [sum(r[i] * v for r, v in zip(a, t, strict=True)) / count]
        for i in range(d)
    ]
    for i in range(d):
        table[i] = [v / table[i][i] for v in table[i]]
        for k in range(d):
            if k != i:
                table[k] = [v - table[k][i] * p for v, p in zip(table[k], table[i], strict=True)]
    x = [row[-1] for row in table]
    errors = [sum(p * q for p, q in zip(r, x, strict=True)) - v for r, v in zip(a, t, strict=True)]
    value = sum(e * e for e in errors) / (2 * count) + penalty * sum(v * v for v in x) / 2
    return np.array([float(v) for v in x]), float(value)


def test_shifts_that_cancel_the_matrix_are_held_against_its_size():
    turn = np.linalg.qr(np.random.default_rng(1).standard_normal((3, 3)))[0]
    matrix = (turn * [-1e-8, 1.0, 1e3]) @ turn.T
    assert least_curvature(matrix, 1e-8) == 0  # ±1e-13 is the rounding of the matrix
    assert least_curvature(matrix, 1.0) == pytest.approx(1.0 - 1e-8, abs=1e-12)
    assert least_curvature(np.diag([1e-13, 1.0])) == 1e-13
    assert least_curvature(np.diag([-1e-13, 1.0]), 3e-13) == pytest.approx(2e-13)


@pytest.mark.parametrize("shape", [(3, 7), (7, 3), (4, 4)])
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_rows_give_the_least_eigenvalue_of_their_matrix(shape, sign):
    random = np.random.default_rng(5)
    rows, weights = random.standard_normal(shape), sign * random.random(shape[0])
    weights[1] = 0.0
    expected = np.linalg.eigvalsh(rows.T @ np.diag(weights) @ rows)[0]
    assert least_of_rows(rows, weights) == pytest.approx(expected, rel=1e-9, abs=1e-12)
    assert least_of_rows(rows, weights, 0.25) == pytest.approx(expected + 0.25, rel=1e-9)


@pytest.mark.parametrize(
    "keys",
    [
        {"dimension": 6, "spectrum": "log", "smoothness": 1e8, "strong_convexity": 1e-9},
        {"dimension": 6, "spectrum": "log", "strong_convexity": 1e-15},
        {"spectrum": [1e-13, 1.0]},
    ],
)
def test_a_spectrum_that_doubles_lose_is_refused_in_a_full_matrix_only(keys):
    with pytest.raises(SpecError, match="full Hessian; expected the least above"):
        make("quadratic", rotation=True, **keys)
    c = make("quadratic", **keys).constants
    least = (
        min(keys["spectrum"]) if isinstance(keys["spectrum"], list) else keys["strong_convexity"]
    )
    assert c.strong_convexity == pytest.approx(least, rel=1e-14)


def test_one_rule_for_every_way_to_write_a_quadratic():
    assert make("quadratic", hessian=np.diag([1e-13, 1.0])).constants.strong_convexity == 1e-13
    assert make("quadratic", spectrum=[1e-13, 1.0]).constants.strong_convexity == 1e-13
    with pytest.raises(SpecError, match="full Hessian; expected the least above 1e-12"):
        make("quadratic", dimension=40, spectrum="tridiagonal", strong_convexity=1e-17)
    with pytest.raises(SpecError, match="diagonal Hessian; expected the least above"):
        make("quadratic", spectrum=[1e-320, 1.0])
    with pytest.raises(SpecError, match="got hessian whose mean has the eigenvalue"):
        make("quadratic", hessian=np.diag([1e-320, 1.0]))


@pytest.mark.parametrize("low", [1e-2, 1e-6, 1e-11])
@pytest.mark.parametrize("keys", [{"spectrum": "tridiagonal"}, {"rotation": True}])
def test_a_declared_spectrum_is_declared_as_it_is_given(low, keys):
    problem = make("quadratic", dimension=30, strong_convexity=low, smoothness=3.0, **keys)
    c, spectrum = problem.constants, np.linalg.eigvalsh(problem.structure.hessians[0])
    assert (c.strong_convexity, c.smoothness) == (low, 3.0)
    assert spectrum[[0, -1]] == pytest.approx([low, 3.0], abs=3e-14)
    assert (", to " in c.how["minimum"]) == (low < 1e-5)


@pytest.mark.parametrize("name", ["logistic", "huber", "poisson", "cauchy", "smoothed_hinge"])
def test_wide_rows_are_solved_in_their_span(name):
    """Newton's method in five unknowns; |x − x*| ≤ |∇f|/μ says that it is x* in all twelve."""
    random = np.random.default_rng(2)
    rows, real = 0.5 * random.standard_normal((5, 12)), random.standard_normal(5)
    counts = {"poisson": [0, 2, 1, 3, 0], "logistic": SIGNS, "smoothed_hinge": SIGNS}
    keys = {"features": rows, "targets": counts.get(name, real), "standardize": False}
    problem = make(name, regularization=0.7, **keys)
    assert problem.constants.strong_convexity > 0
    x = torch.from_numpy(problem.optimum)[None]
    assert float(problem.objective_gradient(x).norm()) < 1e-10
    assert float(problem.objective(x)[0]) == pytest.approx(problem.constants.minimum, abs=1e-13)


def test_many_dimensions_form_no_matrix_of_their_square():
    """200 000 features: d × d would take 300 GiB."""
    rows = np.zeros((4, 200_000))
    rows[:, :3] = [[1, 2, 0], [0, 1, 1], [1, 0, 3], [-1, 1, 0]]
    keys = {"targets": [1, -1, 1, -1], "standardize": False, "kinds": ("first",) * 2}
    wide = make("logistic", features=rows, **keys)
    small = make("logistic", features=rows[:, :3], **keys)
    assert wide.constants.minimum == pytest.approx(small.constants.minimum, abs=1e-14)
    assert wide.optimum[:3] == pytest.approx(small.optimum, abs=1e-9)
    assert wide.constants.smoothness == pytest.approx(small.constants.smoothness, rel=1e-12)
    with pytest.raises(SpecError, match=r"got 4 rows of 200000 features, which take .* GiB"):
        make("ridge", features=rows, **keys)


def test_l_bfgs_takes_over_where_a_hessian_is_too_large(monkeypatch):
    small = make("smooth_lasso", planted=FLAT, regularization=0.2)
    monkeypatch.setattr("hzbench.problems.reference.minimum_of.__defaults__", (1,))
    large = make("smooth_lasso", planted=FLAT, regularization=0.2)
    assert large.constants.minimum == pytest.approx(small.constants.minimum, abs=1e-12)
    assert "L-BFGS" in large.constants.how["minimum"]
    assert "Newton" in small.constants.how["minimum"]
