"""Every problem of the library once more, as one differentiable torch expression a node.

Derivatives come from autograd, so nothing of the product's slopes, curvatures or bounds is used.
"""

import math
from itertools import pairwise

import numpy as np
import torch
from torch.nn import functional

from hzbench.problems.multinomial_model import MultinomialModel
from hzbench.problems.quadratic_model import QuadraticProblem
from hzbench.problems.row_model import RowProblem


def local(problem, node):
    """f_i as a function of a point [d]."""
    if isinstance(problem, RowProblem):
        held = problem.shares.members[node]
        a = torch.from_numpy(problem.shares.features[held])
        y = torch.from_numpy(problem.shares.targets[held])
        return lambda x: rows_loss(problem, a, y, x) + extra(problem, x)
    if isinstance(problem, QuadraticProblem):
        A = torch.from_numpy(np.array(problem.structure.hessians[node]))
        b = torch.from_numpy(problem.structure.linear[node])
        return lambda x: x @ A @ x / 2 - b @ x
    tilt = torch.from_numpy(problem.tilts[node])
    whole = FUNCTIONS[type(problem.function).__name__]
    return lambda x: whole(problem.function, x) - tilt @ x


def sine_square(_, x):
    return (x * x).sum() + 1.5 * (1 - torch.cos(2 * x)).sum()


def rosenbrock(g, x):
    return sum(g.steepness * (b - a * a) ** 2 + (1 - a) ** 2 for a, b in pairwise(x))


def log_sum_exp(g, x):
    terms = torch.exp((g.slopes @ x - g.offsets) / g.temperature)
    return g.temperature * torch.log(terms.sum()) + g.regularization / 2 * (x @ x)


def factorization(g, x):
    U = x.view(-1, g.rank)
    return torch.trace((U @ U.T - g.target) @ (U @ U.T - g.target)) / 4


def sensing(g, x):
    U = x.view(-1, g.rank)
    errors = [torch.trace(A @ U @ U.T) - y for A, y in zip(g.matrices, g.targets, strict=True)]
    return torch.stack(errors).square().mean() / 4


def chain(g, x):
    """Term by term, as printed by Carmon et al., (4)."""

    def bump(z):
        return torch.exp(1 - 1 / (2 * z - 1) ** 2) if z > 0.5 else 0 * z

    def rise(z):
        return math.sqrt(2 * math.pi * math.e) * torch.special.ndtr(z)

    y = x / g.scale
    total = -bump(torch.tensor(1.0).double()) * rise(y[0])
    for a, b in pairwise(y):
        total = total + bump(-a) * rise(-b) - bump(a) * rise(b)
    return g.height * total


FUNCTIONS = {
    "_SineSquare": sine_square,
    "_Rosenbrock": rosenbrock,
    "_LogSumExp": log_sum_exp,
    "_Factorization": factorization,
    "_Sensing": sensing,
    "Chain": chain,
}


def single(problem, row):
    """F of one data row, without the noise of others."""
    a = torch.from_numpy(problem.shares.features[row : row + 1])
    y = torch.from_numpy(problem.shares.targets[row : row + 1])
    return lambda x: rows_loss(problem, a, y, x) + extra(problem, x)


def rows_loss(problem, a, y, x):
    """Mean loss of rows."""
    if isinstance(problem, MultinomialModel):
        z = a @ x.view(problem.classes, -1).T
        return functional.cross_entropy(z, y.long())
    name, w, m = problem.loss.name, problem.loss.width, a @ x
    r = m - y
    if name == "squared":
        return functional.mse_loss(m, y) / 2
    if name == "logistic":
        return functional.softplus(-y * m).mean()
    if name == "huber":
        return functional.huber_loss(m, y, delta=w)
    if name == "smoothed-hinge":
        s = 1 - y * m
        return functional.huber_loss(s.clamp(min=0), 0 * s, delta=w) / w
    if name == "cauchy":
        return (w**2 / 2 * torch.log(1 + r**2 / w**2)).mean()
    if name == "geman-mcclure":
        return (w**2 * r**2 / (w**2 + r**2) / 2).mean()
    if name == "poisson":
        return functional.poisson_nll_loss(m, y, log_input=True)
    assert name == "phase"
    return functional.mse_loss(m.abs() ** 2, y) / 4


def extra(problem, x):
    """The penalties, from the words of the spec."""
    ridge = problem.regularization / 2 * (x @ x)
    penalty = getattr(problem, "penalty", None)
    if penalty is None:
        return ridge
    w = penalty.loss.width
    if penalty.loss.name == "pseudo-huber":
        kappa = penalty.factor * w
        return ridge + kappa * (torch.sqrt(x**2 + w**2) - w).sum()
    kappa = penalty.factor / 2
    return ridge + kappa * (x**2 / (1 + x**2)).sum()


def slope(f, x):
    """Gradient by autograd, numpy [d]."""
    at = torch.as_tensor(x).clone().requires_grad_(True)
    (found,) = torch.autograd.grad(f(at), at)
    return found.numpy()


def bend(f, x):
    """Hessian by autograd, numpy [d, d]."""
    return torch.autograd.functional.hessian(f, torch.as_tensor(x)).numpy()
