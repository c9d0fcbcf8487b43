"""Exact moments of estimates that are no differences along random vectors.

One-point and residual estimates on quadratics (A6, A7), and full coordinate differences (A5).
"""

import numpy as np
from numpy.typing import NDArray

from hzbench.core.structure import CoordinateLaw, GeneralizedLinear, OnePointLaw, Quadratic
from hzbench.theory.directions import curvature_moment, direction_moments
from hzbench.theory.gradients import row_gradients, row_moments
from hzbench.theory.oracles import batch_factor

Array = NDArray[np.float64]


def one_point_moments(
    structure: Quadratic, node: int, law: OnePointLaw, x: Array
) -> tuple[Array, Array]:
    """Mean h [d] and covariance [d, d] of a one-point or residual estimate on a quadratic.

    Formula (q(u) = f + ν h'u + ½ν² u'Au, S the data noise of a batch, B = hh' + S,
    P(B) = E uu'(u'Bu) = κ(tr(B) I + 2B) + γ diag B, all at x; primes at x'):
        E q² uu' = (f² + x'Sx) I + ν² P(B) + ν⁴ K6/4 + f ν² P(A); E q uu' = f I + ν² P(A)/2;
        E q' = f' + ν² tr A/2; Var q' = x''Sx' + ν² tr B' + ν⁴ (tr P(A)A − tr²A)/4.
        One-point: M = E q² uu'/ν²; residual: M = [E q² uu' − 2 E q' E q uu' + E q'² I]/ν².
        Cov G = M/m + (1 − 1/m) B − hh' + c s²/(ν²m) I with c = 1 (one-point) or 2 (residual).
        Gaussian, x = x', no noise: tr M = 2(d+1)|h|² + ν²(d+2) tr A².

    Source:
        own derivation (A6, A7), for the four laws; only evenness and fourth moments enter.

    Args:
        structure: quadratics with their noise.
        node: which f_i.
        law: of its estimator.
        x: where, shape [d].
    """
    A, b = structure.hessians[node], structure.linear[node]
    S = structure.noise[node] * batch_factor(law.batch_size)
    d, nu, m, eye = len(x), law.smoothing, law.samples, np.eye(len(x))
    f, h = _value(A, b, x), A @ x - b
    B, PA = np.outer(h, h) + S, _pairings(law, A)
    M = (f**2 + x @ S @ x) * eye + nu**2 * (_pairings(law, B) + f * PA)
    M = M + nu**4 / 4 * curvature_moment(law.directions, A)
    if law.baseline == "residual":
        before = np.array(law.previous) if law.previous else x
        slope, t = A @ before - b, np.trace(A)
        mean = _value(A, b, before) + nu**2 * t / 2
        spread = before @ S @ before + nu**2 * (slope @ slope + np.trace(S))
        spread += nu**4 / 4 * (np.trace(PA @ A) - t**2)
        M = M - 2 * mean * (f * eye + nu**2 * PA / 2) + (spread + mean**2) * eye
    calls = (2.0 if law.baseline == "residual" else 1.0) * structure.evaluation_noise**2
    covariance: Array = M / (nu**2 * m) + (1 - 1 / m) * B - np.outer(h, h)
    return h, covariance + calls / (nu**2 * m) * np.eye(d)


def _value(A: Array, b: Array, x: Array) -> float:
    return float(0.5 * x @ A @ x - b @ x)


def _pairings(law: OnePointLaw, B: Array) -> Array:
    """E uu'(u'Bu) = κ (tr(B) I + 2B) + γ diag B for symmetric B, shape [d, d]."""
    u = direction_moments(law.directions, len(B))
    diagonal = np.diag(np.diag(B))
    value: Array = u.kappa * (np.trace(B) * np.eye(len(B)) + 2 * B) + u.gamma * diagonal
    return value


def coordinate_moments(
    structure: Quadratic | GeneralizedLinear, node: int, law: CoordinateLaw, x: Array
) -> tuple[Array, Array]:
    """Mean [d] and covariance [d, d] of full coordinate differences.

    Formula:
        Quadratic: central E G = h, Cov G = S + s²/(2ν²) I; forward E G = h + ν/2 diag A,
        Cov G = S + s²/ν² (I + 11'), since one base evaluation serves all coordinates.
        Rows: the mean and covariance/b of the rows' own differences, which are deterministic.

    Source:
        own derivation (A5).

    Args:
        structure: quadratics with their noise, or rows.
        node: which f_i.
        law: of its estimator.
        x: where, shape [d].
    """
    if isinstance(structure, GeneralizedLinear):
        rows = _row_differences(structure, node, law, x)
        mean, covariance = row_moments([rows])
        return mean[0], covariance[0] * batch_factor(law.batch_size)
    A, d = structure.hessians[node], len(x)
    h = A @ x - structure.linear[node]
    S = structure.noise[node] * batch_factor(law.batch_size)
    calls = (structure.evaluation_noise / law.smoothing) ** 2
    if law.difference == "central":
        return h, S + calls / 2 * np.eye(d)
    return h + law.smoothing / 2 * np.diag(A), S + calls * (np.eye(d) + 1.0)


def _row_differences(
    structure: GeneralizedLinear, node: int, law: CoordinateLaw, x: Array
) -> Array:
    """Differences of the single rows' losses along every coordinate, shape [|M_i|, d]."""
    members, nu = structure.members[node], law.smoothing
    a, lam = structure.features[members], structure.regularization
    forward = law.difference == "forward"
    if structure.loss == "squared":
        exact = row_gradients(structure, node, x)
        return exact + nu / 2 * (a**2 + lam) if forward else exact
    margins, y = (a @ x)[:, None], structure.targets[members][:, None]
    ahead = np.logaddexp(0.0, -y * (margins + nu * a))
    behind = np.logaddexp(0.0, -y * (margins if forward else margins - nu * a))
    penalty = lam * (x + nu / 2) if forward else lam * x
    differences: Array = (ahead - behind) / (nu if forward else 2 * nu) + penalty
    return differences
