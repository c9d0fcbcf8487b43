"""Certified optima against a conic solver, and Newton's method on its own."""

import numpy as np
import pytest
import torch
from problems_cases import CASES, case

from hzbench.core.errors import HzbenchError
from hzbench.problems.reference import conic_minimum, newton

DATA = [label for label, (name, _) in CASES.items() if name in ("ridge", "logistic")]


@pytest.mark.parametrize("label", DATA)
def test_the_conic_solver_agrees(label):
    problem = case(label)
    x, value = conic_minimum(problem.structure)
    assert value == pytest.approx(problem.constants.minimum, rel=1e-6)
    gap = float(problem.objective(torch.from_numpy(x)[None])[0]) - problem.constants.minimum
    assert -1e-14 <= gap < 1e-6
    assert 0.5 * problem.constants.strong_convexity * ((x - problem.optimum) ** 2).sum() < 1e-6


def test_newton_damps_where_full_steps_diverge():
    """sqrt(1 + x²): a full Newton step from x sends it to −x³."""
    found = newton(
        lambda x: float(np.sqrt(1 + x[0] ** 2)),
        lambda x: x / np.sqrt(1 + x**2),
        lambda x: (1 + x**2)[:, None] ** -1.5,
        np.array([3.0]),
    )
    assert abs(found[0]) < 1e-12


def test_newton_refuses_to_certify_a_failure():
    with pytest.raises(HzbenchError, match="raise the regularization"):
        newton(lambda _: 0.0, lambda _: np.ones(1), lambda _: np.eye(1), np.zeros(1))
