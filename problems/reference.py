"""Reference solutions: damped Newton for the certified optimum, and a conic solver for tests."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hzbench.core.errors import HzbenchError
from hzbench.core.structure import GeneralizedLinear

Array = NDArray[np.float64]


def newton(
    value: Callable[[Array], float],
    gradient: Callable[[Array], Array],
    hessian: Callable[[Array], Array],
    start: Array,
) -> Array:
    """Minimise a smooth strongly convex function, down to rounding.

    Newton steps, damped until the decrement is small, then full ones while the gradient shrinks.

    Arguments:
        value: f at a point [d].
        gradient: ∇f at a point, shape [d].
        hessian: ∇²f at a point, shape [d, d].
        start: first point, shape [d].

    Raises:
        HzbenchError: the gradient norm is still above 1e-6.
    """
    x = _damped(value, gradient, hessian, start)
    norm = float(np.linalg.norm(gradient(x)))
    for _ in range(20):
        new = x - np.linalg.solve(hessian(x), gradient(x))
        new_norm = float(np.linalg.norm(gradient(new)))
        if not new_norm < norm:
            break
        x, norm = new, new_norm
    if not norm <= 1e-6:
        raise HzbenchError(
            f"got |∇f| = {norm:.2g} from Newton's method; expected about 1e-12; "
            "standardize the features or raise the regularization"
        )
    return x


def quasi_newton(
    value: Callable[[Array], float], gradient: Callable[[Array], Array], start: Array
) -> Array:
    """Minimise by L-BFGS where a Hessian would be too large; the caller certifies the result."""
    from scipy.optimize import minimize

    found = minimize(
        value,
        start,
        jac=gradient,
        method="L-BFGS-B",
        options={"maxiter": 20_000, "maxfun": 40_000, "ftol": 0.0, "gtol": 1e-9, "maxcor": 50},
    )
    return np.asarray(found.x, dtype=np.float64)


def _damped(
    value: Callable[[Array], float],
    gradient: Callable[[Array], Array],
    hessian: Callable[[Array], Array],
    x: Array,
) -> Array:
    """Steps of sufficient decrease until g'H⁻¹g <= 1e-9 max(1, |f|), at most 200."""
    for _ in range(200):
        g = gradient(x)
        step = np.linalg.solve(hessian(x), g)
        decrement, here, length = float(g @ step), value(x), 1.0
        if not decrement > 1e-9 * max(1.0, abs(here)):
            break
        while length > 1e-12 and value(x - length * step) > here - 1e-4 * length * decrement:
            length *= 0.5
        x = np.asarray(x - length * step)
    return x


def conic_minimum(model: GeneralizedLinear) -> tuple[Array, float]:
    """Minimiser and minimum of f = (1/n) Σ f_i by cvxpy, from the declared structure alone.

    Needs the extra `reference`; slow, so tests are its only users.
    """
    weights = np.zeros(len(model.targets))
    for rows in model.members:
        weights[rows] += 1.0 / (len(model.members) * len(rows))
    return conic_regression(
        (model.features, model.targets, weights), model.loss, ridge=model.regularization
    )


def conic_regression(
    rows: tuple[Array, Array, Array],
    loss: str,
    *,
    width: float = 1.0,
    ridge: float = 0.0,
    sparsity: float = 0.0,
) -> tuple[Array, float]:
    """Minimise Σ_j p_j φ(a_j'x, y_j) + (λ/2)|x|² + κ Σ (sqrt(x² + w²) − w) by cvxpy.

    Arguments:
        rows: a_j [N, d], y_j [N], p_j [N].
        loss: squared, logistic, huber, smoothed-hinge, poisson or multinomial (x is then [C·d]).
        width: w of the loss, or of the penalty if sparsity is not 0.
        ridge: λ.
        sparsity: κ.

    Returns:
        The minimiser and the minimum, with the solver's accuracy (about 1e-8).
    """
    import cvxpy as cp

    features, targets, weights = rows
    several = loss == "multinomial"
    shape = (int(targets.max()) + 1, features.shape[1]) if several else features.shape[1]
    x = cp.Variable(shape)
    m = features @ x.T if several else features @ x
    forms: dict[str, Callable[[], Any]] = {
        "squared": lambda: 0.5 * cp.square(m - targets),
        "logistic": lambda: cp.logistic(cp.multiply(-targets, m)),
        "huber": lambda: 0.5 * cp.huber(m - targets, width),
        "smoothed-hinge": lambda: (
            cp.huber(cp.pos(1 - cp.multiply(targets, m)), width) / (2 * width)
        ),
        "poisson": lambda: cp.exp(m) - cp.multiply(targets, m),
        "multinomial": lambda: (
            cp.log_sum_exp(m, axis=1)
            - cp.sum(cp.multiply(np.eye(m.shape[1])[targets.astype(int)], m), axis=1)
        ),
    }
    total = cp.sum(cp.multiply(weights, forms[loss]())) + 0.5 * ridge * cp.sum_squares(x)
    if sparsity:
        roots = cp.norm(cp.vstack([x, width * np.ones(shape)]), 2, axis=0)
        total += sparsity * (cp.sum(roots) - width * features.shape[1])
    task = cp.Problem(cp.Minimize(total))
    task.solve(solver=cp.CLARABEL)
    return np.asarray(x.value, dtype=np.float64).ravel(), float(task.value)
