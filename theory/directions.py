"""Moments of the four laws of search directions, each scaled so that E uu' = I.

Every law here is symmetric under sign flips, so odd moments vanish, and its fourth moments read
E u_i u_j u_k u_l = κ (the three pairings) + γ [i = j = k = l].
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hzbench.core.structure import DirectionLaw

Array = NDArray[np.float64]

ROTATION_INVARIANT: tuple[DirectionLaw, ...] = ("gaussian", "sphere")


@dataclass(frozen=True, kw_only=True)
class DirectionMoments:
    """Constants of one law in dimension d.

    Attributes:
        kappa: κ, the isotropic part of the fourth moments.
        gamma: γ, the extra part when all four indices agree.
        omega: ω = κ(d + 2) + γ, so that E|u u'e|² = ω for every unit vector e.
        fourth: E|u|⁴.
        sixth: E|u|⁶.
    """

    kappa: float
    gamma: float
    omega: float
    fourth: float
    sixth: float


def direction_moments(law: DirectionLaw, d: int) -> DirectionMoments:
    """The constants of a law in dimension d.

    Formula:
        gaussian (1, 0), sphere (d/(d+2), 0), rademacher (1, −2), coordinate (0, d) for (κ, γ);
        E|u|⁴ = d(d+2) and E|u|⁶ = d(d+2)(d+4) for gaussian, d² and d³ for the others.

    Source:
        own derivation (section A).

    Args:
        law: name of the law.
        d: dimension.
    """
    kappa, gamma = {
        "gaussian": (1.0, 0.0),
        "sphere": (d / (d + 2), 0.0),
        "rademacher": (1.0, -2.0),
        "coordinate": (0.0, float(d)),
    }[law]
    grows = law == "gaussian"
    return DirectionMoments(
        kappa=kappa,
        gamma=gamma,
        omega=kappa * (d + 2) + gamma,
        fourth=float(d * (d + 2) if grows else d**2),
        sixth=float(d * (d + 2) * (d + 4) if grows else d**3),
    )


def curvature_moment(law: DirectionLaw, A: Array) -> Array:
    """K6 = E[u u' (u'A u)²], the noise that curvature puts into a forward difference.

    Formula (t = tr A, q = |A|², O the off-diagonal part of A):
        gaussian (t² + 2q) I + 4tA + 8A²; sphere the same times d²/((d+2)(d+4));
        rademacher (t² + 2|O|²) I + 4tO + 8(O² − diag O²); coordinate d² diag(A_ii²).

    Source:
        own derivation (A3).

    Args:
        law: name of the law.
        A: symmetric matrices, shape [..., d, d].

    Returns:
        K6, shape [..., d, d].
    """
    d = A.shape[-1]
    eye = np.eye(d)
    diagonal = np.einsum("...ii->...i", A)
    if law == "coordinate":
        single: Array = d**2 * (diagonal**2)[..., None] * eye
        return single
    t = diagonal.sum(-1)[..., None, None]
    B = A - diagonal[..., None] * eye if law == "rademacher" else A
    squared = B @ B
    q = np.einsum("...ii->...", squared)[..., None, None]
    if law == "rademacher":
        squared = squared * (1.0 - eye)
    factor = d**2 / ((d + 2) * (d + 4)) if law == "sphere" else 1.0
    value: Array = factor * ((t**2 + 2 * q) * eye + 4 * t * B + 8 * squared)
    return value
