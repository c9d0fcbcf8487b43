"""How far smoothing can move the mean of an estimate, from what is known of f around the iterate.

One direction enters: averaging more of them, however they depend on each other, keeps the mean.
"""

from dataclasses import dataclass
from math import inf, isfinite, sqrt

import numpy as np

from hzbench.core.setting import Setting
from hzbench.core.structure import (
    CoordinateLaw,
    DifferenceLaw,
    EstimatorLaw,
    OnePointLaw,
    Separable,
)
from hzbench.theory.directions import ROTATION_INVARIANT, direction_moments


@dataclass(frozen=True, kw_only=True)
class Curvature:
    """Constants of f_i where its queries can fall.

    Attributes:
        smoothness: L of ∇f_i.
        hessian_lipschitz: ρ_H.
    """

    smoothness: float
    hessian_lipschitz: float


def queries_values(law: EstimatorLaw) -> bool:
    """Whether the estimate is made of function values (and may be biased)."""
    if isinstance(law, DifferenceLaw):
        return law.difference != "directional_derivative"
    return isinstance(law, OnePointLaw | CoordinateLaw)


def local_curvature(setting: Setting, node: int) -> Curvature:
    """The declared constants, or those of a separable f_i on the box that its queries reach.

    Formula:
        |y_k − x_k| <= r = ν (rademacher, coordinate differences), ν sqrt(d) (sphere, coordinate),
        unbounded (gaussian). exponential L = max |c| a² e^(ax + |a|r), ρ_H likewise with |a|³;
        quartic L = max 3|c| a⁴ (|x| + r)², ρ_H = max 6|c| a⁴ (|x| + r).

    Source:
        own derivation.
    """
    declared, structure = setting.problem.constants, setting.problem.structure
    law, x = setting.laws[node], setting.problem.initial[node]
    if isfinite(declared.smoothness) or not isinstance(structure, Separable):
        return Curvature(
            smoothness=declared.smoothness, hessian_lipschitz=declared.hessian_lipschitz
        )
    r = _reach(law, len(x))
    if not isfinite(r):
        return Curvature(smoothness=inf, hessian_lipschitz=inf)
    c, a = np.abs(structure.coefficients[node]), structure.rates
    if structure.term == "quartic":
        far = c * a**4 * (np.abs(x) + r)
        return Curvature(
            smoothness=float((3 * far * (np.abs(x) + r)).max()),
            hessian_lipschitz=float((6 * far).max()),
        )
    top = c * a**2 * np.exp(a * x + np.abs(a) * r)
    return Curvature(smoothness=float(top.max()), hessian_lipschitz=float((top * np.abs(a)).max()))


def _reach(law: EstimatorLaw, d: int) -> float:
    """Largest |u_k| ν."""
    if not isinstance(law, DifferenceLaw | OnePointLaw | CoordinateLaw) or not queries_values(law):
        return 0.0
    if isinstance(law, CoordinateLaw) or law.directions == "rademacher":
        return law.smoothing
    return inf if law.directions == "gaussian" else law.smoothing * sqrt(d)


def bias_limit(law: EstimatorLaw, d: int, curvature: Curvature) -> float:
    """The least of all bounds on |E G − ∇f| that hold for a law (A12); inf if none does.

    Formula (L and ρ are those of ∇f and of the Hessian):
        gaussian, sphere (the mean is a gradient smoothed over v: a Gaussian, or a point of the ball
        of radius sqrt(d)): Lν E|v| <= Lν sqrt(d) (sphere times d/(d+1)), ½ρν² E|v|² = ½ρν² d
        (sphere times d/(d+2)). Any law (Cauchy–Schwarz on the error of a central difference, whose
        mean forward and one-point estimates share): ½Lν sqrt(E|u|⁴), ρν²/6 sqrt(E|u|⁶).
        Coordinate differences: ½Lν sqrt(d), and ρν²/6 sqrt(d) if central.

    Source:
        own derivation (A12).
    """
    L, rho = curvature.smoothness, curvature.hessian_lipschitz
    if not queries_values(law):
        return 0.0
    assert isinstance(law, DifferenceLaw | OnePointLaw | CoordinateLaw)
    nu = law.smoothing
    if isinstance(law, CoordinateLaw):
        limits = [L * nu / 2 * sqrt(d)]
        limits += [rho * nu**2 / 6 * sqrt(d)] if law.difference == "central" else []
    else:
        u = direction_moments(law.directions, d)
        limits = [L * nu / 2 * sqrt(u.fourth), rho * nu**2 / 6 * sqrt(u.sixth)]
        if law.directions in ROTATION_INVARIANT:
            ball = law.directions == "sphere"
            limits.append(L * nu * sqrt(d) * (d / (d + 1) if ball else 1.0))
            limits.append(rho * nu**2 / 2 * d * (d / (d + 2) if ball else 1.0))
    return min((limit for limit in limits if isfinite(limit)), default=inf)
