"""Reference solutions: damped Newton, the certificate of its end, and a conic solver for tests."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from math import ceil, log10, nan
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from hzbench.core.structure import GeneralizedLinear

Array = NDArray[np.float64]
DENSE = 3000
_CLOSE = 1e-9  # of 1 + |f*|: the largest certified gap that may pass for f*


@dataclass(frozen=True, kw_only=True)
class Minimum:
    """What is known of a minimum.

    Attributes:
        optimum: the minimiser, shape [d]; empty where it is unknown or one of several.
        value: f*, or nan.
        gap: upper bound on f(optimum) − f*, or nan.
        how: how it was obtained, or why it is unknown.
    """

    optimum: Array = field(default_factory=lambda: np.zeros(0))
    value: float = nan
    gap: float = nan
    how: str = ""


class Smooth(Protocol):
    """A function with its first two derivatives."""

    def value(self, x: Array) -> float:
        """f(x), x [d]."""

    def gradient(self, x: Array) -> Array:
        """∇f(x), shape [d]."""

    def hessian(self, x: Array) -> Array:
        """∇²f(x), shape [d, d]."""


def minimum_of(
    f: Smooth, softer: Iterable[Smooth], d: int, convexity: float, dense: int = DENSE
) -> Minimum:
    """The minimum of a strongly convex f by Newton's method from 0, or L-BFGS in many dimensions.

    Where Newton's ends early, again through softer functions, each started at the end of the last.

    Arguments:
        f: what is minimised.
        softer: functions of the same kind with wider corners, the softest first.
        d: dimension.
        convexity: μ > 0 of f.
        dense: the most dimensions in which a Hessian is formed.
    """
    if d > dense:
        x = quasi_newton(f.value, f.gradient, np.zeros(d))
        return certified(f.value, f.gradient, x, convexity, "L-BFGS")
    x = newton(f.value, f.gradient, f.hessian, np.zeros(d))
    found, stages = certified(f.value, f.gradient, x, convexity, "Newton's method"), [*softer]
    if found.optimum.size or not stages:
        return found
    x = np.zeros(d)
    for each in (*stages, f):
        x = newton(each.value, each.gradient, each.hessian, x)
    return certified(f.value, f.gradient, x, convexity, "Newton's method, sharpening corners")


def tenfold(large: float, small: float) -> list[float]:
    """Numbers from large down to above small, each about a tenth of the last."""
    count = max(0, ceil(log10(large / small)))
    return np.geomspace(large, small, 1 + count)[:-1].tolist() if count else []


def certified(
    value: Callable[[Array], float],
    gradient: Callable[[Array], Array],
    x: Array,
    convexity: float,
    way: str,
) -> Minimum:
    """The minimum at x if |∇f(x)|²/(2μ) ≥ f(x) − f* says so within 1e-9 of 1 + |f|, else unknown.

    Arguments:
        value: f at a point [d].
        gradient: ∇f at a point, shape [d].
        x: where a method ended, shape [d].
        convexity: μ > 0 of f.
        way: the method.
    """
    here, norm = value(x), float(np.linalg.norm(gradient(x)))
    gap = norm**2 / (2 * convexity)
    if gap <= _CLOSE * (1.0 + abs(here)):
        how = f"{way}; f(x) − f* ≤ |∇f(x)|²/(2μ) = {gap:.1g}"
        return Minimum(optimum=x, value=here, gap=gap, how=how)
    reason = (
        f"unknown: {way} ended at |∇f| = {norm:.2g}, so f(x) − f* ≤ |∇f|²/(2μ) = {gap:.2g} only"
    )
    return Minimum(how=reason)


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

    Returns:
        Where it ended, shape [d]; `certified` tells how far that is.
    """
    x = _damped(value, gradient, hessian, start)
    norm = float(np.linalg.norm(gradient(x)))
    for _ in range(20):
        new = x - _newton_step(hessian(x), gradient(x))
        new_norm = float(np.linalg.norm(gradient(new)))
        if not new_norm < norm:
            break
        x, norm = new, new_norm
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
        step = _newton_step(hessian(x), g)
        decrement, here, length = float(g @ step), value(x), 1.0
        if not decrement > 1e-9 * max(1.0, abs(here)):
            break
        while not value(x - length * step) <= here - 1e-4 * length * decrement:
            length *= 0.5
            if length < 1e-12:
                return x
        x = np.asarray(x - length * step)
    return x


def _newton_step(hessian: Array, gradient: Array) -> Array:
    """H⁻¹g; g itself where H is singular to machine precision."""
    try:
        return np.asarray(np.linalg.solve(hessian, gradient))
    except np.linalg.LinAlgError:
        return gradient


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
