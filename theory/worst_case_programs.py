"""The worst cases as semidefinite programs (PEPit, Goujaud et al. 2024)."""

from __future__ import annotations

import contextlib
import io
import warnings
from typing import TYPE_CHECKING, Any

from hzbench.core.setting import NetworkFacts
from hzbench.theory.weights import mixing_matrix

if TYPE_CHECKING:
    from hzbench.theory.worst_case import WorstCase


def solve_program(case: WorstCase) -> float:
    """The worst f(x̄_T) − f* over the class, scaled to L = 1 and |x_0 − x*| = 1.

    Source:
        Drori and Teboulle 2014; Taylor, Hendrickx and Glineur 2017; decentralized steps as in
        Colla and Hendrickx 2023, with W fixed.
    """
    from PEPit import PEP

    problem = PEP()
    one = case.program != "decentralized-descent"
    metric = _descent(problem, case) if one else _decentralized(problem, case)
    problem.set_performance_metric(metric)
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        return float(problem.solve(wrapper="cvxpy", solver="CLARABEL", verbose=0))


def _function(problem: Any, case: WorstCase) -> Any:
    from PEPit.functions import SmoothStronglyConvexFunction

    return problem.declare_function(SmoothStronglyConvexFunction, mu=case.condition, L=1.0)


def _descent(problem: Any, case: WorstCase) -> Any:
    """Gradient descent, every gradient off by at most the disturbance."""
    from PEPit import Point

    f = _function(problem, case)
    optimum, x = f.stationary_point(), problem.set_initial_point()
    problem.set_initial_condition((x - optimum) ** 2 <= 1)
    for _ in range(case.steps):
        gradient = f.gradient(x)
        if case.disturbance:
            error = Point()
            problem.add_constraint(error**2 <= case.disturbance**2)
            gradient = gradient + error
        x = x - case.step * gradient
    return f(x) - f(optimum)


def _decentralized(problem: Any, case: WorstCase) -> Any:
    """X+ = W(X − ηG(X)) from one point, n functions of the class."""
    n = case.nodes
    W = mixing_matrix(NetworkFacts(graph=case.graph, weights=case.weights), n)
    locals_ = [_function(problem, case) for _ in range(n)]
    f = _sum(locals_) * (1.0 / n)
    optimum, start = f.stationary_point(), problem.set_initial_point()
    problem.set_initial_condition((start - optimum) ** 2 <= 1)
    squares = [each.gradient(optimum) ** 2 for each in locals_]
    problem.add_constraint(_sum(squares) * (1.0 / n) <= case.disturbance**2)
    X = [start] * n
    for _ in range(case.steps):
        Y = [x - case.step * each.gradient(x) for x, each in zip(X, locals_, strict=True)]
        X = [_sum([float(w) * y for w, y in zip(row, Y, strict=True)]) for row in W]
    return f(_sum(X) * (1.0 / n)) - f(optimum)


def _sum(terms: list[Any]) -> Any:
    total = terms[0]
    for term in terms[1:]:
        total = total + term
    return total
