"""Theorem: the exact bias of zeroth-order estimates of separable functions."""

import numpy as np
from numpy.typing import NDArray
from scipy.special import hyp0f1

from hzbench.core.prediction import Assumption, Prediction
from hzbench.core.registry import register
from hzbench.core.setting import Setting
from hzbench.core.structure import (
    CoordinateLaw,
    DifferenceLaw,
    DirectionLaw,
    EstimatorLaw,
    OnePointLaw,
    Separable,
)
from hzbench.theory import sources
from hzbench.theory.checks import Values, assume, conclude
from hzbench.theory.directions import direction_moments
from hzbench.theory.gradients import sample_gradients, term_slope
from hzbench.theory.probe import probe_assumptions, probe_steps

Array = NDArray[np.float64]

MUTANTS = ("smoothing_doubled", "gaussian_for_sphere", "missing_sqrt_d")


@register("theorem", "separable_means", mutants=MUTANTS)
def separable_means(setting: Setting) -> Prediction:
    """Exact mean of the gradient estimates of f_i(x) = Σ_k [c_ik φ(a_k x_k) − b_ik x_k].

    Setting and assumptions: the iterates stay at the start; φ is e^z, cos z or z⁴/4; every node
    has any estimator with a declared law, any number of vectors and any sampling. Here the bias is
    not 0, as it is on every quadratic.

    Formula:
        per coordinate, with z = a x, τ = aν and E G = ... − b:
        e^z: c a e^z g(τ²); cos z: −c a sin z g(−τ²); z⁴/4: c a⁴ (x³ + E u_k⁴ ν² x), where g(s) is
        e^(s/2) (gaussian), 0F1(; d/2 + 1; s d/4) (sphere), 0F1(; 3/2; s/4) (rademacher, and full
        central differences; it is sinh τ/τ or sin τ/τ) and 0F1(; 3/2; s d/4) (coordinate).
        Central, forward, one-point and residual estimates share this mean, since u and −u have one
        law; full forward differences are c [φ(z + τ) − φ(z)]/ν.

    Guarantee:
        exact.

    Source:
        own derivation (A11).

    Args:
        setting: n nodes in dimension d with moves = False.

    Returns:
        Kind exact at every record step from 1 on: estimate [T', d], and estimate_bias_square [T']
        for n >= 2.

    Example:
        `core-estimators`, case `bias-exponential[nodes.0.estimator.directions=gaussian,
        nodes.0.estimator.difference=central]`, step 1, f = Σ (e^x − x) at x = 1, ν = 0.8:
        estimate[0] = 2.743421 = exp(1 + 0.8**2/2) - 1.
    """
    steps = probe_steps(setting)
    structure = setting.problem.structure
    separable = assume(
        "every f_i is separable: exponentials, cosines or quartics",
        isinstance(structure, Separable),
        f"structure = {type(structure).__name__}",
    )
    ready = (*probe_assumptions(setting), separable)
    return conclude(
        "separable_means",
        statement="E G = ∇f smoothed coordinate by coordinate, with the bias in closed form.",
        source=sources.SEPARABLE_MEANS,
        kind="exact",
        assumptions=(*ready, _finite(setting, all(each.holds for each in ready))),
        steps=steps,
        compute=lambda: (_compute(setting, len(steps)), {}),
        validity="any smoothing radius",
        mutants=MUTANTS,
    )


def _finite(setting: Setting, ready: bool) -> Assumption:
    """Exponentials of large arguments, or of large smoothing radii, overflow."""
    text = "the means, and their squares, are finite numbers"
    if not ready:
        return assume(text, False, "not checked: an assumption above fails")
    with np.errstate(over="ignore", invalid="ignore"):
        sizes = [float(np.abs(value).max()) for value in _compute(setting, 1).values()]
    return assume(text, bool(np.isfinite(sizes).all()), f"the largest is {max(sizes):.3g}")


def _compute(setting: Setting, count: int) -> Values:
    structure, points = setting.problem.structure, setting.problem.initial
    assert isinstance(structure, Separable)
    means = np.array(
        [mean_estimate(structure, i, law, points[i]) for i, law in enumerate(setting.laws)]
    )
    values = {"estimate": np.tile(means.mean(0), (count, 1))}
    if setting.nodes > 1:
        bias = means - sample_gradients(structure, points)[0]
        values["estimate_bias_square"] = np.full(count, mean_pair_product(bias))
    return values


def mean_pair_product(vectors: Array) -> float:
    """Mean of <v_i, v_j> over pairs i ≠ j of n >= 2 vectors [n, d]."""
    n, total = len(vectors), vectors.sum(0)
    return float((total @ total - (vectors**2).sum()) / (n * (n - 1)))


def mean_estimate(structure: Separable, node: int, law: EstimatorLaw, x: Array) -> Array:
    """E G of one node at x, shape [d]."""
    c, a, nu = structure.coefficients[node], structure.rates, getattr(law, "smoothing", 0.0)
    z, d = a * x, len(x)
    if isinstance(law, CoordinateLaw) and law.difference == "forward":
        slope = _forward_difference(structure.term, z, a * nu) / nu
    elif isinstance(law, CoordinateLaw):
        slope = a * _smoothed_slope(structure.term, z, a * nu, "rademacher", d)
    elif isinstance(law, OnePointLaw) or (
        isinstance(law, DifferenceLaw) and law.difference != "directional_derivative"
    ):
        slope = a * _smoothed_slope(structure.term, z, a * nu, law.directions, d)
    else:
        slope = a * term_slope(structure.term, z)
    mean: Array = c * slope - structure.linear[node]
    return mean


def _smoothed_slope(term: str, z: Array, tau: Array, law: DirectionLaw, d: int) -> Array:
    """E[u φ(z + τu)]/τ per coordinate, shape [d]."""
    if term == "quartic":
        u = direction_moments(law, d)
        return np.asarray(z**3 + (3 * u.kappa + u.gamma) * tau**2 * z)
    s = tau**2 if term == "exponential" else -(tau**2)
    if law == "gaussian":
        gain = np.exp(s / 2)
    else:
        order = d / 2 + 1 if law == "sphere" else 1.5
        gain = hyp0f1(order, s / 4 if law == "rademacher" else s * d / 4)
    return np.asarray(term_slope(term, z) * gain)


def _forward_difference(term: str, z: Array, tau: Array) -> Array:
    """φ(z + τ) − φ(z) without cancellation, shape [d]."""
    if term == "quartic":
        return np.asarray(tau * (z**3 + 1.5 * z**2 * tau + z * tau**2 + tau**3 / 4))
    if term == "exponential":
        return np.asarray(np.exp(z) * np.expm1(tau))
    return np.asarray(-2 * np.sin(z + tau / 2) * np.sin(tau / 2))
