"""Certified optima against a conic solver, and Newton's method on its own."""

import cvxpy as cp
import numpy as np
import pytest
import torch
from problems_cases import CASES, case, make

from hzbench.problems.reference import certified, conic_minimum, conic_regression, newton
from hzbench.problems.shares import Shares

DATA = [label for label, (name, _) in CASES.items() if name in ("ridge", "logistic")]


@pytest.mark.parametrize("label", DATA)
def test_the_conic_solver_agrees(label):
    problem = case(label)
    x, value = conic_minimum(problem.structure)
    assert value == pytest.approx(problem.constants.minimum, rel=1e-6)
    gap = float(problem.objective(torch.from_numpy(x)[None])[0]) - problem.constants.minimum
    assert -1e-14 <= gap < 1e-6
    assert 0.5 * problem.constants.strong_convexity * ((x - problem.optimum) ** 2).sum() < 1e-6


CONVEX = ["huber", "huber-data", "hinge", "lasso", "lasso-replicated", "poisson"]


@pytest.mark.parametrize("label", [*CONVEX, "multinomial", "multinomial-raw"])
def test_the_conic_solver_agrees_on_the_library(label):
    """Minima of the convex library by interior points, within the solver's accuracy."""
    problem = case(label)
    rows = problem.shares.features, problem.shares.targets, problem.shares.row_weights
    penalty = getattr(problem, "penalty", None)
    keys = (
        {"width": penalty.loss.width, "sparsity": penalty.factor * penalty.loss.width}
        if penalty
        else {}
    )
    if label.startswith("multinomial"):
        loss = "multinomial"
    else:
        loss = problem.loss.name
        keys = {"width": problem.loss.width, **keys}
    x, value = conic_regression(rows, loss, ridge=problem.regularization, **keys)
    assert value == pytest.approx(problem.constants.minimum, rel=1e-6)
    gap = float(problem.objective(torch.from_numpy(x)[None])[0]) - problem.constants.minimum
    assert -1e-13 <= gap < 1e-6
    assert 0 <= problem.certificate < 1e-18


def test_l_bfgs_ends_where_newton_does(monkeypatch):
    """The way of large problems, on a small one; its certificate is as small as it says."""
    monkeypatch.setattr("hzbench.problems.multinomial._DENSE", 1)
    large, small = make("multinomial"), case("multinomial")
    assert large.constants.minimum == pytest.approx(small.constants.minimum, abs=1e-13)
    assert large.certificate < 1e-12
    assert "L-BFGS" in large.constants.how["minimum"]


def test_newton_damps_where_full_steps_diverge():
    """sqrt(1 + x²): a full Newton step from x sends it to −x³."""
    found = newton(
        lambda x: float(np.sqrt(1 + x[0] ** 2)),
        lambda x: x / np.sqrt(1 + x**2),
        lambda x: (1 + x**2)[:, None] ** -1.5,
        np.array([3.0]),
    )
    assert abs(found[0]) < 1e-12


def test_what_is_not_near_enough_is_not_certified():
    """½x²: at x the gap is ½x² itself, and x = 1e-4 is too far for 1e-9."""
    f, slope = (lambda x: 0.5 * float(x @ x)), (lambda x: x)
    near, far = (certified(f, slope, np.array([x]), 1.0, "a guess") for x in (1e-5, 1e-4))
    assert near.value == near.gap == pytest.approx(5e-11)
    assert far.optimum.size == 0
    assert np.isnan([far.value, far.gap]).all()
    assert far.how.startswith("unknown: a guess ended at |∇f| = 0.0001, so")


def test_newton_ends_where_there_is_no_minimum():
    """No minimum, and a singular Hessian: it returns, and nothing is certified."""
    for bend in (np.eye(1), np.zeros((1, 1))):
        end = newton(lambda _: 0.0, lambda _: np.ones(1), lambda _, h=bend: h, np.zeros(1))
        assert not certified(lambda _: 0.0, lambda _: np.ones(1), end, 1.0, "Newton").optimum.size


def test_a_sharp_hinge_is_solved_through_wider_ones():
    """Newton's method alone ends at |∇f| = 0.02; a conic solver agrees with the detour."""
    problem = make("smoothed_hinge", width=1e-3, regularization=1e-4)
    shares = problem.shares
    rows = shares.features, shares.targets, shares.row_weights
    _, value = conic_regression(rows, "smoothed-hinge", width=1e-3, ridge=1e-4)
    assert value == pytest.approx(problem.constants.minimum, rel=1e-5)
    assert problem.certificate < 1e-15
    assert "sharpening corners" in problem.constants.how["minimum"]


def test_a_sharp_maximum_is_solved_through_softer_ones():
    """max_j <= ρ log Σ exp <= max_j + ρ log N, and the maximum's minimum is a quadratic program."""
    keys = {"temperature": 1e-6, "terms": 50, "dimension": 10, "regularization": 1e-5}
    problem = make("log_sum_exp", **keys)
    x, g = cp.Variable(10), problem.function
    sharp = cp.max(g.slopes.numpy() @ x - g.offsets.numpy()) + 0.5e-5 * cp.sum_squares(x)
    task = cp.Problem(cp.Minimize(sharp))
    task.solve(solver=cp.CLARABEL)
    assert -1e-7 <= problem.constants.minimum - task.value <= 1e-6 * np.log(50) + 1e-7


def test_what_no_way_solves_is_unknown_with_the_reason():
    problem = make("log_sum_exp", temperature=1e-9, terms=50, dimension=10, regularization=1e-12)
    assert problem.optimum.size == 0
    assert np.isnan(problem.constants.minimum)
    assert problem.constants.how["minimum"].startswith("unknown: Newton's method")
    assert problem.constants.strong_convexity == 1e-12


def test_without_solving_the_optimum_is_unknown_and_nothing_else_changes():
    parts = ({}, {"solve_optimum": False})
    solved, left = (make("multinomial", partition="sorted", **part) for part in parts)
    assert left.optimum.size == 0
    assert np.isnan(left.constants.minimum)
    assert "minimum" not in left.constants.how
    for name in ("smoothness", "sample_smoothness", "heterogeneity", "noise"):
        assert getattr(left.constants, name) == getattr(solved.constants, name)
    x = torch.ones(2, left.dimension, dtype=torch.float64)
    torch.testing.assert_close(left.objective(x), solved.objective(x), rtol=0, atol=0)


@pytest.mark.parametrize("label", ["multinomial", "multinomial-raw"])
def test_curvatures_are_largest_eigenvalues_and_drift_is_the_sum_written_out(label):
    """From the smaller Gram matrix as from the larger one."""
    shares = case(label).shares
    large = [np.linalg.eigvalsh(moment)[-1] for moment in shares.second_moments]
    np.testing.assert_allclose(shares.curvatures, large, rtol=1e-12)
    few = Shares(
        features=shares.features, targets=shares.targets, members=(np.arange(2), np.arange(2, 9))
    )
    large = [np.linalg.eigvalsh(moment)[-1] for moment in few.second_moments]
    np.testing.assert_allclose(few.curvatures, large, rtol=1e-12)
