"""Every node's estimate as an affine mean plus noise whose covariance is quadratic in the state.

A node with a quadratic f_i estimates G = h + noise with h = A x − b. Its covariance is

    Cov G = c S + (2κ−1) B + κ tr(B) I + γ diag(B) + C,   B = r h h' + r' S,

where S is the data noise of one batch, c = r' = 1/m if each of the m differences draws its own data
and c = 1, r' = r otherwise. r is 0 for gradients, 1/m for independent vectors and
(d−m)/(m(d−1)) for orthogonal ones: the m matrices u u' are exchangeable and all d of them add up to
d·I, so two of them have covariance −1/(d−1) of one's own, as in a finite population. C collects
what depends on the smoothing radius: ν²/(4m) E K6 (forward differences) and the noise of function
calls. Full coordinate differences have r = 0; a forward one has the constant bias ½ν diag A, which
belongs to b here.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hzbench.core.structure import (
    BatchSize,
    CoordinateLaw,
    DifferenceLaw,
    EstimatorLaw,
    GeneralizedLinear,
    GradientLaw,
    Quadratic,
)
from hzbench.theory.directions import curvature_moment, direction_moments

Array = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class LawConstants:
    """What the laws of B nodes contribute, one entry a node.

    Attributes:
        data: c, the factor of the data noise, shape [B].
        directions: r, 0 for gradients, shape [B].
        data_directions: r', shape [B].
        kappa: κ, shape [B].
        gamma: γ, shape [B].
        batch: 1/b, 0 for "full", shape [B].
    """

    data: Array
    directions: Array
    data_directions: Array
    kappa: Array
    gamma: Array
    batch: Array


def take(laws: LawConstants, nodes: Integers) -> LawConstants:
    """The constants of some nodes."""
    return LawConstants(
        data=laws.data[nodes],
        directions=laws.directions[nodes],
        data_directions=laws.data_directions[nodes],
        kappa=laws.kappa[nodes],
        gamma=laws.gamma[nodes],
        batch=laws.batch[nodes],
    )


def batch_factor(batch_size: BatchSize) -> float:
    """1/b: the factor that a batch puts on the covariance of one sample; 0 for "full"."""
    return 0.0 if batch_size == "full" else 1.0 / batch_size


def averaging(law: DifferenceLaw, d: int) -> float:
    """r: the factor that averaging m vectors puts on the covariance of one estimate of h.

    Formula:
        1/m for independent vectors, (d−m)/(m(d−1)) for orthonormal ones and for coordinates without
        replacement (0 for d = 1).

    Source:
        own derivation (A10): the finite-population correction, see the top of this module.
    """
    m = law.samples
    if law.sampling == "iid":
        return 1.0 / m
    return (d - m) / (m * (d - 1.0)) if d > 1 else 0.0


def law_constants(laws: tuple[EstimatorLaw, ...], d: int) -> LawConstants:
    """The constants of every node's law; unknown laws count as noise-free gradients."""
    rows = np.array([_one_law(law, d) for law in laws], dtype=float)
    data, directions, data_directions, kappa, gamma, batch = rows.T
    return LawConstants(
        data=data,
        directions=directions,
        data_directions=data_directions,
        kappa=kappa,
        gamma=gamma,
        batch=batch,
    )


def _one_law(law: EstimatorLaw, d: int) -> tuple[float, float, float, float, float, float]:
    if isinstance(law, GradientLaw | CoordinateLaw):
        return 1.0, 0.0, 0.0, 0.0, 0.0, batch_factor(law.batch_size)
    if not isinstance(law, DifferenceLaw):
        return 1.0, 0.0, 0.0, 0.0, 0.0, 0.0
    u, r, fresh = direction_moments(law.directions, d), averaging(law, d), law.data == "fresh"
    data, own = (1.0 / law.samples, 1.0 / law.samples) if fresh else (1.0, r)
    return data, r, own, u.kappa, u.gamma, batch_factor(law.batch_size)


def covariance(laws: LawConstants, H: Array, S: Array, C: Array) -> Array:
    """Covariance of G for B nodes, from full matrices.

    Formula:
        c S + (2κ−1) B + κ tr(B) I + γ diag(B) + C with B = r H + r' S.

    Source:
        own derivation (A2, A3, A8, A10).

    Args:
        laws: constants of the B nodes.
        H: E h h', shape [B, d, d].
        S: data noise of one batch, shape [B, d, d].
        C: constant noise, shape [B, d, d].

    Returns:
        Shape [B, d, d].
    """
    B = laws.directions[:, None, None] * H + laws.data_directions[:, None, None] * S
    diagonal = np.einsum("bii->bi", B)
    eye = np.eye(H.shape[-1])
    kappa, gamma = laws.kappa[:, None, None], laws.gamma[:, None, None]
    spread = (2 * kappa - 1) * B + kappa * diagonal.sum(1)[:, None, None] * eye
    spread = spread + gamma * diagonal[:, :, None] * eye
    result: Array = laws.data[:, None, None] * S + spread + C
    return result


def covariance_diagonal(laws: LawConstants, H: Array, S: Array, C: Array) -> Array:
    """The diagonal of `covariance` from the diagonals of H, S and C, each of shape [d, B]."""
    B = laws.directions * H + laws.data_directions * S
    spread = (2 * laws.kappa - 1 + laws.gamma) * B + laws.kappa * B.sum(0)
    result: Array = laws.data * S + spread + C
    return result


def call_noise(law: EstimatorLaw, evaluation_noise: float) -> float:
    """Variance per coordinate that noise of function calls adds to G.

    Formula:
        central s²/(2ν²m); forward 2s²/(ν²m), with a shared base evaluation too, since the mean of
        m vectors with independent signs has covariance I/m; nothing for gradients and exact
        derivatives.

    Source:
        own derivation (A8).
    """
    if not isinstance(law, DifferenceLaw) or law.difference == "directional_derivative":
        return 0.0
    calls = 0.5 if law.difference == "central" else 2.0
    return calls * evaluation_noise**2 / (law.smoothing**2 * law.samples)


def coordinate_call_noise(law: CoordinateLaw, evaluation_noise: float, d: int) -> Array:
    """Covariance that noise of function calls adds to full coordinate differences, shape [d, d].

    Formula:
        central s²/(2ν²) I; forward s²/ν² (I + 11'), since all coordinates share one base value.

    Source:
        own derivation (A5).
    """
    variance = (evaluation_noise / law.smoothing) ** 2
    shape = np.eye(d) / 2 if law.difference == "central" else np.eye(d) + 1.0
    result: Array = variance * shape
    return result


def forward_radii(laws: tuple[EstimatorLaw, ...]) -> Array:
    """ν of every node with forward coordinate differences, 0 elsewhere, shape [n]."""
    forward = [
        law.smoothing if isinstance(law, CoordinateLaw) and law.difference == "forward" else 0.0
        for law in laws
    ]
    return np.array(forward)


def constant_bias(laws: tuple[EstimatorLaw, ...], A: Array) -> Array:
    """E G − h: ½ν diag A of forward coordinate differences, 0 elsewhere, shape [n, d] (A5)."""
    result: Array = 0.5 * forward_radii(laws)[:, None] * np.einsum("nkk->nk", A)
    return result


def quadratic_constants(structure: Quadratic, laws: tuple[EstimatorLaw, ...]) -> Array:
    """C of every node of a Quadratic: curvature and call noise, shape [n, d, d]."""
    n, d = structure.linear.shape
    C = np.zeros((n, d, d))
    for i, law in enumerate(laws):
        C[i] = call_noise(law, structure.evaluation_noise) * np.eye(d)
        if isinstance(law, CoordinateLaw):
            C[i] = coordinate_call_noise(law, structure.evaluation_noise, d)
        if isinstance(law, DifferenceLaw) and law.difference == "forward":
            K6 = curvature_moment(law.directions, structure.hessians[i])
            C[i] += law.smoothing**2 / (4 * law.samples) * K6
    return C


def least_squares_hessians(structure: GeneralizedLinear) -> Array:
    """A_i = mean_j a_j a_j' + λI, shape [n, d, d]."""
    d = structure.features.shape[1]
    rows = [structure.features[members] for members in structure.members]
    return np.array([a.T @ a / len(a) + structure.regularization * np.eye(d) for a in rows])


def least_squares_linear(structure: GeneralizedLinear) -> Array:
    """b_i = mean_j y_j a_j, shape [n, d]."""
    pairs = [(structure.features[m], structure.targets[m]) for m in structure.members]
    return np.array([a.T @ y / len(a) for a, y in pairs])


def least_squares_constants(structure: GeneralizedLinear, laws: tuple[EstimatorLaw, ...]) -> Array:
    """C of every node of a squared loss: ν²/(4m) E K6 over the batch's Hessian, shape [n, d, d].

    Formula:
        E K6(A_batch) = K6(A) + (mean_j K6(A_j) − K6(A))/b with A_j = a_j a_j' + λI: K6 is a
        quadratic form of the Hessian, and rows are drawn with replacement.

    Source:
        own derivation (A3, C12).
    """
    d = structure.features.shape[1]
    means = least_squares_hessians(structure)
    C = np.zeros((len(laws), d, d))
    for i, law in enumerate(laws):
        if not isinstance(law, DifferenceLaw) or law.difference != "forward":
            continue
        K6 = curvature_moment(law.directions, means[i])
        factor = batch_factor(law.batch_size)
        if factor:
            K6 = K6 + factor * (_mean_row_curvature(structure, i, law) - K6)
        C[i] = law.smoothing**2 / (4 * law.samples) * K6
    return C


def _mean_row_curvature(structure: GeneralizedLinear, node: int, law: DifferenceLaw) -> Array:
    rows = structure.features[structure.members[node]]
    shift = structure.regularization * np.eye(rows.shape[1])
    total = np.zeros_like(shift)
    for a in rows:
        total += curvature_moment(law.directions, np.outer(a, a) + shift)
    return total / len(rows)


def sample_operators(
    structure: GeneralizedLinear, laws: tuple[EstimatorLaw, ...], optimum: Array
) -> Array:
    """Per node, the map from the second moment of (x − x*, 1) to E g_j g_j' over a row j.

    Formula:
        E g g' = mean_j B_j Z B_j' with B_j = [a_j a_j' + λI, −a_j (y_j − a_j'x*) + λx*]; forward
        coordinate differences add ½ν (a_jk² + λ) to the last column.

    Source:
        own derivation (C12, A5).

    Args:
        structure: a squared loss.
        laws: one a node.
        optimum: x*, shape [d].

    Returns:
        Shape [n, d², (d+1)²]; it acts on the row-major entries of Z.
    """
    d = structure.features.shape[1]
    lam = structure.regularization
    operators = []
    for members, nu in zip(structure.members, forward_radii(laws).tolist(), strict=True):
        a = structure.features[members]
        B = np.empty((len(a), d, d + 1))
        B[:, :, :d] = a[:, :, None] * a[:, None, :] + lam * np.eye(d)
        residual = a @ optimum - structure.targets[members]
        B[:, :, d] = a * residual[:, None] + lam * optimum
        B[:, :, d] += 0.5 * nu * (a**2 + lam)
        flat = B.reshape(len(a), -1)
        pairs = (flat.T @ flat / len(a)).reshape(d, d + 1, d, d + 1)
        operators.append(pairs.transpose(0, 2, 1, 3).reshape(d * d, (d + 1) ** 2))
    return np.array(operators)
