"""Every problem of the library once more, as one differentiable torch expression a node.

Derivatives come from autograd, so nothing of the product's slopes, curvatures or bounds is used.
"""

import torch
from torch.nn import functional

from hzbench.problems.row_model import RowProblem


def local(problem, node):
    """f_i as a function of a point [d]."""
    if isinstance(problem, RowProblem):
        held = problem.shares.members[node]
        a = torch.from_numpy(problem.shares.features[held])
        y = torch.from_numpy(problem.shares.targets[held])
        return lambda x: rows_loss(problem, a, y, x) + extra(problem, x)
    raise TypeError(type(problem))


def single(problem, row):
    """F of one data row, without the noise of others."""
    a = torch.from_numpy(problem.shares.features[row : row + 1])
    y = torch.from_numpy(problem.shares.targets[row : row + 1])
    return lambda x: rows_loss(problem, a, y, x) + extra(problem, x)


def rows_loss(problem, a, y, x):
    """Mean loss of rows."""
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
