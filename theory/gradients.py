"""True gradients, and the noise of one gradient sample, from every declared structure."""

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from hzbench.core.structure import GeneralizedLinear, Quadratic, Separable, Structure
from hzbench.theory.stacks import products

Array = NDArray[np.float64]


def sample_gradients(structure: Structure, points: Array) -> tuple[Array, Array]:
    """h_i = ∇f_i(x_i) [n, d] and the covariance of one gradient sample there [n, d, d].

    Args:
        structure: a declared one.
        points: x_i, shape [n, d].

    Raises:
        TypeError: no structure is declared.
    """
    if isinstance(structure, Quadratic):
        return true_gradients(structure, points), structure.noise
    if isinstance(structure, Separable):
        return true_gradients(structure, points), structure.noise[:, :, None] * np.eye(
            points.shape[1]
        )
    if isinstance(structure, GeneralizedLinear):
        return row_moments([row_gradients(structure, i, x) for i, x in enumerate(points)])
    raise TypeError(f"got {type(structure).__name__}; expected a declared structure")


def true_gradients(structure: Structure, points: Array) -> Array:
    """h_i = ∇f_i(x_i), shape [n, d].

    Raises:
        TypeError: no structure is declared.
    """
    if isinstance(structure, Quadratic):
        return products(structure.hessians, points) - structure.linear
    if isinstance(structure, Separable):
        c, a = structure.coefficients, structure.rates
        h: Array = c * a * term_slope(structure.term, a * points) - structure.linear
        return h
    if isinstance(structure, GeneralizedLinear):
        rows = (row_gradients(structure, i, x) for i, x in enumerate(points))
        return np.array([each.mean(0) for each in rows])
    raise TypeError(f"got {type(structure).__name__}; expected a declared structure")


def term(name: str, z: Array) -> Array:
    """φ(z) of a separable term: e^z, cos z or z⁴/4."""
    if name == "quartic":
        return np.asarray(z**4 / 4)
    return np.asarray(np.exp(z) if name == "exponential" else np.cos(z))


def term_slope(name: str, z: Array) -> Array:
    """φ'(z) of a separable term: e^z, −sin z or z³."""
    if name == "quartic":
        return np.asarray(z**3)
    return np.asarray(np.exp(z) if name == "exponential" else -np.sin(z))


def row_gradients(structure: GeneralizedLinear, node: int, x: Array) -> Array:
    """Gradients of the single rows of a node at x, shape [|M_i|, d]."""
    members = structure.members[node]
    a, y = structure.features[members], structure.targets[members]
    slope = a @ x - y if structure.loss == "squared" else -y * expit(-y * (a @ x))
    gradients: Array = a * slope[:, None] + structure.regularization * x
    return gradients


def row_moments(rows: list[Array]) -> tuple[Array, Array]:
    """Mean [n, d] and covariance [n, d, d] of every node's rows, one array [|M_i|, d] a node."""
    means = [g.mean(0) for g in rows]
    centred = [g - mean for g, mean in zip(rows, means, strict=True)]
    return np.array(means), np.array([g.T @ g / len(g) for g in centred])


def evaluation_noise(structure: Structure) -> float:
    """Standard deviation that every function call adds; 0 where data alone is random."""
    if isinstance(structure, Quadratic | Separable):
        return structure.evaluation_noise
    return 0.0
