"""The noise of every node's estimate, as a map on second moments, for both structures."""

from collections.abc import Callable

import numpy as np

from hzbench.core.setting import Setting
from hzbench.core.structure import GeneralizedLinear, Quadratic
from hzbench.theory.affine_system import Array, Integers, NoiseLaw
from hzbench.theory.oracles import (
    LawConstants,
    covariance,
    covariance_diagonal,
    law_constants,
    least_squares_constants,
    quadratic_constants,
    sample_operators,
    take,
)

DataNoise = Callable[[Integers, Array, Array], Array]
"""(nodes [B], moments of (x, 1) [B, d+1, d+1], E hh' [B, d, d]) -> noise of one batch [B, d, d]."""


def noise_law(
    setting: Setting, A: Array, b: Array, optimum: Array, basis: Array | None
) -> NoiseLaw:
    """Covariance of every node's estimate as a map that is linear in the second moments of (x, 1).

    Args:
        setting: laws and structure.
        A: Hessians, shape [n, d, d].
        b: linear terms in shifted coordinates, shape [n, d].
        optimum: x*, shape [d].
        basis: common eigenbasis for the coordinate-wise form, or None for full blocks.
    """
    structure = setting.problem.structure
    laws = law_constants(setting.laws, A.shape[1])
    if isinstance(structure, GeneralizedLinear):
        C = least_squares_constants(structure, setting.laws)
        rows = sample_operators(structure, setting.laws, optimum)
        return _general_noise(laws, A, b, C, _row_noise(rows, laws.batch))
    if not isinstance(structure, Quadratic):
        raise TypeError(f"got {type(structure).__name__}; expected a quadratic form")
    C = quadratic_constants(structure, setting.laws)
    S = structure.noise * laws.batch[:, None, None]
    if basis is None:
        return _general_noise(laws, A, b, C, lambda nodes, Z, _: S[nodes] * Z[:, -1:, -1:])
    own = [np.einsum("nkk->kn", basis.T @ part @ basis) for part in (A, S, C)]
    return _diagonal_noise(laws, own[0], (b @ basis).T, own[1], own[2])


def _row_noise(operators: Array, batch: Array) -> DataNoise:
    """Data noise of a batch of rows: (E g g' − E h h')/b."""

    def noise(nodes: Integers, Z: Array, H: Array) -> Array:
        flat = operators[nodes] @ Z.reshape(len(nodes), -1, 1)
        result: Array = (flat.reshape(H.shape) - H) * batch[nodes, None, None]
        return result

    return noise


def _general_noise(
    laws: LawConstants, A: Array, b: Array, C: Array, data_noise: DataNoise
) -> NoiseLaw:
    gradient = np.concatenate([A, -b[:, :, None]], axis=2)

    def noise(nodes: Integers, Z: Array) -> Array:
        own, B = Z[0], gradient[nodes]
        H = B @ own @ B.swapaxes(1, 2)
        S = data_noise(nodes, own, H)
        result: Array = covariance(take(laws, nodes), H, S, C[nodes] * own[:, -1:, -1:])[None]
        return result

    return noise


def _diagonal_noise(laws: LawConstants, a: Array, b: Array, S: Array, C: Array) -> NoiseLaw:
    def noise(nodes: Integers, Z: Array) -> Array:
        slope, offset, mass = a[:, nodes], b[:, nodes], Z[:, :, 1, 1]
        H = slope**2 * Z[:, :, 0, 0] - 2 * slope * offset * Z[:, :, 0, 1] + offset**2 * mass
        own = covariance_diagonal(take(laws, nodes), H, S[:, nodes] * mass, C[:, nodes] * mass)
        return own[:, :, None, None]

    return noise
