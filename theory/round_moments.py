"""One synchronous round (matrix or matching) of a random affine system: Z to Z+."""

import numpy as np
from numpy.typing import NDArray

from hzbench.theory.affine_system import (
    AffineSystem,
    Array,
    LocalSteps,
    Mixing,
    Scenario,
    node_moments,
    positions,
)


def scenario_step(system: AffineSystem, Z: Array, local: LocalSteps, scenario: Scenario) -> Array:
    """Z+ of one scenario of a round, before weighting with its probability."""
    mix = _mixing_map(system, scenario.mixing.mean)
    step = _stepping_map(system, local, scenario.active)
    if system.order == "adapt-combine":
        Z = step @ Z @ step.swapaxes(1, 2) + _node_noise(system, Z, local, scenario.active)
        return mix @ Z @ mix.T + _excess(system, Z, scenario.mixing)
    if system.order == "combine-adapt":
        Z = mix @ Z @ mix.T + _excess(system, Z, scenario.mixing)
        return step @ Z @ step.swapaxes(1, 2) + _node_noise(system, Z, local, scenario.active)
    both = mix + step - np.eye(len(mix))
    moved: Array = both @ Z @ both.swapaxes(1, 2)
    return (
        moved + _excess(system, Z, scenario.mixing) + _node_noise(system, Z, local, scenario.active)
    )


def _mixing_map(system: AffineSystem, W: Array) -> Array:
    """W on the positions, identity on velocities and on the constant, shape [N+1, N+1]."""
    _, n, p, q = system.shape
    T = np.eye(n * q + 1)
    index = positions(system)
    for k in range(p):
        T[np.ix_(index[:, k], index[:, k])] = W
    return T


def _stepping_map(system: AffineSystem, local: LocalSteps, active: NDArray[np.bool_]) -> Array:
    C, n, _, q = system.shape
    T = np.zeros((C, n * q + 1, n * q + 1))
    T[:, -1, -1] = 1.0
    for i in range(n):
        block = slice(i * q, (i + 1) * q)
        T[:, block, block] = local.linear[:, i] if active[i] else np.eye(q)
        T[:, block, -1] = local.offset[:, i] if active[i] else 0.0
    return T


def _node_noise(
    system: AffineSystem, Z: Array, local: LocalSteps, active: NDArray[np.bool_]
) -> Array:
    C, n, _, q = system.shape
    noise = system.noise(np.arange(n), node_moments(system, Z))
    noise = noise * active[None, :, None, None]
    blocks = np.einsum("nst,cnkl->cnsktl", local.gain, noise).reshape(C, n, q, q)
    out = np.zeros_like(Z)
    index = np.arange(n)[:, None] * q + np.arange(q)[None, :]
    out[:, index[:, :, None], index[:, None, :]] = blocks
    return out


def _excess(system: AffineSystem, Z: Array, mixing: Mixing) -> Array | float:
    if mixing.excess is None:
        return 0.0
    index = positions(system)
    blocks = Z[:, index.T[:, None, :, None], index.T[None, :, None, :]]
    out = np.zeros_like(Z)
    out[:, index.T[:, None, :, None], index.T[None, :, None, :]] = mixing.excess(blocks)
    return out
