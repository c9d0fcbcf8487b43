"""Fits of a curve through means: their value, and how it answers to each mean.

The idea: a fitted number φ is a smooth function of the T means. Theory's number is φ of the exact
curve on the same grid, never an asymptotic exponent, so whatever the grid, the transient and the
floor do to a fit they do to both. To first order φ(measured) − φ(exact) = ∇φ · (measured − exact),
a mean over replicas (the delta method), so its error comes from replicas and not from the scatter
of points around a line.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, stats

from hzbench.core.errors import UserMistakeError
from hzbench.core.prediction import Fit

Array = NDArray[np.float64]

LEAST_POINTS = {"power": 2, "floor": 4}
_GRID = 60


@dataclass(frozen=True, kw_only=True)
class Fitted:
    """A fitted number and its derivative in each mean.

    Attributes:
        value: φ.
        gradient: ∂φ/∂mean_t, shape [T].
    """

    value: float
    gradient: Array


def fit(kind: Fit, steps: Array, means: Array, weights: Array | None = None) -> Fitted:
    """Fit a curve.

    Args:
        kind: which number (see `Prediction.fit`).
        steps: t, increasing and positive, shape [T].
        means: shape [T]; positive for "power".
        weights: of the squared residuals of "floor", shape [T]; default 1/means².

    Raises:
        UserMistakeError: too few points, or a logarithm of a number that is not positive.
    """
    if len(steps) < LEAST_POINTS[kind] or (steps <= 0).any():
        raise UserMistakeError(
            f"got the steps {steps.tolist()} for a fit; expected at least {LEAST_POINTS[kind]} "
            "positive ones; record more steps"
        )
    if kind == "power":
        return power_slope(steps, means)
    return floor_rate(steps, means, means**-2.0 if weights is None else weights)


def power_slope(steps: Array, means: Array) -> Fitted:
    """Least-squares slope of log mean against log t.

    Raises:
        UserMistakeError: a mean that is not positive.
    """
    if (means <= 0).any():
        raise UserMistakeError(
            f"got the means {means.tolist()} for a log-log slope; expected positive ones; "
            "choose another observable or window"
        )
    x = np.log(steps)
    line = (x - x.mean()) / ((x - x.mean()) ** 2).sum()
    return Fitted(value=float(line @ np.log(means)), gradient=line / means)


def floor_rate(steps: Array, means: Array, weights: Array) -> Fitted:
    """Rate r of the weighted least-squares fit c exp(−r t) + floor.

    r is searched on a logarithmic grid with c and floor solved for, then refined; the gradient
    follows from the stationarity of the squared residuals.
    """
    grid = np.geomspace(0.02 / steps[-1], 20.0 / steps[0], _GRID)
    losses = [_profile(r, steps, means, weights)[0] for r in grid]
    best = int(np.argmin(losses))
    edges = np.log(grid[max(best - 1, 0)]), np.log(grid[min(best + 1, _GRID - 1)])
    found = optimize.minimize_scalar(
        lambda log_r: _profile(np.exp(log_r), steps, means, weights)[0],
        bounds=edges,
        method="bounded",
        options={"xatol": 1e-12},
    )
    rate = float(np.exp(found.x))
    theta = np.array([rate, *_profile(rate, steps, means, weights)[1]])
    for _ in range(3):  # Newton steps past the resolution of a search by values
        jacobian, hessian, residual = _derivatives(theta, steps, means, weights)
        theta = theta - np.linalg.solve(hessian, jacobian.T @ (weights * residual))
    jacobian, hessian, _ = _derivatives(theta, steps, means, weights)
    gradient = np.linalg.solve(hessian, jacobian.T * weights)[0]
    return Fitted(value=float(theta[0]), gradient=gradient)


def _profile(rate: float, steps: Array, means: Array, weights: Array) -> tuple[float, Array]:
    """Smallest weighted squared residual at this rate, with its (c, floor)."""
    root = np.sqrt(weights)
    design = np.column_stack([np.exp(-rate * steps), np.ones(len(steps))])
    solved = np.linalg.lstsq(design * root[:, None], means * root, rcond=None)[0]
    return float((weights * (design @ solved - means) ** 2).sum()), solved


def _derivatives(
    theta: Array, steps: Array, means: Array, weights: Array
) -> tuple[Array, Array, Array]:
    """Jacobian [T, 3], half the Hessian of the squared residuals [3, 3], and residuals [T]."""
    rate, scale, floor = theta
    decay = np.exp(-rate * steps)
    residual = scale * decay + floor - means
    jacobian = np.column_stack([-scale * steps * decay, decay, np.ones(len(steps))])
    hessian = jacobian.T @ (weights[:, None] * jacobian)
    pull = weights * residual * steps * decay
    hessian[0, 0] += scale * (pull * steps).sum()
    hessian[0, 1] -= pull.sum()
    hessian[1, 0] -= pull.sum()
    return jacobian, hessian, residual


def replica_values(fitted: Fitted, means: Array, values: Array) -> Array:
    """One number a replica whose mean is φ to first order: values [T, R] -> [R].

    Args:
        fitted: the fit of `means`.
        means: where φ is linearised, shape [T].
        values: replicas, shape [T, R].
    """
    return np.asarray(fitted.value + fitted.gradient @ (values - means[:, None]))


def interval(
    kind: Fit, steps: Array, values: Array, confidence: float = 0.95, weights: Array | None = None
) -> tuple[float, float]:
    """Delta-method interval of the fitted number: values [T, R]."""
    means = values.mean(axis=1)
    fitted = fit(kind, steps, means, weights)
    each = replica_values(fitted, means, values)
    error = float(each.std(ddof=1)) / np.sqrt(len(each))
    reach = float(stats.t.isf((1 - confidence) / 2, len(each) - 1)) * error
    return fitted.value - reach, fitted.value + reach
